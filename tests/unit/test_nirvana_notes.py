# SPDX-License-Identifier: GPL-3.0-or-later
"""Timecode, notes and maps of ids: what is written is read; what lies is refused before it costs memory."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest

from mapreel.core.contract.errors import ArchiveError, DamagedArchiveError, UnsupportedArchiveError, UsageError
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.labels import pack_ids, unpack_ids
from mapreel.core.nirvana.metadata import MAX_RECIPE_BYTES, Notes, Timecode, read_notes

NOTES = Notes(
    timecode=Timecode.parse("01:02:03:04"),
    provenance={"tool": "mapreel", "version": "1"},
    tags={"shot": "sh010", "artist": "Ægir"},
    recipe={"model": "street", "frames": [1, 2], "fps": 24.0},
    classes={0: "sky", 7: "road"},
)


class Chunks:
    """As much of a Container as notes are read from."""

    def __init__(self, chunks) -> None:
        self._payloads = {(kind, number): payload for kind, number, payload in chunks}
        self.others = {at: bits.Chunk(*at, 0, len(payload)) for at, payload in self._payloads.items()}

    def payload(self, chunk: bits.Chunk) -> bytes:
        return self._payloads[chunk.kind, chunk.number]


def test_notes_come_back():
    faults: list[str] = []
    assert read_notes(Chunks(NOTES.chunks()), faults) == NOTES
    assert read_notes(Chunks(()), faults) == Notes()
    assert faults == []
    assert all(kind[:1].islower() for kind, _, _ in NOTES.chunks())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[1]",
        b'{"a":1}',
        b'{"a":"1","a":"2"}',
        b'{"a":NaN}',
        b"[" * 5000 + b"]" * 5000,
        b'"\xff"',
        b"9" * 4000,
    ],
)
@pytest.mark.parametrize("kind", [bits.TAGS, bits.PROVENANCE, bits.CLASSES])
def test_texts_that_are_none(kind, payload):
    faults: list[str] = []
    notes = read_notes(Chunks([(kind, 0, payload)]), faults)
    assert notes == Notes()
    assert len(faults) == 1
    assert bits.chunk_name(kind, 0) in faults[0]


@pytest.mark.parametrize("payload", [b"{", b"[" * 40 + b"]" * 40, b'{"a":1e999}', b" " * (MAX_RECIPE_BYTES + 1)])
def test_a_recipe_that_is_none(payload):
    faults: list[str] = []
    assert read_notes(Chunks([(bits.RECIPE, 0, payload)]), faults).recipe is None
    assert len(faults) == 1


@pytest.mark.parametrize("payload", [b"", bytes(5), struct.pack("<BBBBH", 24, 0, 0, 0, 0), b"\xff" * 6])
def test_a_timecode_that_is_none(payload):
    faults: list[str] = []
    assert read_notes(Chunks([(bits.TIMECODE, 0, payload)]), faults).timecode is None
    assert len(faults) == 1


@pytest.mark.parametrize("text", ["1:2:3", "01:00:00:0", "24:00:00:00", "00:60:00:00", "-1:00:00:00", "a", ""])
def test_typed_timecodes_that_are_none(text):
    with pytest.raises(UsageError):
        Timecode.parse(text)


@pytest.mark.parametrize(
    ("start", "pictures", "fps", "later"),
    [
        ("01:00:00:00", 0, Fraction(24), "01:00:00:00"),
        ("01:00:00:23", 1, Fraction(24), "01:00:01:00"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("00:00:59:23", 1, Fraction(24000, 1001), "00:01:00:00"),
        ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
        ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:00;00", 17982, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
        ("00:01:00;02", 1798, Fraction(30000, 1001), "00:02:00;02"),
    ],
)
def test_timecode_counts_on(start, pictures, fps, later):
    assert str(Timecode.parse(start).later(pictures, fps)) == later


def test_too_much_is_not_written():
    with pytest.raises(UsageError, match="recipe"):
        Notes(recipe="x" * (MAX_RECIPE_BYTES + 1)).chunks()
    with pytest.raises(UsageError, match="tags"):
        Notes(tags={str(number): "" for number in range(1001)}).chunks()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (37, 3), (64, 64)])
def test_ids_come_back_exactly(dtype, shape):
    ids = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    back = unpack_ids(pack_ids(ids), bits.LABELS, 0)
    assert back.dtype == dtype
    assert np.array_equal(back, ids)


def test_a_map_of_areas_is_small():
    ids = np.zeros((256, 512), np.uint16)
    ids[100:, 200:] = 26
    assert len(pack_ids(ids)) < 400


def lying(width: int, height: int, data: bytes, *, method: int = 1, size: int = 2) -> bytes:
    return struct.pack("<BBHII", method, size, 0, width, height) + data


BOMB = zlib.compress(bytes(1 << 26), 9)  # 64 MB in 65 kB


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", DamagedArchiveError),
        (lying(4, 4, b""), DamagedArchiveError),
        (lying(4, 4, b"no zlib at all"), DamagedArchiveError),
        (lying(4, 4, BOMB), DamagedArchiveError),  # inflated to one byte more than it may be, and no further
        (lying(4, 4, zlib.compress(bytes(30))), DamagedArchiveError),
        (lying(4, 4, zlib.compress(bytes(32)) + b"more"), DamagedArchiveError),
        (lying(4, 4, zlib.compress(bytes(32))[:-2]), DamagedArchiveError),
        (lying(4, 4, zlib.compress(bytes(32)), method=2), DamagedArchiveError),
        (lying(4, 4, zlib.compress(bytes(32)), size=3), DamagedArchiveError),
        (lying(8000, 8000, zlib.compress(bytes(32))), DamagedArchiveError),
        (lying(65535, 65535, BOMB), UnsupportedArchiveError),
        (lying(16384, 16384, BOMB), UnsupportedArchiveError),
        (lying(0, 4, BOMB), UnsupportedArchiveError),
    ],
)
def test_lying_maps_are_refused(payload, error):
    with pytest.raises(error) as caught:
        unpack_ids(payload, bits.LABELS, 3)
    assert isinstance(caught.value, ArchiveError)


@pytest.mark.parametrize("ids", [np.zeros((0, 4), np.uint8), np.zeros((4, 4), np.int32), np.zeros((4, 4, 3), np.uint8)])
def test_what_is_no_map_is_not_written(ids):
    with pytest.raises(ValueError, match="map"):
        pack_ids(ids)
