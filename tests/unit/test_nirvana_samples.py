# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of every depth become codes and come back; the shaper keeps highlights and what is below black."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.pictures import FileKind, FileSpec
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest
from mapreel.core.media.colour import from_light, to_light
from mapreel.core.nirvana.convert import decode_delivery, decode_spec
from mapreel.core.nirvana.pictures import Canvas, light_of
from mapreel.core.nirvana.profile import WHOLE as WHOLE_VIEW
from mapreel.core.nirvana.profile import PictureShape, Tile
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
from mapreel.core.nirvana.shaper import LARGEST, Shaper, shaper_for

WHOLE = [form for form in SampleFormat if form is not SampleFormat.HALF]


def shown(form: PictureFormat, codes: np.ndarray) -> np.ndarray:
    """What a decoder makes of codes [H, W, 3]."""
    canvas = Canvas(
        PictureShape(height=codes.shape[0], width=codes.shape[1], group_frames=1), form, WHOLE_VIEW, 1, name=""
    )
    canvas.show(Tile(torch.from_numpy(codes)[None], 0, 0, 0))
    return canvas.samples[0]


@pytest.mark.parametrize("form", WHOLE)
def test_every_whole_number_comes_back(form):
    pictures = PictureFormat(samples=form, alpha=True)
    samples = np.arange(form.peak + 1, dtype=form.dtype).repeat(4).reshape(-1, 1, 4)
    codes = pictures.codes(samples)
    assert codes.dtype == np.float32
    assert (codes.min(), codes.max()) == (0.0, 1.0)
    assert np.array_equal(shown(pictures, codes), samples[..., :3])
    assert np.array_equal(pictures.codes(samples, 1), codes)


@pytest.mark.parametrize("form", WHOLE)
def test_eight_bits_of_any_depth(form):
    samples = np.array([0, form.peak // 2, form.peak], dtype=form.dtype).repeat(3).reshape(1, 3, 3)
    assert PictureFormat(samples=form).eight_bits(samples)[0, :, 0].tolist() in ([0, 127, 255], [0, 128, 255])


def test_every_half_float_comes_back_through_the_shaper():
    """All finite half floats between the bounds, to within a thousandth of themselves (half steps are 1/2048)."""
    values = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
    values = np.concatenate([-values[values <= 4.0], values]).astype(np.float32)
    shaper = shaper_for(float(values.min()), float(values.max()))
    assert shaper == Shaper(-4.0, LARGEST)
    codes = shaper.codes(values)
    assert (codes.min(), codes.max()) == (0.0, 1.0)
    back = shaper.linear(codes)
    assert np.abs(back - values)[np.abs(values) < 0.01].max() < 1e-5
    on_device = light_of(torch.from_numpy(codes), shaper).numpy()
    assert on_device == pytest.approx(back, rel=1e-5, abs=1e-7)
    large = np.abs(values) >= 0.01
    assert (np.abs(back - values)[large] / np.abs(values[large])).max() < 1e-3


@pytest.mark.parametrize("high", [16.0, 100.0, LARGEST])
def test_sixteen_is_within_a_percent_even_in_ten_bits(high):
    shaper = shaper_for(-0.1, high)
    code = np.round(shaper.codes(np.array([16.0, -0.05, 0.18], np.float32)) * 1023) / 1023
    assert shaper.linear(code.astype(np.float32)) == pytest.approx([16.0, -0.05, 0.18], rel=0.01, abs=2e-3)


def test_the_formula_of_the_documentation():
    shaper = Shaper(-0.5, 15.0)
    low, high = -np.log2(9.0), np.log2(241.0)
    assert shaper.codes(np.array([1.0], np.float32))[0] == pytest.approx((np.log2(17.0) - low) / (high - low), rel=1e-6)
    assert shaper.codes(np.array([-0.25], np.float32))[0] == pytest.approx(
        (-np.log2(5.0) - low) / (high - low), rel=1e-6
    )


def test_bounds_of_a_shot():
    assert shaper_for(0.0, 0.0) == Shaper(0.0, 1.0)  # black
    assert shaper_for(-1e9, 1e9) == Shaper(-LARGEST, LARGEST)
    assert shaper_for(0.5, 0.7) == Shaper(0.0, 1.0)
    beyond = Shaper(-1.0, 2.0).codes(np.array([-5.0, 7.0], np.float32))
    assert beyond.tolist() == [0.0, 1.0]


def test_alpha_is_never_shaped():
    form = PictureFormat(samples=SampleFormat.HALF, alpha=True, shaper=Shaper(0.0, 100.0))
    samples = np.array([[[9.0, 9.0, 9.0, 0.5]]], np.float16)
    assert form.codes(samples, 1).tolist() == [[[0.5, 0.5, 0.5]]]
    assert form.eight_bits(samples, 1).tolist() == [[[128]]]


def test_files_of_every_depth():
    half = PictureFormat(samples=SampleFormat.HALF, alpha=True, shaper=Shaper(0.0, 8.0))
    ten = PictureFormat(samples=SampleFormat.BITS_10)
    assert spec_of(PictureFormat()) == FileSpec(FileKind.PNG, 8, "", ".png")
    assert spec_of(ten) == FileSpec(FileKind.PNG, 16, "", ".png")
    assert spec_of(half) == FileSpec(FileKind.EXR, 16, "zip", ".exr")
    assert spec_of(ten, "/x.mkv").bits == 10
    assert spec_of(half, "/x.mkv").bits == 16
    assert spec_of(half, "/x.mp4").bits == 8
    linear = np.array([[[0.5, 0.25, 4.0, 0.5]]], np.float16)
    kept = pixels_of(linear, half, DecodeFormat.EXR32)
    assert kept.tolist() == linear.tolist()
    shown = pixels_of(linear, half, DecodeFormat.PNG)  # unassociated: 1.0, 0.5 and beyond
    assert shown.dtype == np.uint8
    assert shown.tolist() == [[[255, 188, 255, 128]]]
    ramp = np.array([[[0, 512, 1023]]], np.uint16)
    assert pixels_of(ramp, ten, DecodeFormat.PNG16).tolist() == [[[0, 32800, 65535]]]
    assert pixels_of(ramp, ten, DecodeFormat.PNG).tolist() == [[[0, 128, 255]]]
    light = pixels_of(np.array([[[0, 188, 255]]], np.uint8), PictureFormat(), DecodeFormat.EXR)
    assert light[0, 0] == pytest.approx([0.0, 0.5029, 1.0], abs=1e-4)
    with pytest.raises(UsageError, match="ACEScct"):
        pixels_of(ramp, PictureFormat(colour_space="ACEScct", pixel_aspect=Fraction(2)), DecodeFormat.EXR)


def spec_of(form: PictureFormat, out: str = "/frames", word: DecodeFormat = DecodeFormat.AUTO) -> FileSpec:
    return decode_spec(DecodeRequest(archive="/x.nirv", out=out, image_format=word), form)


def pixels_of(picture: np.ndarray, form: PictureFormat, word: DecodeFormat) -> np.ndarray:
    delivery = decode_delivery(DecodeRequest(archive="/x.nirv", out="/frames", image_format=word), form)
    delivery.check()
    half = form.samples is SampleFormat.HALF
    return delivery.pixels(picture, peak=None if half else form.samples.peak, associated=half)


def test_light_and_back():
    codes = np.linspace(0, 1, 1001, dtype=np.float32)
    assert from_light(to_light(codes)) == pytest.approx(codes, abs=2e-6)
