# SPDX-License-Identifier: GPL-3.0-or-later
"""Flicker: what the motion explains is cold, what it does not is hot, what was hidden does not count."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapreel.core.media.flicker import flicker

SIZE = (96, 160)


def texture(seed=4):
    noise = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def moved(picture, by):
    return np.roll(picture, by, axis=1)


def steady(by):
    """Motion of a picture that went `by` pixels to the right: back to the left."""
    field = np.zeros((*SIZE, 2), np.float32)
    field[..., 0] = -by
    return field


def test_given_motion_explains_a_pan():
    before = texture()
    found = flicker(before, moved(before, 3), steady(3))
    assert found.steps < 0.2
    assert found.visible > 0.9
    assert found.heat[:, 8:].astype(int).max() < 100


def test_motion_is_searched_for_where_none_is_given():
    before = texture()
    assert flicker(before, moved(before, 3)).steps < 2.0
    assert flicker(before, moved(before, 3), np.zeros((*SIZE, 2), np.float32)).steps > 4.0


def test_a_patch_that_flickers_is_hot_and_nothing_else_is():
    before = texture()
    now = moved(before, 3).copy()
    now[30:50, 60:90] = np.clip(now[30:50, 60:90].astype(int) + 60, 0, 255)
    found = flicker(before, now, steady(3), (np.zeros(SIZE, np.uint8),), (np.zeros(SIZE, np.uint8),))
    inside = found.heat[34:46, 64:86].astype(int).sum(axis=2).mean()
    outside = found.heat[60:, :].astype(int).sum(axis=2).mean()
    assert inside > 2 * outside
    assert found.steps == pytest.approx(60 * 20 * 30 / (SIZE[0] * SIZE[1]), rel=0.35)


def test_what_the_maps_say_was_hidden_does_not_count():
    before = texture()
    now = moved(before, 3).copy()
    now[30:50, 60:90] = 255
    here, there = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    here[30:50, 60:90] = 7  # something that was not there before
    assert flicker(before, now, steady(3), (here,), (there,)).steps < 0.2


def test_motion_of_another_size_is_grown_with_its_lengths():
    before = texture()
    small = steady(2)[::2, ::2] / 2
    assert flicker(before, moved(before, 2), small).steps < 0.5
