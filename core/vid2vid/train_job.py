# SPDX-License-Identifier: GPL-3.0-or-later
"""Training as one call: data folders in, a model folder out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mapreel.core.contract.errors import InputError, MissingInputError, OutputExistsError
from mapreel.core.contract.frames import find_sequence
from mapreel.core.contract.progress import JobContext
from mapreel.core.device import pick_device
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.palettes import load_palette
from mapreel.core.quality import lpips_squeeze
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import load_shot
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.trainer import Trainer, TrainingPlan
from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE


def run_train(
    data: list[Path],
    out: Path,
    *,
    steps: int,
    context: JobContext,
    resume: bool = False,
    name: str | None = None,
    licence: str = "",
    palette: str | None = None,
    perceptual: Path | None = None,
    story: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Train a generator on shots (folders with color, label and, where there are any, instance and motion).

    The checkpoint and the log stay in `out`, the finished model in `out/model`.

    Args:
        data: training shots, all of one size.
        out: folder of the training; must be new unless `resume`.
        steps: steps in total, those before a resume included.
        name: of the model; the name of `out` by default.
        licence: of the model, stored in its header.
        palette: names of the classes; every label in the data must be in it. None: the labels found, numbered names.
        perceptual: weights of LPIPS-SqueezeNet for the perceptual term; without them the term is left out.
        story: more lines for the model's header, such as where the data came from.

    Returns:
        model (path of the weights), steps, classes, size.

    Raises:
        InputError: the data cannot be used.
        MissingInputError: there is no training in `out` to `resume`.
        ModelMismatchError: the training to `resume` has other classes or another size.
        OutputExistsError: there is a training in `out` and `resume` was not asked for.
        CancelledError: the context asked for it; a checkpoint is written first.
    """
    there = (out / CHECKPOINT_FILE).exists()
    if there and not resume:
        raise OutputExistsError(f"{out} holds a training already", "go on with --resume or choose another folder")
    if resume and not there:
        raise MissingInputError(f"there is no training in {out} to go on with", "check the folder or omit --resume")
    if not data:
        raise InputError("no training data is given", "give at least one folder with color and label")
    table = class_table(data, palette)
    shots = [load_shot(folder, table) for folder in data]
    height, width = shots[0].size_px
    config = GeneratorConfig(classes=len(table.ids), width=width, height=height, trust=True)
    device = pick_device()
    plan = TrainingPlan(steps=steps)
    trainer = Trainer(
        out, config, plan, shots, table, device, lpips_squeeze(perceptual, device) if perceptual else None
    )
    if resume:
        trainer.resume()
    trainer.run(context)
    model = trainer.export(
        out / "model",
        name=name or out.name,
        licence=licence,
        story={"data": json.dumps([d.name for d in data]), **(story or {})},
    )
    return {"model": str(model), "steps": trainer.step, "classes": list(table.ids), "size": [width, height]}


def class_table(data: list[Path], palette: str | None) -> ClassTable:
    """The classes of a training: those of the palette, else the labels found in the shots, with numbered names."""
    if palette is not None:
        classes = load_palette(palette).classes
        return ClassTable(tuple(c.id for c in classes), tuple(c.name for c in classes))
    seen: set[int] = set()
    for folder in data:
        found = find_sequence(folder / "label")
        for number in found.numbers:
            seen |= set(np.unique(read_label_map(found.pattern.path(number), frame=number)).tolist())
    ids = tuple(sorted(seen))
    return ClassTable(ids, tuple(f"class {i}" for i in ids))
