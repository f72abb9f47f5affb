# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG files of ours, read by others."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest

from mapreel.core.media.pngwriter import NO_COLOUR, png_bytes

SIZES = ((1, 1), (1, 7), (5, 1), (33, 47))


@pytest.mark.parametrize(("size", "channels", "kind"), list(itertools.product(SIZES, (1, 3, 4), (np.uint8, np.uint16))))
def test_others_read_what_was_written(size, channels, kind, tmp_path):
    pixels = np.random.default_rng(3).integers(0, np.iinfo(kind).max, (*size, channels), kind, endpoint=True)
    data = png_bytes(pixels)
    assert data == png_bytes(pixels[::-1][::-1])  # the same pixels, however they lie in memory
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    order = {1: None, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[channels]
    seen = seen if order is None else cv2.cvtColor(seen, order)
    assert (seen.reshape(pixels.shape) == pixels).all()
    (tmp_path / "a.png").write_bytes(data)
    config = oiio.ImageSpec()
    config["oiio:UnassociatedAlpha"] = 1
    file = oiio.ImageInput.open(str(tmp_path / "a.png"), config)
    assert (file.read_image(str(np.dtype(kind))).reshape(pixels.shape) == pixels).all()
    file.close()


def test_colours_are_told_as_srgb_by_cicp_or_not_at_all():
    pixels = np.zeros((2, 2, 3), np.uint8)
    assert b"sRGB" in png_bytes(pixels)
    other = png_bytes(pixels, cicp=(9, 16, 0))
    assert b"cICP\x09\x10\x00\x01" in other
    assert b"sRGB" not in other
    silent = png_bytes(pixels, cicp=(*NO_COLOUR, 1))
    assert b"sRGB" not in silent
    assert b"cICP" not in silent


def test_flat_maps_stay_small():
    ids = np.zeros((256, 512, 1), np.uint8)
    ids[100:, 200:] = 7
    assert len(png_bytes(ids)) < 4000


@pytest.mark.parametrize("pixels", [np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3))])
def test_what_no_png_can_hold_is_refused(pixels):
    with pytest.raises(ValueError, match="no PNG can hold"):
        png_bytes(pixels)
