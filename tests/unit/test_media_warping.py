# SPDX-License-Identifier: GPL-3.0-or-later
"""Warping: the sign of motion, what counts as carried, the way over two steps and back, holes and estimated motion."""

from __future__ import annotations

import numpy as np
import pytest

from mapreel.core.media.warping import (
    agreement,
    compose,
    estimate_motion,
    fill_from_same,
    insideness,
    invert,
    positions,
    warp_ids,
    warp_picture,
)

H, W = 24, 36


def constant(dx, dy, shape=(H, W)):
    return np.broadcast_to(np.array([dx, dy], np.float32), (*shape, 2)).copy()


def ramp(shape=(H, W)):
    """Red grows with x, green with y."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.stack([x, y, x * 0 + 7], axis=-1)


def textured(y, x):
    return np.stack([np.sin(x * 0.7) * np.cos(y * 0.5), np.cos(x * 0.4 + y * 0.3), np.sin(y * 0.6)], axis=-1).astype(
        np.float32
    )


def test_positions_are_x_then_y():
    at = positions(constant(2, -3))
    assert at[5, 10].tolist() == [12, 2]


def test_a_pixel_comes_from_where_motion_says_it_was():
    """Motion (3, 1) at p: what is at p now was at p + (3, 1) before, so the picture moved left and up."""
    now = warp_picture(ramp(), constant(3, 1))
    assert now[10, 10].tolist() == pytest.approx([13, 11, 7])
    before = np.zeros((H, W, 3), np.float32)
    before[8:12, 20:24] = 1.0
    shifted = np.zeros_like(before)
    shifted[7:11, 17:21] = 1.0
    assert np.array_equal(warp_picture(before, constant(3, 1)), shifted)


def test_half_pixels_are_interpolated_and_the_border_is_held():
    now = warp_picture(ramp(), constant(0.5, 0))
    assert now[12, 12, 0] == pytest.approx(12.5, abs=0.01)
    far = warp_picture(ramp(), constant(500, -500))
    assert np.allclose(far[..., 0], W - 1)
    assert np.allclose(far[..., 1], 0)


def test_ids_are_carried_whole():
    ids = np.broadcast_to(np.where(np.arange(W) < 18, 4, 4000).astype(np.uint16), (H, W))
    now = warp_ids(ids, constant(2.4, 0))
    assert set(np.unique(now)) == {4, 4000}
    assert (now[:, :16] == 4).all()
    assert (now[:, 16:] == 4000).all()


def test_what_came_from_outside_does_not_count():
    same = np.zeros((H, W), np.uint16)
    valid = agreement(constant(-4, 0), (same,), (same,))
    assert not valid[:, :4].any()
    assert valid[:, 4:].all()
    valid = agreement(constant(0, 3), (same,), (same,))
    assert not valid[H - 3 :].any()
    assert valid[: H - 3].all()
    assert agreement(constant(0, 0), (same,), (same,)).all()


@pytest.mark.parametrize("far", [1e4, -1e4, 1e10, -1e30])
def test_absurd_motion_never_counts(far):
    same = np.zeros((H, W), np.uint16)
    motion = constant(far, 0)
    assert not agreement(motion, (same,), (same,)).any()
    assert np.isfinite(warp_picture(ramp(), motion)).all()
    assert not invert(motion, (same,), (same,))[1].any()


def test_every_map_must_agree():
    labels, other = np.zeros((H, W), np.uint16), np.zeros((H, W), np.uint16)
    other[:, 10:] = 1
    instances = np.zeros((H, W), np.uint16)
    elsewhere = instances.copy()
    elsewhere[15:] = 300
    valid = agreement(constant(0, 0), (labels, instances), (other, elsewhere))
    assert valid[:15, :10].all()
    assert valid.sum() == 150


def test_agreement_looks_at_the_place_where_the_pixel_was():
    before = np.zeros((H, W), np.uint16)
    before[5:10, 20:25] = 9
    now = np.zeros((H, W), np.uint16)
    now[5:10, 16:21] = 9
    assert agreement(constant(4, 0), (now,), (before,))[:, : W - 4].all()
    assert not agreement(constant(-4, 0), (now,), (before,))[5:10, 16:21].any()


def test_composed_motion_is_the_warp_done_twice():
    y, x = np.mgrid[:H, :W].astype(np.float32)
    near = np.stack([1.5 + np.sin(y * 0.2), np.cos(x * 0.15)], axis=-1).astype(np.float32)
    far = np.stack([x * 0.1 - 0.5, 1 + y * 0.05], axis=-1).astype(np.float32)  # linear, so that nothing is rounded
    composed = compose(near, far)
    at_x, at_y = x + near[..., 0], y + near[..., 1]
    expected = near + np.stack([at_x * 0.1 - 0.5, 1 + at_y * 0.05], axis=-1)
    inside = (slice(3, H - 3), slice(3, W - 4))
    assert np.abs(composed - expected)[inside].max() < 0.005
    twice = warp_picture(warp_picture(ramp(), far), near)
    inside = (slice(5, H - 5), slice(5, W - 8))
    assert np.abs(warp_picture(ramp(), composed) - twice)[inside].max() < 0.2
    assert np.abs(warp_picture(ramp(), compose(far, near)) - twice)[inside].max() > 0.3


def test_the_inverse_is_the_way_back():
    same = np.zeros((H, W), np.uint16)
    motion = constant(3, -2)
    back, known = invert(motion, (same,), (same,))
    assert np.allclose(back[known], [-3, 2])
    assert known[: H - 2, 3:].all()  # pixel p came from p + (3, -2): those places of the other frame were reached
    assert not known[:, 0].any()
    there_and_back = compose(motion, back)
    assert np.abs(there_and_back[4:-4, 2:-6]).max() < 1e-5


def test_the_inverse_fills_small_holes_and_owns_up_to_large_ones():
    here = np.zeros((H, W), np.uint16)
    motion = constant(0, 0)
    motion[:, 18:, 0] = 6  # the right half was six pixels further right: a gap opens there in the other frame
    back, known = invert(motion, (here,), (here,))
    assert known[:, :18].all()
    assert known[:, 24:].all()
    assert not known[4:-4, 20:22].any()
    spread = np.zeros((H, W, 2), np.float32)
    spread[..., 0] = np.arange(W, dtype=np.float32) * 0.34  # a zoom: every third or fourth column is hit by nobody
    back, known = invert(spread, (here,), (here,))
    assert known.all()
    right = -0.34 / 1.34 * np.arange(W, dtype=np.float32)
    assert np.abs(back[3:-3, 2:-3, 0] - right[2:-3]).max() < 0.5


def test_the_inverse_takes_only_what_agrees():
    here = np.zeros((H, W), np.uint16)
    here[:, 10:20] = 5
    there = np.zeros((H, W), np.uint16)
    there[:, 16:26] = 5
    motion = constant(0, 0)
    motion[:, 10:20, 0] = 6
    back, known = invert(motion, (here,), (there,))
    assert known[:, 16:26].all()
    assert np.allclose(back[:, 16:26, 0], -6)
    assert np.allclose(back[:, :8, 0], 0)


def test_no_motion_known_at_all():
    here, there = np.zeros((H, W), np.uint16), np.ones((H, W), np.uint16)
    back, known = invert(constant(1, 1), (here,), (there,))
    assert not known.any()
    assert np.isfinite(back).all()


def test_holes_take_the_nearest_colour_of_their_own_class():
    ids = np.zeros((H, W), np.uint16)
    ids[:, 18:] = 3
    picture = np.zeros((H, W, 3), np.float32)
    picture[:, :18] = 0.25
    picture[:, 18:] = 0.75
    valid = np.ones((H, W), np.bool_)
    valid[4:20, 6:18] = False  # beside class 3, and its nearest valid neighbours are of class 3
    valid[8:12, 18:34] = False
    broken = np.where(valid[..., None], picture, np.float32(np.nan))
    assert np.array_equal(fill_from_same(broken, valid, ids), picture)
    assert np.isnan(broken).sum() == 3 * (~valid).sum()  # what was given stays as it was


@pytest.mark.parametrize("seed", range(4))
def test_a_fill_never_crosses_a_class_that_has_a_valid_pixel(seed):
    """Each class has a colour of its own, so that any colour that crossed is seen."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, 4, (6, 9)).repeat(4, axis=0).repeat(4, axis=1).astype(np.uint16)
    valid = random.random(ids.shape) < 0.05
    for value in range(4):
        valid.flat[np.flatnonzero(ids == value)[0]] = True
    picture = np.where(valid, ids, 99).astype(np.float32)[..., None].repeat(3, axis=2)
    filled = fill_from_same(picture, valid, ids)
    assert np.array_equal(filled[..., 0], ids.astype(np.float32))


