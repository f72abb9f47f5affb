# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a .nirv archive: what it holds, any frame of it, and whether all of it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from mapreel.core.contract.errors import ArchiveError, DamagedArchiveError, InputError, MissingInputError
from mapreel.core.device import memory_guard
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.decode import decode_pictures
from mapreel.core.nirvana.groups import unpack_group
from mapreel.core.nirvana.means import TOLERANCE, block_means, steps_away, unpack_means
from mapreel.core.nirvana.quantise import CodedGroup

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ArchiveInfo:
    """What an archive says of itself, and what it costs."""

    numbers: tuple[int, ...]
    height: int
    width: int
    fps: float
    profile: str
    colour_space: str
    bit_depth: int
    group_frames: int
    intra_interval: int
    latents: int
    other_parameters: int
    file_bytes: int
    bits_per_pixel: float  # 8 · file bytes / (frames · height · width)


@dataclass(frozen=True)
class Verdict:
    """Outcome of `Archive.verify`: one sentence for each fault, and the frame numbers that cannot be trusted."""

    faults: tuple[str, ...]
    lost_frames: tuple[int, ...]
    groups: int
    groups_compared: int  # with stored block means

    @property
    def whole(self) -> bool:
        return not self.faults


@dataclass
class _Last:
    """The group decoded last: reading on from it costs one group, not the chain from its intra group."""

    number: int = -1
    coded: CodedGroup | None = None
    pictures: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)


