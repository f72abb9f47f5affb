# SPDX-License-Identifier: GPL-3.0-or-later
"""Models by the headers of their files: the shipped one, an artist's, and what is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mapreel.core.contract.errors import DamagedModelError, MissingModelError, PickleRefusedError
from mapreel.core.contract.requests import Quality
from mapreel.core.media.modelfacts import MODEL_FILE, Network, list_models, read_model, shipped_models


def weights(folder, **header):
    """A file with a header and no weights."""
    told = {
        "format": "mapreel-vid2vid",
        "config": json.dumps({"width": 64, "height": 32}),
        "classes": json.dumps([{"id": 0, "name": "sky"}]),
        **header,
    }
    text = json.dumps({"__metadata__": {name: value for name, value in told.items() if value is not None}}).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(len(text).to_bytes(8, "little") + text)
    return str(folder)


def test_the_shipped_model_tells_all():
    facts = read_model("street")
    assert (facts.name, facts.place, facts.shipped, facts.licence) == ("street", "street", True, "CC0-1.0")
    assert (facts.network, facts.size) == (Network.RENDERER, (512, 256))
    assert facts.qualities == (Quality.FULL, Quality.FAST, Quality.DRAFT)
    assert facts.classes[:2] == ((0, "sky"), (1, "road"))
    assert "train_a" in facts.data
    assert facts.steps > 0
    assert facts.file_bytes == (shipped_models()["street"] / MODEL_FILE).stat().st_size
    assert Path(facts.licence_file).read_text(encoding="utf-8").startswith("Creative Commons")


def test_an_artists_folder_and_its_file_are_the_same_model(tmp_path):
    place = weights(tmp_path / "mine", architecture="composite", steps="12")
    facts = read_model(place)
    assert read_model(str(tmp_path / "mine" / MODEL_FILE)) == facts
    assert (facts.name, facts.shipped, facts.network, facts.steps) == ("mine", False, Network.TEACHER, 12)
    assert (facts.size, facts.data, facts.licence, facts.licence_file) == ((64, 32), (), "", None)
    student = weights(tmp_path / "two", architecture="composite", config=json.dumps({"student": True}))
    assert read_model(student).qualities == (Quality.TEACHER, Quality.FAST)


@pytest.mark.parametrize(
    "header",
    [{"format": "other"}, {"format": None}, {"classes": "[1]"}, {"classes": None}, {"config": "{"}, {"config": "[]"}],
)
def test_what_is_no_model_is_said_and_left_out_of_the_list(tmp_path, header):
    place = weights(tmp_path / "bad", **header)
    with pytest.raises(DamagedModelError, match="no model of Mapreel"):
        read_model(place)
    assert [facts.name for facts in list_models([place])] == list(shipped_models())


@pytest.mark.parametrize("content", [b"", b"\x08", b"\xff" * 64, b"\x02" + bytes(7) + b"{}", b"[" * 9000])
def test_files_that_are_cut_or_hostile(tmp_path, content):
    (tmp_path / MODEL_FILE).write_bytes(content)
    with pytest.raises(DamagedModelError):
        read_model(str(tmp_path))


def test_a_pickle_is_never_opened_and_nothing_is_nothing(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"x")
    with pytest.raises(PickleRefusedError):
        read_model(str(tmp_path / "net.pth"))
    with pytest.raises(MissingModelError, match="there is no model called"):
        read_model(str(tmp_path / "none"))
    good = weights(tmp_path / "good")
    shutil.copytree(tmp_path / "good", tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    assert [facts.place for facts in list_models([str(tmp_path / "gone"), good])] == [*shipped_models(), good]


def test_listing_models_loads_nothing_heavy():
    code = (
        "import sys; from mapreel.core.media.modelfacts import list_models; assert list_models();"
        "sys.exit(bool({'torch', 'numpy', 'safetensors', 'OpenImageIO'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
