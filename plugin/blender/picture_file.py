# SPDX-License-Identifier: Apache-2.0
"""Pixels in memory as a PNG, without any library: what a draft is shown through."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from mapreel.core.contract.takes import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes) -> bytes:
    """RGB pixels, 8 bits, rows from the top, as a PNG (packed lightly: it is read once)."""
    if len(pixels) != width * height * 3:
        raise ValueError(f"{len(pixels)} bytes are no {width} x {height} picture")
    row = width * 3
    lines = b"".join(b"\0" + pixels[at : at + row] for at in range(0, len(pixels), row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"sRGB", b"\0") + _chunk(b"IDAT", zlib.compress(lines, 1))
    return b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b"")


def write_png(path: Path, width: int, height: int, pixels: bytes) -> None:
    """Write it whole or not at all. Raises OutputError, DiskFullError."""
    write_atomically(path, png(width, height, pixels))
