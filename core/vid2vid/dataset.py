# SPDX-License-Identifier: GPL-3.0-or-later
"""A training shot in memory.

A shot is a folder with `color/` (true frames), `label/`, and where there are any `instance/` and `motion/`, numbered
alike. `streams` reads crops from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import GapError, InputError, MissingInputError, MixedSizesError
from mapreel.core.contract.frames import FoundSequence, counted, find_sequence
from mapreel.core.media.images import read_color
from mapreel.core.media.labels import read_instance_map, read_label_map
from mapreel.core.media.motion import read_motion
from mapreel.core.vid2vid.conditions import DrawnFrames
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import instance_means
from mapreel.core.vid2vid.paper_config import PaperConfig

MAX_CLASSES = 256
"""A shot in memory keeps class indices in 8 bits."""


@dataclass(frozen=True)
class TrainingShot:
    """All frames of one shot, decoded once."""

    colors: NDArray[np.uint8]  # [T, H, W, 3] sRGB
    classes: NDArray[np.uint8]  # [T, H, W] class indices
    instances: NDArray[np.uint16]  # [T, H, W] ids; the class indices where the shot has no instance maps
    motions: NDArray[np.float16] | None  # [T, H, W, 2] px, prev_to_cur
    means: NDArray[np.float32]  # [classes, ids, 3] sRGB 0..1, mean colour of each instance
    pixels: NDArray[np.int64]  # [classes, ids] how many pixels each had
    taught: NDArray[np.uint8] | None = None  # [T, H, W, 3] sRGB, what a teacher makes of these maps
    drawings: DrawnFrames | None = None  # of a drawn face or body
    canvas_px: tuple[int, int] = (0, 0)  # (H, W) of the pictures in which its landmarks counted pixels

    @property
    def size_px(self) -> tuple[int, int]:
        """(H, W)."""
        return self.classes.shape[1], self.classes.shape[2]

    def __len__(self) -> int:
        return len(self.classes)


def load_shot(folder: Path, table: ClassTable) -> TrainingShot:
    """Decode a training shot.

    Raises:
        InputError: more classes than MAX_CLASSES.
        MissingInputError: `color` or `label` is not there, or a frame has no instance map or no motion.
        GapError: a frame of `color` or `label` has no partner, or motion maps lead over frames that are not there.
        MixedSizesError: not all pictures have one size.
        UnknownLabelError: labels outside the class table.
    """
    refuse_many(table)
    color = find_sequence(folder / "color")
    label = find_sequence(folder / "label")
    numbers = tuple(sorted(set(color.numbers) & set(label.numbers)))
    if len(numbers) < 2:
        raise MissingInputError(
            f"the training shot {folder} has {len(numbers)} frames that are in both color and label",
            "give at least two frames with the same numbers in both folders",
            file=str(folder),
        )
    _refuse_unpaired(color, label)
    _refuse_unpaired(label, color)
    classes = []
    for n in numbers:
        path = label.pattern.path(n)
        classes.append(table.indices(read_label_map(path, frame=n), file=str(path), frame=n).astype(np.uint8))
    colors = [read_color(color.pattern.path(n), frame=n) for n in numbers]
    _same_size(folder, numbers, [(c.shape[:2], "color") for c in colors], classes[0].shape)
    _same_size(folder, numbers, [(c.shape[:2], "label") for c in classes], classes[0].shape)
    stacked = np.stack(classes)
    instances = _instances(folder, numbers, stacked)
    motions = _motions(folder, numbers, classes[0].shape)
    means, pixels = instance_means(np.stack(colors), stacked, instances, len(table.ids))
    return TrainingShot(np.stack(colors), stacked, instances, motions, means, pixels)


def refuse_many(table: ClassTable) -> None:
    """Raises InputError for more than MAX_CLASSES classes."""
    if len(table.ids) > MAX_CLASSES:
        raise InputError(
            f"a model can be trained on {MAX_CLASSES} classes at most, not on {len(table.ids)}",
            "join classes in the label maps and the palette",
        )


def _refuse_unpaired(here: FoundSequence, other: FoundSequence) -> None:
    alone = sorted(set(here.numbers) - set(other.numbers))
    if alone:
        raise GapError(
            f"{counted(alone)} missing from {other.pattern.format()}",
            "give every frame in both color and label",
            file=str(other.pattern.path(alone[0])),
            frame=alone[0],
        )


def _same_size(
    folder: Path, numbers: tuple[int, ...], shapes: list[tuple[tuple[int, ...], str]], wanted: tuple[int, ...]
) -> None:
    for number, (shape, kind) in zip(numbers, shapes, strict=True):
        if shape != wanted:
            raise MixedSizesError(
                f"{kind} frame {number} of {folder} is {shape[1]}x{shape[0]} but the shot is {wanted[1]}x{wanted[0]}",
                "bring all pictures of a training shot to one size",
                file=str(folder),
                frame=number,
            )


def _instances(folder: Path, numbers: tuple[int, ...], classes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    if not (folder / "instance").is_dir():
        return classes.astype(np.uint16)
    found = find_sequence(folder / "instance")
    maps = [read_instance_map(found.pattern.path(n), frame=n) for n in numbers]
    _same_size(folder, numbers, [(m.shape, "instance") for m in maps], classes[0].shape)
    return np.stack(maps).astype(np.uint16)


def _motions(folder: Path, numbers: tuple[int, ...], size_px: tuple[int, ...]) -> NDArray[np.float16] | None:
    """Motion of every frame; the first leads out of the shot, so nobody needs its file."""
    if not (folder / "motion").is_dir():
        return None
    gaps = [n for n, after in pairwise(numbers) if after != n + 1]
    if gaps:
        raise GapError(
            f"the training shot {folder} has a gap after frame {gaps[0]}, but its motion leads from frame to frame",
            "give every frame in color and label, or take the motion folder away",
            file=str(folder),
            frame=gaps[0],
        )
    found = find_sequence(folder / "motion")
    maps = [read_motion(found.pattern.path(n), frame=n).astype(np.float16) for n in numbers[1:]]
    _same_size(folder, numbers[1:], [(m.shape[:2], "motion") for m in maps], size_px)
    return np.stack([np.zeros((*size_px, 2), np.float16), *maps])


def check_sizes(shots: list[TrainingShot], config: GeneratorConfig | PaperConfig) -> None:
    """Raises InputError for a shot that has another size than the model is made for."""
    for shot in shots:
        h, w = shot.size_px
        if (h, w) != (config.height, config.width):
            raise InputError(
                f"a training shot is {w}x{h} but the model is made for {config.width}x{config.height}",
                "scale all training shots to one size",
            )


def check_shots(shots: list[TrainingShot], config: GeneratorConfig) -> None:
    """All shots must have the size the model is made for, and room for a crop of the network's stride.

    Raises:
        InputError: a shot has another size, or is too small.
    """
    check_sizes(shots, config)
    for shot in shots:
        h, w = shot.size_px
        if min(h, w) < config.stride_px:
            raise InputError(
                f"a training shot is {w}x{h}, smaller than the {config.stride_px} pixels the network needs",
                "give larger pictures",
            )
