# SPDX-License-Identifier: GPL-3.0-or-later
"""Header, index, frame numbers and block means: what is written is read, what lies is refused in one sentence."""

from __future__ import annotations

import dataclasses
import io
import itertools
import struct
from fractions import Fraction

import numpy as np
import pytest

from mapreel.core.contract.errors import ArchiveError, DamagedArchiveError, UnsupportedArchiveError
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.config import PRESETS, NetworkConfig, network_for, read_settings, write_settings
from mapreel.core.nirvana.encode import EncodeSettings
from mapreel.core.nirvana.entropy import signed, unsigned
from mapreel.core.nirvana.header import (
    MAX_FRAME_PX,
    Header,
    group_chunks,
    pack_index,
    pack_numbers,
    read_header,
    unpack_index,
    unpack_numbers,
)
from mapreel.core.nirvana.means import block_means, pack_means, steps_away, unpack_means
from mapreel.core.nirvana.profile import PictureShape
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
from mapreel.core.nirvana.shaper import Shaper

HEADER = Header(
    total_bytes=5000,
    width=512,
    height=256,
    frames=7,
    fps=Fraction(24000, 1001),
    group_frames=3,
    intra_interval=2,
)
SHAPE = PictureShape(height=256, width=512, group_frames=3)
EXR = PictureFormat(
    samples=SampleFormat.HALF,
    colour_space="ACEScg",
    pixel_aspect=Fraction(2),
    alpha=True,
    shaper=Shaper(-0.25, 65504.0),
)


def read(header: Header) -> Header:
    return read_header(header.write(), 2)[0]


def test_header_round_trip_and_groups():
    assert read(HEADER) == HEADER
    assert read(dataclasses.replace(HEADER, pictures=EXR)) == dataclasses.replace(HEADER, pictures=EXR)
    assert HEADER.groups == 3
    assert list(HEADER.frames_of(2)) == [6]
    assert [HEADER.is_intra(group) for group in range(3)] == [True, False, True]


@pytest.mark.parametrize("samples", list(SampleFormat))
def test_every_depth_has_its_number(samples):
    header = dataclasses.replace(HEADER, pictures=PictureFormat(samples=samples))
    assert read(header).pictures.samples is samples


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 65535),
        ("height", 0),
        ("frames", 2**31),
        ("group_frames", 33),
        ("group_frames", 0),
        ("intra_interval", 65535),
        ("intra_interval", 0),
        ("pictures", PictureFormat(pixel_aspect=Fraction(100_000, 3))),
    ],
)
def test_lying_header_is_refused(field, value):
    with pytest.raises(UnsupportedArchiveError) as caught:
        read(dataclasses.replace(HEADER, **{field: value}))
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    "shaper",
    [Shaper(float("nan"), 1.0), Shaper(0.0, float("inf")), Shaper(1.0, 2.0), Shaper(0.0, 0.0), Shaper(-1e9, 1.0)],
)
def test_a_shaper_without_sense_is_damage(shaper):
    with pytest.raises(DamagedArchiveError, match="shaper"):
        read(dataclasses.replace(HEADER, pictures=PictureFormat(samples=SampleFormat.HALF, shaper=shaper)))


@pytest.mark.parametrize(("at", "value"), [(40, 9), (41, 0), (41, 6), (42, 2), (43, 1)])
def test_unknown_profiles_samples_and_flags_are_refused(at, value):
    payload = bytearray(HEADER.write())
    payload[at] = value
    with pytest.raises(UnsupportedArchiveError):
        read_header(bytes(payload), 2)


@pytest.mark.parametrize("name", [b"", b"a\nb", b"\xff", b"x" * 65])
def test_a_colour_space_is_a_short_printable_name(name):
    fixed = HEADER.write()[: -len("srgb") - 1]
    with pytest.raises(DamagedArchiveError):
        read_header(fixed + bytes([len(name)]) + name, 2)


def test_many_pixels_are_refused_although_each_side_is_allowed():
    with pytest.raises(UnsupportedArchiveError, match="pixels"):
        read(dataclasses.replace(HEADER, width=16384, height=16384))


