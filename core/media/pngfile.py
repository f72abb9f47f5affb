# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a PNG's structure with every checksum, and its samples as the integers that stand in the file.

OpenImageIO (libpng) turns palette indices into colours and scales 1, 2 and 4 bit grey up to 8, both fatal for label
ids. The filters of PNG work on bytes and know no colour, so the same compressed data reads as indices when the header
in front of it is exchanged: 8-bit indexed becomes 8-bit grey, and 1, 2, 4 bit get a palette whose entry i is the grey
value i.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.files import PNG_MAGIC, check_size, damaged


class PngColor(IntEnum):
    """Colour types of PNG (ISO 15948, 11.2.2)."""

    GREY = 0
    RGB = 2
    INDEXED = 3
    GREY_ALPHA = 4
    RGBA = 6


_SAMPLES = {PngColor.GREY: 1, PngColor.RGB: 3, PngColor.INDEXED: 1, PngColor.GREY_ALPHA: 2, PngColor.RGBA: 4}
_DEPTHS = {
    PngColor.GREY: (1, 2, 4, 8, 16),
    PngColor.RGB: (8, 16),
    PngColor.INDEXED: (1, 2, 4, 8),
    PngColor.GREY_ALPHA: (8, 16),
    PngColor.RGBA: (8, 16),
}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
LAST_FILTER = 4  # none, sub, up, average, Paeth
HEADER_BYTES = 33  # signature, then the IHDR chunk


@dataclass(frozen=True, kw_only=True)
class PngHeader:
    """What the IHDR chunk says."""

    width: int
    height: int
    bit_depth: int
    color: PngColor
    interlaced: bool

    @property
    def samples(self) -> int:
        """Samples for each pixel."""
        return _SAMPLES[self.color]

    @property
    def passes(self) -> tuple[tuple[int, int], ...]:
        """Scan lines and bytes of one line (its filter byte included), for each pass that has pixels."""
        if not self.interlaced:
            return ((self.height, self._line_bytes(self.width)),)
        found = []
        for left, top, step_x, step_y in _ADAM7:
            columns = (self.width - left + step_x - 1) // step_x
            rows = (self.height - top + step_y - 1) // step_y
            if columns > 0 and rows > 0:
                found.append((rows, self._line_bytes(columns)))
        return tuple(found)

    @property
    def raw_bytes(self) -> int:
        """Bytes of the decompressed data: all scan lines, each with its filter byte."""
        return sum(rows * line for rows, line in self.passes)

    def _line_bytes(self, columns: int) -> int:
        return 1 + (columns * self.bit_depth * self.samples + 7) // 8


@dataclass(frozen=True, kw_only=True)
class PngFile:
    """A PNG whose checksums all agree; `packed` is its compressed pixel data in one piece."""

    header: PngHeader
    packed: bytes
    palette_entries: int
    palette: bytes = b""  # red, green, blue of each entry


def parse_header(data: bytes, path: Path, frame: int | None) -> PngHeader:
    """The header from at least the first 33 bytes of a file.

    Raises DamagedFileError when it is cut, fails its checksum or states what no PNG may state.
    """
    if len(data) < HEADER_BYTES:
        raise damaged(path, frame, f"is cut short after {len(data)} bytes")
    length, kind = struct.unpack(">I4s", data[8:16])
    if data[:8] != PNG_MAGIC or kind != b"IHDR" or length != 13:
        raise damaged(path, frame, "is called a PNG but does not begin like one")
    if zlib.crc32(data[12:29]) != struct.unpack(">I", data[29:33])[0]:
        raise damaged(path, frame, "has a damaged header (its checksum is wrong)")
    width, height, depth, color, packing, filtering, interlace = struct.unpack(">IIBBBBB", data[16:29])
    known = color in _DEPTHS and depth in _DEPTHS[PngColor(color)]
    if not known or packing or filtering or interlace > 1:
        raise damaged(path, frame, "has a header that no PNG may have")
    return PngHeader(width=width, height=height, bit_depth=depth, color=PngColor(color), interlaced=bool(interlace))


