# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of the container written from docs/format.md alone, with nothing of ours: that page is what is written."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).with_name("nirvana_golden")


def chunks(data: bytes) -> dict[tuple[bytes, int], tuple[int, bytes]]:
    """Type and number -> offset and payload."""
    found, at = {}, 16
    while at < len(data):
        kind, number, length, crc = struct.unpack_from("<4sIII", data, at)
        assert crc == zlib.crc32(data[at : at + 12])
        payload = data[at + 16 : at + 16 + length]
        assert struct.unpack_from("<I", data, at + 16 + length)[0] == zlib.crc32(payload)
        assert (kind, number) not in found
        found[kind, number] = (at, payload)
        at += length + 20
    assert at == len(data)
    return found


def number(data: bytes, at: int) -> tuple[int, int]:
    """`uv` -> value and where the next thing begins."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def signed(value: int) -> int:
    return -(value + 1) // 2 if value % 2 else value // 2


@pytest.fixture(scope="module")
def data() -> bytes:
    return (FOLDER / "lit_v2.nirv").read_bytes()


def test_prefix_and_order(data):
    assert data[:12] == bytes.fromhex("894e4952560d0a1a") + struct.pack("<HH", 2, 0)
    assert struct.unpack_from("<I", data, 12)[0] == zlib.crc32(data[:12])
    kinds = [kind for kind, _ in chunks(data)]
    front = [b"HEAD", b"FRNO", b"PSET", b"PSET", b"INDX", b"tcod", b"prov", b"tags", b"reci", b"clas"]
    assert kinds == [*front, *[b"GRUP", b"ALPH", b"mean"] * 2, b"labl", b"labl", b"inst"]


def test_head_and_what_it_is_tied_to(data):
    parts = chunks(data)
    head = parts[b"HEAD", 0][1]
    told = struct.unpack_from("<QIIIIIIIHHBBBBffB", head)
    assert told[:14] == (len(data), 24, 16, 2, 24000, 1001, 2, 1, 1, 2, 1, 5, 1, 0)
    low, high, length = told[14:]
    assert (round(low, 6), high) == (-0.049988, 16.0)
    at = struct.calcsize("<QIIIIIIIHHBBBBffB")
    assert head[at : at + length] == b"ACEScg"
    assert len(head) == at + length + 4
    tied = head[8:-4] + parts[b"FRNO", 0][1] + parts[b"PSET", 0][1] + parts[b"PSET", 1][1]
    assert struct.unpack("<I", head[-4:])[0] == zlib.crc32(tied)
    assert struct.unpack("<HHHf", parts[b"PSET", 0][1])[2:] == (32, 30.0)


def test_frame_numbers(data):
    payload, values, at = chunks(data)[b"FRNO", 0][1], [], 0
    while at < len(payload):
        value, at = number(payload, at)
        values.append(value)
    assert (values[0], signed(values[1]), signed(values[2]), values[3]) == (1, 1001, 2, 2)


def test_index(data):
    parts = chunks(data)
    for group, entry in enumerate(struct.iter_unpack("<QIII", parts[b"INDX", 0][1])):
        there = [parts[kind, group] for kind in (b"GRUP", b"ALPH", b"mean")]
        assert entry == (there[0][0], *(len(payload) for _, payload in there))
        assert there[1][0] == there[0][0] + len(there[0][1]) + 20


def test_groups_begin_as_said(data):
    """Kind, checksum of the symbols, then mode and step of the first layer."""
    parts = chunks(data)
    assert [parts[b"GRUP", group][1][0] for group in range(2)] == [0, 1]
    assert struct.unpack_from("<I", parts[b"GRUP", 0][1], 1)[0] == 0xFF8720B7
    assert 0 < struct.unpack_from("<f", parts[b"GRUP", 0][1], 6)[0] <= 65536


def test_notes(data):
    parts = chunks(data)
    assert struct.unpack("<BBBBH", parts[b"tcod", 0][1]) == (1, 0, 0, 1, 2)
    assert json.loads(parts[b"prov", 0][1])["tool"] == "mapreel"
    assert json.loads(parts[b"tags", 0][1]) == {"shot": "ramp"}
    assert json.loads(parts[b"reci", 0][1]) == {"model": "street", "seed": 4}
    assert json.loads(parts[b"clas", 0][1]) == {"0": "sky", "1": "road", "4": "wall"}


@pytest.mark.parametrize(("kind", "dtype", "times"), [(b"labl", "<u1", 1), (b"inst", "<u2", 1000)])
def test_maps(data, kind, dtype, times):
    payload = chunks(data)[kind, 0][1]
    method, size, zero, width, height = struct.unpack_from("<BBHII", payload)
    assert (method, size, zero, width, height) == (1, np.dtype(dtype).itemsize, 0, 24, 16)
    rows = np.frombuffer(zlib.decompress(payload[12:]), dtype).reshape(height, width).astype(int)
    ids = np.cumsum(rows, axis=0) % 256**size
    assert np.array_equal(ids, np.mgrid[:16, :24].sum(axis=0) // 8 * times)


def test_version_1(data):
    old = (FOLDER / "ramp_v1.nirv").read_bytes()
    parts = chunks(old)
    assert struct.unpack_from("<H", old, 8)[0] == 1
    told = struct.unpack("<QIIIIIBBBBHHHHHf", parts[b"HEAD", 0][1])
    assert told[:10] == (len(old), 24, 16, 2, told[4], told[5], 1, 8, 1, 0)
    for group, entry in enumerate(struct.iter_unpack("<QII", parts[b"INDX", 0][1])):
        there = [parts[kind, group] for kind in (b"GRUP", b"mean")]
        assert entry == (there[0][0], *(len(payload) for _, payload in there))
