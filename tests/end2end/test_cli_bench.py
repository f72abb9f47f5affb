# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel bench render` measures what a user gets, and says on what."""

from __future__ import annotations

import os

import numpy as np
import pytest

from mapreel.core.media.images import write_png


def test_render(warm_mapreel, model):
    run = warm_mapreel("bench", "render", "--model", model, "--frames", "1-3", "--json")
    assert run.code == 0, run.stderr
    assert run.data["machine"]["cores"] == os.cpu_count()
    assert run.data["machine"]["torch"]
    for quality in ("full", "fast"):
        found = run.data["render"][quality]
        assert found["frames"] == 3
        assert found["frames_per_second"] == pytest.approx(3 / found["seconds"])
        assert found["wall_seconds"] >= found["seconds"]
    assert run.data["render"]["full"]["key_share"] == 1.0


def test_shot_and_weights_go_together(warm_mapreel, tmp_path):
    run = warm_mapreel("bench", "render", "--shot", tmp_path)
    assert run.code == 2
    assert "--lpips" in run.sentence


@pytest.mark.parametrize("option", ["--teacher", "--kid-weights", "--segmenter", "--pictures"])
def test_what_needs_a_shot(warm_mapreel, tmp_path, option):
    run = warm_mapreel("bench", "render", option, tmp_path)
    assert run.code == 2
    assert option in run.sentence


@pytest.mark.parametrize(("option", "value"), [("--every", "4"), ("--conditions", "maps")])
def test_how_a_shot_is_scored_needs_one(warm_mapreel, option, value):
    run = warm_mapreel("bench", "render", option, value)
    assert run.code == 2
    assert f"{option} needs a shot" in run.sentence


def test_words_that_are_no_condition(warm_mapreel, tmp_path):
    shot = ["--shot", tmp_path, "--lpips", tmp_path / "x.safetensors"]
    run = warm_mapreel("bench", "render", *shot, "--conditions", "maps,nothing")
    assert run.code == 2
    assert "motion+frames" in run.sentence
    run = warm_mapreel("bench", "render", *shot, "--frames", "1-3")
    assert run.code == 2
    assert "--every" in run.sentence


def test_segmenter(warm_mapreel, tmp_path):
    for name, pixels in (("color", np.zeros((32, 48, 3), np.uint8)), ("label", np.full((32, 48), 4, np.uint8))):
        (tmp_path / name).mkdir()
        write_png(tmp_path / name / "0001.png", pixels)
    run = warm_mapreel("bench", "segmenter", tmp_path, "--out", tmp_path / "s.safetensors", "--steps", "1", "--json")
    assert run.code == 0, run.stderr
    assert run.data["classes"] == [4]
    assert (tmp_path / "s.safetensors").is_file()


def test_unknown_model(warm_mapreel):
    run = warm_mapreel("bench", "render", "--model", "nowhere")
    assert run.code == 2
    assert "nowhere" in run.sentence
