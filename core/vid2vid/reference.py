# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference frames: true pictures of a shot, given by the artist, and what is learnt from them.

A reference is a frame of the shot as it shall look. It stands in the take as it is; the instances it shows have its
colours in every frame (`paint_frame`); and the picture itself is carried along the motion (`reference_memory`).
Loads no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import MissingInputError, MixedSizesError, UnsupportedFileError, UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.requests import Quality
from mapreel.core.contract.strict_json import JSON
from mapreel.core.media.images import picture_size, read_color, read_color_float
from mapreel.core.vid2vid.looks import GUESS, Looks
from mapreel.core.vid2vid.timeline import Segment

Picture = NDArray[np.float32]  # [H, W, 3] -1..1, sRGB

LONGEST_CARRY = 32
"""Frames a reference is carried at most. Farther away it is a hindrance: on the test street a frame made from a picture
46 frames old is worse (LPIPS 0.77 of class-mean paint's) than one that knows its colours alone (0.73)."""
FEWEST_PIXELS = 16
"""An instance that a reference shows in fewer pixels has no colour of its own there: most of them are outline."""
SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".exr")


class References:
    """The reference frames of one shot: which frames they are, and their pictures, read when asked for."""

    def __init__(self, files: tuple[tuple[int, str], ...], numbers: tuple[int, ...], source: str) -> None:
        """Looks at names and numbers.

        Args:
            files: (frame number, file) pairs as a request holds them.
            numbers: all frame numbers of the shot, in order.
            source: its label maps as the artist wrote them, for messages.

        Raises:
            UsageError: a frame that is not in the shot, or two references for one frame.
            InputError: a file that is not there or is no picture.
        """
        places = {number: index for index, number in enumerate(numbers)}
        self._files: dict[int, tuple[int, Path]] = {}
        for number, file in files:
            if number not in places:
                raise _not_in_shot(number, file, numbers, source)
            if places[number] in self._files:
                raise UsageError(f"two references are given for frame {number}", "leave one of them out", frame=number)
            self._files[places[number]] = number, _picture_file(file, number)
        self._last: tuple[int, Picture] | None = None
        self.indices = tuple(sorted(self._files))
        self.numbers = tuple(numbers[index] for index in self.indices)

    def check_sizes(self, size_px: tuple[int, int]) -> None:
        """Compare every header with the (H, W) of the maps. Raises MixedSizesError, InputError."""
        for number, path in self._files.values():
            _check_size(path, number, picture_size(path, frame=number), size_px)

    def picture(self, index: int) -> Picture:
        """The reference at a timeline index: [H, W, 3] float32 sRGB in -1..1. Raises what the readers raise."""
        if self._last is None or self._last[0] != index:
            number, path = self._files[index]
            self._last = index, read_reference(path, number)
        return self._last[1]

    def source(self, index: int) -> int | None:
        """Timeline index of the reference that the frame at `index` sees.

        The nearest earlier one, else the nearest later one; None when neither is within `LONGEST_CARRY` frames.
        """
        earlier = [i for i in self.indices if index - LONGEST_CARRY <= i <= index]
        later = [i for i in self.indices if index < i <= index + LONGEST_CARRY]
        return max(earlier) if earlier else min(later, default=None)

    def next_after(self, index: int, end: int) -> int:
        """The first reference after `index`, `end` when there is none before that."""
        return min((i for i in self.indices if index < i < end), default=end)

    def looks(
        self, classes_of: Callable[[int], tuple[NDArray[np.intp], NDArray[np.unsignedinteger] | None]]
    ) -> Colours:
        """Colours of all instances that the references show, each picture weighing by the pixels it shows.

        classes_of: class indices [H, W] and instance ids [H, W] (or None) of a timeline index.
        """
        sums: dict[int, NDArray[np.float64]] = {}
        for index in self.indices:
            classes, instances = classes_of(index)
            number, path = self._files[index]
            _check_size(path, number, self.picture(index).shape[:2], classes.shape)
            colours = (self.picture(index).reshape(-1, 3).astype(np.float64) + 1.0) / 2.0
            ids, inverse, counts = np.unique(_keys(classes, instances), return_inverse=True, return_counts=True)
            totals = np.stack([np.bincount(inverse.ravel(), weights=colours[:, c]) for c in range(3)], axis=1)
            for key, total, count in zip(ids.tolist(), totals, counts, strict=True):
                so_far = sums.get(key)
                row = np.append(total, count)
                sums[key] = row if so_far is None else so_far + row
        kept = {key: row[:3] / row[3] for key, row in sums.items() if row[3] >= FEWEST_PIXELS}
        keys = sorted(kept)
        table = np.array([kept[key] for key in keys], np.float32).reshape(-1, 3)
        return Colours(np.array(keys, np.int64), table)


