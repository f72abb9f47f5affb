# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the screen: plain and through OpenColorIO, quick beside exact, maps painted and hatched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import UsageError
from mapreel.core.media.colour import from_light, to_light
from mapreel.core.media.viewing import (
    Look,
    arrows,
    blend,
    develop,
    difference,
    displays,
    fit_ids,
    for_screen,
    hatch,
    paint,
    shades,
)

SRGB = "sRGB - Display"
FILM = Look(SRGB, "ACES 2.0 - SDR 100 nits (Rec.709)")


def soft(dtype=np.uint8, size=(48, 64)):
    values = np.random.default_rng(2).random((*size, 3)).astype(np.float32)
    values = cv2.normalize(cv2.GaussianBlur(values, (0, 0), 3), None, 0, 1, cv2.NORM_MINMAX)
    if dtype == np.float16:
        return (values * 4).astype(np.float16)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def test_plain_eight_bits_go_straight_through():
    picture = soft()
    assert np.array_equal(develop(picture), picture)


def test_plain_sixteen_bits_are_rounded():
    picture = soft(np.uint16)
    assert np.array_equal(develop(picture), np.rint(picture / 257).astype(np.uint8))


def test_light_of_an_exr_looks_like_the_picture_it_was_made_of():
    picture = soft()
    light = to_light(picture.astype(np.float32) / 255).astype(np.float16)
    assert np.abs(develop(light, space="lin_rec709").astype(int) - picture).max() <= 1


def test_a_stop_doubles_the_light():
    light = np.full((4, 4, 3), 0.18, np.float16)
    wanted = np.rint(from_light(np.array([0.36], np.float32)) * 255)[0]
    assert abs(int(develop(light, Look(exposure=1.0), space="lin_rec709")[0, 0, 0]) - wanted) <= 1
    codes = develop(develop(light, space="lin_rec709"), Look(exposure=1.0))
    assert abs(int(codes[0, 0, 0]) - wanted) <= 1


def test_gamma_brightens_the_middle_and_leaves_the_ends():
    codes = develop(np.array([[[0, 128, 255]]], np.uint8), Look(gamma=2.0))[0, 0]
    assert (codes[0], codes[2]) == (0, 255)
    assert codes[1] == round(255 * (128 / 255) ** 0.5)


def test_the_config_shows_srgb_as_it_is_where_nothing_is_mapped():
    picture = soft()
    shown = develop(picture, Look(SRGB, "Un-tone-mapped"))
    assert np.abs(shown.astype(int) - picture).max() <= 1


def test_wide_primaries_are_brought_to_srgb():
    grey, green = np.full((2, 2, 3), 0.5, np.float16), np.zeros((2, 2, 3), np.float16)
    green[..., 1] = 0.5
    plain, wide = (
        (develop(x, space="lin_rec709") for x in (grey, green)),
        (develop(x, space="ACEScg") for x in (grey, green)),
    )
    (grey_709, green_709), (grey_ap1, green_ap1) = tuple(plain), tuple(wide)
    assert np.abs(grey_ap1.astype(int) - grey_709).max() <= 2
    assert green_ap1[0, 0, 1] > green_709[0, 0, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16])
def test_the_quick_way_is_near_the_exact_one(dtype):
    picture = soft(dtype)
    exact, quick = (develop(picture, FILM, space="lin_rec709", exact=way).astype(int) for way in (True, False))
    assert np.abs(exact - quick).mean() < 2.0
    assert np.abs(exact - quick).max() <= 10
    assert np.abs(exact - develop(picture, space="lin_rec709")).mean() > 5  # the view does something


def test_displays_have_views_and_an_unknown_one_is_refused():
    known = dict(displays())
    assert FILM.view in known[SRGB]
    with pytest.raises(UsageError):
        develop(soft(), Look(SRGB, "no such view"))


def test_ids_take_the_colours_of_their_rows_and_unknown_ones_the_last():
    colors = np.array([[1, 2, 3], [40, 50, 60], [255, 0, 255]], np.uint8)
    for dtype in (np.uint8, np.uint16):
        painted = paint(np.array([[0, 1, 2, 200]], dtype), colors)
        assert painted.tolist() == [[[1, 2, 3], [40, 50, 60], [255, 0, 255], [255, 0, 255]]]


def test_patterns_tell_classes_of_one_colour_apart():
    ids = np.repeat(np.array([[0, 1]], np.uint8), 16, axis=1).repeat(16, axis=0)
    picture = np.full((16, 32, 3), 180, np.uint8)
    tiles = np.zeros((3, 4, 4), np.bool_)
    tiles[1, :, 0] = True
    hatched = hatch(picture, ids, tiles)
    assert (hatched[:, :16] == 180).all()
    assert (hatched[:, 16::4] == 90).all()
    assert (hatched[:, 17::4] == 180).all()
    wide = hatch(picture, ids, tiles, 2.0)
    assert (wide[:, 16:18] == 90).all()
    assert (wide[:, 18:24] == 180).all()


def test_instances_and_motion_are_told_apart_by_colour():
    assert len(np.unique(shades(np.arange(20, dtype=np.uint16)[None])[0], axis=0)) == 20
    field = np.zeros((8, 8, 2), np.float16)
    field[:, :4, 0], field[:, 4:, 1] = 3, 3
    shown = arrows(field)
    assert not np.array_equal(shown[0, 0], shown[0, 7])


def test_a_difference_says_how_large_it_is():
    first, second = np.full((4, 6, 3), 100, np.uint8), np.full((8, 12, 3), 97, np.uint8)
    apart, mean = difference(first, second, 4.0)
    assert mean == pytest.approx(3.0)
    assert (apart == 12).all()
    assert apart.shape == first.shape


def test_sizes_for_the_screen_and_ids_that_stay_ids():
    picture = soft()
    screen = for_screen(picture, (32, 24))
    assert screen.shape == (24, 32, 4)
    assert (screen[..., 3] == 255).all()
    assert np.array_equal(for_screen(picture)[..., 2::-1], picture)
    ids = np.array([[1, 9]], np.uint8)
    assert set(np.unique(fit_ids(ids, (7, 5)))) == {1, 9}
    assert (blend(np.zeros((2, 2, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8), 0.25) == 50).all()
