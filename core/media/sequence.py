# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the maps or plates of one shot: which frames are planned, which are there, and what fills the gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import (
    DamagedFileError,
    FileTooLargeError,
    GapError,
    InputError,
    MissingInputError,
    MixedSizesError,
    UnsupportedFileError,
    UsageError,
)
from mapreel.core.contract.frames import (
    FoundSequence,
    FrameRange,
    MissingFrames,
    SequencePattern,
    counted,
    find_sequence,
)
from mapreel.core.contract.maps import MapOptions
from mapreel.core.media.classes import ClassRules
from mapreel.core.media.images import picture_size, read_color
from mapreel.core.media.labels import (
    instance_of_samples,
    instance_reading,
    label_of_samples,
    label_reading,
    read_instance_map,
    read_label_map,
)
from mapreel.core.media.mapheaders import map_header
from mapreel.core.media.motion import read_motion
from mapreel.core.media.movies import MOVIE_SUFFIXES, MovieFrame, movie_info, read_movie_frames
from mapreel.core.media.plates import read_plate


class MapKind(StrEnum):
    """What the pictures of a sequence mean; decides how one is read and what fills a gap."""

    LABEL = "label"
    INSTANCE = "instance"
    MOTION = "motion"
    COLOR = "color"
    DRAWING = "drawing"
    PLATE = "plate"


NO_OPTIONS = MapOptions()
UNREADABLE = (DamagedFileError, FileTooLargeError, UnsupportedFileError, MissingInputError)
"""What is wrong with one file of a sequence, and need not be with the others. Each names the file and the frame."""
FIRST_TRIES = 16
"""Files at the beginning of a sequence that may be broken before it is given up."""
Lost = dict[int, InputError]
_DATA = (MapKind.LABEL, MapKind.INSTANCE, MapKind.MOTION)


_BLACK: Mapping[MapKind, tuple[tuple[int, ...], type[np.generic]]] = MappingProxyType(
    {
        MapKind.LABEL: ((), np.uint16),
        MapKind.INSTANCE: ((), np.uint16),
        MapKind.MOTION: ((2,), np.float32),
        MapKind.COLOR: ((3,), np.uint8),
        MapKind.PLATE: ((3,), np.uint8),
    }
)


@dataclass(frozen=True, kw_only=True)
class ShotSequence:
    """The planned frames of one kind of map. Frame numbers in are frame numbers out.

    source: as the artist wrote it, for messages. size: height, width. filled: planned frames that are not on disk
    -> the frame number held there, or None for black. filed and load: how a frame that is there is found and read.
    """

    kind: MapKind
    source: str
    numbers: tuple[int, ...]
    size: tuple[int, int]
    filled: Mapping[int, int | None]
    filed: Callable[[int], Path]
    load: Callable[[int], NDArray[Any]]
    planes: int = 0  # of a drawing

    def path(self, number: int) -> Path:
        """The file that the frame lies in (or would lie in)."""
        return self.filed(number)

    def read(self, number: int) -> NDArray[Any]:
        """The map of one planned frame: label, instance [H, W] uint16, motion [H, W, 2] float32, color [H, W, 3] uint8,
        drawing [H, W, planes] uint8, plate [H, W, 3 or 4] as it stands in its file.

        A held motion field is zero, for a held picture stands still; see open_maps.
        Raises what the readers raise, MixedSizesError when a file has changed since it was opened, UsageError for a
        frame that is not planned.
        """
        there: int | None = number
        if number in self.filled:
            there = self.filled[number]
        elif number not in self._planned:
            raise UsageError(f"frame {number} is not among the planned frames", "add it to --frames")
        if there is None or (there != number and self.kind is MapKind.MOTION):
            return self.black()
        return self.stored(there)

    def stored(self, number: int) -> NDArray[Any]:
        """The map of any frame number that is on disk, planned or not. Raises as `read`."""
        pixels = self.load(number)
        if pixels.shape[:2] != self.size:
            raise _mixed(self.source, self.path(number), (self.numbers[0], self.size), (number, pixels.shape[:2]))
        return pixels

    def black(self) -> NDArray[Any]:
        """What stands for a frame that nobody has."""
        shape, kind = ((self.planes,), np.uint8) if self.kind is MapKind.DRAWING else _BLACK[self.kind]
        return np.zeros((*self.size, *shape), kind)

    def filled_note(self) -> str:
        """One sentence that lists what was filled and how, or an empty string."""
        held = [number for number, there in self.filled.items() if there is not None]
        black = [number for number, there in self.filled.items() if there is None]
        parts = [f"{counted(held)} held from the nearest frame"] if held else []
        parts += [f"{counted(black)} black"] if black else []
        return f"{self.source}: {' and '.join(parts)}, not on disk." if parts else ""

    @cached_property
    def _planned(self) -> frozenset[int]:
        return frozenset(self.numbers)


