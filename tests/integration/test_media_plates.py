# SPDX-License-Identifier: GPL-3.0-or-later
"""Plates at their full depth: 16-bit and alpha PNG, EXR with alpha and metadata, movies of ten bits."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest

from mapreel.core.contract.errors import DamagedFileError, MissingInputError, UnsupportedFileError, UsageError
from mapreel.core.contract.requests import EncodeRequest
from mapreel.core.media.images import picture_size, write_exr, write_png
from mapreel.core.media.movies import movie_info, read_movie_frames
from mapreel.core.media.plates import exr_attributes, plate_facts, read_plate
from mapreel.core.media.sequence import MapKind, open_maps
from mapreel.core.nirvana.samples import SampleFormat
from mapreel.core.nirvana.source import open_source

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_every_kind(tmp_path, dtype, channels):
    pixels = RNG.integers(0, np.iinfo(dtype).max, (9, 13, channels), dtype=dtype, endpoint=True)
    path = tmp_path / "a.png"
    if channels == 2:
        spec = oiio.ImageSpec(13, 9, 2, str(pixels.dtype))
        spec.channelnames, spec.alpha_channel = ("Y", "A"), 1
        spec.attribute("oiio:UnassociatedAlpha", 1)
        out = oiio.ImageOutput.create("png")
        assert out.open(str(path), spec)
        assert out.write_image(pixels)
        assert out.close()
    else:
        write_png(path, pixels)
    plate, facts = read_plate(path), plate_facts(path)
    grey = pixels[..., :1].repeat(3, axis=2)
    assert np.array_equal(plate[..., :3], grey if channels < 3 else pixels[..., :3])
    assert plate.dtype == dtype
    assert (facts.bits, facts.alpha, facts.colour_space) == (8 * plate.itemsize, channels in (2, 4), "srgb")
    if facts.alpha:
        assert np.array_equal(plate[..., 3], pixels[..., -1])


@pytest.mark.parametrize(
    ("channels", "alpha"), [(("R", "G", "B"), False), (("R", "G", "B", "A"), True), (("Y",), False), (("Y", "A"), True)]
)
def test_exr_with_and_without_alpha(tmp_path, channels, alpha):
    pixels = RNG.normal(0, 20, (9, 13, len(channels))).astype(np.float16)
    write_exr(tmp_path / "a.exr", pixels, channels=channels)
    plate, facts = read_plate(tmp_path / "a.exr"), plate_facts(tmp_path / "a.exr")
    assert plate.dtype == np.float32
    assert plate.shape == (9, 13, 4 if alpha else 3)
    assert np.array_equal(plate[..., 0], pixels[..., 0])
    assert np.array_equal(plate[..., -1], pixels[..., -1])
    assert (facts.bits, facts.alpha, facts.colour_space, facts.timecode) == (None, alpha, "lin_rec709", None)


@pytest.mark.parametrize("code", ["01:02:03:04", "10:59:58;29", "23:00:00:00"])
def test_what_an_exr_says_of_itself(tmp_path, code):
    told = exr_attributes("ACES2065-1", Fraction(2), Fraction(24000, 1001), code)
    write_exr(tmp_path / "a.exr", np.ones((2, 2, 3), np.float16), full=True, attributes=told)
    facts = plate_facts(tmp_path / "a.exr")
    assert (facts.colour_space, facts.pixel_aspect, facts.timecode) == ("ACES2065-1", Fraction(2), code)
    own = {"chromaticities": (0.7, 0.3, 0.2, 0.7, 0.1, 0.1, 0.3, 0.3)}
    write_exr(tmp_path / "b.exr", np.ones((2, 2, 3), np.float16), attributes=own)
    assert plate_facts(tmp_path / "b.exr").colour_space == "scene-linear"


def test_plates_that_cannot_be_read(tmp_path):
    with pytest.raises(MissingInputError):
        read_plate(tmp_path / "none.exr")
    write_exr(tmp_path / "nan.exr", np.full((2, 2, 3), np.nan), full=True)
    with pytest.raises(DamagedFileError, match="no number"):
        read_plate(tmp_path / "nan.exr")
    write_exr(tmp_path / "z.exr", np.ones((2, 2, 1)), channels=("Z",))
    with pytest.raises(UnsupportedFileError, match="no R, G, B"):
        read_plate(tmp_path / "z.exr")
    with pytest.raises(UnsupportedFileError, match="no R, G, B"):
        plate_facts(tmp_path / "z.exr")
    (tmp_path / "no.exr").write_bytes(b"nothing")
    with pytest.raises(DamagedFileError):
        plate_facts(tmp_path / "no.exr")


@pytest.fixture
def ten_bits(tmp_path):
    """FFV1, 4:4:4, ten bits: a ramp of every code in grey."""
    path = tmp_path / "ten.mkv"
    ramp = np.tile(np.arange(1024, dtype=np.uint16)[None], (4, 1))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 1024, 4, "gbrp10le"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.stack([ramp * 64] * 3, axis=2), format="rgb48le")
            container.mux(stream.encode(frame.reformat(format="gbrp10le")))
        container.mux(stream.encode(None))
    return path, ramp


def test_movies_of_ten_bits_keep_them(ten_bits):
    path, ramp = ten_bits
    assert movie_info(path).bits == 10
    assert next(iter(read_movie_frames(path))).pixels.dtype == np.uint8
    source = open_source(EncodeRequest(source=str(path), out="/x.nirv"))
    assert source.form.samples is SampleFormat.BITS_10
    shown = source.read(2)
    assert shown.dtype == np.uint16
    assert np.abs(shown[..., 0].astype(int) - ramp).max() <= 1
    wide = open_source(EncodeRequest(source=str(path), out="/x.nirv", depth="16")).read(1)
    assert int(wide.max()) > 65000


def test_a_sequence_that_changes_its_depth(tmp_path):
    write_png(tmp_path / "1.png", np.zeros((4, 4, 4), np.uint8))
    write_png(tmp_path / "2.png", np.zeros((4, 4, 3), np.uint8))
    source = open_source(EncodeRequest(source=str(tmp_path), out="/x.nirv"))
    assert source.read(1).shape == (4, 4, 4)
    with pytest.raises(UsageError, match="frame 2"):
        source.read(2)
    assert open_maps(tmp_path, MapKind.PLATE).read(2).shape == (4, 4, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_of_every_kind(tmp_path, dtype, channels):
    pixels = RNG.integers(0, np.iinfo(dtype).max, (9, 13, channels), dtype=dtype, endpoint=True)
    path = tmp_path / "a.tif"
    spec = oiio.ImageSpec(13, 9, channels, str(pixels.dtype))
    spec.attribute("oiio:UnassociatedAlpha", 1)
    out = oiio.ImageOutput.create("tiff")
    assert out.open(str(path), spec)
    assert out.write_image(pixels)
    assert out.close()
    plate, facts = read_plate(path), plate_facts(path)
    assert (plate == (pixels if channels > 1 else pixels.repeat(3, axis=2))).all()
    assert (facts.bits, facts.alpha) == (8 * pixels.dtype.itemsize, channels == 4)
    assert picture_size(path) == (9, 13)


def test_a_tiff_of_floats_or_cut_short_is_no_plate(tmp_path):
    path = tmp_path / "a.tif"
    out = oiio.ImageOutput.create("tiff")
    assert out.open(str(path), oiio.ImageSpec(4, 4, 3, "float"))
    assert out.write_image(np.zeros((4, 4, 3), np.float32))
    assert out.close()
    with pytest.raises(UnsupportedFileError, match="8 or 16 bits"):
        read_plate(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DamagedFileError):
        read_plate(path)
