# SPDX-License-Identifier: GPL-3.0-or-later
"""Mended label maps on disk: each as its original was made, under its own name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError, UnknownLabelError
from mapreel.core.contract.frames import FoundSequence, SequencePattern
from mapreel.core.contract.takes import write_atomically
from mapreel.core.media.doctor_colours import UNKNOWN, Colours, Ids, eight_bits, try_read
from mapreel.core.media.doctor_findings import Report
from mapreel.core.media.doctor_frames import Look, look_at
from mapreel.core.media.files import PNG_MAGIC, read_file
from mapreel.core.media.images import write_png


class Copies:
    """Writes each frame as its original was made, under its own name."""

    def __init__(self, found: FoundSequence, folder: Path, report: Report) -> None:
        self._found = found
        self._folder = folder
        self._colours = report.colours
        self._usual: tuple[Look, Path] | None = None  # the last frame that was there: others are made as it was
        self._numbers = report.numbers
        self.mended: list[int] = []
        self.copied: list[int] = []
        self.filled: list[int] = []
        self.pixels = 0

    def found(self, planned: tuple[int, ...]) -> FoundSequence:
        """The copies, all of which are there."""
        pattern = self._found.pattern
        head = str(self._folder / "x")[:-1] + Path(pattern.head + "x").name[:-1]
        tail = Path("x" + pattern.tail).with_suffix(".png").name[1:]
        return FoundSequence(SequencePattern(head, pattern.digits, tail), planned)

    def write(self, number: int, look: Look | None, ids: Ids, original: Ids | None) -> None:
        """One frame. Raises OutputError, DiskFullError."""
        source = self._found.pattern.path(number)
        target = self._folder / f"{source.stem}.png"
        if look is None:
            self.filled.append(number)
            usual, origin = self._usual or self._first() or (None, source)
            _save(target, ids, usual, self._colours, origin)
            return
        self._usual = look, source
        changed = int((ids != original).sum())
        as_it_is = not changed and look.divided_by == 1 and "grey-as-colour" not in look.counts
        if as_it_is and look.sample.kind == "png":
            self.copied.append(number)
            write_atomically(target, read_file(source, number))
            return
        self.mended.append(number)
        self.pixels += changed
        _save(target, ids, look, self._colours, source)

    def _first(self) -> tuple[Look, Path] | None:
        """The first frame that can be read, for those that are missing before it."""
        for number in self._numbers[:1]:
            path = self._found.pattern.path(number)
            sample = try_read(path, number, self._colours.reading)
            if not isinstance(sample, InputError):
                return look_at(sample, number, self._colours), path
        return None


def _save(target: Path, ids: Ids, look: Look | None, colours: Colours, source: Path) -> None:
    if look is not None and look.colored:
        write_png(target, _painted(ids, look, colours))
    elif look is not None and look.sample.channels == "indexed" and look.sample.bits <= 8 and ids.max() < 256:
        write_atomically(target, _indexed_png(ids.astype(np.uint8), source))
    else:
        deep = int(ids.max()) > 255 or (look is not None and look.sample.bits == 16 and look.divided_by == 1)
        write_png(target, ids if deep else ids.astype(np.uint8))


def _painted(ids: Ids, look: Look, colours: Colours) -> NDArray[np.uint8]:
    """Ids in their palette's colours again; an unknown colour stays as it was."""
    pixels = look.sample.pixels[:, :, :3]
    old = eight_bits(pixels)
    labels = np.flatnonzero(np.bincount(ids.ravel()))
    table = np.zeros((int(labels[-1]) + 1, 3), np.uint8)
    for label in labels[labels != UNKNOWN]:
        table[label] = colours.color(int(label))
    return np.asarray(np.where((ids == UNKNOWN)[:, :, None], old, table[ids]), np.uint8)


def _indexed_png(ids: NDArray[np.uint8], source: Path) -> bytes:
    """An 8-bit indexed PNG with the palette (and its transparency) of the original file."""
    height, width = ids.shape
    chunks = {name: content for name, content in _chunks(source) if name in (b"PLTE", b"tRNS")}
    if b"PLTE" not in chunks or 3 * (int(ids.max()) + 1) > len(chunks[b"PLTE"]):
        raise UnknownLabelError(
            f"an id of {source.name} has no colour in its palette", "save the maps as grey ids", file=str(source)
        )
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = ids
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks.items(), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")]
    return PNG_MAGIC + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )


def _chunks(source: Path) -> Iterator[tuple[bytes, bytes]]:
    """Chunks of a PNG that was read before, in the order that its writer had to keep."""
    try:
        data = read_file(source)
    except InputError:
        return
    offset = len(PNG_MAGIC)
    while offset + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, offset)
        yield name, data[offset + 8 : offset + 8 + length]
        offset += 12 + length