def open_maps(
    source: str | Path,
    kind: MapKind | str,
    frames: FrameRange | None = None,
    missing: MissingFrames = MissingFrames.ERROR,
    options: MapOptions = NO_OPTIONS,
    rules: ClassRules | None = None,
    lost: Lost | None = None,
) -> ShotSequence:
    """Plans a sequence, looks at every header and reads one frame, so that what is wrong is told before any work.

    source: a folder, a pattern (`name.####.png`, with or without its own range), one file of the sequence, or for
    colour and plates a movie, whose frames are numbered from 1.
    frames: what is planned; None means the pattern's own range, else all numbers from the first to the last on disk.
    missing, for planned frames that are not there:
      error  GapError that names them
      hold   the nearest frame before is repeated, at the start the first one after; motion becomes zero: nothing moves
      black  label and instance 0, motion zero, colour black; id 0 is void in most palettes, but sky in `street`
    options, rules: how maps are read, and whose classes label maps become; see `labels.MapReading`.
    lost: takes the files that cannot be read, by frame number, so that they do not keep the others from being opened;
    `read` raises for them what stands there. None: the first of them is raised.
    The frame after a filled one has motion that points at a frame nobody saw: `filled` tells the renderer where.
    Raises MissingInputError, EmptySequenceError, GapError, MixedSizesError (both frames and sizes), DamagedFileError,
    FileTooLargeError, UnsupportedFileError, InputError.
    """
    kind = MapKind(kind)
    path = Path(source)
    if is_movie(source):
        return _open_movie(path, kind, frames, missing, _from_movie(path, kind, options, rules))
    found = find_sequence(source)
    planned = _plan(found, frames)
    filled = _fill(planned, found.numbers, missing, found.pattern.format(), found.pattern.path)
    there = _on_disk(planned, found)
    read = _reader(kind, options, rules)
    beyond = [] if lost is None else [number for number in found.numbers if number not in set(there)]
    _read_first(found.pattern, [*there, *beyond], read, lost)  # colours where ids belong are told now, not at frame 1
    header = map_header if kind in _DATA else _color_header
    return ShotSequence(
        kind=kind,
        source=found.pattern.format(),
        numbers=planned,
        size=_one_size(found.pattern, there, beyond, header, read, lost),
        filled=MappingProxyType(filled),
        filed=found.pattern.path,
        load=lambda number: read(found.pattern.path(number), frame=number),
    )


def is_movie(source: str | Path) -> bool:
    """True for the name of a movie file."""
    text = str(source)
    known = Path(text).suffix.lower() in MOVIE_SUFFIXES
    return known and not Path(text).is_dir() and not SequencePattern.looks_like(text)


def numbers_on_disk(source: str | Path) -> tuple[int, ...]:
    """Frame numbers of a sequence; those of a movie count from 1. Raises as `find_sequence` and `movie_info`."""
    if is_movie(source):
        return tuple(range(1, movie_info(Path(source)).frames + 1))
    return find_sequence(source).numbers


def _reader(kind: MapKind, options: MapOptions, rules: ClassRules | None) -> Callable[..., NDArray[Any]]:
    """What reads one file: (path, frame=) -> pixels. Raises as `load_palette`."""
    if kind is MapKind.LABEL:
        return partial(read_label_map, reading=label_reading(options, rules))
    if kind is MapKind.INSTANCE:
        return partial(read_instance_map, reading=instance_reading(options))
    if kind is MapKind.MOTION:
        return partial(read_motion, layout=options.motion_layout)
    return read_plate if kind is MapKind.PLATE else read_color


@dataclass
class _MovieReader:
    """Reads frames of a movie by number; forwards without cost, a step back starts anew."""

    path: Path
    deep: bool = False
    turned: Callable[[NDArray[Any], int], NDArray[Any]] | None = None  # samples as stored, into a map
    frames: Iterator[MovieFrame] | None = None
    last: MovieFrame | None = field(default=None, repr=False)

    def load(self, number: int) -> NDArray[Any]:
        index = number - 1
        if self.frames is None or self.last is None or index < self.last.index:
            self.close()
            self.frames = read_movie_frames(self.path, deep=self.deep, stored=self.turned is not None)
            self.last = next(self.frames, None)
        while self.last is not None and self.last.index < index:
            self.last = next(self.frames, None)
        if self.last is None:
            raise DamagedFileError(
                f"frame {number} of {self.path.name} cannot be decoded",
                "render or copy the movie again",
                file=str(self.path),
                frame=number,
            )
        return self.last.pixels if self.turned is None else self.turned(self.last.pixels, number)

    def close(self) -> None:
        closing = getattr(self.frames, "close", None)
        if closing is not None:
            closing()
        self.frames, self.last = None, None


Turn = Callable[[NDArray[Any], int], NDArray[Any]]


def _from_movie(path: Path, kind: MapKind, options: MapOptions, rules: ClassRules | None) -> Turn | None:
    """What makes a map of the samples of a movie; None for pictures. Raises UnsupportedFileError for motion."""
    if kind in (MapKind.COLOR, MapKind.PLATE):
        return None
    if kind is MapKind.LABEL:
        return lambda samples, number: label_of_samples(samples, path, number, label_reading(options, rules))
    if kind is MapKind.INSTANCE:
        return lambda samples, number: instance_of_samples(samples, path, number)
    raise UnsupportedFileError(
        f"{path.name} is a movie, and no movie holds {kind} maps", "give an image sequence", file=str(path)
    )


