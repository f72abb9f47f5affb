# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on disk: round trip, strictness, damage at every place, pickles refused, names that mean nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest
import safetensors.torch
import torch

from mapreel.core.contract.errors import DamagedModelError, MissingModelError, ModelError, PickleRefusedError
from mapreel.core.media import modelfacts
from mapreel.core.vid2vid import checkpoint, models
from mapreel.core.vid2vid.checkpoint import load_model, save_model
from mapreel.core.vid2vid.config import GeneratorConfig, config_from_dict
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import SAMPLES, Looks
from mapreel.core.vid2vid.models import find_model
from mapreel.core.vid2vid.network import Generator

CONFIG = GeneratorConfig(classes=3, width=32, height=16, widths=(4, 6), blocks=(1, 1))
TABLE = ClassTable((0, 7, 65535), ("sky", "straße", "void"))


def looks():
    random = np.random.default_rng(1)
    mean, samples = random.random((3, 3), np.float32), random.random((3, SAMPLES, 3), np.float32)
    return Looks(mean, samples, np.array([0, 3, SAMPLES], np.int32))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Bytes of a sound model file and the generator in it."""
    torch.manual_seed(4)
    generator = Generator(CONFIG)
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    story = {"data": "train_a, train_b", "format": "what the story says of it does not count"}
    save_model(path, name="tiny", generator=generator, table=TABLE, looks=looks(), licence="CC0-1.0", story=story)
    return path.read_bytes(), generator


@pytest.fixture
def parts(good):
    """Tensors and header of the sound file, to be spoilt."""
    data = good[0]
    length = int.from_bytes(data[:8], "little")
    return safetensors.torch.load(data), json.loads(data[8 : 8 + length])["__metadata__"]


def put(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    return str(path)


def refusal(tmp_path, tensors, header):
    path = put(tmp_path, safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, metadata=header))
    with pytest.raises(DamagedModelError) as caught:
        load_model(path)
    assert path in str(caught.value)
    assert caught.value.remedy
    return caught.value


# --- round trip -------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_a_model_comes_back_as_it_was_saved(good, tmp_path):
    data, generator = good
    model = load_model(put(tmp_path, data))
    assert model.name == "tiny"
    assert model.licence == "CC0-1.0"
    assert model.config == CONFIG
    assert model.table.ids == TABLE.ids
    assert model.table.names == TABLE.names
    assert model.sha256 == hashlib.sha256(data).hexdigest()
    for key, value in generator.state_dict().items():
        assert torch.equal(model.generator.state_dict()[key], value.half().float()), key
    for field in ("mean", "samples", "counts"):
        assert np.array_equal(getattr(model.looks, field), getattr(looks(), field))
    assert not model.generator.training
    inputs = (torch.rand(1, 4, 8, 8), torch.rand(1, 5, 8, 8), torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8))
    generator.load_state_dict({k: v.half().float() for k, v in generator.state_dict().items()})
    assert torch.equal(model.generator(*inputs), generator(*inputs))


def test_a_folder_a_file_and_a_name_mean_the_same(good, tmp_path, monkeypatch):
    path = put(tmp_path, good[0])
    monkeypatch.setattr(modelfacts, "shipped_models", lambda: {"street": tmp_path})
    assert [str(find_model(name)) for name in (path, str(tmp_path), "street")] == [path] * 3


def test_the_story_stands_in_the_header(parts):
    assert parts[1]["data"] == "train_a, train_b"
    assert parts[1]["format"] == "mapreel-vid2vid"
    assert parts[1]["version"] == "1"


def test_the_file_that_is_hashed_is_the_file_that_is_used(good, tmp_path, monkeypatch):
    """The file is opened once; whoever swaps it in between changes nothing."""
    path = put(tmp_path, good[0])
    real, calls = checkpoint._read, []

    def read_and_swap(where):
        data = real(where)
        where.write_bytes(b"another file")
        calls.append(where)
        return data

    monkeypatch.setattr(checkpoint, "_read", read_and_swap)
    assert load_model(path).sha256 == hashlib.sha256(good[0]).hexdigest()
    assert len(calls) == 1


def test_a_header_without_licence_or_name_still_loads(parts, tmp_path):
    tensors, header = parts
    del header["licence"], header["name"]
    model = load_model(put(tmp_path, safetensors.torch.save(tensors, metadata=header)))
    assert (model.licence, model.name) == ("", tmp_path.name)


def test_weights_in_other_precisions_load(parts, tmp_path):
    tensors, header = parts
    for kind in (torch.float32, torch.bfloat16):
        changed = {k: v.to(kind) for k, v in tensors.items()}
        model = load_model(put(tmp_path, safetensors.torch.save(changed, metadata=header)))
        assert {v.dtype for v in model.generator.state_dict().values()} == {torch.float32}
        assert model.looks.counts.tolist() == [0, 3, SAMPLES]


# --- strictness -------------------------------------------------------------------------------------------------


def test_a_missing_tensor(parts, tmp_path):
    tensors, header = parts
    del tensors["net.stem.weight"]
    error = refusal(tmp_path, tensors, header)
    assert "missing stem.weight" in str(error)


def test_an_unexpected_tensor(parts, tmp_path):
    tensors, header = parts
    tensors["net.flow.weight"] = torch.zeros(2)
    assert "unexpected flow.weight" in str(refusal(tmp_path, tensors, header))


def test_a_wrong_shape_names_both(parts, tmp_path):
    tensors, header = parts
    tensors["net.head.out.bias"] = torch.zeros(5)
    assert "head.out.bias is [5] instead of [4]" in str(refusal(tmp_path, tensors, header))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(parts, tmp_path, value):
    tensors, header = parts
    tensors["net.stem.bias"][1] = value
    assert "stem.bias holds NaN or infinity" in str(refusal(tmp_path, tensors, header))


def test_all_that_is_wrong_is_listed(parts, tmp_path):
    tensors, header = parts
    del tensors["net.stem.weight"], tensors["net.stem.bias"]
    tensors["net.more"] = torch.zeros(1)
    error = refusal(tmp_path, tensors, header)
    assert "and 2 more" in str(error)
    assert set(error.detail.splitlines()) == {"missing stem.weight", "missing stem.bias", "unexpected more"}


@pytest.mark.parametrize("name", ["optimizer.0", "looks.more", "netstem", "Net.stem.weight"])
def test_tensors_nobody_asked_for(parts, tmp_path, name):
    tensors, header = parts
    tensors[name] = torch.zeros(1)
    assert name in str(refusal(tmp_path, tensors, header))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", None),
        ("mean", torch.zeros(2, 3)),
        ("mean", torch.full((3, 3), float("nan"))),
        ("samples", torch.zeros(3, SAMPLES - 1, 3)),
        ("counts", torch.tensor([0, 1, SAMPLES + 1])),
        ("counts", torch.tensor([0, -1, 1])),
        ("counts", torch.tensor([0.0, 1e30, 1.0])),
    ],
)
def test_looks_that_do_not_fit(parts, tmp_path, key, value):
    tensors, header = parts
    if value is None:
        del tensors[f"looks.{key}"]
    else:
        tensors[f"looks.{key}"] = value
    assert key in str(refusal(tmp_path, tensors, header))


@pytest.mark.parametrize(
    "classes",
    [
        "",
        "{}",
        "[1, 2, 3]",
        '[{"id": 0, "name": "a"}]',
        '[{"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"name": "c"}]',
        '[{"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"id": 65536, "name": "c"}]',
        '[{"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"id": -1, "name": "c"}]',
        '[{"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"id": 1, "name": "c"}]',
        '[{"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"id": 2.5, "name": "c"}]',
        '[{"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"id": Infinity, "name": "c"}]',
        '[{"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"id": 1' + "0" * 40 + ', "name": "c"}]',
        "[" * 100_000,
    ],
)
def test_a_list_of_classes_that_cannot_be_used(parts, tmp_path, classes):
    tensors, header = parts
    header["classes"] = classes
    assert "classes" in str(refusal(tmp_path, tensors, header))


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": 3},
        {"classes": None},
        {"classes": "3"},
        {"classes": True},
        {"classes": 0},
        {"widths": 4},
        {"widths": [4]},
        {"widths": [4, 6.0]},
        {"widths": [4, 0]},
        {"widths": [4, 6, 8]},
        {"blocks": [1, -1]},
        {"blocks": [1, 65]},
        {"edges": 1},
        {"width": 10**9},
    ],
)
def test_a_config_that_makes_no_sense(parts, tmp_path, changes):
    tensors, header = parts
    config = {**asdict(CONFIG), **changes}
    if config["classes"] is None:
        del config["classes"]
    header["config"] = json.dumps(config)
    error = refusal(tmp_path, tensors, header)
    if "layers" in changes:
        assert "layers" in str(error)
        assert "update" in error.remedy


def test_a_config_comes_back_from_its_own_json():
    config = GeneratorConfig(classes=12, width=512, height=256)
    assert config_from_dict(json.loads(json.dumps(asdict(config))), file="m") == config


def test_a_config_that_promises_a_giant_takes_no_memory(parts, tmp_path):
    """A small file whose config asks for half a terabyte of weights is refused before any of it is allocated."""
    resource = pytest.importorskip("resource")
    tensors, header = parts
    header["config"] = json.dumps({**asdict(CONFIG), "widths": [4096] * 8, "blocks": [16] * 8})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = refusal(tmp_path, tensors, header)
    assert "instead of" in error.detail
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format", "mapreel-archive", "not a Mapreel model"),
        ("format", None, "not a Mapreel model"),
        ("version", "2", "format version 2"),
        ("version", None, "format version None"),
        ("config", None, "config"),
        ("config", "[]", "config"),
        ("classes", None, "classes"),
    ],
)
def test_a_header_of_something_else(parts, tmp_path, key, value, said):
    tensors, header = parts
    if value is None:
        del header[key]
    else:
        header[key] = value
    assert said in str(refusal(tmp_path, tensors, header))


# --- damage -----------------------------------------------------------------------------------------------------


def test_cut_at_any_length(good, tmp_path):
    data = good[0]
    lengths = sorted({*range(16), *range(16, len(data), max(1, len(data) // 40)), len(data) - 1})
    for length in lengths:
        path = put(tmp_path, data[:length])
        with pytest.raises(DamagedModelError):
            load_model(path)


def test_a_tail_that_does_not_belong(good, tmp_path):
    with pytest.raises(DamagedModelError):
        load_model(put(tmp_path, good[0] + b"\0"))


def test_one_flipped_bit_is_refused_or_harmless_but_never_a_crash(good, tmp_path):
    data = good[0]
    header_end = 8 + int.from_bytes(data[:8], "little")
    refused = 0
    for place in [*range(8), *range(8, header_end, max(1, header_end // 120))]:
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << (place % 8)
        try:
            model = load_model(put(tmp_path, bytes(spoilt)))
        except ModelError:
            refused += 1
        else:
            assert model.sha256 != hashlib.sha256(data).hexdigest()
    assert refused > 60


@pytest.mark.parametrize("seed", range(6))
def test_random_bytes(tmp_path, seed):
    data = np.random.default_rng(seed).bytes(3000 + 977 * seed)
    if seed % 2:
        data = (500).to_bytes(8, "little") + data
    with pytest.raises(DamagedModelError):
        load_model(put(tmp_path, data))


@pytest.mark.parametrize("length", [0, 1, 7, 2**31, 2**63, 2**64 - 1])
def test_a_header_length_that_lies(good, tmp_path, length):
    with pytest.raises(DamagedModelError):
        load_model(put(tmp_path, length.to_bytes(8, "little") + good[0][8:]))


@pytest.mark.parametrize(
    "text", ["[]", "3", '"x"', "{}", '{"__metadata__": 3}', '{"__metadata__": {"format": 1}}', "\xff"]
)
def test_a_header_of_another_kind(tmp_path, text):
    body = text.encode("latin-1")
    with pytest.raises(DamagedModelError):
        load_model(put(tmp_path, len(body).to_bytes(8, "little") + body))


def test_a_tensor_larger_than_the_file(good, tmp_path):
    data = good[0]
    length = int.from_bytes(data[:8], "little")
    content = json.loads(data[8 : 8 + length])
    content["net.stem.weight"]["data_offsets"][1] += 1 << 40
    body = json.dumps(content).encode()
    with pytest.raises(DamagedModelError):
        load_model(put(tmp_path, len(body).to_bytes(8, "little") + body + data[8 + length :]))


def test_a_file_that_is_too_large_is_not_read(good, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LARGEST_MODEL_BYTES", 1000)
    with pytest.raises(DamagedModelError, match="larger than 4 GiB"):
        load_model(put(tmp_path, good[0]))


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".PT"])
@pytest.mark.parametrize("there", [True, False])
def test_a_pickle_is_never_opened(tmp_path, suffix, there):
    path = tmp_path / f"model{suffix}"
    if there:
        path.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(PickleRefusedError) as caught:
        load_model(str(path))
    assert "safetensors" in str(caught.value)
    assert "mapreel train" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_pickle_under_another_name_is_no_model(tmp_path):
    with pytest.raises(DamagedModelError):
        load_model(put(tmp_path, b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n."))


def test_an_unknown_name_says_which_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(modelfacts, "shipped_models", lambda: {"street": tmp_path, "face": tmp_path})
    with pytest.raises(MissingModelError) as caught:
        find_model("steet")
    assert "steet" in str(caught.value)
    assert "street, face" in str(caught.value)
    monkeypatch.setattr(modelfacts, "shipped_models", dict)
    with pytest.raises(MissingModelError, match=r"holds model\.safetensors\.$"):
        find_model(str(tmp_path))  # a folder without a model in it


def test_shipped_models_load(tmp_path):
    for name, folder in models.shipped_models().items():
        model = load_model(name)
        assert model.licence
        assert (folder / "model.safetensors").stat().st_size <= 16_000_000
