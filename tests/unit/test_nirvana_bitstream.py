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
from mapreel.core.nirvana.config import PRESETS, NetworkConfig
from mapreel.core.nirvana.encode import EncodeSettings
from mapreel.core.nirvana.means import block_means, pack_means, steps_away, unpack_means

HEADER = bits.Header(
    total_bytes=5000,
    width=512,
    height=256,
    frames=7,
    fps=Fraction(24000, 1001),
    network=NetworkConfig(hidden=36),
    intra_interval=2,
)


def test_header_round_trip_and_groups():
    assert bits.Header.read(HEADER.write()) == HEADER
    assert HEADER.groups == 3
    assert list(HEADER.frames_of(2)) == [6]
    assert [HEADER.is_intra(group) for group in range(3)] == [True, False, True]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 65535),
        ("height", 0),
        ("frames", 2**31),
        ("intra_interval", 65535),
        ("network", NetworkConfig(hidden=60000)),
        ("network", NetworkConfig(hidden=0)),
        ("network", NetworkConfig(hidden=8, group_frames=65535)),
        ("network", NetworkConfig(hidden=8, w0=float("nan"))),
        ("network", NetworkConfig(hidden=8, w0=float("inf"))),
        ("network", NetworkConfig(hidden=8, features=1000)),
        ("network", NetworkConfig(hidden=8, features=7)),
        ("bit_depth", 16),
    ],
)
def test_lying_header_is_refused(field, value):
    payload = dataclasses.replace(HEADER, **{field: value}).write()
    with pytest.raises(UnsupportedArchiveError) as caught:
        bits.Header.read(payload)
    assert str(caught.value).count("\n") == 0


def test_many_pixels_are_refused_although_each_side_is_allowed():
    with pytest.raises(UnsupportedArchiveError, match="pixels"):
        bits.Header.read(dataclasses.replace(HEADER, width=16384, height=16384).write())


@pytest.mark.parametrize(
    ("size_px", "network", "why"),
    [
        ((32, 32), NetworkConfig(hidden=2048, features=64, group_frames=32), "latents"),  # took 7 GB for one frame
        ((32, 32), NetworkConfig(hidden=8, features=64, group_frames=3), "latents"),
        ((512, 256), NetworkConfig(hidden=60), "latents"),
        ((2048, 2048), NetworkConfig(hidden=512, features=2, group_frames=32), "group length"),
    ],
)
def test_a_network_too_large_for_its_frames_is_refused(size_px, network, why):
    width, height = size_px
    with pytest.raises(UnsupportedArchiveError, match=why):
        bits.Header.read(dataclasses.replace(HEADER, width=width, height=height, network=network).write())


@pytest.mark.parametrize("group_frames", [1, 2, 3, 8, 16, 32])
def test_every_network_that_is_chosen_can_be_read(group_frames):
    sides = [1, 7, 32, 97, 256, 720, 1080, 1920, 4096, 8192, 16384]
    settings = EncodeSettings(fit=PRESETS["draft"], fps=Fraction(24), group_frames=group_frames)
    read = 0
    for height, width in itertools.product(sides, sides):
        if height * width > bits.MAX_FRAME_PX:
            continue
        header = dataclasses.replace(HEADER, width=width, height=height, network=settings.network((height, width)))
        assert bits.Header.read(header.write()) == header
        read += 1
    assert read > 100


def test_short_header_and_zero_rate_are_damage():
    with pytest.raises(DamagedArchiveError):
        bits.Header.read(HEADER.write()[:-1])
    broken = bytearray(HEADER.write())
    struct.pack_into("<I", broken, 8 + 4 * 4, 0)
    with pytest.raises(DamagedArchiveError, match="rate"):
        bits.Header.read(bytes(broken))


@pytest.mark.parametrize(
    "numbers", [(1001,), (1, 2, 3), (1001, 1003, 1005, 1200), (5, 4, 3), (-3, 0, 7, 8, 9, 100), tuple(range(100_000))]
)
def test_frame_numbers_round_trip(numbers):
    packed = bits.pack_numbers(numbers)
    assert bits.unpack_numbers(packed, len(numbers)) == numbers
    assert len(packed) < 40


@pytest.mark.parametrize(
    "numbers",
    [
        b"",
        bits.unsigned(1) + bits.signed(1) + bits.signed(0) + bits.unsigned(3),  # the same three times
        bits.unsigned(1) + bits.signed(1) + bits.signed(1) + bits.unsigned(2**30),  # more than frames
        bits.unsigned(2**30) + bits.signed(1) + bits.signed(1) + bits.unsigned(3),
        bits.unsigned(1) + bits.signed(2**30) + bits.signed(1) + bits.unsigned(3),
        bits.pack_numbers((1, 2)),
        bits.pack_numbers((1, 2, 3)) + b"\0",
    ],
)
def test_lying_frame_numbers_are_refused(numbers):
    with pytest.raises(DamagedArchiveError, match="frame numbers"):
        bits.unpack_numbers(numbers, 3)


def test_index_must_not_overlap_or_leave_the_file():
    groups = [bits.Chunk(bits.GROUP, n, 1000 + 1000 * n, 500) for n in range(3)]
    means = [bits.Chunk(bits.MEANS, 0, groups[0].end, 9), None, None]
    packed = bits.pack_index(groups, means)
    assert bits.unpack_index(packed, HEADER, 900) == (groups, means)
    for offset in (0, 1400, 4900, 2**63):
        lying = [groups[0], dataclasses.replace(groups[1], offset=offset), groups[2]]
        with pytest.raises(DamagedArchiveError, match="index"):
            bits.unpack_index(bits.pack_index(lying, means), HEADER, 900)
    with pytest.raises(DamagedArchiveError, match="index"):
        bits.unpack_index(packed[:-16], HEADER, 900)


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
    stored = unpack_means(pack_means(means), 0, *shape)
    assert np.array_equal(stored, means % 8)
    for change, away in ((0, 0), (1, 1), (-1, 1), (2, 2), (-3, 3), (5, 3), (9, 1)):
        changed = means.copy()
        changed[-1, -1, -1] += change
        assert steps_away(changed, stored) == away


@pytest.mark.parametrize("payload", [b"", b"\x07\x00\x01\x01", b"\x00\xff\xff\x01\x01\x01", bytes(30)])
def test_bad_means_are_refused(payload):
    with pytest.raises(DamagedArchiveError, match="block means of group 4"):
        unpack_means(payload, 4, 3, 16, 16)
