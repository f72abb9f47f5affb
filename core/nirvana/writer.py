# SPDX-License-Identifier: GPL-3.0-or-later
"""Join header, frame numbers, settings, notes, groups and maps into an archive that appears whole or not at all."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mapreel.core.contract.takes import write_atomically
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana import header as heads
from mapreel.core.nirvana.header import GroupChunks, Header


@dataclass(frozen=True)
class FinishedGroup:
    """Payloads of one group as they stand in the archive; alpha: empty where the pictures have none."""

    payload: bytes
    means: bytes
    alpha: bytes = b""

    @property
    def planes(self) -> tuple[bytes, ...]:
        """Payloads of the colours and, where there is one, of alpha."""
        return (self.payload, self.alpha) if self.alpha else (self.payload,)

    def chunks(self, number: int) -> bytes:
        alpha = bits.pack_chunk(bits.ALPHA, number, self.alpha) if self.alpha else b""
        means = bits.pack_chunk(bits.MEANS, number, self.means) if self.means else b""
        return bits.pack_chunk(bits.GROUP, number, self.payload) + alpha + means

    def place(self, number: int, offset: int) -> GroupChunks:
        return heads.group_chunks(number, offset, (len(self.payload), len(self.alpha), len(self.means)))


OtherChunk = tuple[bytes, int, bytes]  # kind, number, payload


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What an archive is made of. header: its `total_bytes` does not matter.

    settings: the payload of PSET for each plane. notes: optional chunks before the groups; maps: those behind them.
    """

    header: Header
    numbers: tuple[int, ...]
    settings: tuple[bytes, ...]
    groups: Iterable[FinishedGroup]
    notes: tuple[OtherChunk, ...] = ()
    maps: Iterable[OtherChunk] = ()


def write_archive(path: Path, parts: Parts) -> None:
    """Write the archive `path`; groups and maps are taken one at a time. Raises OutputError, DiskFullError."""
    write_atomically(path, _writer(parts))


def overhead_bytes(parts: Parts) -> int:
    """Bytes of the file besides its groups and maps, for a rate control that must not exceed a size."""
    return len(_front(parts, parts.header, [], []))


def _writer(parts: Parts) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        front = _front(parts, parts.header, [], [])
        file.write(front)
        at, places, sums = len(front), [], []
        for number, group in enumerate(parts.groups):
            sums += [zlib.crc32(payload) for payload in group.planes]
            places.append(group.place(number, at))
            file.write(group.chunks(number))
            at = places[-1].end
        assert len(places) == parts.header.groups, len(places)
        for kind, number, payload in parts.maps:
            chunk = bits.pack_chunk(kind, number, payload)
            file.write(chunk)
            at += len(chunk)
        file.seek(0)  # the first chunks once more, now that sizes and places are known
        file.write(_front(parts, dataclasses.replace(parts.header, total_bytes=at), places, sums))

    return write


def _front(parts: Parts, header: Header, places: list[GroupChunks], sums: list[int]) -> bytes:
    """All that stands before the first group; without places and sums their lists are as long and empty."""
    listed = heads.pack_sums(sums) if sums else bytes(heads.sums_bytes(header))
    index = heads.pack_index(places) if places else bytes(heads.index_bytes(header))
    numbers = heads.pack_numbers(parts.numbers)
    return b"".join(
        [
            bits.pack_prefix(header.version),
            bits.pack_chunk(bits.HEAD, 0, heads.bound(header.write(), numbers, parts.settings)),
            bits.pack_chunk(bits.NUMBERS, 0, numbers),
            *(bits.pack_chunk(bits.SETTINGS, plane, one) for plane, one in enumerate(parts.settings)),
            bits.pack_chunk(bits.INDEX, 0, index),
            bits.pack_chunk(bits.SUMS, 0, listed),
            *(bits.pack_chunk(kind, number, payload) for kind, number, payload in parts.notes),
        ]
    )