class Archive:
    """An open archive; use it as a context manager. Frames are named by frame number, as the shot had them.

    Raises MissingInputError, UnsupportedArchiveError (no archive, a newer one, sizes beyond what is read) or
    DamagedArchiveError (cut off, altered header) when opened. A damaged group costs its own frames and those of the
    groups that lean on it, up to the next intra group; nothing else.
    """

    def __init__(self, path: Path | str, device: torch.device | str = "cpu") -> None:
        self.path = Path(path)
        self._device = torch.device(device)
        self._last = _Last()
        try:
            self._file: BinaryIO = self.path.open("rb")
        except OSError as error:
            raise MissingInputError(f"{self.path.name} cannot be opened", "check the path", file=str(path)) from error
        try:
            self._open()
        except ArchiveError as error:
            self._file.close()
            error.file = str(self.path)
            raise
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        file_bytes = self._file.seek(0, 2)
        self._file.seek(0)
        bits.check_prefix(self._file.read(bits.PREFIX_BYTES))
        head = self._chunk(bits.PREFIX_BYTES, bits.HEAD, file_bytes)
        self.header = bits.Header.read(bits.read_payload(self._file, head))
        if file_bytes != self.header.total_bytes:
            why = "cut off" if file_bytes < self.header.total_bytes else "longer than it was written"
            raise bits.damaged("the end", f"the file is {why}: {file_bytes} of {self.header.total_bytes} bytes")
        if bits.index_bytes(self.header.groups) + self.header.groups * bits.CHUNK_OVERHEAD_BYTES > file_bytes:
            raise bits.damaged("the header", f"{self.header.frames} frames do not fit into {file_bytes} bytes")
        numbers = self._chunk(head.end, bits.NUMBERS, file_bytes)
        self.numbers = bits.unpack_numbers(bits.read_payload(self._file, numbers), self.header.frames)
        self._place = {number: index for index, number in enumerate(self.numbers)}
        self.repaired: str | None = None
        self._after_index = numbers.end + bits.index_bytes(self.header.groups) + bits.CHUNK_OVERHEAD_BYTES
        try:
            index = self._chunk(numbers.end, bits.INDEX, file_bytes)
            self._groups, self._means = bits.unpack_index(bits.read_payload(self._file, index), self.header, index.end)
            at = (self._means[-1] or self._groups[-1]).end
        except DamagedArchiveError as error:
            self.repaired = str(error)
            self._groups, self._means, at = self._walk(self._after_index, file_bytes)
        while at < file_bytes:  # parts that later versions add; an unknown one that is required is refused here
            at = bits.read_chunk_head(self._file, at, file_bytes).end

    def _chunk(self, offset: int, kind: bytes, file_bytes: int) -> bits.Chunk:
        try:
            chunk = bits.read_chunk_head(self._file, offset, file_bytes)
        except DamagedArchiveError as error:
            raise bits.damaged(bits.chunk_name(kind, 0), error.what) from error
        if chunk.kind != kind:
            raise bits.damaged(bits.chunk_name(kind, 0), "another part stands in its place")
        return chunk

    def _walk(self, at: int, file_bytes: int) -> tuple[list[bits.Chunk], list[bits.Chunk | None], int]:
        """Find the groups without the index, head by head."""
        groups: list[bits.Chunk] = []
        means: list[bits.Chunk | None] = []
        while len(groups) < self.header.groups or (at < file_bytes and means and means[-1] is None):
            chunk = bits.read_chunk_head(self._file, at, file_bytes)
            if chunk.kind == bits.GROUP and chunk.number == len(groups):
                groups.append(chunk)
                means.append(None)
            elif chunk.kind == bits.MEANS and chunk.number == len(groups) - 1:
                means[-1] = chunk
            elif len(groups) == self.header.groups:
                break
            at = chunk.end
        return groups, means, at

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def info(self) -> ArchiveInfo:
        head = self.header
        return ArchiveInfo(
            numbers=self.numbers,
            height=head.height,
            width=head.width,
            fps=float(head.fps),
            profile=head.profile,
            colour_space=head.colour_space,
            bit_depth=head.bit_depth,
            group_frames=head.network.group_frames,
            intra_interval=head.intra_interval,
            latents=head.network.latents,
            other_parameters=head.network.other_parameters,
            file_bytes=head.total_bytes,
            bits_per_pixel=8 * head.total_bytes / (head.frames * head.height * head.width),
        )

    def frame(self, number: int) -> Picture:
        """One frame [H, W, 3] uint8, sRGB, by its frame number.

        Reads the groups from the last intra group to its own, none after. Raises InputError for a number that the
        archive does not hold, DamagedArchiveError naming the group that cannot be read.
        """
        if number not in self._place:
            raise InputError(f"the archive holds no frame {number}", "ask for one that it lists", frame=number)
        index = self._place[number]
        group = index // self.header.network.group_frames
        picture: Picture = self._pictures(group)[index - self.header.frames_of(group).start]
        return picture

    def frames(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, Picture]]:
        """Frame numbers and pictures, all or those asked for, in that order."""
        for number in self.numbers if numbers is None else numbers:
            yield number, self.frame(number)

    def symbols(self, group: int) -> CodedGroup:
        """Exact symbols and steps of a group (0-based): the same on every machine. Raises DamagedArchiveError."""
        first = group - group % self.header.intra_interval
        coded: CodedGroup | None = None
        if self._last.coded is not None and first <= self._last.number <= group:
            first, coded = self._last.number + 1, self._last.coded
        for number in range(first, group + 1):
            coded = self._read_group(number, coded)
            self._last = _Last(number, coded)
        assert coded is not None
        return coded

    def _read_group(self, number: int, previous: CodedGroup | None) -> CodedGroup:
        payload = bits.read_payload(self._file, self._groups[number])
        leans_on = None if self.header.is_intra(number) else previous
        return unpack_group(payload, number, leans_on, self.header.network)

    def _pictures(self, group: int) -> npt.NDArray[np.uint8]:
        kept = self._last.pictures.get(group)
        if kept is not None:
            return kept
        head = self.header
        with memory_guard(f"decode frames of {head.width} x {head.height} px"):
            pictures = decode_pictures(
                head.network,
                self.symbols(group),
                head.height,
                head.width,
                len(head.frames_of(group)),
                name=self._groups[group].name,
                device=self._device,
            )
        self._last.pictures = {group: pictures}
        return pictures

    def verify(self, before_group: Callable[[int], None] = lambda _: None) -> Verdict:
        """Read everything again: checksums, symbols, and pictures by their block means within one 8-bit step."""
        faults = [self.repaired] if self.repaired else []
        lost: list[int] = []
        compared = 0
        for group in range(self.header.groups):
            before_group(group)
            why, had_means = self._fault(group)
            compared += had_means
            if why:
                faults.append(why)
                lost += [self.numbers[index] for index in self.header.frames_of(group)]
        faults += self._other_faults()
        return Verdict(tuple(faults), tuple(lost), self.header.groups, compared)

    def _fault(self, group: int) -> tuple[str | None, bool]:
        """What is wrong with a group, and whether its block means could be compared."""
        head = self.header
        try:
            self._compare_head(self._groups[group])
            pictures = self._pictures(group)
            chunk = self._means[group]
            if chunk is None:
                return None, False
            self._compare_head(chunk)
            payload = bits.read_payload(self._file, chunk)
            stored = unpack_means(payload, group, len(pictures), head.height, head.width)
        except ArchiveError as error:
            return str(error), False
        away = steps_away(block_means(pictures), stored)
        if away > TOLERANCE:
            other = f"group {group} decodes to other pictures than where it was written"
            return f"{other} (a block is {away} or more steps away).", True
        return None, True

    def _other_faults(self) -> Iterator[str]:
        """What is wrong with the parts that the index does not list: those of later versions."""
        listed = [chunk for pair in zip(self._groups, self._means, strict=True) for chunk in pair if chunk is not None]
        starts = [self._after_index, *(chunk.end for chunk in listed)]
        ends = [*(chunk.offset for chunk in listed), self.header.total_bytes]
        for start, end in zip(starts, ends, strict=True):
            at = start
            while at < end:
                try:
                    chunk = bits.read_chunk_head(self._file, at, end)
                except ArchiveError as error:
                    yield str(error)
                    break  # where the next one begins is not known
                at = chunk.end
                try:
                    bits.read_payload(self._file, chunk)
                except ArchiveError as error:
                    yield str(error)

    def _compare_head(self, listed: bits.Chunk) -> None:
        try:
            found = bits.read_chunk_head(self._file, listed.offset, self.header.total_bytes)
        except DamagedArchiveError as error:
            raise bits.damaged(listed.name, "the checksum of its head is wrong") from error
        if found != listed:
            raise bits.damaged(listed.name, "the index and the part itself disagree")
