# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a packed data set (see `packed`) from an artist's shot: maps or landmarks, and the true frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import GapError, MissingInputError, MixedSizesError, UsageError
from mapreel.core.contract.frames import FrameRange, counted
from mapreel.core.contract.maps import MapOptions
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.media.classes import ClassRules
from mapreel.core.media.drawing import drawing_motion
from mapreel.core.media.landmarks import Subject, are_landmarks, read_landmarks
from mapreel.core.media.palettes import load_palette
from mapreel.core.media.sequence import (
    NO_OPTIONS,
    MapKind,
    ShotSequence,
    is_movie,
    numbers_on_disk,
    open_maps,
)
from mapreel.core.media.warping import estimate_motion, search_motion
from mapreel.core.vid2vid.conditions import check_task, drawn_points, picture_sequence
from mapreel.core.vid2vid.foreign_maps import check_motion
from mapreel.core.vid2vid.packed import SUFFIX, PackedWriter

LARGEST_STRETCH = 0.03
"""How far width to height may change when pictures are scaled: 960x540 to 480x272 is 0.007."""


class MotionFrom(StrEnum):
    """What motion is estimated on where no motion maps are given."""

    FRAMES = "frames"
    """The true frames: the best there is."""
    MAPS = "maps"
    """The maps, as a render without motion maps has to."""
    NONE = "none"
    """Nothing: every frame is learnt as a still."""


@dataclass(frozen=True, kw_only=True)
class PreparePlan:
    """What goes into a data set.

    Attributes:
        task: city, face or pose; None: what landmarks say, else city.
        frames: maps or landmarks numbers that are taken; all when None.
        size_px: (H, W) of the result; None keeps that of the frames.
        options: how maps are read; label maps become the ids of its palette.
    """

    maps: str
    pictures: str
    instances: str | None = None
    motion: str | None = None
    task: str | None = None
    frames: FrameRange | None = None
    size_px: tuple[int, int] | None = None
    motion_from: MotionFrom = MotionFrom.FRAMES
    options: MapOptions = NO_OPTIONS

    def rules(self) -> ClassRules:
        """How names in the maps become ids: those of the palette, where one is given. Raises as `load_palette`."""
        if self.options.palette is None:
            return ClassRules(self.options.classes)
        palette = load_palette(self.options.palette)
        return ClassRules(self.options.classes, palette.ids, f"the palette {palette.name}")


def run_prepare(plan: PreparePlan, out: Path, context: JobContext) -> dict[str, Any]:
    """Decode everything once and write the data set `out`.

    A movie and a landmark array know no frame numbers: their first frame is the first of the other side.

    Returns:
        dataset, task, frames, size, motion, bytes.

    Raises:
        GapError: a frame is on one side only.
        MixedSizesError: maps and frames differ in size and no size was asked for.
        InputError: anything else about the inputs; OutputError: the data set cannot be written.
    """
    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"the data set {out} has another ending", f"call it name{SUFFIX}", file=str(out))
    source = _Source(plan)
    header = {
        "task": source.task,
        "numbers": str(FrameRange.from_numbers(source.numbers)),
        "labels": json.dumps(source.labels()),
        "canvas": f"{source.pictures.size[1]}x{source.pictures.size[0]}",
        "motion": "given" if plan.motion else plan.motion_from.value,
    }
    remaining = RemainingTime()
    total = len(source.numbers)
    with PackedWriter(out, header, source.shapes(), total) as writer:
        for count, frame in enumerate(source.frames(), start=1):
            context.check()
            writer.add(frame)
            context.report(Progress(count, total, "prepare", remaining.update(count, total)))
    height, width = source.size_px
    return {
        "dataset": str(out),
        "task": source.task,
        "frames": total,
        "size": [width, height],
        "motion": header["motion"],
        "bytes": out.stat().st_size,
    }