def test_a_class_without_a_valid_pixel_takes_the_nearest_of_any():
    ids = np.zeros((H, W), np.uint16)
    ids[10:14, 10:14] = 8
    valid = ids == 0
    picture = np.where(valid, 0.5, 9.0).astype(np.float32)[..., None].repeat(3, axis=2)
    assert (fill_from_same(picture, valid, ids) == 0.5).all()


def test_nothing_valid_and_everything_valid_stay_as_they_are():
    ids, picture = np.zeros((H, W), np.uint16), ramp()
    assert fill_from_same(picture, np.ones((H, W), np.bool_), ids) is picture
    assert np.array_equal(fill_from_same(picture, np.zeros((H, W), np.bool_), ids), ramp())


def test_estimated_motion_has_the_sign_of_given_motion():
    """Boxes that moved right by two and down by one: motion leads back, (-2, -1)."""
    before, now = np.zeros((64, 96), np.uint16), np.zeros((64, 96), np.uint16)
    for value, (y, x) in enumerate(((8, 10), (30, 20), (12, 60), (40, 66)), start=3):
        before[y : y + 14, x : x + 16] = value
        now[y + 1 : y + 15, x + 2 : x + 18] = value
    motion = estimate_motion((now,), (before,))
    assert motion.shape == (64, 96, 2)
    assert motion.dtype == np.float32
    on_boxes = motion[now > 0]
    assert np.median(on_boxes[:, 0]) == pytest.approx(-2, abs=0.3)
    assert np.median(on_boxes[:, 1]) == pytest.approx(-1, abs=0.3)
    assert agreement(motion, (now,), (before,))[now > 0].mean() > 0.95
    assert np.abs(estimate_motion((now,), (now,))).max() < 0.5


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (8, 11), (8, 80), (13, 17), (16, 200)])
def test_motion_is_estimated_on_pictures_of_any_size(shape):
    ids = (np.arange(shape[0] * shape[1]).reshape(shape) // 5 % 3).astype(np.uint16)
    motion = estimate_motion((ids, ids), (ids, ids))
    assert motion.shape == (*shape, 2)
    assert np.isfinite(motion).all()


def test_a_moving_texture_is_carried_almost_exactly():
    y, x = np.mgrid[:H, :W].astype(np.float32)
    now = warp_picture(textured(y, x), constant(1.5, -0.75))
    truth = textured(y - 0.75, x + 1.5)
    assert np.abs(now - truth)[3:-3, 3:-3].max() < 0.05


def test_what_is_carried_fades_where_a_pan_brings_new_picture_and_nowhere_else():
    still = np.zeros((128, 256, 2), np.float32)
    assert (insideness(still) == 1).all()
    pan = still.copy()
    pan[..., 1] = 20  # what is at the bottom came from below the other frame
    soft = insideness(pan)
    assert soft.dtype == np.float32
    assert soft.shape == (128, 256)
    assert (soft[112:] == 0).all()
    assert (soft[:80] == 1).all()
    middle = soft[88:108, 100]
    assert (np.diff(middle) <= 0).all()
    assert 0.1 < middle[14] < 0.9
    assert insideness(pan[:8, :8] * 0 + 100).max() == 0
