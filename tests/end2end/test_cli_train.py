# SPDX-License-Identifier: GPL-3.0-or-later
"""Training from the command line: it can be stopped and resumed, and what it makes renders."""

from __future__ import annotations

import pytest

from mapreel.core.media.images import write_png
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.palettes import colorize, load_palette


@pytest.fixture
def training_shot(shot):
    """The small shot with a true picture for every frame."""
    (shot / "color").mkdir()
    for path in sorted((shot / "label").iterdir()):
        write_png(shot / "color" / path.name, colorize(read_label_map(path), load_palette("street")))
    return shot


def test_train_stop_resume_render(mapreel, training_shot, tmp_path):
    out = tmp_path / "mine"
    words = ("train", "teacher", "--data", training_shot, "--out", out, "--palette", "street", "--licence", "mine")
    first = mapreel(*words, "--steps", "1", "--json")
    assert first.code == 0, first.stderr
    assert "train: 1 of 1 steps" in first.stderr
    again = mapreel(*words, "--steps", "2")
    assert again.code == 1
    assert "--resume" in again.sentence
    resumed = mapreel(*words, "--steps", "2", "--resume", "--json")
    assert resumed.code == 0, resumed.stderr
    assert resumed.data["steps"] == 2
    status = mapreel("train", "status", out, "--json")
    assert status.data["step"] == 2
    render = mapreel("render", training_shot / "label", "--model", out / "model", "--out", tmp_path / "take", "--local")
    assert render.code == 0, render.stderr
    assert len(list((tmp_path / "take").glob("*.png"))) == 6


def test_bad_data(mapreel, shot, tmp_path):
    """A missing folder is said before torch is loaded."""
    missing = mapreel("train", "teacher", "--data", tmp_path / "none", "--out", tmp_path / "mine", "--steps", "1")
    assert missing.code == 2
    assert str(tmp_path / "none") in missing.sentence
    colourless = mapreel("train", "teacher", "--data", shot, "--out", tmp_path / "mine", "--steps", "1")
    assert colourless.code == 2
    assert "color" in colourless.sentence
