# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the maps or plates of one shot as a sequence: which frames are planned, which are there, and what fills the gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import GapError, MixedSizesError, UsageError
from mapreel.core.contract.frames import FrameRange, MissingFrames, SequencePattern, find_sequence
from mapreel.core.media.images import picture_size, read_color
from mapreel.core.media.labels import read_instance_map, read_label_map
from mapreel.core.media.motion import read_motion


class MapKind(str, Enum):
    """What the pictures of a sequence mean; decides how one is read and what fills a gap."""

    LABEL = "label"
    INSTANCE = "instance"
    MOTION = "motion"
    COLOR = "color"


_READERS: Mapping[MapKind, Callable[..., NDArray[Any]]] = {
    MapKind.LABEL: read_label_map,
    MapKind.INSTANCE: read_instance_map,
    MapKind.MOTION: read_motion,
    MapKind.COLOR: read_color,
}
_BLACK = {
    MapKind.LABEL: ((), np.uint16),
    MapKind.INSTANCE: ((), np.uint16),
    MapKind.MOTION: ((2,), np.float32),
    MapKind.COLOR: ((3,), np.uint8),
}


@dataclass(frozen=True, kw_only=True)
class ShotSequence:
    """The planned frames of one kind of map. Frame numbers in are frame numbers out.

    filled: planned frames that are not on disk -> the frame number that is held there, or None for black.
    """

    kind: MapKind
    pattern: SequencePattern
    numbers: tuple[int, ...]
    size: tuple[int, int]
    filled: Mapping[int, int | None]

    def path(self, number: int) -> Path:
        """Where the frame lies (or would lie)."""
        return self.pattern.path(number)

    def read(self, number: int) -> NDArray[Any]:
        """The map of one planned frame: label and instance [H, W] uint16, motion [H, W, 2] float32, color [H, W, 3] uint8.

        A held motion field is zero, for a held picture stands still; see open_maps. Raises what the readers raise,
        MixedSizesError when a file has changed since it was opened, UsageError for a frame that is not planned.
        """
        source: int | None = number
        if number in self.filled:
            source = self.filled[number]
            if source is None or self.kind is MapKind.MOTION:
                return self._black()
        elif number not in self._planned():
            raise UsageError(f"frame {number} is not among the planned frames", "add it to --frames")
        assert source is not None
        pixels = _READERS[self.kind](self.path(source), frame=source)
        if pixels.shape[:2] != self.size:
            raise _mixed(self.pattern, self.numbers[0], self.size, source, pixels.shape[:2])
        return pixels

    def filled_note(self) -> str:
        """One sentence that lists what was filled and how, or an empty string."""
        if not self.filled:
            return ""
        held = [number for number, source in self.filled.items() if source is not None]
        black = [number for number, source in self.filled.items() if source is None]
        parts = [f"frames {_listed(held)} repeat the frame before"] if held else []
        parts += [f"frames {_listed(black)} are black"] if black else []
        return f"{self.pattern.format()}: {' and '.join(parts)}, because they are not on disk."

    def _planned(self) -> frozenset[int]:
        return frozenset(self.numbers)

    def _black(self) -> NDArray[Any]:
        tail, kind = _BLACK[self.kind]
        return np.zeros((*self.size, *tail), kind)


def open_maps(
    source: str | Path,
    kind: MapKind | str,
    frames: FrameRange | None = None,
    missing: MissingFrames = MissingFrames.ERROR,
) -> ShotSequence:
    """Plans a sequence and looks at every header, so that gaps and mixed sizes are told before any work is done.

    source: a folder, a pattern (`name.####.png`, with or without its own range) or one file of the sequence. frames: what is
    planned; None means the pattern's own range, else all numbers from the first to the last on disk.
    missing, for planned frames that are not there:
      error  GapError that names them
      hold   the nearest frame before is repeated, at the start the first one after; motion becomes zero, as nothing moves
      black  label and instance 0, motion zero, colour black; id 0 is void in most palettes, but sky in `street`
    Raises MissingInputError, EmptySequenceError, GapError, MixedSizesError (both frames and sizes), DamagedFileError,
    FileTooLargeError, UnsupportedFileError, InputError.
    """
    kind = MapKind(kind)
    found = find_sequence(source)
    here = frozenset(found.numbers)
    planned = _plan(found.numbers, found.pattern, frames)
    filled = _fill(planned, found.numbers, missing, found.pattern)
    first = next((number for number in planned if number in here), found.numbers[0])
    size = picture_size(found.pattern.path(first), frame=first)
    for number in planned:
        if number in here and number != first:
            other = picture_size(found.pattern.path(number), frame=number)
            if other != size:
                raise _mixed(found.pattern, first, size, number, other)
    return ShotSequence(kind=kind, pattern=found.pattern, numbers=planned, size=size, filled=MappingProxyType(filled))


def _plan(here: tuple[int, ...], pattern: SequencePattern, frames: FrameRange | None) -> tuple[int, ...]:
    if frames is not None:
        return frames.numbers
    if pattern.frames is not None:
        return pattern.frames.numbers
    return tuple(range(min(here), max(here) + 1))


def _fill(
    planned: tuple[int, ...], here: tuple[int, ...], missing: MissingFrames, pattern: SequencePattern
) -> dict[int, int | None]:
    there = frozenset(here)
    gaps = [number for number in planned if number not in there]
    if not gaps:
        return {}
    if missing is MissingFrames.ERROR:
        raise GapError(
            f"{_counted(gaps)} missing from {pattern.format()}",
            "render them, leave them out with --frames, or choose to hold or blacken missing frames",
            file=str(pattern.path(gaps[0])),
            frame=gaps[0],
        )
    if missing is MissingFrames.BLACK:
        return dict.fromkeys(gaps)
    ordered = np.array(sorted(here))
    index = np.searchsorted(ordered, gaps) - 1
    return {number: int(ordered[max(place, 0)]) for number, place in zip(gaps, index, strict=True)}


def _listed(numbers: list[int]) -> str:
    return str(FrameRange.from_numbers(sorted(numbers)))


def _counted(numbers: list[int]) -> str:
    listed = _listed(numbers)
    if len(listed) > 200:
        listed = listed[:200].rsplit(",", 1)[0] + " …"
    return f"frame {listed} is" if len(numbers) == 1 else f"{len(numbers)} frames ({listed}) are"


def _mixed(
    pattern: SequencePattern, first: int, size: tuple[int, int], other: int, other_size: tuple[int, ...]
) -> MixedSizesError:
    return MixedSizesError(
        f"{pattern.format()} mixes sizes: frame {first} is {size[1]}x{size[0]}, frame {other} is "
        f"{other_size[1]}x{other_size[0]}",
        "render all frames at one size",
        file=str(pattern.path(other)),
        frame=other,
    )
