# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of a .nirv file: magic, chunks with checksums, header and index; docs/format.md has every byte."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from mapreel.core.contract.errors import DamagedArchiveError, UnsupportedArchiveError
from mapreel.core.nirvana.config import MAX_FEATURES, MAX_HIDDEN, MAX_JOINED_FLOATS, NetworkConfig
from mapreel.core.nirvana.entropy import ByteReader, signed, unsigned

MAGIC = b"\x89NIRV\r\n\x1a"  # the line ends show a transfer that took it for text
VERSION = 1
COLOUR_SPACES = {1: "srgb"}
PROFILES = {1: "nirvana"}

# Largest values a reader accepts, checked before anything is allocated.
MAX_SIDE_PX = 16384
MAX_FRAME_PX = 1 << 26
MAX_FRAMES = 1_000_000
MAX_GROUP_FRAMES = 32
MAX_GROUP_PX = 1 << 27
MAX_INTRA_INTERVAL = 4096
MAX_LATENTS_PERCENT = 38  # of a group's pixels: a small picture cannot ask for a large network
MORE_LATENTS = 1 << 16  # that a group of any size may have besides
MAX_CHUNK_BYTES = 1 << 28
MAX_FRAME_NUMBER = 10**9

_PREFIX = struct.Struct("<8sHHI")  # magic, version, zero, CRC-32 of what stands before
_CHUNK = struct.Struct("<4sIII")  # type, number, payload bytes, CRC-32 of what stands before
_CRC = struct.Struct("<I")
_HEAD = struct.Struct("<QIIIIIBBBBHHHHHf")
_ENTRY = struct.Struct(
    "<QII"
)  # offset of the group's chunk, its payload bytes, payload bytes of its block means (0: none)

HEAD, NUMBERS, INDEX, GROUP, MEANS = b"HEAD", b"FRNO", b"INDX", b"GRUP", b"mean"
KNOWN = frozenset({HEAD, NUMBERS, INDEX, GROUP, MEANS})
_NAMES = {
    HEAD: "the header",
    NUMBERS: "the frame numbers",
    INDEX: "the index",
    MEANS: "the block means",
}
PREFIX_BYTES = _PREFIX.size
CHUNK_OVERHEAD_BYTES = _CHUNK.size + _CRC.size


def chunk_name(kind: bytes, number: int) -> str:
    """How an artist reads it: "group 12", "the index"."""
    if kind == GROUP:
        return f"group {number}"
    if kind == MEANS:
        return f"the block means of group {number}"
    return _NAMES.get(kind, f"the part “{kind.decode('latin-1')}”")


def damaged(where: str, why: str) -> DamagedArchiveError:
    """The error for a part of the file that is cut off or altered."""
    return DamagedArchiveError(f"{where} of the archive is damaged ({why})", "copy the file again")


def unsupported(what: str) -> UnsupportedArchiveError:
    """The error for a file that may well be right but is not for this reader."""
    return UnsupportedArchiveError(what, "open it with a newer Mapreel, or ask for another file")


