# SPDX-License-Identifier: GPL-3.0-or-later
"""Header, frame numbers and index of an archive: written as version 2, read as version 1 or 2, checked before use."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from fractions import Fraction

from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.bitstream import Chunk, chunk_name, damaged, limit, unsupported
from mapreel.core.nirvana.entropy import ByteReader, signed, unsigned
from mapreel.core.nirvana.profile import PROFILES, profile_named
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
from mapreel.core.nirvana.shaper import Shaper

# Largest values a reader accepts, checked before anything is allocated.
MAX_SIDE_PX = 16384
MAX_FRAME_PX = 1 << 26
MAX_FRAMES = 1_000_000
MAX_GROUP_FRAMES = 32
MAX_GROUP_PX = 1 << 27
MAX_INTRA_INTERVAL = 4096
MAX_FRAME_NUMBER = 10**9
MAX_PIXEL_ASPECT = 1 << 16  # of its numerator and denominator
MAX_NAME_BYTES = 64

_V1 = struct.Struct("<QIIIIIBBBBHHHHHf")
_V2 = struct.Struct("<QIIIIIIIHHBBBBffB")
_ENTRY_V1 = struct.Struct("<QII")  # offset of the group's chunk, its payload bytes, those of its block means (0: none)
_ENTRY_V2 = struct.Struct("<QIII")  # offset of the group's chunk, payload bytes of the group, its alpha, its means

_SAMPLES = {
    1: SampleFormat.BITS_8,
    2: SampleFormat.BITS_10,
    3: SampleFormat.BITS_12,
    4: SampleFormat.BITS_16,
    5: SampleFormat.HALF,
}
_NUMBERS = {samples: number for number, samples in _SAMPLES.items()}
_ALPHA_FLAG = 1
_SUM = struct.Struct("<I")
_BOND = struct.Struct("<I")  # last field of HEAD: ties it to the frame numbers and settings it was written with
_TOTAL_BYTES = 8  # first field of HEAD, known last: not under that checksum


@dataclass(frozen=True, kw_only=True)
class Header:
    """What must be known before a group can be read, whatever the profile."""

    total_bytes: int
    width: int
    height: int
    frames: int
    fps: Fraction
    group_frames: int
    intra_interval: int  # groups from one that leans on no other to the next: bounds what a seek costs
    profile: str = "nirvana"
    pictures: PictureFormat = field(default_factory=PictureFormat)
    version: int = bits.VERSION

    @property
    def groups(self) -> int:
        return -(-self.frames // self.group_frames)

    def frames_of(self, group: int) -> range:
        """Frame indices (0-based) of a group; the last one may be short."""
        first = group * self.group_frames
        return range(first, min(first + self.group_frames, self.frames))

    def is_intra(self, group: int) -> bool:
        return group % self.intra_interval == 0

    def write(self) -> bytes:
        """The payload of HEAD, version 2."""
        form = self.pictures
        name = form.colour_space.encode("ascii")
        flags = _ALPHA_FLAG if form.alpha else 0
        fixed = _V2.pack(
            self.total_bytes, self.width, self.height, self.frames, self.fps.numerator, self.fps.denominator,
            form.pixel_aspect.numerator, form.pixel_aspect.denominator, self.group_frames, self.intra_interval,
            profile_named(self.profile).number, _NUMBERS[form.samples], flags, 0,
            form.shaper.low, form.shaper.high, len(name),
        )  # fmt: skip
        return fixed + name

    def check(self) -> Header:
        """Itself, when a reader accepts it. Raises UnsupportedArchiveError for what is beyond the limits."""
        limit("width", self.width, MAX_SIDE_PX)
        limit("height", self.height, MAX_SIDE_PX)
        limit("number of pixels a frame", self.width * self.height, MAX_FRAME_PX)
        limit("number of frames", self.frames, MAX_FRAMES)
        limit("group length", self.group_frames, MAX_GROUP_FRAMES)
        limit("number of pixels a group", self.width * self.height * self.group_frames, MAX_GROUP_PX)
        limit("intra interval", self.intra_interval, MAX_INTRA_INTERVAL)
        limit("pixel aspect ratio", self.pictures.pixel_aspect.numerator, MAX_PIXEL_ASPECT)
        limit("pixel aspect ratio", self.pictures.pixel_aspect.denominator, MAX_PIXEL_ASPECT)
        if not self.pictures.shaper.is_sound:
            raise damaged(chunk_name(bits.HEAD, 0), "a shaper without sense")
        return self


def read_header(payload: bytes, version: int) -> tuple[Header, bytes | None]:
    """Header, and the settings of its profile where they stand in it (version 1).

    Raises UnsupportedArchiveError for what this version does not know, DamagedArchiveError for what cannot be.
    """
    return _read_v1(payload) if version == 1 else (_read_v2(payload), None)


def bound(head: bytes, numbers: bytes, settings: tuple[bytes, ...]) -> bytes:
    """The payload of HEAD with a checksum over itself, FRNO and all PSET behind it.

    Header and settings decide what symbols show, and a part of another archive is whole in itself: without this,
    pictures of another size or from other settings would pass for right. Version 2.
    """
    return head + _BOND.pack(zlib.crc32(b"".join([head[_TOTAL_BYTES:], numbers, *settings])))


def unbound(payload: bytes, version: int) -> bytes:
    """The payload of HEAD without that checksum, which `check_bond` compares when all of it is read."""
    return payload if version == 1 else payload[: -_BOND.size]


def check_bond(payload: bytes, version: int, numbers: bytes, settings: list[bytes]) -> None:
    """Raises DamagedArchiveError when HEAD was not written together with these frame numbers and settings."""
    if version > 1 and bound(unbound(payload, version), numbers, tuple(settings)) != payload:
        raise damaged(chunk_name(bits.HEAD, 0), "it does not belong to the frame numbers and settings behind it")


def _read_v1(payload: bytes) -> tuple[Header, bytes]:
    """Version 1 had profile nirvana, 8 bits and sRGB only."""
    if len(payload) != _V1.size:
        raise damaged(chunk_name(bits.HEAD, 0), f"{len(payload)} bytes in place of {_V1.size}")
    total, width, height, frames, fps_n, fps_d, *kind, group, hidden, features, conv, intra, w0 = _V1.unpack(payload)
    if kind != [1, 8, 1, 0]:
        raise unsupported(f"the archive has profile {kind[0]}, colour space {kind[2]} and {kind[1]} bits a channel")
    header = Header(
        total_bytes=total, width=width, height=height, frames=frames, fps=_rate(fps_n, fps_d), group_frames=group,
        intra_interval=intra, version=1,
    )  # fmt: skip
    return header.check(), struct.pack("<HHHf", hidden, features, conv, w0)


def _read_v2(payload: bytes) -> Header:
    where = chunk_name(bits.HEAD, 0)
    if len(payload) < _V2.size or len(payload) != _V2.size + payload[_V2.size - 1]:
        raise damaged(where, f"{len(payload)} bytes")
    (
        total, width, height, frames, fps_n, fps_d, aspect_n, aspect_d, group, intra, profile, samples, flags, zero,
        low, high, _,
    ) = _V2.unpack(payload[: _V2.size])  # fmt: skip
    if profile not in PROFILES or samples not in _SAMPLES or flags & ~_ALPHA_FLAG or zero:
        raise unsupported(f"the archive has profile {profile}, samples of kind {samples} and flags {flags}")
    if not aspect_n or not aspect_d:
        raise damaged(where, "no pixel aspect ratio")
    form = PictureFormat(
        samples=_SAMPLES[samples], colour_space=_name(payload[_V2.size :]), alpha=bool(flags & _ALPHA_FLAG),
        pixel_aspect=Fraction(aspect_n, aspect_d), shaper=Shaper(low, high),
    )  # fmt: skip
    header = Header(
        total_bytes=total, width=width, height=height, frames=frames, fps=_rate(fps_n, fps_d), group_frames=group,
        intra_interval=intra, profile=PROFILES[profile].name, pictures=form,
    )  # fmt: skip
    return header.check()


def is_colour_space(name: str) -> bool:
    """True for a name that the header can hold: 1 to 64 printable ASCII characters."""
    return 1 <= len(name) <= MAX_NAME_BYTES and name.isascii() and name.isprintable()


def _name(data: bytes) -> str:
    name = data.decode("latin-1")
    if not is_colour_space(name):
        raise damaged(chunk_name(bits.HEAD, 0), "a colour space without a name")
    return name


def _rate(numerator: int, denominator: int) -> Fraction:
    if not numerator or not denominator:
        raise damaged(chunk_name(bits.HEAD, 0), "no frame rate")
    return Fraction(numerator, denominator)


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
    reader = ByteReader(payload, chunk_name(bits.NUMBERS, 0))
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


@dataclass(frozen=True)
class GroupChunks:
    """The chunks of one group, one behind the other in the file."""

    colours: Chunk
    alpha: Chunk | None
    means: Chunk | None

    @property
    def all(self) -> tuple[Chunk, ...]:
        return tuple(chunk for chunk in (self.colours, self.alpha, self.means) if chunk is not None)

    @property
    def planes(self) -> tuple[Chunk, ...]:
        return tuple(chunk for chunk in (self.colours, self.alpha) if chunk is not None)

    @property
    def end(self) -> int:
        return self.all[-1].end


def group_chunks(number: int, offset: int, sizes: tuple[int, int, int]) -> GroupChunks:
    """The chunks of a group that begins at `offset`; sizes: payload bytes of group, alpha, means (0: none)."""
    colours = Chunk(bits.GROUP, number, offset, sizes[0])
    alpha = Chunk(bits.ALPHA, number, colours.end, sizes[1]) if sizes[1] else None
    means = Chunk(bits.MEANS, number, (alpha or colours).end, sizes[2]) if sizes[2] else None
    return GroupChunks(colours, alpha, means)


def pack_index(groups: list[GroupChunks]) -> bytes:
    """For each group where its chunk lies and how long it, its alpha and its block means are (0: none). Version 2."""
    entries = []
    for group in groups:
        alpha, means = (chunk.size if chunk else 0 for chunk in (group.alpha, group.means))
        entries.append(_ENTRY_V2.pack(group.colours.offset, group.colours.size, alpha, means))
    return b"".join(entries)


def sums_bytes(header: Header) -> int:
    """How long the list of checksums is."""
    return _SUM.size * header.groups * header.pictures.planes


def pack_sums(sums: list[int]) -> bytes:
    """CRC-32 of each group's payloads, plane after plane."""
    return b"".join(map(_SUM.pack, sums))


