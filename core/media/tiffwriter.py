# SPDX-License-Identifier: GPL-3.0-or-later
"""TIFF of 8 or 16 bits as bytes: TIFF 6.0 with strips, deflate and the horizontal predictor; XMP in tag 700.

Written here because OpenImageIO's writer notes the clock and has no place for our XMP.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIP_BYTES = 1 << 18  # of pixels; TIFF 6.0 asks for small strips, and each is packed alone
_SHORT, _LONG, _ASCII, _BYTE = 3, 4, 2, 1
_LEVEL = 6
LARGEST_BYTES = 1 << 32


def tiff_bytes(pixels: NDArray[Any], packing: str, *, xmp: bytes = b"", software: str = "") -> bytes:
    """The file for [H, W, 3 or 4] uint8 or uint16; a fourth channel is alpha, unassociated. packing: zip or none.

    The same pixels give the same bytes. Raises ValueError for an array that is no picture or beyond 4 GB.
    """
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"no TIFF can hold {pixels.dtype} {pixels.shape}")
    if pixels.nbytes > LARGEST_BYTES - (1 << 24):
        raise ValueError("a TIFF holds at most 4 GB")
    height, width, channels = pixels.shape
    rows = max(1, STRIP_BYTES // max(1, width * channels * pixels.itemsize))
    strips = [_strip(pixels[top : top + rows], packing) for top in range(0, height, rows)]
    places, at = [], 8
    for strip in strips:
        places.append(at)
        at += len(strip) + len(strip) % 2
    body = b"".join(strip + b"\0" * (len(strip) % 2) for strip in strips)
    tags: list[tuple[int, int, list[int] | bytes]] = [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [8 * pixels.itemsize] * channels),
        (259, _SHORT, [8 if packing == "zip" else 1]),
        (262, _SHORT, [2]),
        (273, _LONG, places),
        (274, _SHORT, [1]),
        (277, _SHORT, [channels]),
        (278, _LONG, [rows]),
        (279, _LONG, [len(strip) for strip in strips]),
        (284, _SHORT, [1]),
        *([(305, _ASCII, software.encode("ascii", "replace") + b"\0")] if software else []),
        (317, _SHORT, [2 if packing == "zip" else 1]),
        *([(338, _SHORT, [2])] if channels == 4 else []),
        (339, _SHORT, [1] * channels),
        *([(700, _BYTE, xmp)] if xmp else []),
    ]
    return struct.pack("<2sHI", b"II", 42, at) + body + _directory(tags, at)


def _strip(pixels: NDArray[Any], packing: str) -> bytes:
    whole = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    if packing != "zip":
        return np.ascontiguousarray(whole).tobytes()
    steps = whole.copy()
    steps[:, 1:] -= whole[:, :-1]  # wraps around, as the predictor wants it
    return zlib.compress(steps.tobytes(), _LEVEL)


def _directory(tags: list[tuple[int, int, list[int] | bytes]], at: int) -> bytes:
    """The directory at byte `at`, and after it the values that do not fit into four bytes."""
    entries, rest = b"", b""
    free = at + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        data = (
            values
            if isinstance(values, bytes)
            else struct.pack(f"<{len(values)}{'H' if kind == _SHORT else 'I'}", *values)
        )
        if len(data) <= 4:
            place = data.ljust(4, b"\0")
        else:
            place = struct.pack("<I", free + len(rest))
            rest += data + b"\0" * (len(data) % 2)
        entries += struct.pack("<HHI", tag, kind, len(values)) + place
    return struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + rest
