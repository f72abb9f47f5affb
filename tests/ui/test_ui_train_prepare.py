# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks and poses become data sets from the panel: a real `train prepare`, its refusals, and the list of shots."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import Qt

from mapreel.core.media.landmarks import MESH_POINTS
from mapreel.ui.state.preparing import source_of
from mapreel.ui.views.train_prepare import PrepareDialog

LIMIT_MS = 120_000
FRAMES = 4


@pytest.fixture
def face(tmp_path, make_pictures):
    """Landmarks that drift, and frames of noise."""
    around = np.linspace(0, 14 * np.pi, MESH_POINTS)
    places = 0.5 + 0.3 * np.stack([np.cos(around), np.sin(around)], axis=1)
    np.save(tmp_path / "face.npy", np.stack([places + np.array([0.01 * index, 0]) for index in range(FRAMES)]))
    return tmp_path / "face.npy", make_pictures(tmp_path / "frames", range(1, FRAMES + 1))


def test_a_chosen_file_means_its_sequence():
    assert source_of("/s/face.npy") == "/s/face.npy"
    assert source_of("/s/frames/0001.png") == str(Path("/s/frames"))
    assert source_of("/s/poses/0001_keypoints.json") == str(Path("/s/poses"))
    assert source_of("/s/frames.####.png") == "/s/frames.####.png"
    assert source_of("/s/plate.mov") == "/s/plate.mov"
    assert source_of("/s/label") == "/s/label"


def test_landmarks_become_a_data_set_to_learn_from(studio, face, qtbot, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    landmarks, frames = face
    dialog = PrepareDialog(studio)
    qtbot.addWidget(dialog)
    dialog.show()
    state = studio.preparing
    qtbot.mouseClick(dialog.button, Qt.MouseButton.LeftButton)
    assert "missing" in dialog.trouble.text()
    state.maps, state.pictures, state.task = str(landmarks), str(frames / "0001.png"), "face"
    assert state.out == str(landmarks.with_suffix(".safetensors"))
    gone = frames / "0003.png"
    kept = gone.read_bytes()
    gone.unlink()
    qtbot.mouseClick(dialog.button, Qt.MouseButton.LeftButton)
    assert state.running
    assert not dialog.maps.isEnabled()
    qtbot.waitUntil(lambda: not state.running, timeout=LIMIT_MS)
    assert "frame 3 is missing" in dialog.trouble.text().lower()
    assert studio.train_form.data == ()
    gone.write_bytes(kept)
    qtbot.mouseClick(dialog.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(studio.train_form.data), timeout=LIMIT_MS)
    packed = Path(studio.train_form.data[0])
    assert packed == landmarks.with_suffix(".safetensors")
    assert not dialog.isVisible()
    data = packed.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert "face" in json.dumps(header["__metadata__"])
    assert (state.done, state.total) == (FRAMES, FRAMES)


def test_what_is_stopped_leaves_nothing(studio, face, qtbot):
    landmarks, frames = face
    state = studio.preparing
    state.maps, state.pictures = str(landmarks), str(frames)
    state.start()
    assert state.running
    state.stop()
    qtbot.waitUntil(lambda: not state.running, timeout=LIMIT_MS)
    assert not Path(state.out).exists()
    state.out = str(landmarks.with_suffix(".zip"))
    state.start()
    assert "no name for a data set" in state.trouble
