# SPDX-License-Identifier: GPL-3.0-or-later
"""Steadiness, sharpness and ffmpeg's in-betweens on pictures whose answers are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import InputError
from mapreel.core.media.interpolation import interpolate_frames
from mapreel.core.quality_video import mean_gradient, sharpness, true_motion, warping_error

H, W = 64, 96


@pytest.fixture(scope="module")
def wall() -> np.ndarray:
    """A wide soft texture to move a window over."""
    noise = np.random.default_rng(3).random((H, W + 200, 3)).astype(np.float32)
    return np.rint(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)).astype(np.uint8)


def window(wall: np.ndarray, at: int) -> np.ndarray:
    return np.ascontiguousarray(wall[:, at : at + W])


def test_a_shifted_picture_has_no_warping_error(wall):
    before, now = window(wall, 0), window(wall, 3)
    true = true_motion(before, now)
    assert np.median(true.motion[..., 0]) == pytest.approx(3.0, abs=0.1)
    assert np.median(true.motion[..., 1]) == pytest.approx(0.0, abs=0.1)
    assert true.visible.mean() > 0.8
    assert not true.visible[:, -2:].any()  # what entered on the right was nowhere before
    assert warping_error(before, now, true) < 0.6
    assert warping_error(before, before, true) > 5 * warping_error(before, now, true)
    darker = (now * 0.9).astype(np.uint8)
    step = float(now.astype(float).mean() - darker.astype(float).mean())
    assert warping_error(before, darker, true) == pytest.approx(step, rel=0.15)


def test_what_is_hidden_does_not_count(wall):
    """A board moves to the right: what appears at its left was behind it."""
    before, now = window(wall, 0), window(wall, 0)
    board = wall[12:52, 150:180]
    before[12:52, 30:60], now[12:52, 38:68] = board, board
    true = true_motion(before, now)
    assert true.visible[20:44, 30:38].mean() < 0.5
    assert true.visible[20:44, 44:62].mean() > 0.9
    assert true.visible[:, 80:].mean() > 0.9


def test_standing_still_is_zero():
    flat = np.full((H, W, 3), 90, np.uint8)
    true = true_motion(flat, flat)
    assert true.visible.all()
    assert warping_error(flat, flat, true) == 0.0


def test_sharpness(wall):
    truth = window(wall, 0)
    blurred = cv2.GaussianBlur(truth, (0, 0), 2)
    ramp = np.broadcast_to(np.arange(W, dtype=np.uint8)[None, :, None] * 2, (H, W, 3)).copy()
    assert mean_gradient(ramp) == pytest.approx(2.0)
    assert sharpness([mean_gradient(truth)], [mean_gradient(truth)]) == 1.0
    assert 0.3 < sharpness([mean_gradient(blurred)], [mean_gradient(truth)]) < 0.9
    assert sharpness([0.0], [0.0]) == 1.0
    assert sharpness([1.0], [0.0]) == float("inf")


@pytest.mark.parametrize("keys", [(1001, 1004, 1008, 1009), (5, 9)])
def test_interpolation_keeps_count_and_times(wall, keys):
    first, last = keys[0], keys[-1]
    step = 3
    made = dict(interpolate_frames(((k, window(wall, step * (k - first))) for k in keys), last))
    assert list(made) == list(range(first, last + 1))
    inside = np.s_[12:-12, 20:-20]
    for number, picture in made.items():
        errors = [
            float(np.abs(picture.astype(float) - window(wall, step * at))[inside].mean())
            for at in range(last - first + 1)
        ]
        assert int(np.argmin(errors)) == number - first  # it shows its own time, not a neighbour's
        if number in keys:
            assert errors[number - first] < 1.5


def test_interpolation_needs_the_last_key(wall):
    with pytest.raises(InputError, match="key frames"):
        list(interpolate_frames([], 3))
    with pytest.raises(InputError, match="last"):
        list(interpolate_frames([(1, window(wall, 0)), (2, window(wall, 3))], 3))
