# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps as files, with NumPy alone: PNG for ids, OpenEXR for motion, and the passes that Blender wrote.

PNG: W3C Portable Network Graphics. OpenEXR: "OpenEXR File Layout" of the Academy Software Foundation; one part,
scan lines, uncompressed 32-bit floats in, ZIP-compressed halves out.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EXR_MAGIC, EXR_VERSION = 20000630, 2
_PLAIN_VERSIONS = {2, 2 | 0x400}  # one part of scan lines; 0x400: long names
_FLOAT, _HALF = 2, 1
_ZIP, _ZIP_LINES = 3, 16
_NOTES = {b"tEXt", b"zTXt", b"iTXt", b"tIME"}


def png_of_ids(ids: NDArray[np.unsignedinteger]) -> bytes:
    """Ids as a grey PNG of 8 or 16 bits. ids: [H, W] uint8 or uint16."""
    height, width = ids.shape
    samples = np.ascontiguousarray(ids, ids.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), samples], axis=1)
    header = struct.pack(">IIBBBBB", width, height, ids.dtype.itemsize * 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def png_without_notes(png: bytes) -> bytes:
    """A PNG without its text chunks: how long a frame took to render is different every time."""
    parts, at = [png[:8]], 8
    while at < len(png):
        end = at + 12 + int(struct.unpack_from(">I", png, at)[0])
        if png[at + 4 : at + 8] not in _NOTES:
            parts.append(png[at:end])
        at = end
    return b"".join(parts)


def _attribute(name: str, kind: str, value: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(value)) + value


def _exr_header(names: list[str], width: int, height: int) -> bytes:
    channels = b"".join(name.encode() + b"\0" + struct.pack("<IIII", _HALF, 0, 1, 1) for name in names)
    window = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    attributes = (
        ("channels", "chlist", channels + b"\0"),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<ff", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
    )
    start = struct.pack("<II", EXR_MAGIC, EXR_VERSION)
    return start + b"".join(_attribute(*attribute) for attribute in attributes) + b"\0"


def _zip_block(data: bytes) -> bytes:
    """OpenEXR's ZIP: bytes in two halves, differences, deflate; as it was where that is no shorter."""
    raw = np.frombuffer(data, np.uint8)
    halves = np.concatenate([raw[0::2], raw[1::2]]).astype(np.int16)
    halves[1:] = halves[1:] - halves[:-1] + 128
    packed = zlib.compress((halves & 0xFF).astype(np.uint8).tobytes(), 9)
    return packed if len(packed) < len(data) else data


def exr_of_halves(channels: dict[str, NDArray[np.float16]]) -> bytes:
    """Channels [H, W] float16 of one size as an OpenEXR file."""
    names = sorted(channels)
    height, width = channels[names[0]].shape
    lines = np.stack([channels[name] for name in names], axis=1).astype("<f2")  # [H, C, W], as the file has them
    header = _exr_header(names, width, height)
    blocks = []
    for top in range(0, height, _ZIP_LINES):
        packed = _zip_block(lines[top : top + _ZIP_LINES].tobytes())
        blocks.append(struct.pack("<iI", top, len(packed)) + packed)
    sizes = [len(header) + 8 * len(blocks), *(len(block) for block in blocks[:-1])]
    return header + np.cumsum(sizes).astype("<u8").tobytes() + b"".join(blocks)


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1


def _exr_attributes(data: bytes) -> tuple[dict[str, bytes], int]:
    """Attributes of the header and where it ends."""
    if struct.unpack_from("<I", data)[0] != EXR_MAGIC or struct.unpack_from("<I", data, 4)[0] not in _PLAIN_VERSIONS:
        raise ValueError("no OpenEXR file of one part and scan lines")
    found, at = {}, 8
    while data[at]:
        name, at = _text(data, at)
        _, at = _text(data, at)
        size = struct.unpack_from("<I", data, at)[0]
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found, at + 1


def _channel_names(listed: bytes) -> list[str]:
    names, at = [], 0
    while listed[at]:
        name, at = _text(listed, at)
        if struct.unpack_from("<I", listed, at)[0] != _FLOAT:
            raise ValueError(f"channel {name} is not of 32-bit floats")
        names.append(name)
        at += 16
    return names


def read_exr_floats(path: Path) -> dict[str, NDArray[np.float32]]:
    """The channels [H, W] of an uncompressed OpenEXR file. Raises OSError; ValueError: of another kind."""
    data = path.read_bytes()
    attributes, at = _exr_attributes(data)
    if attributes["compression"] != b"\0":
        raise ValueError(f"{path.name} is compressed")
    names = _channel_names(attributes["channels"])
    left, top, right, bottom = struct.unpack("<iiii", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    line = np.dtype([("y", "<i4"), ("size", "<u4"), ("values", "<f4", (len(names), width))])
    lines = np.sort(np.frombuffer(data, line, height, at + 8 * height), order="y")
    if not np.array_equal(lines["y"], np.arange(top, bottom + 1)):
        raise ValueError(f"{path.name} has other lines than it says")
    return {name: lines["values"][:, which] for which, name in enumerate(names)}
