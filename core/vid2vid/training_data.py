# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training is given: shot folders and packed data sets, all of one task."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.frames import find_sequence
from mapreel.core.media.drawing import condition_planes, subject_mask
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.landmarks import Subject
from mapreel.core.media.palettes import load_palette
from mapreel.core.vid2vid.conditions import CLASS_NAMES, DrawnFrames, drawn_points
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import TrainingShot, load_shot, refuse_many
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import instance_means
from mapreel.core.vid2vid.packed import PackedShot, is_packed, open_packed


def task_of(data: list[Path]) -> str:
    """The task of all data sets. Raises InputError when they differ."""
    tasks = {open_packed(path).task if is_packed(path) else "city" for path in data}
    if len(tasks) > 1:
        raise InputError(
            f"the training data is of different tasks ({', '.join(sorted(tasks))})", "train a model for each"
        )
    return tasks.pop()


def class_table(data: list[Path], palette: str | None) -> ClassTable:
    """The classes of a training: those of the palette, else the labels found in the shots, with numbered names.

    Drawn tasks have the two classes of CLASS_NAMES.
    """
    names = CLASS_NAMES.get(task_of(data))
    if names is not None:
        return ClassTable(tuple(range(len(names))), names)
    if palette is not None:
        classes = load_palette(palette).classes
        return ClassTable(tuple(c.id for c in classes), tuple(c.name for c in classes))
    seen: set[int] = set()
    for folder in data:
        if is_packed(folder):
            seen |= set(open_packed(folder).labels)
            continue
        found = find_sequence(folder / "label")
        for number in found.numbers:
            seen |= set(np.unique(read_label_map(found.pattern.path(number), frame=number)).tolist())
    ids = tuple(sorted(seen))
    return ClassTable(ids, tuple(f"class {i}" for i in ids))


def load_data(path: Path, table: ClassTable) -> TrainingShot:
    """A shot folder or a packed data set. Raises what `load_shot` and `open_packed` raise, UnknownLabelError."""
    return _unpacked(open_packed(path), table) if is_packed(path) else load_shot(path, table)


def _unpacked(packed: PackedShot, table: ClassTable) -> TrainingShot:
    refuse_many(table)
    drawings = drawn_frames(packed)
    if drawings is None:
        labels = packed.arrays["label"]
        found = (
            table.indices(labels[i], file=str(packed.path), frame=number) for i, number in enumerate(packed.numbers)
        )
    else:
        found = (subject_mask(drawings[i]).astype(np.intp) for i in range(len(packed)))
    classes = np.stack([indices.astype(np.uint8) for indices in found])
    instances = packed.arrays.get("instance", classes.astype(np.uint16))
    colors = packed.arrays["color"]
    means, pixels = instance_means(colors, classes, instances, len(table.ids))
    motions = packed.arrays.get("motion")
    return TrainingShot(
        colors, classes, instances, motions, means, pixels, drawings=drawings, canvas_px=packed.canvas_px
    )


def drawn_frames(packed: PackedShot) -> DrawnFrames | None:
    """The drawings of a data set; None for label maps."""
    if packed.task == "city":
        return None
    if "points" in packed.arrays:
        return drawn_points(Subject(packed.task), packed.arrays["points"], packed.size_px)
    pictures = packed.arrays["drawing"]
    return DrawnFrames(lambda index: np.asarray(pictures[index]), pictures.shape[3])


def generator_config(data: list[Path], shots: list[TrainingShot], table: ClassTable) -> GeneratorConfig:
    """The generator that these shots ask for.

    Drawn tasks know no instances, so they have neither edges between them nor colours of their own.
    Raises InputError when some drawings have parts and others none.
    """
    height, width = shots[0].size_px
    task = task_of(data)
    if task == "city":
        return GeneratorConfig(classes=len(table.ids), width=width, height=height, trust=True)
    planes = {shot.drawings.planes for shot in shots if shot.drawings is not None}
    if len(planes) != 1:
        raise InputError(
            "some of the faces are drawn from landmarks and some by hand", "prepare all of them in one way"
        )
    return GeneratorConfig(
        classes=len(table.ids),
        width=width,
        height=height,
        edges=False,
        looks=False,
        task=task,
        conditions=condition_planes(planes.pop()),
        canvas_px=shots[0].canvas_px,
    )
