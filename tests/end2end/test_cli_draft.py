# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel draft` as a user meets it: one picture at once, never over another, and one sentence when it cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from mapreel.core.media.images import read_color


@pytest.fixture
def draft(shot, model, tmp_path):
    """The words of a draft of the shot."""

    def make(*more, frame=1003, out=tmp_path / "look.png"):
        maps = (shot / "label", "--instances", shot / "instance", "--motion", shot / "motion")
        return ("draft", *maps, "--model", model, "--frame", frame, "--out", out, *more)

    return make


def test_a_draft_through_the_service_and_here(warm_mapreel, draft, tmp_path):
    first = warm_mapreel(*draft("--json"))
    assert first.code == 0, first.stderr
    assert (first.data["number"], first.data["is_key"], first.data["picture"]) == (
        1003,
        True,
        str(tmp_path / "look.png"),
    )
    assert first.data["loading_seconds"] > 0
    second = warm_mapreel(*draft(frame=1004))
    assert second.stdout.splitlines()[1] == str(tmp_path / "look_v002.png")
    assert "the model loaded" not in second.stdout
    facts = warm_mapreel("service", "status", "--json").data
    assert facts["interactive_pid"]
    assert "interactive pid" in warm_mapreel("service", "status").stdout
    here = warm_mapreel(*draft("--local", "--json"))
    assert here.data["picture"] == str(tmp_path / "look_v003.png")
    pictures = [read_color(tmp_path / name).astype(int) for name in ("look.png", "look_v003.png")]
    assert pictures[0].shape == (64, 128, 3)
    assert np.abs(pictures[0] - pictures[1]).max() <= 2
    assert warm_mapreel(*draft("--quick", frame=1006)).code == 0


def test_what_cannot_be_drawn_is_one_sentence(warm_mapreel, draft, tmp_path):
    wrong = {
        "frame 7 is missing": draft(frame=7),
        "written as .png": draft(out=tmp_path / "look.jpg"),
        "written as .png, not a folder": draft(out=tmp_path),
        "there is no model called nosuch": draft("--model", "nosuch"),
        "no teacher network": draft("--quality", "teacher"),
        "write the frame number and the file": draft("--reference", "x"),
    }
    for words, command in wrong.items():
        run = warm_mapreel(*command)
        assert (run.code, words in run.sentence) == (2, True), run.stderr
    assert not list(tmp_path.glob("look*"))


def test_a_training_that_cannot_begin_is_not_queued(warm_mapreel, tmp_path):
    run = warm_mapreel("train", "queue", "--data", tmp_path / "nowhere", "--out", tmp_path / "mine", "--steps", 5)
    assert (run.code, "is not there" in run.sentence) == (2, True)
    (tmp_path / "file").touch()
    run = warm_mapreel("train", "queue", "--data", tmp_path, "--out", tmp_path / "file", "--steps", 5)
    assert (run.code, "is a file and not a folder" in run.sentence) == (2, True)