class _Source:
    """Both sides of a shot, opened and paired: frame numbers are those of the maps (of the frames for arrays)."""

    def __init__(self, plan: PreparePlan) -> None:
        self.plan = plan
        self.landmarks = read_landmarks(plan.maps) if are_landmarks(plan.maps) else None
        self.task = plan.task or (self.landmarks.subject.value if self.landmarks else "city")
        check_task(self.task, plan.maps)
        if is_movie(plan.maps) and self.task == "city":
            self._open(plan.maps, MapKind.LABEL, FrameRange((1,)))  # ids that compression has changed are told first
        self.numbers, self._picture_offset, self._array_offset = self._pair()
        wanted = FrameRange.from_numbers(self.numbers)
        taken = FrameRange.from_numbers(n + self._picture_offset for n in self.numbers)
        self.pictures = open_maps(plan.pictures, MapKind.COLOR, taken)
        self.maps = None if self.landmarks else self._open_pictures(plan.maps, wanted)
        self.size_px = plan.size_px or self.pictures.size
        self.instances = self._open(plan.instances, MapKind.INSTANCE, wanted) if plan.instances else None
        self.motion = self._open_motion(plan.motion) if plan.motion else None
        self._check_sizes()
        if self.maps is not None and self.motion is not None and self.motion.size == self.maps.size:
            check_motion(self.maps, self.instances, self.motion, self.numbers, plan.options.motion_layout)
        if self.landmarks is not None:
            self.landmarks = self.landmarks.placed(self.pictures.size)

    def _open_pictures(self, source: str, wanted: FrameRange) -> ShotSequence:
        if self.task == "city":
            return self._open(source, MapKind.LABEL, wanted)
        return picture_sequence(Subject(self.task), source, wanted)

    def _open(self, source: str, kind: MapKind, frames: FrameRange) -> ShotSequence:
        return open_maps(source, kind, frames, options=self.plan.options, rules=self.plan.rules())

    def _open_motion(self, source: str) -> ShotSequence:
        gaps = [a for a, b in pairwise(self.numbers) if b != a + 1]
        if gaps:
            raise GapError(
                f"there is a gap after frame {gaps[0]}, but motion maps lead from frame to frame",
                "give every frame, or leave the motion maps away",
                file=source,
                frame=gaps[0],
            )
        return self._open(source, MapKind.MOTION, FrameRange.from_numbers(self.numbers[1:]))

    def _pair(self) -> tuple[tuple[int, ...], int, int]:
        """Frame numbers that are taken, and what to add to them for the movie's and the array's own."""
        movie = is_movie(self.plan.pictures)
        pictures = numbers_on_disk(self.plan.pictures)
        maps = self.landmarks.numbers if self.landmarks else numbers_on_disk(self.plan.maps)
        array = self.landmarks is not None and not self.landmarks.numbered
        shift = maps[0] - pictures[0]
        picture_offset = -shift if movie and not array else 0
        array_offset = shift if array else 0
        here, there = {n - picture_offset for n in pictures}, {n - array_offset for n in maps}
        chosen = set(self.plan.frames or here | there)
        for have, whose in ((here, self.plan.pictures), (there, self.plan.maps)):
            alone = sorted(chosen - have)
            if alone:
                raise GapError(
                    f"{counted(alone)} missing from {whose}",
                    "give every frame on both sides, or choose with --frames",
                    file=whose,
                    frame=alone[0],
                )
        if len(chosen) < 2:
            raise MissingInputError(
                f"a data set needs two frames at least, not {len(chosen)}", "give more frames", file=self.plan.maps
            )
        return tuple(sorted(chosen)), picture_offset, array_offset

    def _check_sizes(self) -> None:
        sources = (self.pictures, self.maps, self.instances, self.motion)
        sizes = {s.source: s.size for s in sources if s is not None}
        if self.plan.size_px is None and len(set(sizes.values())) > 1:
            listed = ", ".join(f"{source} {w}x{h}" for source, (h, w) in sizes.items())
            raise MixedSizesError(f"maps and frames differ in size: {listed}", "bring them to one with --size")
        height, width = self.size_px
        for source, (h, w) in sizes.items():
            if abs(width / height / (w / h) - 1) > LARGEST_STRETCH:
                raise MixedSizesError(
                    f"{source} is {w}x{h}, which {width}x{height} would stretch",
                    "choose a --size of the same shape",
                    file=source,
                )

    def labels(self) -> list[int]:
        """Ids in the label maps of all frames; none for drawings."""
        if self.task != "city" or self.maps is None:
            return []
        found: set[int] = set()
        for number in self.numbers:
            found |= set(np.unique(self.maps.read(number)).tolist())
        return sorted(found)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one frame of each tensor."""
        size = self.size_px
        shapes: dict[str, tuple[int, ...]] = {"color": (*size, 3)}
        if self.landmarks is not None:
            shapes["points"] = self.landmarks.points.shape[1:]
        elif self.task == "city":
            shapes["label"] = size
        elif self.maps is not None:
            shapes["drawing"] = (*size, self.maps.planes)
        if self.instances is not None:
            shapes["instance"] = size
        if self.motion is not None or self.plan.motion_from is not MotionFrom.NONE:
            shapes["motion"] = (*size, 2)
        return shapes

    def frames(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Every frame's part of the tensors, in order."""
        before: dict[str, NDArray[Any]] | None = None
        moves = "motion" in self.shapes()
        for number in self.numbers:
            frame = self._frame(number)
            if moves:
                frame["motion"] = np.zeros((*self.size_px, 2), np.float32)
                if before is not None:
                    frame["motion"] = self._motion(number, frame, before)
            yield frame
            before = frame

    def _frame(self, number: int) -> dict[str, NDArray[Any]]:
        color = self.pictures.read(number + self._picture_offset)
        frame: dict[str, NDArray[Any]] = {"color": _scaled(color, self.size_px)}
        if self.landmarks is not None:
            at = self.landmarks.numbers.index(number + self._array_offset)
            frame["points"] = self.landmarks.points[at]
        elif self.maps is not None:
            kind = "label" if self.task == "city" else "drawing"
            frame[kind] = _scaled(self.maps.read(number), self.size_px, exact=kind == "label")
        if self.instances is not None:
            frame["instance"] = _scaled(self.instances.read(number), self.size_px, exact=True)
        return frame

    def _motion(
        self, number: int, frame: dict[str, NDArray[Any]], before: dict[str, NDArray[Any]]
    ) -> NDArray[np.float32]:
        if self.motion is not None:
            given = self.motion.read(number)
            ratio = np.array([self.size_px[1] / given.shape[1], self.size_px[0] / given.shape[0]], np.float32)
            moved: NDArray[np.float32] = _scaled(given, self.size_px) * ratio
            return moved
        if self.plan.motion_from is MotionFrom.FRAMES:
            return search_motion(*(cv2.cvtColor(f["color"], cv2.COLOR_RGB2GRAY) for f in (frame, before)))  # type: ignore[arg-type]
        if self.landmarks is not None:
            subject = Subject(self.task)
            return drawing_motion(*(drawn_points(subject, f["points"][None], self.size_px)[0] for f in (frame, before)))
        if self.task != "city":
            return drawing_motion(frame["drawing"], before["drawing"])
        kinds = [kind for kind in ("label", "instance") if kind in frame]
        return estimate_motion(tuple(frame[k] for k in kinds), tuple(before[k] for k in kinds))


def _scaled(pixels: NDArray[Any], size_px: tuple[int, int], *, exact: bool = False) -> NDArray[Any]:
    """[H, W] or [H, W, C] at another size; ids are never mixed (`exact`)."""
    if pixels.shape[:2] == size_px:
        return pixels
    shrinks = pixels.shape[0] >= size_px[0]
    how = cv2.INTER_NEAREST_EXACT if exact else cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    scaled: NDArray[Any] = cv2.resize(pixels, size_px[::-1], interpolation=how)
    return scaled.reshape(*size_px, *pixels.shape[2:])
