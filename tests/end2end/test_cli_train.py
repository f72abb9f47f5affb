# SPDX-License-Identifier: GPL-3.0-or-later
"""Training from the command line: it can be stopped and resumed, and what it makes renders."""

from __future__ import annotations

import pytest

from mapreel.core.media.images import read_color, write_png
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.palettes import colorize, load_palette
from mapreel.core.vid2vid.checkpoint import load_model


@pytest.fixture
def training_shot(shot):
    """The small shot with a true picture for every frame."""
    (shot / "color").mkdir()
    for path in sorted((shot / "label").iterdir()):
        write_png(shot / "color" / path.name, colorize(read_label_map(path), load_palette("street")))
    return shot


def test_train_stop_resume_render(mapreel, training_shot, tmp_path):
    out = tmp_path / "mine"
    words = (
        "train",
        "student",
        "--data",
        training_shot,
        "--out",
        out,
        "--palette",
        "street",
        "--licence",
        "mine",
        "--slim",
    )
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
    measure = (
        "train",
        "ranges",
        "--data",
        training_shot,
        "--model",
        out / "model",
        "--out",
        tmp_path / "eighth",
        "--json",
    )
    measured = mapreel(*measure)
    assert measured.code == 0, measured.stderr
    found, known = (
        load_model(str(path)).ranges for path in (tmp_path / "eighth", out / "model")
    )  # training measures them at its end
    assert found is not None
    assert found.keys() == known.keys()
    assert mapreel(*measure).code == 1  # nothing is overwritten


def test_bad_data(mapreel, shot, tmp_path):
    """A missing folder is said before torch is loaded."""
    missing = mapreel("train", "student", "--data", tmp_path / "none", "--out", tmp_path / "mine", "--steps", "1")
    assert missing.code == 2
    assert str(tmp_path / "none") in missing.sentence
    colourless = mapreel("train", "student", "--data", shot, "--out", tmp_path / "mine", "--steps", "1")
    assert colourless.code == 2
    assert "color" in colourless.sentence


def test_train_a_teacher_and_render_with_it(mapreel, training_shot, tmp_path):
    out = tmp_path / "master"
    words = ("train", "teacher", "--data", training_shot, "--out", out, "--ngf", "2", "--foreground", "6,10")
    trained = mapreel(*words, "--crop", "32x16", "--steps", "1", "--palette", "street", "--json")
    assert trained.code == 0, trained.stderr
    assert (trained.data["steps"], trained.data["ngf"]) == (1, 2)
    render = ("render", training_shot / "label", "--model", out / "model", "--frames", "1001-1002", "--local")
    other = mapreel(*render, "--out", tmp_path / "none")
    assert other.code == 2
    assert "--quality teacher" in other.sentence
    assert not (tmp_path / "none").exists()
    reference = ("--reference", f"1001={training_shot / 'color' / '1001.png'}")
    taken = mapreel(*render, "--quality", "teacher", "--out", tmp_path / "take", *reference, "--json")
    assert taken.code == 0, taken.stderr
    assert len(list((tmp_path / "take").glob("*.png"))) == 2
    assert (read_color(tmp_path / "take" / "1001.png") == read_color(training_shot / "color" / "1001.png")).all()


@pytest.mark.parametrize("option", [("--foreground", "car"), ("--crop", "256"), ("--crop", "0x16")])
def test_bad_words_for_a_teacher(warm_mapreel, shot, tmp_path, option):
    run = warm_mapreel("train", "teacher", "--data", shot, "--out", tmp_path / "mine", "--steps", "1", *option)
    assert run.code == 2
    assert option[0] in run.sentence
