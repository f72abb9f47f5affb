# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken archives from whole ones: bytes changed blindly, or parts changed with all checksums made right again.

What is known of the format comes from `core.nirvana.bitstream` and `header`; only places of fields inside payloads that
a lie is worth most in are named here.
"""

from __future__ import annotations

import dataclasses
import io
import random
import struct
import zlib
from collections.abc import Callable

from mapreel.core.contract.errors import MapreelError
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana import header as heads
from mapreel.core.nirvana.entropy import signed, unsigned

_TOTAL = struct.Struct("<Q")  # the first field of every version's header: bytes of the whole file
_LIES = (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE)
_FLOATS = (float("nan"), float("inf"), -1.0, 0.0, -0.0, 1e-45, 65504.0, 65536.0, 3e38)
_VARINTS = (
    *(unsigned(value) for value in (0, 1, 2, 65535, 65536, (1 << 24) - 1, 1 << 24, (1 << 32) - 1)),
    *(signed(value) for value in (-1, -(1 << 20), 1 << 20, 1 << 21, -(1 << 31))),
    b"\xff\xff\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\x7f",
)
_HEADS = 400  # first bytes of a payload, where settings and tables are: changed as often as all the rest


@dataclasses.dataclass
class Part:
    """A chunk as it can be changed."""

    kind: bytes
    number: int
    payload: bytes


class Whole:
    """A whole archive as its bytes and its parts."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.version = bits.check_prefix(data[: bits.PREFIX_BYTES])
        self.starts: list[int] = []
        self.parts: list[Part] = []
        file, at = io.BytesIO(data), bits.PREFIX_BYTES
        while at < len(data):
            chunk = bits.read_chunk_head(file, at, len(data))
            self.parts.append(Part(chunk.kind, chunk.number, bits.read_payload(file, chunk)))
            self.starts.append(at)
            at = chunk.end
        self.header, _ = heads.read_header(heads.unbound(self.parts[0].payload, self.version), self.version)

    def copies(self) -> list[Part]:
        return [dataclasses.replace(part) for part in self.parts]

    def joined(
        self,
        parts: list[Part],
        *,
        version: int | None = None,
        total: bool = True,
        index: bool = True,
        sums: bool = True,
    ) -> bytes:
        """The parts as a file with right checksums; with the right size in its header, a right index and a right list
        of checksums, if wished."""
        if index:
            self._index_again(parts)
        if sums:
            self._sums_again(parts)
        data = bits.pack_prefix(self.version if version is None else version)
        data += b"".join(bits.pack_chunk(part.kind, part.number, part.payload) for part in parts)
        if total and parts and parts[0].kind == bits.HEAD and len(parts[0].payload) >= _TOTAL.size:
            parts[0].payload = _TOTAL.pack(len(data)) + parts[0].payload[_TOTAL.size :]
            return self.joined(parts, version=version, total=False, index=False, sums=False)
        return data

    def _sums_again(self, parts: list[Part]) -> None:
        """Let the list of checksums be that of the groups as they are now; of those that have gone it is 0."""
        found = {(part.number, part.kind): zlib.crc32(part.payload) for part in parts}
        kinds = (bits.GROUP, bits.ALPHA)[: self.header.pictures.planes]
        listed = [found.get((group, kind), 0) for group in range(self.header.groups) for kind in kinds]
        for part in parts:
            if part.kind == bits.SUMS:
                part.payload = heads.pack_sums(listed)

    def _index_again(self, parts: list[Part]) -> None:
        """Let the index list the groups where they lie now."""
        groups, at = [], bits.PREFIX_BYTES
        for part, following in zip(parts, [*parts[1:], Part(b"", 0, b""), Part(b"", 0, b"")], strict=False):
            if part.kind == bits.GROUP:
                behind = {p.kind: len(p.payload) for p in parts if p.number == part.number and p is not part}
                assert following is not part
                sizes = (len(part.payload), behind.get(bits.ALPHA, 0), behind.get(bits.MEANS, 0))
                groups.append(heads.group_chunks(part.number, at, sizes))
            at += len(part.payload) + bits.CHUNK_OVERHEAD_BYTES
        for part in parts:
            if part.kind == bits.INDEX:
                entry = len(heads.pack_index(groups[:1])) if groups else 0
                packed = heads.pack_index(groups)
                if self.version == 1 and entry:  # as version 2, without alpha
                    packed = b"".join(packed[i : i + 12] + packed[i + 16 : i + 20] for i in range(0, len(packed), 20))
                part.payload = packed


# --- blindly ---------------------------------------------------------------------------------------------------------


def cut(whole: Whole, at: int) -> bytes:
    """Cut off at a byte."""
    return whole.data[: at % len(whole.data)]


def flip(whole: Whole, at: int, rng: random.Random) -> bytes:
    """One bit of a byte turned over."""
    data = bytearray(whole.data)
    data[at % len(data)] ^= 1 << rng.randrange(8)
    return bytes(data)


def blind(whole: Whole, rng: random.Random) -> bytes:
    """Bytes flipped, inserted, taken out, repeated or overwritten, or chunks exchanged; no checksum is mended."""
    data = whole.data
    kind = rng.randrange(7)
    if kind == 0:
        return cut(whole, rng.randrange(len(data)))
    if kind == 1:
        return flip(whole, rng.randrange(len(data)), rng)
    if kind == 2:
        parts = [data[a:b] for a, b in zip(whole.starts, [*whole.starts[1:], len(data)], strict=True)]
        a, b = rng.randrange(len(parts)), rng.randrange(len(parts))
        parts[a], parts[b] = parts[b], parts[a]
        return data[: whole.starts[0]] + b"".join(parts)
    at, length = rng.randrange(len(data)), rng.randrange(1, 64)
    if kind == 3:
        return data[:at] + data[at + length :]
    if kind == 4:
        return data[:at] + rng.randbytes(length) + data[at:]
    if kind == 5:
        return data[: at + length] + data[at:]
    return data[:at] + struct.pack("<I", rng.choice(_LIES)) + data[at + 4 :]