@dataclass(frozen=True)
class Colours:
    """Mean colours of the instances (of the classes, without instance maps) that the references show.

    Attributes:
        keys: [N] int64 sorted, class index * 65536 + instance id.
        table: [N, 3] float32 sRGB 0..1.
    """

    keys: NDArray[np.int64]
    table: NDArray[np.float32]


def paint_frame(
    looks: Looks, seen: Colours | None, classes: NDArray[np.intp], instances: NDArray[np.unsignedinteger] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colour of each pixel's instance [H, W, 3] sRGB 0..1, and how far it may be believed [H, W] 0..1.

    What a reference has shown is believed wholly; every other colour is the model's guess.
    """
    colours = looks.paint(classes, instances)
    trust = np.full(classes.shape, GUESS, np.float32)
    if seen is None or not len(seen.keys):
        return colours, trust
    keys = _keys(classes, instances)
    here, inverse = np.unique(keys, return_inverse=True)
    place = np.minimum(np.searchsorted(seen.keys, here), len(seen.keys) - 1)
    known = (seen.keys[place] == here)[inverse].reshape(classes.shape)
    measured = seen.table[place][inverse].reshape(*classes.shape, 3)
    return np.where(known[..., None], measured, colours), np.where(known, np.float32(1.0), trust)


def _keys(classes: NDArray[np.intp], instances: NDArray[np.unsignedinteger] | None) -> NDArray[np.int64]:
    """One number for each (class, instance) pair, flat: instance ids have 16 bits."""
    keys = classes.astype(np.int64).ravel() << 16
    return keys if instances is None else keys | instances.astype(np.int64).ravel()


# --- the frames that must be read --------------------------------------------------------------------------------


def carried_over(references: References, segment: Segment, quality: Quality, length: int) -> set[int]:
    """Timeline indices of all frames that must be read to see the references from a segment's frames.

    Where a chain begins, all frames back to its reference; before a first reference, all frames up to it. The timeline
    has `length` frames.
    """
    starts = {segment.run_in, segment.fade} if quality is Quality.FULL else {segment.start, segment.end}
    needed: set[int] = set()
    for index in range(segment.run_in, min(segment.end, length - 1) + 1):
        source = references.source(index)
        if source is not None and (index in starts or source > index):
            needed |= set(range(min(index, source), max(index, source) + 1))
    return needed


# --- files -------------------------------------------------------------------------------------------------------


def read_reference(path: Path, number: int) -> Picture:
    """A reference picture [H, W, 3] float32 sRGB in -1..1 from PNG or JPEG (sRGB) or EXR (scene-linear Rec.709).

    Raises what the readers of pictures raise.
    """
    if path.suffix.lower() == ".exr":
        return linear_to_srgb(read_color_float(path, frame=number)) * np.float32(2.0) - np.float32(1.0)
    return read_color(path, frame=number).astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def linear_to_srgb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scene-linear light to sRGB 0..1; what is brighter than white or darker than black is cut (IEC 61966-2-1)."""
    cut = np.clip(np.nan_to_num(linear, nan=0.0), 0.0, 1.0).astype(np.float64)
    return np.where(cut <= 0.0031308, cut * 12.92, 1.055 * cut ** (1 / 2.4) - 0.055).astype(np.float32)


def reference_digests(files: tuple[tuple[int, str], ...]) -> list[JSON]:
    """Frame numbers and SHA-256 of the files, sorted: what decides the pixels, wherever the files lie.

    Raises:
        InputError: a file that cannot be read.
    """
    return [[number, _digest(_picture_file(file, number))] for number, file in sorted(files)]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _picture_file(file: str, number: int) -> Path:
    path = Path(file)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise MissingInputError(
            f"the reference {file} for frame {number} {what}", "give a picture", file=file, frame=number
        )
    if path.suffix.lower() not in SUFFIXES:
        raise UnsupportedFileError(
            f"the reference {file} for frame {number} is neither PNG, TIFF, JPEG nor EXR",
            "save it as one of them",
            file=file,
            frame=number,
        )
    return path


def _not_in_shot(number: int, file: str, numbers: tuple[int, ...], source: str) -> UsageError:
    listed = FrameRange.from_numbers(numbers)
    return UsageError(
        f"the reference frame {number} is not in the shot {source}, which has the frames {listed}",
        "write the number of the frame that the picture shows, as in 1001=look.png",
        file=file,
        frame=number,
    )


def _check_size(path: Path, number: int, size: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if size != wanted:
        raise MixedSizesError(
            f"the reference {path} for frame {number} is {size[1]}x{size[0]} but the label maps are "
            f"{wanted[1]}x{wanted[0]}",
            "give the reference at the size of the maps",
            file=str(path),
            frame=number,
        )
