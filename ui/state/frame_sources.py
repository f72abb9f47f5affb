# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the frames of a layer come from: files of a sequence, a movie. Everything here runs in threads, not in Qt's."""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mapreel.core.contract.errors import EmptySequenceError, MissingInputError, UnknownLabelError
from mapreel.core.contract.frames import find_sequence
from mapreel.core.contract.maps import MapOptions
from mapreel.ui.state.shot import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mapreel.core.media.movieseek import MovieReader
    from mapreel.ui.state.shot import ShotState

    Pixels = NDArray[np.generic]

_MAPS = (Layer.LABELS, Layer.INSTANCES)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One layer of one shot as it stands now. count: goes up whenever it has to be read anew.

    first: number of the shot's first frame, for movies, whose frames count from 1. certain: every frame of the shot has
    to be there; of other layers some may be missing, or still to come.
    """

    owner: int
    layer: Layer
    source: str
    options: MapOptions
    first: int
    certain: bool
    count: int


@dataclass(frozen=True)
class Came:
    """What was read: pixels by frame number (a movie gives those on the way, too); none: the frame is not there (yet).

    space: colour space of pictures, as `media.plates` calls it.
    """

    frames: Mapping[int, Pixels]
    space: str = "srgb"


class Source(Protocol):
    """Reads frames of one layer."""

    single: bool
    """Whether only one thread may read at a time."""

    def read(self, number: int) -> Came:
        """One frame. Raises what the readers raise."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...


def origin_of(shot: ShotState, layer: Layer, count: int) -> Origin:
    """The origin of a layer; its source is empty where the shot has none."""
    source = {
        Layer.LABELS: shot.labels,
        Layer.INSTANCES: shot.instances,
        Layer.MOTION: shot.motion,
        Layer.TRUTH: shot.truth,
        Layer.RESULT: shot.result,
        Layer.ARCHIVE: shot.archive,
        Layer.DRAFT: "",
    }[layer]
    main = Layer.LABELS if shot.labels else Layer.TRUTH
    return Origin(
        owner=id(shot),
        layer=layer,
        source=source,
        options=MapOptions(palette=shot.palette or None, classes=shot.classes),
        first=shot.first,
        certain=layer is main,
        count=count,
    )


def open_source(origin: Origin) -> Source:
    """Opens a layer. Raises EmptySequenceError and MissingInputError for what is not there, and what readers raise."""
    from mapreel.core.media.sequence import is_movie

    return MovieSource(origin) if is_movie(origin.source) else FileSource(origin)


class FileSource:
    """One file for each frame."""

    single = False

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._pattern = find_sequence(origin.source).pattern
        self._read = _reader(origin)
        self._space = ""

    def read(self, number: int) -> Came:
        """One frame; none where its file is not there and need not be."""
        path = self._pattern.path(number)
        if not self._origin.certain and not path.is_file():
            return Came({})
        return Came({number: self._read(path, frame=number)}, self._space_of(path, number))

    def close(self) -> None:
        """Nothing is open."""

    def _space_of(self, path: Path, number: int) -> str:
        """Colour space of all pictures, as the first one that is read says."""
        if not self._space:
            from mapreel.core.media.plates import plate_facts

            exr = path.suffix.lower() == ".exr" and self._origin.layer not in (*_MAPS, Layer.MOTION)
            self._space = plate_facts(path, frame=number).colour_space if exr else "srgb"
        return self._space


class MovieSource:
    """A movie that stays open: forwards without cost, anywhere else from the key frame before."""

    single = True

    def __init__(self, origin: Origin) -> None:
        from mapreel.core.media.movieseek import MovieReader

        self._origin = origin
        self._path = Path(origin.source)
        self._reader: MovieReader = MovieReader(self._path, stored=origin.layer in _MAPS)
        self._numbers = _numbers_of_movie(self._path, origin.first, self._reader.count)
        self._turn = _turner(origin, self._path)

    def read(self, number: int) -> Came:
        """One frame, and those that had to be decoded on the way."""
        index = bisect_left(self._numbers, number)
        if index == len(self._numbers) or self._numbers[index] != number:
            return Came({})
        read = self._reader.read(index)
        return Came({self._numbers[at]: self._turn(pixels, self._numbers[at]) for at, pixels in read})

    def close(self) -> None:
        """End the reader process of the movie; one that is at work ends by itself soon."""
        with contextlib.suppress(ValueError):
            self._reader.close()


def _numbers_of_movie(path: Path, first: int, count: int) -> Sequence[int]:
    """Frame numbers of a movie: of a take of ours as its side-car says, else from the shot's first frame on."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        story = json.loads(path.with_name(path.name + ".json").read_bytes())
        numbers = sorted(int(number) for number in story["written"])
        if len(numbers) == count:
            return numbers
    return range(first, first + count)


def _reader(origin: Origin) -> Callable[..., Pixels]:
    """What reads one file: (path, frame=) -> pixels as they are kept."""
    if origin.layer is Layer.LABELS:
        return _labels_reader(origin)
    if origin.layer is Layer.INSTANCES:
        from mapreel.core.media.labels import instance_reading, read_instance_map

        reading = instance_reading(origin.options)
        return lambda path, frame: slim(read_instance_map(path, frame=frame, reading=reading))
    if origin.layer is Layer.MOTION:
        from mapreel.core.media.motion import read_motion

        return lambda path, frame: slim(read_motion(path, frame=frame, layout=origin.options.motion_layout))
    from mapreel.core.media.plates import read_plate

    return lambda path, frame: slim(read_plate(path, frame=frame))


def _labels_reader(origin: Origin) -> Callable[..., Pixels]:
    """Class ids; of maps in colours that nobody has explained the colours themselves."""
    from mapreel.core.media.images import read_color
    from mapreel.core.media.labels import label_reading, read_label_map

    reading = label_reading(origin.options)

    def read(path: Path, frame: int) -> Pixels:
        try:
            return slim(read_label_map(path, frame=frame, reading=reading))
        except UnknownLabelError:
            if path.suffix.lower() == ".exr":
                raise
            return read_color(path, frame=frame)

    return read


def _turner(origin: Origin, path: Path) -> Callable[[Pixels, int], Pixels]:
    """What makes frames of a movie's samples."""
    from mapreel.core.media.labels import instance_of_samples, label_of_samples, label_reading

    if origin.layer is Layer.LABELS:
        reading = label_reading(origin.options)
        return lambda samples, number: slim(label_of_samples(samples, path, number, reading))
    if origin.layer is Layer.INSTANCES:
        return lambda samples, number: slim(instance_of_samples(samples, path, number))
    return lambda samples, _: slim(samples)


def slim(pixels: NDArray[Any]) -> Pixels:
    """The same with half the memory where nothing is lost that a viewer shows: ids below 256 as bytes, floats as half
    floats, no alpha."""
    import numpy as np

    if pixels.ndim == 2:
        return pixels.astype(np.uint8) if pixels.dtype != np.uint8 and pixels.max(initial=0) < 256 else pixels
    pixels = pixels[:, :, :3]
    if pixels.dtype == np.float32:
        halves: NDArray[np.float16] = np.clip(pixels, -65504.0, 65504.0).astype(np.float16)
        return halves
    return np.ascontiguousarray(pixels)


def read_frame(sources: dict[Origin, Source], origin: Origin, number: int) -> Came:
    """Reads a frame, opening its source at first. A layer that has no frame yet has none of these either."""
    source = sources.get(origin)
    if source is None:
        try:
            source = open_source(origin)
        except (EmptySequenceError, MissingInputError):
            if origin.certain:
                raise
            return Came({})
        sources[origin] = source
    return source.read(number)
