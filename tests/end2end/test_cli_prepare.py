# SPDX-License-Identifier: GPL-3.0-or-later
"""Data sets from the command line: landmarks and frames in, a model that reads landmarks out."""

from __future__ import annotations

import numpy as np
import pytest

from mapreel.core.media.images import read_color, write_png
from mapreel.core.media.landmarks import MESH_POINTS

HEIGHT, WIDTH, FRAMES = 48, 64, 5


@pytest.fixture
def face(tmp_path):
    """Landmarks that drift to the right, and noise for frames: enough to go through every step."""
    around = np.linspace(0, 14 * np.pi, MESH_POINTS)
    places = 0.5 + 0.3 * np.stack([np.cos(around), np.sin(around)], axis=1)
    np.save(tmp_path / "face.npy", np.stack([places + np.array([0.01 * index, 0]) for index in range(FRAMES)]))
    (tmp_path / "frames").mkdir()
    for number in range(1, FRAMES + 1):
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3))
        write_png(tmp_path / "frames" / f"{number:04d}.png", pixels.astype(np.uint8))
    return tmp_path / "face.npy", tmp_path / "frames"


def test_prepare_train_render_landmarks(mapreel, face, tmp_path):
    landmarks, frames = face
    packed = tmp_path / "face.safetensors"
    prepared = mapreel("train", "prepare", landmarks, frames, "--out", packed, "--json")
    assert prepared.code == 0, prepared.stderr
    assert (prepared.data["task"], prepared.data["frames"], prepared.data["size"]) == ("face", FRAMES, [WIDTH, HEIGHT])
    assert prepared.data["bytes"] == packed.stat().st_size
    trained = mapreel("train", "student", "--data", packed, "--out", tmp_path / "mine", "--steps", "1", "--json")
    assert trained.code == 0, trained.stderr
    render = mapreel("render", landmarks, "--model", tmp_path / "mine" / "model", "--out", tmp_path / "take", "--local")
    assert render.code == 0, render.stderr
    assert [p.name for p in sorted((tmp_path / "take").glob("*.png"))] == [f"{n:04d}.png" for n in range(1, FRAMES + 1)]
    assert read_color(tmp_path / "take" / "0003.png").shape == (HEIGHT, WIDTH, 3)


def test_what_cannot_be_prepared_is_said_in_one_sentence(mapreel, face, shot, tmp_path):
    landmarks, frames = face
    (frames / "0003.png").unlink()
    words = ("train", "prepare", landmarks, frames, "--out", tmp_path / "face.safetensors")
    gap = mapreel(*words)
    assert gap.code == 2
    assert "frame 3 is missing" in gap.sentence
    for option, value, said in (
        ("--size", "big", "as in 512x288"),
        ("--task", "dance", "city, face, pose"),
        ("--motion-from", "thought", "frames, maps, none"),
    ):
        refused = mapreel(*words, option, value)
        assert refused.code == 2
        assert said in refused.sentence
    other = mapreel("render", landmarks, "--model", "street", "--out", tmp_path / "take")
    assert other.code == 2
    assert "the model reads label maps" in other.sentence
    assert not (tmp_path / "take").exists()
    score = mapreel("train", "score", tmp_path / "none.safetensors", "--model", "street", "--perceptual", landmarks)
    assert score.code == 2
    assert not (tmp_path / "face.safetensors").exists()
