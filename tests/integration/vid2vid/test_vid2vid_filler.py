# SPDX-License-Identifier: GPL-3.0-or-later
"""The filler: what it reads, that it runs the same everywhere, that it learns, that models need none to render."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from mapreel.core.contract.errors import DamagedModelError, MissingInputError, ModelMismatchError
from mapreel.core.contract.progress import SilentContext
from mapreel.core.contract.requests import Quality
from mapreel.core.media.images import read_color
from mapreel.core.vid2vid import filler_training
from mapreel.core.vid2vid.checkpoint import load_model, open_model
from mapreel.core.vid2vid.filler import Carried, Filler, FillerConfig, Filling, pixel_codes, places
from mapreel.core.vid2vid.filler_training import FillerPlan, run_train_filler, write_with_filler
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.prepared import can_run_prepared
from mapreel.core.vid2vid.training_log import read_log
from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE

CPU = torch.device("cpu")
CONFIG = FillerConfig(classes=4, width=8, deep=12)


def filler_of(strength: float) -> Filler:
    torch.manual_seed(2)
    filler = Filler(CONFIG).eval()
    with torch.no_grad():
        filler.out.weight.normal_(0.0, strength)
    return filler


def frame_of(size: tuple[int, int]) -> tuple[Carried, np.ndarray]:
    random = np.random.default_rng(4)
    carried = Carried(
        random.uniform(-1, 1, (*size, 3)).astype(np.float32),
        random.integers(0, 3, size).astype(np.uint8),
        random.uniform(0, 1, size).astype(np.float32),
        0.5,
    )
    return carried, random.integers(0, 4, size)


@pytest.fixture
def filled(model: Path, tmp_path: Path) -> Path:
    """The tiny model with a filler of random weights."""
    folder = tmp_path / "filled"
    folder.mkdir()
    write_with_filler(folder / MODEL_FILE, open_model(str(model)), filler_of(0.2), {})
    return folder


def pixels(take: Path) -> dict[str, np.ndarray]:
    return {path.name: read_color(path) for path in sorted(take.glob("*.png"))}


def test_a_new_filler_changes_nothing():
    carried, classes = frame_of((48, 80))
    assert np.array_equal(Filling(filler_of(0.0), CPU)(carried, classes, None), carried.picture)


@pytest.mark.parametrize("size", [(48, 80), (47, 78), (5, 6)])
def test_the_prepared_filler_gives_what_the_plain_one_gives(size):
    carried, classes = frame_of(size)
    edges = np.random.default_rng(1).random(size) < 0.1
    filler = filler_of(0.05)
    pad = ((0, -size[0] % 4), (0, -size[1] % 4))
    codes = np.pad(pixel_codes(classes, edges, carried.keys, 4), pad, mode="edge")
    picture, differ = (np.pad(a, (*pad, (0, 0)), mode="edge") for a in (carried.picture, carried.differ[..., None]))
    given = (torch.from_numpy(a).permute(2, 0, 1)[None] for a in (picture, differ))
    with torch.no_grad():
        plain = filler(next(given), torch.from_numpy(codes)[None], next(given), places(codes.shape, size, 0.5)[None])
    made = Filling(filler, CPU)(carried, classes, edges)
    assert made.shape == (*size, 3)
    assert np.abs(made - carried.picture).max() > 0.05
    within = 0.02 if can_run_prepared(CPU) else 1e-5
    assert np.abs(made - plain[0, :, : size[0], : size[1]].permute(1, 2, 0).numpy()).max() < within


def test_every_kind_of_pixel_has_a_code_of_its_own():
    classes, edges, keys = np.meshgrid(np.arange(4), [False, True], np.arange(3, dtype=np.uint8))
    codes = pixel_codes(classes[0], None, keys[0], 4), pixel_codes(classes[1], edges[1], keys[1], 4)
    assert sorted(np.concatenate(codes).reshape(-1)) == list(range(24))


def test_a_crop_knows_where_it_lies():
    whole = places((64, 96), (64, 96), 0.5)
    assert torch.allclose(whole[:, 4:8, 10:20], places((16, 40), (64, 96), 0.5, (16, 40)))


def test_every_quality_is_gone_over_and_chunks_give_the_pixels_of_the_whole(
    street, model, filled, render, short_timeline, tmp_path, quality
):
    takes = {"plain": {"net": model}, "whole": {"net": filled}, "part": {"net": filled, "frames": "1009-1020"}}
    for take, fields in takes.items():
        render(street, take, quality=quality, **fields)
    plain, whole, part = (pixels(tmp_path / take) for take in takes)
    assert whole.keys() == plain.keys()
    assert all(not np.array_equal(whole[name], plain[name]) for name in whole)
    assert len(part) == 12
    assert all(np.array_equal(part[name], whole[name]) for name in part)


def test_frames_between_carry_what_the_filler_made_of_their_keys(own_street, model, filled, render, tmp_path):
    for number in range(1002, 1009):  # nothing moves, so every frame shows what its keys show
        for name in ("label", "instance"):
            shutil.copy(own_street / name / "1001.png", own_street / name / f"{number}.png")
    fields = {"motion": None, "quality": Quality.FAST, "frames": "1001-1008"}
    render(own_street, "take", net=filled, **fields)
    render(own_street, "plain", net=model, **fields)
    made, plain = pixels(tmp_path / "take"), pixels(tmp_path / "plain")
    keys = [f"{key}.png" for key in json.loads((tmp_path / "take" / "mapreel.json").read_text())["keys"]]
    between = [name for name in made if keys[0] < name < keys[-1] and name not in keys]
    assert between
    for name in between:
        before = made[max(key for key in keys if key < name)].astype(int)
        after = made[min(key for key in keys if key > name)].astype(int)
        held = (made[name] >= np.minimum(before, after) - 1) & (made[name] <= np.maximum(before, after) + 1)
        assert held.mean() > 0.99
        assert np.abs(made[name].astype(int) - plain[name]).mean() > 1


def test_a_reference_frame_stays_as_it_is(street, filled, render, tmp_path):
    given = street / "color" / "1001.png"
    render(street, "take", net=filled, quality=Quality.FAST, reference=((1001, str(given)),), frames="1001-1008")
    assert np.array_equal(pixels(tmp_path / "take")["1001.png"], read_color(given))


def test_a_model_keeps_all_it_had_and_its_filler(model, filled):
    plain, both = load_model(str(model)), load_model(str(filled))
    assert plain.filler is None
    assert both.filler is not None
    assert both.filler.config == CONFIG
    for (name, value), other in zip(
        plain.generator.state_dict().items(), both.generator.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), name
    assert open_model(str(filled)).header.items() >= open_model(str(model)).header.items()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("filler", None),
        ("filler", '{"classes": 4}'),
        ("filler", json.dumps({**vars(CONFIG), "width": 10**9})),
        ("filler", json.dumps({**vars(CONFIG), "classes": 5})),
        ("fill.stem.weight", None),
        ("fill.stem.bias", torch.full((8,), float("nan"))),
    ],
)
def test_a_damaged_filler_is_said(filled, part, value):
    file = open_model(str(filled))
    header, tensors = dict(file.header), dict(file.tensors)
    holder = header if part in header else tensors
    holder[part] = value
    if value is None:
        del holder[part]
    (filled / MODEL_FILE).write_bytes(safetensors.torch.save(tensors, metadata=header))
    with pytest.raises(DamagedModelError):
        load_model(str(filled))


# --- training -------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(maps, tmp_path) -> Path:
    return maps(tmp_path / "short", range(1001, 1011), color=True)


class Stopping(SilentContext):
    def __init__(self, step: int) -> None:
        self.step = step

    def report(self, progress):
        if progress.stage == "train" and progress.done == self.step:
            raise KeyboardInterrupt


def test_a_filler_learns_and_goes_on_after_a_kill(short, model, tmp_path, monkeypatch):
    monkeypatch.setattr(filler_training, "FillerPlan", lambda steps: FillerPlan(steps, checkpoint_every=10, crop_px=32))
    facts = run_train_filler([short], tmp_path / "whole", model=str(model), steps=40, context=SilentContext())
    assert facts["samples"] > 10
    terms = [entry["absolute"] for entry in read_log(tmp_path / "whole" / "log.jsonl")]
    assert np.mean(terms[-8:]) < np.mean(terms[:8])
    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        run_train_filler([short], broken, model=str(model), steps=40, context=Stopping(25))
    assert (broken / CHECKPOINT_FILE).is_file()
    run_train_filler([short], broken, model=str(model), steps=40, context=SilentContext(), resume=True)
    made = [load_model(str(folder / "model")).filler for folder in (tmp_path / "whole", broken)]
    for value, other in zip(*(filler.state_dict().values() for filler in made), strict=True):
        assert torch.equal(value, other)


def test_what_a_filler_cannot_be_trained_on_is_said(short, model, make_model, tmp_path, monkeypatch):
    monkeypatch.setattr(filler_training, "FillerPlan", lambda steps: FillerPlan(steps, crop_px=16, batch=1))
    with pytest.raises(MissingInputError, match="color and label"):
        run_train_filler([tmp_path], tmp_path / "out", model=str(model), steps=1, context=SilentContext())
    run_train_filler([short], tmp_path / "out", model=str(model), steps=1, context=SilentContext())
    other = make_model(widths=(8, 16, 32))
    with pytest.raises(ModelMismatchError, match="another model"):
        run_train_filler([short], tmp_path / "out", model=str(other), steps=2, context=SilentContext(), resume=True)