def parse_png(data: bytes, path: Path, frame: int | None = None) -> PngFile:
    """Walks all chunks and compares every checksum; unpacks nothing.

    Raises DamagedFileError (cut, bad checksum, lying size), FileTooLargeError.
    """
    header = parse_header(data, path, frame)
    parts: list[bytes] = []
    palette_entries, palette = 0, b""
    offset, ended = HEADER_BYTES, False
    while not ended:
        if offset + 12 > len(data):
            raise damaged(path, frame, f"is cut short after {len(data)} bytes")
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        if end > len(data):
            raise damaged(path, frame, f"is cut short after {len(data)} bytes")
        if zlib.crc32(data[offset + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise damaged(path, frame, f"is damaged near byte {offset} (a checksum is wrong)")
        if kind == b"IDAT":
            parts.append(data[offset + 8 : end - 4])
        elif kind == b"PLTE":
            palette_entries, palette = length // 3, data[offset + 8 : end - 4]
        ended = kind == b"IEND"
        offset = end
    packed = b"".join(parts)
    check_size(
        path,
        frame,
        header.width,
        header.height,
        raw_bytes=header.raw_bytes,
        channels=header.samples,
        payload_bytes=len(packed),
    )
    return PngFile(header=header, packed=packed, palette_entries=palette_entries, palette=palette)


def palette_colors(png: PngFile) -> NDArray[np.uint32]:
    """Colours of an indexed file as 0xRRGGBB, by index."""
    entries = np.frombuffer(png.palette[: 3 * png.palette_entries], np.uint8).reshape(-1, 3).astype(np.uint32)
    return (entries[:, 0] << 16 | entries[:, 1] << 8 | entries[:, 2]).astype(np.uint32)


def unpack(png: PngFile, path: Path, frame: int | None = None) -> bytes:
    """The filtered scan lines; proves that the compressed data is whole and exactly as long as the header says."""
    stream = zlib.decompressobj()
    expected = png.header.raw_bytes
    try:
        raw = stream.decompress(png.packed, expected + 1)
    except zlib.error as error:
        raise damaged(path, frame, "has damaged pixel data", str(error)) from error
    if len(raw) != expected or not stream.eof:
        raise damaged(path, frame, "has less or more pixel data than its header says")
    start = 0
    for rows, line in png.header.passes:
        filters = np.frombuffer(raw, np.uint8, rows * line, start)[::line]
        if filters.max() > LAST_FILTER:
            raise damaged(path, frame, "has a scan line packed in a way that PNG does not know")
        start += rows * line
    return raw


def integer_samples(png: PngFile, path: Path, frame: int | None = None) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Samples [H, W] of a grey or indexed PNG exactly as stored: uint16 for 16 bits, else uint8 (0 … 2**bits - 1).

    Indexed files give their indices. Raises DamagedFileError; ValueError for a PNG with colour or alpha.
    """
    header = png.header
    if header.samples != 1:
        raise ValueError("only grey and indexed PNG have one integer for each pixel")
    picture = _unfiltered(png, unpack(png, path, frame), path, frame)
    samples = picture if picture.ndim == 2 else picture[:, :, 0]
    if header.bit_depth == 16:
        return np.ascontiguousarray(samples, np.uint16)
    return np.ascontiguousarray(samples, np.uint8)


def color_samples(png: PngFile, path: Path, frame: int | None = None) -> NDArray[Any]:
    """Samples [H, W, 3 or 4] of an RGB or RGBA PNG as stored, uint8 or uint16; unpacked once.

    A single transparent colour (tRNS) is not looked at. Raises DamagedFileError; ValueError for another PNG.
    """
    if png.header.color not in (PngColor.RGB, PngColor.RGBA):
        raise ValueError("only PNG with colour have three samples for each pixel")
    picture = _unfiltered(png, unpack(png, path, frame), path, frame)
    order = cv2.COLOR_BGR2RGB if png.header.color is PngColor.RGB else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(picture, order))


def _unfiltered(png: PngFile, raw: bytes, path: Path, frame: int | None) -> NDArray[Any]:
    """The picture whose filtered scan lines these are, its channels in OpenCV's order."""
    header = png.header
    stored = _wrap(header, zlib.compress(raw, 0))
    picture = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.shape[:2] != (header.height, header.width):
        raise damaged(path, frame, "has pixel data that cannot be decoded")
    return np.asarray(picture)


def _wrap(header: PngHeader, packed: bytes) -> bytes:
    """A PNG file around `packed` whose decoded values are the stored integers, be they indices or not."""
    small = header.bit_depth < 8
    single = PngColor.INDEXED if small else PngColor.GREY
    color = single if header.samples == 1 else header.color
    fields = (header.width, header.height, header.bit_depth, color, 0, 0, int(header.interlaced))
    chunks = [PNG_MAGIC, _chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))]
    if color is PngColor.INDEXED:
        chunks.append(_chunk(b"PLTE", bytes(value for value in range(1 << header.bit_depth) for _ in range(3))))
    chunks += [_chunk(b"IDAT", packed), _chunk(b"IEND", b"")]
    return b"".join(chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