@dataclass(frozen=True, kw_only=True)
class Header:
    """What must be known before a group can be read."""

    total_bytes: int
    width: int
    height: int
    frames: int
    fps: Fraction
    network: NetworkConfig
    intra_interval: int  # groups from one that leans on no other to the next: bounds what a seek costs
    profile: str = "nirvana"
    bit_depth: int = 8
    colour_space: str = "srgb"

    @property
    def groups(self) -> int:
        return -(-self.frames // self.network.group_frames)

    def frames_of(self, group: int) -> range:
        """Frame indices (0-based) of a group; the last one may be short."""
        first = group * self.network.group_frames
        return range(first, min(first + self.network.group_frames, self.frames))

    def is_intra(self, group: int) -> bool:
        return group % self.intra_interval == 0

    def write(self) -> bytes:
        net = self.network
        return _HEAD.pack(
            self.total_bytes, self.width, self.height, self.frames, self.fps.numerator, self.fps.denominator,
            _key(PROFILES, self.profile), self.bit_depth, _key(COLOUR_SPACES, self.colour_space), 0,
            net.group_frames, net.hidden, net.features, net.conv_channels, self.intra_interval, net.w0,
        )  # fmt: skip

    @classmethod
    def read(cls, payload: bytes) -> Header:
        """Raises UnsupportedArchiveError for what version 1 does not know, DamagedArchiveError for what cannot be."""
        if len(payload) != _HEAD.size:
            raise damaged(_NAMES[HEAD], f"{len(payload)} bytes in place of {_HEAD.size}")
        (
            total,
            width,
            height,
            frames,
            fps_n,
            fps_d,
            profile,
            depth,
            colour,
            zero,
            group,
            hidden,
            features,
            conv,
            intra,
            w0,
        ) = _HEAD.unpack(payload)
        if profile not in PROFILES or colour not in COLOUR_SPACES or depth != 8 or zero:
            raise unsupported(f"the archive has profile {profile}, colour space {colour} and {depth} bits a channel")
        _limit("width", width, MAX_SIDE_PX)
        _limit("height", height, MAX_SIDE_PX)
        _limit("number of pixels a frame", width * height, MAX_FRAME_PX)
        _limit("number of frames", frames, MAX_FRAMES)
        _limit("group length", group, MAX_GROUP_FRAMES)
        _limit("number of pixels a group", width * height * group, MAX_GROUP_PX)
        _limit("network width", hidden, MAX_HIDDEN)
        _limit("intra interval", intra, MAX_INTRA_INTERVAL)
        _limit("number of features", features, MAX_FEATURES)
        if features % 2 or conv != 32 or not 0 < w0 <= 1000:
            raise unsupported(f"the archive has a network of {features} and {conv} channels")
        if not fps_n or not fps_d:
            raise damaged(_NAMES[HEAD], "no frame rate")
        network = NetworkConfig(hidden=hidden, group_frames=group, features=features, conv_channels=conv, w0=w0)
        most = width * height * group * MAX_LATENTS_PERCENT // 100 + MORE_LATENTS
        _limit("number of latents for its size", network.latents, most)
        _limit("network for its group length", network.joined_floats, MAX_JOINED_FLOATS)
        return cls(
            total_bytes=total, width=width, height=height, frames=frames, fps=Fraction(fps_n, fps_d), network=network,
            intra_interval=intra, profile=PROFILES[profile], bit_depth=depth, colour_space=COLOUR_SPACES[colour],
        )  # fmt: skip


def _key(table: dict[int, str], name: str) -> int:
    return next(key for key, value in table.items() if value == name)


def _limit(what: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise unsupported(f"the archive claims a {what} of {value} (1 to {most} can be read)")


@dataclass(frozen=True)
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


def pack_prefix() -> bytes:
    """The first bytes of the file."""
    bare = _PREFIX.pack(MAGIC, VERSION, 0, 0)[: -_CRC.size]
    return bare + _CRC.pack(zlib.crc32(bare))


def pack_chunk(kind: bytes, number: int, payload: bytes) -> bytes:
    """Head with its own checksum (so that a wrong length is noticed), payload, checksum of the payload."""
    assert len(payload) <= MAX_CHUNK_BYTES, len(payload)
    bare = _CHUNK.pack(kind, number, len(payload), 0)[: -_CRC.size]
    return bare + _CRC.pack(zlib.crc32(bare)) + payload + _CRC.pack(zlib.crc32(payload))


def check_prefix(data: bytes) -> None:
    """Raises UnsupportedArchiveError when this is no archive or a newer one, DamagedArchiveError when it is cut."""
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise UnsupportedArchiveError("this is not a Mapreel archive", "give a .nirv file")
    if len(data) < _PREFIX.size:
        raise damaged("the start", "the file is cut off")
    _, version, zero, crc = _PREFIX.unpack(data[: _PREFIX.size])
    if crc != zlib.crc32(data[: _PREFIX.size - _CRC.size]):
        raise damaged("the start", "its checksum is wrong")
    if version != VERSION or zero:
        raise unsupported(f"the archive has format version {version}, this Mapreel reads version {VERSION}")


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


def pack_numbers(numbers: tuple[int, ...]) -> bytes:
    """Frame numbers as runs: how many runs, then for each its first number, its step and its length."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][2] == 1 and number != runs[-1][0]:
            runs[-1][1:] = [number - runs[-1][0], 2]
        elif runs and runs[-1][2] > 1 and number == runs[-1][0] + runs[-1][1] * runs[-1][2]:
            runs[-1][2] += 1
        else:
            runs.append([number, 1, 1])
    return unsigned(len(runs)) + b"".join(signed(a) + signed(step) + unsigned(n) for a, step, n in runs)


def unpack_numbers(payload: bytes, frames: int) -> tuple[int, ...]:
    """Inverse of pack_numbers; raises DamagedArchiveError unless there are `frames` different ones."""
    reader = ByteReader(payload, _NAMES[NUMBERS])
    numbers: list[int] = []
    for _ in range(reader.unsigned()):
        first, step, count = reader.signed(), reader.signed(), reader.unsigned()
        if count < 1 or len(numbers) + count > frames:
            raise reader.fail("more numbers than frames")
        last = first + step * (count - 1)
        if max(abs(first), abs(last)) > MAX_FRAME_NUMBER:
            raise reader.fail("a frame number beyond a thousand million")
        numbers += [first + step * i for i in range(count)]
    reader.finish()
    if len(numbers) != frames or len(set(numbers)) != frames:
        raise reader.fail("missing or repeated frame numbers")
    return tuple(numbers)


def pack_index(groups: list[Chunk], means: list[Chunk | None]) -> bytes:
    """For each group where its chunk lies, how long it is, and how long the block means behind it are (0: none)."""
    entries = [_ENTRY.pack(c.offset, c.size, m.size if m else 0) for c, m in zip(groups, means, strict=True)]
    return b"".join(entries)


def index_bytes(groups: int) -> int:
    """Length of the index' payload."""
    return groups * _ENTRY.size


def unpack_index(payload: bytes, header: Header, first: int) -> tuple[list[Chunk], list[Chunk | None]]:
    """Inverse of pack_index. Chunks must lie one behind the other from byte `first` on: nothing overlaps."""
    if len(payload) != index_bytes(header.groups):
        raise damaged(_NAMES[INDEX], f"not {header.groups} entries")
    groups: list[Chunk] = []
    means: list[Chunk | None] = []
    at = first
    for number, (offset, size, mean_size) in enumerate(_ENTRY.iter_unpack(payload)):
        group = Chunk(GROUP, number, offset, size)
        mean = Chunk(MEANS, number, group.end, mean_size) if mean_size else None
        if offset < at or size > MAX_CHUNK_BYTES or (mean or group).end > header.total_bytes:
            raise damaged(_NAMES[INDEX], f"group {number} lies outside the file or upon another")
        groups.append(group)
        means.append(mean)
        at = (mean or group).end
    return groups, means
