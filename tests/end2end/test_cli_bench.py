# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel bench render` measures what a user gets, and says on what."""

from __future__ import annotations

import os

import pytest


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


def test_unknown_model(warm_mapreel):
    run = warm_mapreel("bench", "render", "--model", "nowhere")
    assert run.code == 2
    assert "nowhere" in run.sentence