def _open_movie(
    path: Path, kind: MapKind, frames: FrameRange | None, missing: MissingFrames, turned: Turn | None
) -> ShotSequence:
    info = movie_info(path)
    here = tuple(range(1, info.frames + 1))
    planned = frames.numbers if frames is not None else here
    if not here:
        raise DamagedFileError(f"{path.name} holds no frame", "render or copy it again", file=str(path))
    filled = _fill(planned, here, missing, str(path), lambda _: path)
    reader = _MovieReader(path, deep=kind is MapKind.PLATE and info.bits > 8, turned=turned)
    if turned is not None:
        reader.load(1)  # ids that compression has changed are told now
    return ShotSequence(
        kind=kind,
        source=str(path),
        numbers=planned,
        size=(info.height, info.width),
        filled=MappingProxyType(filled),
        filed=lambda _: path,
        load=reader.load,
    )


def _plan(found: FoundSequence, frames: FrameRange | None) -> tuple[int, ...]:
    if frames is not None:
        return frames.numbers
    if found.pattern.frames is not None:
        return found.pattern.frames.numbers
    return FrameRange.parse(f"{min(found.numbers)}-{max(found.numbers)}").numbers  # refuses a date among the numbers


def _on_disk(planned: tuple[int, ...], found: FoundSequence) -> list[int]:
    here = frozenset(found.numbers)
    return [number for number in planned if number in here] or [found.numbers[0]]


def _read_first(
    pattern: SequencePattern, numbers: list[int], read: Callable[..., NDArray[Any]], lost: Lost | None
) -> None:
    """Read one map, the first that can be. Raises what keeps all of the first ones from being read."""
    most = min(FIRST_TRIES, len(numbers))
    for tries, number in enumerate(numbers, start=1):
        try:
            read(pattern.path(number), frame=number)
        except UNREADABLE as error:
            wrong_kind = tries == 1 and isinstance(error, UnsupportedFileError)  # and so are the others, as a rule
            if lost is None or wrong_kind or tries == most:
                raise next(iter(lost.values())) if lost else error from None
            lost.setdefault(number, error)
        else:
            return


Header = Callable[[Path, int], tuple[tuple[int, int], tuple[str, ...]]]


def _one_size(
    pattern: SequencePattern,
    numbers: list[int],
    beyond: list[int],
    header: Header,
    read: Callable[..., NDArray[Any]],
    lost: Lost | None,
) -> tuple[int, int]:
    """The one size of all maps; a map of another kind than the first is read at once, so that it fails now or never.

    beyond: frames that are asked only when none of the planned ones can be.
    """
    first: tuple[int, tuple[int, int], tuple[str, ...]] | None = None
    for place, number in enumerate([*numbers, *beyond]):
        if first is not None and place >= len(numbers):
            break
        try:
            size, form = header(pattern.path(number), number)
        except UNREADABLE as error:
            if lost is None:
                raise
            lost.setdefault(number, error)
            continue
        if first is None:
            first = (number, size, form)
        if size != first[1]:
            raise _mixed(pattern.format(), pattern.path(number), first[:2], (number, size))
        if form != first[2]:
            read(pattern.path(number), frame=number)
    if first is None:
        assert lost
        raise next(iter(lost.values()))
    return first[1]


def _color_header(path: Path, number: int) -> tuple[tuple[int, int], tuple[str, ...]]:
    return picture_size(path, frame=number), ()


def _fill(
    planned: tuple[int, ...],
    here: tuple[int, ...],
    missing: MissingFrames,
    source: str,
    filed: Callable[[int], Path],
) -> dict[int, int | None]:
    there = frozenset(here)
    gaps = [number for number in planned if number not in there]
    if not gaps:
        return {}
    if missing is MissingFrames.ERROR:
        raise GapError(
            f"{counted(gaps)} missing from {source}",
            "render what is missing, leave it out with --frames, or choose --missing hold or --missing black",
            file=str(filed(gaps[0])),
            frame=gaps[0],
        )
    if missing is MissingFrames.BLACK:
        return dict.fromkeys(gaps)
    ordered = np.array(sorted(here))
    places = np.maximum(np.searchsorted(ordered, gaps) - 1, 0)
    return {number: int(ordered[place]) for number, place in zip(gaps, places, strict=True)}


def _mixed(
    source: str, path: Path, first: tuple[int, tuple[int, ...]], other: tuple[int, tuple[int, ...]]
) -> MixedSizesError:
    (number, size), (other_number, other_size) = first, other
    return MixedSizesError(
        f"{source} mixes sizes: frame {number} is {size[1]}x{size[0]}, frame {other_number} is "
        f"{other_size[1]}x{other_size[0]}",
        "render all frames at one size",
        file=str(path),
        frame=other_number,
    )
