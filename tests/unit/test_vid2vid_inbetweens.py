# SPDX-License-Identifier: GPL-3.0-or-later
"""In-betweens of a camera that zooms and pans in turn: motions that may not be exchanged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mapreel.core.vid2vid.compensation import carried_from, in_betweens

H, W = 64, 96
ZOOMS = (1.0, 1.0, 0.8, 0.8, 0.64, 0.64)
PANS = (0.0, 7.0, 7.0, 14.0, 14.0, 21.0)


def _world(frame: int) -> NDArray[np.float64]:
    """World position [H, W, 2] of every pixel of a frame."""
    y, x = np.mgrid[0:H, 0:W].astype(np.float64)
    return np.stack([(x - W / 2) * ZOOMS[frame] + PANS[frame], (y - H / 2) * ZOOMS[frame]], axis=2)


def _picture(frame: int) -> NDArray[np.float32]:
    world = _world(frame)
    waves = [np.sin(world[..., 0] * 0.21 + k) * np.cos(world[..., 1] * 0.17 - k) for k in range(3)]
    return np.stack(waves, axis=2).astype(np.float32) * 0.8


def _motion(frame: int) -> NDArray[np.float32]:
    """Where each pixel was in the frame before, minus where it is."""
    world, before = _world(frame), frame - 1
    y, x = np.mgrid[0:H, 0:W].astype(np.float64)
    was_x = (world[..., 0] - PANS[before]) / ZOOMS[before] + W / 2
    was_y = world[..., 1] / ZOOMS[before] + H / 2
    return np.stack([was_x - x, was_y - y], axis=2).astype(np.float32)


@pytest.fixture
def shot() -> Any:
    flat = np.zeros((H, W), np.uint16)
    maps = [SimpleNamespace(number=i, ids=(flat,)) for i in range(len(ZOOMS))]
    return SimpleNamespace(maps=maps.__getitem__, motion_between=lambda _, after: _motion(after.number))


def _error(picture: NDArray[np.float32], frame: int) -> float:
    inner = (slice(12, H - 12), slice(28, W - 28))
    return float(np.abs(picture - _picture(frame))[inner].mean())


def test_in_betweens_follow_zoom_and_pan_in_their_order(shot: Any) -> None:
    last = len(ZOOMS) - 1
    with ThreadPoolExecutor(2) as pool:
        made = in_betweens(shot, (0, _picture(0)), (last, _picture(last)), pool)
    assert len(made) == last - 1
    for frame, carried in enumerate(made, start=1):
        still = _error(_picture(0), frame)
        assert _error(carried.picture, frame) < 0.02 < still / 4


def test_drafts_follow_zoom_and_pan_in_their_order(shot: Any) -> None:
    for frame in range(1, len(ZOOMS)):
        assert _error(carried_from(shot, frame, 0, _picture(0)).picture, frame) < 0.02
