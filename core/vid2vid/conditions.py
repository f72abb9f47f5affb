# SPDX-License-Identifier: GPL-3.0-or-later
"""The maps of the three tasks as sequences: label maps, drawn faces and bodies, and landmarks that are drawn here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import GapError, ModelMismatchError, UsageError
from mapreel.core.contract.frames import FrameRange, MissingFrames, counted, find_sequence
from mapreel.core.contract.maps import MapOptions
from mapreel.core.media.classes import ClassRules
from mapreel.core.media.drawing import PLANES, Drawing, condition_planes, draw, drawing_of
from mapreel.core.media.landmarks import Landmarks, Subject, are_landmarks, read_landmarks
from mapreel.core.media.sequence import (
    NO_OPTIONS,
    Lost,
    MapKind,
    ShotSequence,
    is_movie,
    numbers_on_disk,
    open_maps,
)
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.paper_config import PaperConfig

CLASS_NAMES = MappingProxyType({"face": ("background", "face"), "pose": ("background", "body")})
"""Classes of drawn tasks: where the drawn one is and where not (see `drawing.subject_mask`)."""


class DrawnFrames:
    """The drawings of a training shot by frame index, made when asked for."""

    def __init__(self, make: Callable[[int], Drawing], planes: int) -> None:
        self._make, self.planes = make, planes

    def __getitem__(self, index: int) -> Drawing:
        return self._make(index)


def drawn_points(subject: Subject, points: NDArray[np.float32], size_px: tuple[int, int]) -> DrawnFrames:
    """Landmarks [T, N, 3] of a training shot as its drawings."""
    return DrawnFrames(lambda index: draw(subject, points[index], size_px), PLANES[subject])


def source_numbers(config: GeneratorConfig | PaperConfig | None, source: str) -> tuple[int, ...]:
    """Frame numbers of the maps on disk; landmark arrays count from 1.

    Raises ModelMismatchError for landmarks where label maps are read, and what the readers raise.
    """
    if are_landmarks(source):
        _refuse(config is None or config.task == "city", source, "landmarks", "label maps")
        return read_landmarks(source).numbers
    return numbers_on_disk(source)


def source_digits(source: str) -> int:
    """How many digits frame numbers have in the names of the maps; four where their files have none."""
    return 4 if are_landmarks(source) or is_movie(source) else find_sequence(source).pattern.digits


def open_source(
    config: GeneratorConfig | PaperConfig | None,
    source: str,
    frames: FrameRange | None = None,
    missing: MissingFrames = MissingFrames.ERROR,
    options: MapOptions = NO_OPTIONS,
    rules: ClassRules | None = None,
    lost: Lost | None = None,
) -> ShotSequence:
    """The maps that a model reads: as `open_maps`, which it is for label maps, with landmarks and drawings besides.

    Landmarks are drawn at the size the model was trained at. Without a config label maps are read. options, rules: how
    label maps are read, and whose classes they become. lost: takes the files that cannot be read.

    Raises:
        InputError: see `open_maps`.
        ModelMismatchError: maps of another task, or a drawing without the parts that the model knows.
    """
    if config is None or config.task == "city":
        _refuse(are_landmarks(source), source, "landmarks", "label maps")
        return open_maps(source, MapKind.LABEL, frames, missing, options, rules, lost)
    subject = Subject(config.task)
    if are_landmarks(source):
        landmarks = read_landmarks(source)
        _refuse(landmarks.subject is not subject, source, f"landmarks of a {landmarks.subject}", f"a {subject}")
        canvas = config.canvas_px if all(config.canvas_px) else (config.height, config.width)
        sequence = landmark_sequence(landmarks.placed(canvas), (config.height, config.width), frames, missing)
        if config.conditions != condition_planes(PLANES[subject]):
            sequence = _one_plane(sequence)
    else:
        sequence = picture_sequence(subject, source, frames, missing, lost)
    if condition_planes(sequence.planes) != config.conditions:
        raise ModelMismatchError(
            f"the model reads the parts of a face from landmarks, and the drawn lines in {source} belong to no part",
            "give the landmarks (.npy), or a model that was trained on drawn faces",
            file=source,
        )
    return sequence


def _refuse(wrong: bool, source: str, given: str, wanted: str) -> None:
    if wrong:
        raise ModelMismatchError(
            f"{source} holds {given}, but the model reads {wanted}",
            "give its kind of maps or another model",
            file=source,
        )


def picture_sequence(
    subject: Subject,
    source: str,
    frames: FrameRange | None = None,
    missing: MissingFrames = MissingFrames.ERROR,
    lost: Lost | None = None,
) -> ShotSequence:
    """Drawn pictures of a face or body. Raises as `open_maps`."""
    colors = open_maps(source, MapKind.COLOR, frames, missing, lost=lost)
    return ShotSequence(
        kind=MapKind.DRAWING,
        source=colors.source,
        numbers=colors.numbers,
        size=colors.size,
        filled=colors.filled,
        filed=colors.filed,
        load=lambda number: drawing_of(subject, colors.load(number)),
        planes=1 if subject is Subject.FACE else PLANES[subject],
    )


def landmark_sequence(
    landmarks: Landmarks,
    size_px: tuple[int, int],
    frames: FrameRange | None = None,
    missing: MissingFrames = MissingFrames.ERROR,
) -> ShotSequence:
    """Placed landmarks as drawings of (H, W). Raises GapError for planned frames without any."""
    index = {number: at for at, number in enumerate(landmarks.numbers)}
    first, last = min(index), max(index)
    planned = frames.numbers if frames is not None else tuple(range(first, last + 1))
    gaps = [number for number in planned if number not in index]
    if gaps and missing is MissingFrames.ERROR:
        raise GapError(
            f"{counted(gaps)} missing from {landmarks.source}, which has {FrameRange.from_numbers(landmarks.numbers)}",
            "detect what is missing, leave it out with --frames, or choose --missing hold",
            file=str(landmarks.filed(gaps[0])),
            frame=gaps[0],
        )
    held = {gap: max((n for n in index if n < gap), default=first) for gap in gaps}
    black = missing is MissingFrames.BLACK
    return ShotSequence(
        kind=MapKind.DRAWING,
        source=landmarks.source,
        numbers=planned,
        size=size_px,
        filled=MappingProxyType({gap: None if black else there for gap, there in held.items()}),
        filed=landmarks.filed,
        load=lambda number: draw(landmarks.subject, landmarks.points[index[number]], size_px),
        planes=PLANES[landmarks.subject],
    )


def _one_plane(sequence: ShotSequence) -> ShotSequence:
    """A face drawn from landmarks as an artist would draw it: all parts in one plane."""
    load = sequence.load
    return ShotSequence(
        kind=sequence.kind,
        source=sequence.source,
        numbers=sequence.numbers,
        size=sequence.size,
        filled=sequence.filled,
        filed=sequence.filed,
        load=lambda number: load(number).max(axis=2, keepdims=True),
        planes=1,
    )


def check_task(task: str, source: str) -> None:
    """Landmarks belong to a task; pictures may be of any. Raises UsageError when they do not fit."""
    if are_landmarks(source):
        subject = read_landmarks(source).subject
        if task != subject:
            raise UsageError(
                f"{source} holds landmarks of a {subject}, which are no maps of the task {task}",
                f"write --task {subject} or leave it out",
                file=str(Path(source)),
            )
