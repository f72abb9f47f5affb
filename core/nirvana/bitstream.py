# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a .nirv file: its magic and its chunks with their checksums; docs/format.md has all of them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from mapreel.core.contract.errors import DamagedArchiveError, UnsupportedArchiveError

MAGIC = b"\x89NIRV\r\n\x1a"  # the line ends show a transfer that took it for text
VERSION = 2  # what is written
VERSIONS = (1, 2)  # what is read
MAX_CHUNK_BYTES = 1 << 28

_PREFIX = struct.Struct("<8sHHI")  # magic, version, zero, CRC-32 of what stands before
_CHUNK = struct.Struct("<4sIII")  # type, number, payload bytes, CRC-32 of what stands before
_CRC = struct.Struct("<I")

HEAD, NUMBERS, SETTINGS, INDEX, GROUP, ALPHA, MEANS = b"HEAD", b"FRNO", b"PSET", b"INDX", b"GRUP", b"ALPH", b"mean"
TIMECODE, PROVENANCE, TAGS, RECIPE, CLASSES = b"tcod", b"prov", b"tags", b"reci", b"clas"
LABELS, INSTANCES, SUMS = b"labl", b"inst", b"sums"
KNOWN = frozenset({HEAD, NUMBERS, SETTINGS, INDEX, GROUP, ALPHA, MEANS})  # required ones, and the block means
_NAMES = {
    HEAD: "the header",
    NUMBERS: "the frame numbers",
    INDEX: "the index",
    TIMECODE: "the timecode",
    PROVENANCE: "the provenance",
    TAGS: "the notes",
    RECIPE: "the render recipe",
    CLASSES: "the names of the labels",
    SUMS: "the list of checksums",
}
_OF_ONE = {
    SETTINGS: "the settings of plane {}",
    GROUP: "group {}",
    ALPHA: "the alpha of group {}",
    MEANS: "the block means of group {}",
    LABELS: "the label map of picture {}",
    INSTANCES: "the instance map of picture {}",
}
PREFIX_BYTES = _PREFIX.size
CHUNK_OVERHEAD_BYTES = _CHUNK.size + _CRC.size


def chunk_name(kind: bytes, number: int) -> str:
    """How an artist reads it: "group 12", "the index"."""
    if kind in _OF_ONE:
        return _OF_ONE[kind].format(number)
    return _NAMES.get(kind, f"the part “{kind.decode('latin-1')}”")


def damaged(where: str, why: str) -> DamagedArchiveError:
    """The error for a part of the file that is cut off or altered."""
    return DamagedArchiveError(f"{where} of the archive is damaged ({why})", "copy the file again")


def unsupported(what: str) -> UnsupportedArchiveError:
    """The error for a file that may well be right but is not for this reader."""
    return UnsupportedArchiveError(what, "open it with a newer Mapreel, or ask for another file")


def limit(what: str, value: int, most: int) -> None:
    """Raises UnsupportedArchiveError unless value is from 1 to most: checked before anything is allocated."""
    if not 1 <= value <= most:
        raise unsupported(f"the archive claims a {what} of {value} (1 to {most} can be read)")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where a chunk lies: `offset` is that of its head."""

    kind: bytes
    number: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size + CHUNK_OVERHEAD_BYTES

    @property
    def name(self) -> str:
        return chunk_name(self.kind, self.number)


def pack_prefix(version: int = VERSION) -> bytes:
    """The first bytes of the file."""
    bare = _PREFIX.pack(MAGIC, version, 0, 0)[: -_CRC.size]
    return bare + _CRC.pack(zlib.crc32(bare))


def pack_chunk(kind: bytes, number: int, payload: bytes) -> bytes:
    """Head with its own checksum (so that a wrong length is noticed), payload, checksum of the payload."""
    assert len(payload) <= MAX_CHUNK_BYTES, len(payload)
    bare = _CHUNK.pack(kind, number, len(payload), 0)[: -_CRC.size]
    return bare + _CRC.pack(zlib.crc32(bare)) + payload + _CRC.pack(zlib.crc32(payload))


def check_prefix(data: bytes) -> int:
    """The version of the format.

    Raises UnsupportedArchiveError when this is no archive or a newer one, DamagedArchiveError when it is cut.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise UnsupportedArchiveError("this is not a Mapreel archive", "give a .nirv file")
    if len(data) < _PREFIX.size:
        raise damaged("the start", "the file is cut off")
    _, version, zero, crc = _PREFIX.unpack(data[: _PREFIX.size])
    if crc != zlib.crc32(data[: _PREFIX.size - _CRC.size]):
        raise damaged("the start", "its checksum is wrong")
    if version not in VERSIONS or zero:
        read = " and ".join(map(str, VERSIONS))
        raise unsupported(f"the archive has format version {version}, this Mapreel reads version {read}")
    return int(version)


def read_chunk_head(file: BinaryIO, offset: int, file_bytes: int) -> Chunk:
    """The chunk whose head stands at `offset`. Raises DamagedArchiveError when it is cut off or altered."""
    file.seek(offset)
    data = file.read(_CHUNK.size)
    if len(data) < _CHUNK.size:
        raise damaged(f"the part at byte {offset}", "the file is cut off")
    kind, number, size, crc = _CHUNK.unpack(data)
    if crc != zlib.crc32(data[: _CHUNK.size - _CRC.size]):
        raise damaged(f"the part at byte {offset}", "the checksum of its head is wrong")
    chunk = Chunk(kind, number, offset, size)
    if size > MAX_CHUNK_BYTES or chunk.end > file_bytes:
        raise damaged(chunk.name, "the file is cut off")
    if kind not in KNOWN and not kind[:1].islower():
        raise unsupported(f"the archive has a part “{kind.decode('latin-1')}” that this Mapreel does not know")
    return chunk


def read_payload(file: BinaryIO, chunk: Chunk) -> bytes:
    """Payload of a chunk, its checksum compared. Raises DamagedArchiveError naming the chunk."""
    file.seek(chunk.offset + _CHUNK.size)
    payload = file.read(chunk.size)
    crc = file.read(_CRC.size)
    if len(payload) != chunk.size or len(crc) != _CRC.size:
        raise damaged(chunk.name, "the file is cut off")
    if _CRC.unpack(crc)[0] != zlib.crc32(payload):
        raise damaged(chunk.name, "its checksum is wrong")
    return payload