# --- with right checksums --------------------------------------------------------------------------------------------


def forge(whole: Whole, rng: random.Random, *, bond: bool) -> tuple[bytes, bool]:
    """Parts changed, dropped, doubled, exchanged or renamed; then every checksum, mostly the index and the size too.

    bond: the checksum that ties the header to frame numbers and settings as well. Gives the file, and whether it is
    another archive rather than a broken one: one whose header, numbers or settings are others, and which is whole.
    """
    parts = whole.copies()
    version = rng.choice((0, 1, 2, 3, 0xFFFF)) if rng.random() < 0.02 else None
    touched = b""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if rng.random() < 0.12:
            _rearrange(parts, rng)
        else:
            part = _pick(parts, rng)
            part.payload = change(part.payload, rng)
            touched += part.kind
    index = bits.INDEX not in touched and rng.random() < 0.8
    if bond:
        _bind(parts, whole.version)
    another = _bonded(parts) != _bonded(whole.parts)
    sums = bits.SUMS not in touched
    return whole.joined(parts, version=version, total=rng.random() < 0.95, index=index, sums=sums), another and (
        bond or whole.version == 1
    )


def _bonded(parts: list[Part]) -> list[bytes]:
    """What decides how the groups are shown."""
    head = [part.payload[_TOTAL.size :] for part in parts if part.kind == bits.HEAD]
    return head + [part.payload for part in parts if part.kind in {bits.NUMBERS, bits.SETTINGS}]


def _bind(parts: list[Part], version: int) -> None:
    head = next((part for part in parts if part.kind == bits.HEAD), None)
    if head is not None and version > 1:
        numbers = next((part.payload for part in parts if part.kind == bits.NUMBERS), b"")
        settings = tuple(part.payload for part in parts if part.kind == bits.SETTINGS)
        head.payload = heads.bound(heads.unbound(head.payload, version), numbers, settings)


def _pick(parts: list[Part], rng: random.Random) -> Part:
    """Any part, each kind as often as any other."""
    kind = rng.choice(sorted({part.kind for part in parts}))
    return rng.choice([part for part in parts if part.kind == kind])


def _rearrange(parts: list[Part], rng: random.Random) -> None:
    a, b = rng.randrange(len(parts)), rng.randrange(len(parts))
    kind = rng.randrange(5)
    if kind == 0:
        parts[a], parts[b] = parts[b], parts[a]
    elif kind == 1 and len(parts) > 1:
        del parts[a]
    elif kind == 2:
        parts.insert(b, dataclasses.replace(parts[a]))
    elif kind == 3:
        parts[a].number = rng.choice((*_LIES, parts[b].number))
    else:
        parts[a].kind = rng.choice((parts[b].kind, b"TAIL", b"tail", b"\0\0\0\0", b"labl", b"inst", b"tcod", b"tags"))


def change(payload: bytes, rng: random.Random) -> bytes:
    """A payload with a lie in it: a field, a float, a number of variable length, bits, or bytes more or fewer."""
    if not payload:
        return rng.randbytes(rng.randrange(1, 9))
    near = len(payload) if rng.random() < 0.3 else min(len(payload), _HEADS)
    at = rng.randrange(near)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: payload[:at] + bytes([payload[at] ^ 1 << rng.randrange(8)]) + payload[at + 1 :],
        lambda: payload[:at] + bytes([rng.randrange(256)]) + payload[at + 1 :],
        lambda: _put(payload, at, struct.pack("<I", rng.choice(_LIES))),
        lambda: _put(payload, at, struct.pack("<H", rng.choice(_LIES) & 0xFFFF)),
        lambda: _put(payload, at, struct.pack("<f", rng.choice(_FLOATS))),
        lambda: _put(payload, at, struct.pack("<Q", rng.choice((1 << 63, (1 << 64) - 1, 1 << 40, 0)))),
        lambda: _put(payload, at, rng.choice(_VARINTS)),
        lambda: payload[:at] + rng.choice(_VARINTS) + payload[at + 1 :],
        lambda: payload[:at] + rng.randbytes(rng.randrange(1, 9)) + payload[at:],
        lambda: payload[:at] + payload[at + rng.randrange(1, 64) :],
        lambda: payload[: at + rng.randrange(1, 64)] + payload[at:],
        lambda: payload[:at],
    )
    return rng.choice(ways)()


def _put(payload: bytes, at: int, value: bytes) -> bytes:
    """`value` over what stands there; the length stays."""
    return (payload[:at] + value + payload[at + len(value) :])[: len(payload)]


def with_symbols_crc(whole: Whole, data: bytes, number: int, offset: int, crc: int) -> bytes | None:
    """The file with another checksum of a group's symbols, at `offset` in its payload; None when it is no file."""
    try:
        changed = Whole(data)
    except MapreelError:
        return None
    for part in changed.parts:
        if part.kind == bits.GROUP and part.number == number and len(part.payload) >= offset + 4:
            part.payload = _put(part.payload, offset, struct.pack("<I", crc))
    return changed.joined(changed.parts, total=False, index=False)