@pytest.mark.parametrize(
    ("size_px", "network", "why"),
    [
        ((32, 32), NetworkConfig(hidden=2048, features=64, group_frames=32), "latents"),  # took 7 GB for one frame
        ((32, 32), NetworkConfig(hidden=8, features=64, group_frames=3), "latents"),
        ((512, 256), NetworkConfig(hidden=60), "latents"),
        ((2048, 2048), NetworkConfig(hidden=512, features=2, group_frames=32), "group length"),
        ((512, 256), NetworkConfig(hidden=60000), "width"),
        ((512, 256), NetworkConfig(hidden=0), "width"),
        ((512, 256), NetworkConfig(hidden=8, w0=float("nan")), "network"),
        ((512, 256), NetworkConfig(hidden=8, w0=float("inf")), "network"),
        ((512, 256), NetworkConfig(hidden=8, features=1000), "features"),
        ((512, 256), NetworkConfig(hidden=8, features=7), "network"),
    ],
)
def test_a_network_too_large_for_its_frames_is_refused(size_px, network, why):
    shape = PictureShape(height=size_px[1], width=size_px[0], group_frames=network.group_frames)
    with pytest.raises(UnsupportedArchiveError, match=why):
        read_settings(write_settings(network), shape)


class Sized:
    """A source of which only the size matters."""

    numbers = (1,)

    def __init__(self, size):
        self.size = size

    def read(self, number):
        raise AssertionError(number)


@pytest.mark.parametrize("group_frames", [1, 2, 3, 8, 16, 32])
def test_every_network_that_is_chosen_can_be_read(group_frames):
    sides = [1, 7, 32, 97, 256, 720, 1080, 1920, 4096, 8192, 16384]
    settings = EncodeSettings(fit=PRESETS["draft"], fps=Fraction(24), group_frames=group_frames)
    seen = 0
    for height, width in itertools.product(sides, sides):
        if height * width > MAX_FRAME_PX:
            continue
        group = settings.header(Sized((height, width))).group_frames
        shape = PictureShape(height=height, width=width, group_frames=group)
        network = network_for(height, width, group)
        assert read_settings(write_settings(network), shape) == network
        header = dataclasses.replace(HEADER, width=width, height=height, group_frames=network.group_frames)
        assert read(header) == header
        seen += 1
    assert seen > 100


def test_short_header_and_zero_rate_are_damage():
    with pytest.raises(DamagedArchiveError):
        read_header(HEADER.write()[:-1], 2)
    with pytest.raises(DamagedArchiveError):
        read_header(b"", 2)
    for at, why in ((20, "rate"), (24, "rate"), (28, "aspect"), (32, "aspect")):
        broken = bytearray(HEADER.write())
        struct.pack_into("<I", broken, at, 0)
        with pytest.raises(DamagedArchiveError, match=why):
            read_header(bytes(broken), 2)


def version_1(**fields) -> bytes:
    told = {
        "w": 512,
        "h": 256,
        "frames": 7,
        "profile": 1,
        "bits": 8,
        "colour": 1,
        "G": 3,
        "hidden": 36,
        "K": 2,
        **fields,
    }
    return struct.pack(
        "<QIIIIIBBBBHHHHHf", 5000, told["w"], told["h"], told["frames"], 24, 1, told["profile"], told["bits"],
        told["colour"], 0, told["G"], told["hidden"], 16, 32, told["K"], 30.0,
    )  # fmt: skip


def test_header_of_version_1_is_read_for_ever():
    header, settings = read_header(version_1(), 1)
    assert header == dataclasses.replace(HEADER, fps=Fraction(24), version=1)
    assert settings is not None
    assert read_settings(settings, SHAPE) == NetworkConfig(hidden=36)
    for field, value in (
        ("w", 65535),
        ("frames", 2**31),
        ("profile", 2),
        ("bits", 16),
        ("colour", 2),
        ("G", 65535),
        ("K", 0),
    ):
        with pytest.raises(UnsupportedArchiveError):
            read_header(version_1(**{field: value}), 1)
    with pytest.raises(DamagedArchiveError):
        read_header(version_1()[:-1], 1)


@pytest.mark.parametrize(
    "numbers", [(1001,), (1, 2, 3), (1001, 1003, 1005, 1200), (5, 4, 3), (-3, 0, 7, 8, 9, 100), tuple(range(100_000))]
)
def test_frame_numbers_round_trip(numbers):
    packed = pack_numbers(numbers)
    assert unpack_numbers(packed, len(numbers)) == numbers
    assert len(packed) < 40