def unpack_sums(payload: bytes, header: Header) -> tuple[int, ...]:
    """Raises DamagedArchiveError for a list of another length."""
    if len(payload) != sums_bytes(header):
        raise damaged(chunk_name(bits.SUMS, 0), "it is of another length")
    return tuple(value for (value,) in _SUM.iter_unpack(payload))


def index_bytes(header: Header) -> int:
    """Length of the index' payload."""
    return header.groups * (_ENTRY_V1 if header.version == 1 else _ENTRY_V2).size


def unpack_index(payload: bytes, header: Header, first: int) -> list[GroupChunks]:
    """Inverse of pack_index. Chunks must lie one behind the other from byte `first` on: nothing overlaps."""
    where = chunk_name(bits.INDEX, 0)
    if len(payload) != index_bytes(header):
        raise damaged(where, f"not {header.groups} entries")
    groups: list[GroupChunks] = []
    at = first
    for number, (offset, *sizes) in enumerate((_ENTRY_V1 if header.version == 1 else _ENTRY_V2).iter_unpack(payload)):
        alpha = sizes[1] if header.version > 1 else 0
        group = group_chunks(number, offset, (sizes[0], alpha, sizes[-1]))
        if offset < at or max(sizes) > bits.MAX_CHUNK_BYTES or group.end > header.total_bytes:
            raise damaged(where, f"group {number} lies outside the file or upon another")
        if bool(alpha) != header.pictures.alpha:
            raise damaged(where, f"group {number} has alpha where it must not, or none")
        groups.append(group)
        at = group.end
    return groups
