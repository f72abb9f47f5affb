# SPDX-License-Identifier: GPL-3.0-or-later
"""Label and instance maps in an archive: exact integers, one chunk for each picture, so that any can be read alone."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from mapreel.core.nirvana.bitstream import chunk_name, damaged, limit
from mapreel.core.nirvana.header import MAX_FRAME_PX, MAX_SIDE_PX

Ids = npt.NDArray[Any]  # [H, W] uint8, uint16 or uint32

_HEAD = struct.Struct("<BBHII")  # method = 1, bytes of an id, zero, width, height
_DTYPES = {1: "<u1", 2: "<u2", 4: "<u4"}
_METHOD = 1
_DEFLATE_RATIO = 1032  # zlib packs no tighter (RFC 1951: at most 258 bytes for two bits)


def pack_ids(ids: Ids) -> bytes:
    """Each row less the row above it, modulo the size of an id, then zlib. Raises ValueError for what is no map."""
    if ids.ndim != 2 or ids.dtype.kind != "u" or ids.dtype.itemsize not in _DTYPES or not ids.size:
        raise ValueError(f"{ids.dtype} {ids.shape} is no map of ids")
    rows = ids.copy()
    rows[1:] -= ids[:-1]
    size = ids.dtype.itemsize
    packed = zlib.compress(rows.astype(_DTYPES[size], copy=False).tobytes(), 9)
    return _HEAD.pack(_METHOD, size, 0, ids.shape[1], ids.shape[0]) + packed


def unpack_ids(payload: bytes, kind: bytes, number: int) -> Ids:
    """Inverse of pack_ids. Raises DamagedArchiveError, UnsupportedArchiveError; nothing is inflated beyond its size."""
    where = chunk_name(kind, number)
    if len(payload) < _HEAD.size:
        raise damaged(where, "it is cut off")
    method, size, zero, width, height = _HEAD.unpack(payload[: _HEAD.size])
    if method != _METHOD or size not in _DTYPES or zero:
        raise damaged(where, f"ids of {size} bytes by method {method}")
    limit("width of a map", width, MAX_SIDE_PX)
    limit("height of a map", height, MAX_SIDE_PX)
    limit("number of pixels of a map", width * height, MAX_FRAME_PX)
    expected = width * height * size
    packed = payload[_HEAD.size :]
    if expected > _DEFLATE_RATIO * len(packed) + 64:
        raise damaged(where, f"{width}x{height} ids in {len(packed)} bytes")
    rows = np.frombuffer(_inflated(packed, expected, where), dtype=_DTYPES[size]).reshape(height, width)
    ids: Ids = np.cumsum(rows, axis=0, dtype=rows.dtype)
    return ids.astype(ids.dtype.newbyteorder("="), copy=False)


def _inflated(packed: bytes, expected: int, where: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, expected + 1)
    except zlib.error as error:
        raise damaged(where, "it cannot be unpacked") from error
    if len(raw) != expected or not inflater.eof or inflater.unused_data:
        raise damaged(where, "it has another size than it says")
    return raw
