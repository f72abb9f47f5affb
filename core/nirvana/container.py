# SPDX-License-Identifier: GPL-3.0-or-later
"""An open .nirv file as its chunks: header, frame numbers, settings, groups and what is optional. Loads no torch."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mapreel.core.contract.errors import (
    ArchiveError,
    DamagedArchiveError,
    MissingInputError,
)
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana import header as heads
from mapreel.core.nirvana.header import GroupChunks
from mapreel.core.nirvana.profile import PictureShape, profile_named

MAX_SETTINGS_BYTES = 1 << 16
OTHERS_A_FRAME = 2  # optional chunks that a reader walks over, for each frame: an end to the time that opening takes
MORE_OTHERS = 1024
MOST_FAULTS = 1000
MOST_TRIES = 10_000  # places that look like the head of a group and are none: an end to a search without index
_BLOCK_BYTES = 1 << 16
_NOWHERE = 0  # where no chunk can begin


class Container:
    """Reads the structure of an archive when opened; use it as a context manager.

    header, numbers, settings (payload of each plane's PSET), groups; others: optional chunks by kind and number, the
    first of each. faults: one sentence for each part that is damaged without making the file useless (the index, which
    is found again, and optional parts). Raises MissingInputError, UnsupportedArchiveError (no archive, a newer one,
    sizes beyond what is read) or DamagedArchiveError (cut off, altered header).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self._file: BinaryIO = self.path.open("rb")
        except OSError as error:
            raise MissingInputError(f"{self.path.name} cannot be opened", "check the path", file=str(path)) from error
        self.faults: list[str] = []
        self.others: dict[tuple[bytes, int], bits.Chunk] = {}
        self._all_others: list[bits.Chunk] = []
        self._sums: tuple[int, ...] = ()
        try:
            self._open()
        except ArchiveError as error:
            self._file.close()
            error.file = str(self.path)
            raise
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def shape(self) -> PictureShape:
        head = self.header
        return PictureShape(height=head.height, width=head.width, group_frames=head.group_frames)

    def payload(self, chunk: bits.Chunk) -> bytes:
        """Payload of a chunk. Raises DamagedArchiveError naming it."""
        if chunk.offset == _NOWHERE:
            raise bits.damaged(chunk.name, "it is not found without the index")
        payload = bits.read_payload(self._file, chunk)
        if self._sums and chunk.kind in (bits.GROUP, bits.ALPHA):
            place = chunk.number * self.header.pictures.planes + (chunk.kind == bits.ALPHA)
            if self._sums[place] != zlib.crc32(payload):
                raise bits.damaged(chunk.name, "it does not belong to this archive")
        return payload

    def optional(self, kind: bytes, number: int = 0) -> bytes | None:
        """Payload of an optional chunk, None where there is none. Raises DamagedArchiveError."""
        chunk = self.others.get((kind, number))
        return None if chunk is None else self.payload(chunk)

    def compare_head(self, listed: bits.Chunk) -> None:
        """Raises DamagedArchiveError when the head of a chunk is not what the index says of it."""
        try:
            found = bits.read_chunk_head(self._file, listed.offset, self.header.total_bytes)
        except DamagedArchiveError as error:
            raise bits.damaged(listed.name, "the checksum of its head is wrong") from error
        if found != listed:
            raise bits.damaged(listed.name, "the index and the part itself disagree")

    def _open(self) -> None:
        file_bytes = self._file.seek(0, 2)
        self._file.seek(0)
        version = bits.check_prefix(self._file.read(bits.PREFIX_BYTES))
        head = self._chunk(bits.PREFIX_BYTES, bits.HEAD, 0, file_bytes)
        said = self.payload(head)
        self.header, settings = heads.read_header(heads.unbound(said, version), version)
        self._check_size(file_bytes)
        numbers = self._chunk(head.end, bits.NUMBERS, 0, file_bytes)
        listed = self.payload(numbers)
        self.numbers = heads.unpack_numbers(listed, self.header.frames)
        at = self._read_settings(settings, numbers.end)
        heads.check_bond(said, version, listed, self.settings)
        self._after_index = at + heads.index_bytes(self.header) + bits.CHUNK_OVERHEAD_BYTES
        try:
            index = self._chunk(at, bits.INDEX, 0, file_bytes)
            self.groups = heads.unpack_index(self.payload(index), self.header, index.end)
        except DamagedArchiveError as error:
            self._note(str(error))
            self.groups = self._walk(self._after_index)
        self._list_others()
        self._sums = self._read_sums()

    def _read_sums(self) -> tuple[int, ...]:
        """Checksums of all groups, so that one of another archive, whole in itself, is noticed; none: not compared."""
        if (bits.SUMS, 0) not in self.others:
            return ()
        chunk = self.others[bits.SUMS, 0]
        try:
            return heads.unpack_sums(self.payload(chunk), self.header)
        except ArchiveError as error:
            self._note(str(error))
            return ()

    def _check_size(self, file_bytes: int) -> None:
        head = self.header
        if file_bytes != head.total_bytes:
            why = "cut off" if file_bytes < head.total_bytes else "longer than it was written"
            raise bits.damaged("the end", f"the file is {why}: {file_bytes} of {head.total_bytes} bytes")
        if heads.index_bytes(head) + head.groups * bits.CHUNK_OVERHEAD_BYTES > file_bytes:
            raise bits.damaged("the header", f"{head.frames} frames do not fit into {file_bytes} bytes")

    def _read_settings(self, settings: bytes | None, at: int) -> int:
        """Settings of each plane, checked by the codec; gives where the next chunk begins."""
        self.settings: list[bytes] = []
        for plane in range(self.header.pictures.planes):
            if settings is not None:  # version 1 has them in its header
                self.settings.append(settings)
                continue
            chunk = self._chunk(at, bits.SETTINGS, plane, self.header.total_bytes)
            if chunk.size > MAX_SETTINGS_BYTES:
                raise bits.unsupported(f"the archive has {chunk.size} bytes of settings")
            self.settings.append(self.payload(chunk))
            at = chunk.end
        for one in self.settings:
            profile_named(self.header.profile).describe(one, self.shape)
        return at

    def _chunk(self, offset: int, kind: bytes, number: int, file_bytes: int) -> bits.Chunk:
        try:
            chunk = bits.read_chunk_head(self._file, offset, file_bytes)
        except DamagedArchiveError as error:
            raise bits.damaged(bits.chunk_name(kind, number), error.what) from error
        if (chunk.kind, chunk.number) != (kind, number):
            raise bits.damaged(bits.chunk_name(kind, number), "another part stands in its place")
        return chunk

    def _walk(self, at: int) -> list[GroupChunks]:
        """Find the groups without the index, head by head; those that are not found are listed at byte 0.

        Raises DamagedArchiveError when there is none.
        """
        most = 3 * self.header.groups + self._most_others()
        found: dict[tuple[bytes, int], bits.Chunk] = {}
        for chunk in self._heads([(at, self.header.total_bytes)], most, lambda _, lost: self._next_group(lost + 1)):
            found.setdefault((chunk.kind, chunk.number), chunk)
        groups = [self._found(found, number) for number in range(self.header.groups)]
        if all(group.colours.offset == _NOWHERE for group in groups):
            raise bits.damaged(bits.chunk_name(bits.INDEX, 0), "no group is found without it")
        return groups

    def _heads(
        self, stretches: list[tuple[int, int]], most: int, lost: Callable[[DamagedArchiveError, int], int | None]
    ) -> Iterator[bits.Chunk]:
        """Chunks from head to head in each stretch of the file.

        lost: where to go on when none is at a place, None: in the next stretch. Raises UnsupportedArchiveError for
        more than `most` places, and for an unknown part that is required.
        """
        for start, end in stretches:
            at: int | None = start
            while at is not None and at < end:
                most -= 1
                if most < 0:
                    raise bits.unsupported("the archive has too many parts")
                try:
                    chunk = bits.read_chunk_head(self._file, at, end)
                except DamagedArchiveError as error:
                    at = lost(error, at)
                    continue
                yield chunk
                at = chunk.end

    def _found(self, found: dict[tuple[bytes, int], bits.Chunk], number: int) -> GroupChunks:
        colours, alpha, means = (found.get((kind, number)) for kind in (bits.GROUP, bits.ALPHA, bits.MEANS))
        if colours is None or (alpha is not None) != self.header.pictures.alpha:
            lost = bits.Chunk(bits.GROUP, number, _NOWHERE, 0)
            return GroupChunks(lost, lost if self.header.pictures.alpha else None, None)
        return GroupChunks(colours, alpha, means)

    def _next_group(self, at: int) -> int:
        """The first byte from `at` on at which a group's chunk begins with a sound head; the file's end for none."""
        end, tries = self.header.total_bytes, MOST_TRIES
        while at < end and tries:
            self._file.seek(at)
            block = self._file.read(_BLOCK_BYTES)
            place = block.find(bits.GROUP)
            if place < 0:
                at += max(len(block) - len(bits.GROUP) + 1, 1)
                continue
            try:
                bits.read_chunk_head(self._file, at + place, end)
            except ArchiveError:
                at, tries = at + place + 1, tries - 1
                continue
            return at + place
        return end

    def _note(self, fault: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def _most_others(self) -> int:
        return OTHERS_A_FRAME * self.header.frames + MORE_OTHERS

    def _list_others(self) -> None:
        """Look at the head of everything that is no group; an unknown part that is required is refused here."""
        for chunk in self._heads(self._gaps(), self._most_others(), lambda error, _: self._note(str(error))):
            self._all_others.append(chunk)
            if chunk.kind in bits.KNOWN:  # the index knows of no such group, or it is one too many
                self._note(str(bits.damaged(chunk.name, "it stands where none should")))
            if self.others.setdefault((chunk.kind, chunk.number), chunk) is not chunk:
                self._note(str(bits.damaged(chunk.name, "it stands there twice")))

    def _gaps(self) -> list[tuple[int, int]]:
        """Stretches of the file that the index does not list."""
        groups = [group for group in self.groups if group.colours.offset != _NOWHERE]
        starts = [self._after_index, *(group.end for group in groups)]
        ends = [*(group.colours.offset for group in groups), self.header.total_bytes]
        return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end]

    def other_faults(self) -> Iterator[str]:
        """Reads every optional chunk; one sentence for each that is damaged."""
        for chunk in self._all_others:
            try:
                self.payload(chunk)
            except ArchiveError as error:
                yield str(error)