@pytest.mark.parametrize(
    "numbers",
    [
        b"",
        unsigned(1) + signed(1) + signed(0) + unsigned(3),  # the same three times
        unsigned(1) + signed(1) + signed(1) + unsigned(2**30),  # more than frames
        unsigned(2**30) + signed(1) + signed(1) + unsigned(3),
        unsigned(1) + signed(2**30) + signed(1) + unsigned(3),
        pack_numbers((1, 2)),
        pack_numbers((1, 2, 3)) + b"\0",
    ],
)
def test_lying_frame_numbers_are_refused(numbers):
    with pytest.raises(DamagedArchiveError, match="frame numbers"):
        unpack_numbers(numbers, 3)


@pytest.mark.parametrize("alpha", [0, 30])
def test_index_must_not_overlap_or_leave_the_file(alpha):
    header = dataclasses.replace(HEADER, pictures=PictureFormat(alpha=alpha > 0))
    groups = [group_chunks(n, 1000 + 1000 * n, (500, alpha, 9 if n == 0 else 0)) for n in range(3)]
    packed = pack_index(groups)
    assert unpack_index(packed, header, 900) == groups
    for offset in (0, 1400, 4900, 2**63):
        lying = [groups[0], group_chunks(1, offset, (500, alpha, 0)), groups[2]]
        with pytest.raises(DamagedArchiveError, match="index"):
            unpack_index(pack_index(lying), header, 900)
    with pytest.raises(DamagedArchiveError, match="index"):
        unpack_index(packed[:-20], header, 900)
    with pytest.raises(DamagedArchiveError, match="alpha"):
        unpack_index(packed, dataclasses.replace(HEADER, pictures=PictureFormat(alpha=alpha == 0)), 900)


def test_index_of_version_1():
    header = dataclasses.replace(HEADER, version=1)
    packed = b"".join(struct.pack("<QII", 1000 + 1000 * n, 500, 9) for n in range(3))
    assert unpack_index(packed, header, 900) == [group_chunks(n, 1000 + 1000 * n, (500, 0, 9)) for n in range(3)]


def test_unknown_parts():
    optional, required = bits.pack_chunk(b"xtra", 0, b"abc"), bits.pack_chunk(b"XTRA", 0, b"abc")
    assert bits.read_chunk_head(io.BytesIO(optional), 0, len(optional)).end == len(optional)
    with pytest.raises(UnsupportedArchiveError, match="XTRA"):
        bits.read_chunk_head(io.BytesIO(required), 0, len(required))


def test_prefix():
    bits.check_prefix(bits.pack_prefix())
    with pytest.raises(UnsupportedArchiveError, match="not a Mapreel archive"):
        bits.check_prefix(b"\x89PNG\r\n\x1a\n" + bytes(8))
    with pytest.raises(ArchiveError):
        bits.check_prefix(b"")
    for cut in range(1, bits.PREFIX_BYTES):
        with pytest.raises(ArchiveError):
            bits.check_prefix(bits.pack_prefix()[:cut])


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 8, 8), (3, 33, 50), (2, 7, 100)])
def test_block_means(shape):
    frames = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    means = block_means(frames)
    first = frames[0, :8, :8].astype(float).mean()
    assert abs(means[0, 0, 0] - first) <= 0.5
    last = frames[-1, (shape[1] - 1) // 8 * 8 :, (shape[2] - 1) // 8 * 8 :].astype(float).mean()
    assert abs(means[-1, -1, -1] - last) <= 0.5
    stored = unpack_means(pack_means(means), 0, *shape).reshape(means.shape)
    assert np.array_equal(stored, means % 8)
    for change, away in ((0, 0), (1, 1), (-1, 1), (2, 2), (-3, 3), (5, 3), (9, 1)):
        changed = means.copy()
        changed[-1, -1, -1] += change
        assert steps_away(changed, stored) == away


@pytest.mark.parametrize("payload", [b"", b"\x07\x00\x01\x01", b"\x00\xff\xff\x01\x01\x01", bytes(30)])
def test_bad_means_are_refused(payload):
    with pytest.raises(DamagedArchiveError, match="block means of group 4"):
        unpack_means(payload, 4, 3, 16, 16)
