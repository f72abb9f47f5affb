# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of a teacher as one call: data folders in, a model folder out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mapreel.core.contract.errors import InputError, UsageError
from mapreel.core.contract.progress import JobContext
from mapreel.core.device import pick_device
from mapreel.core.quality import lpips_squeeze
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.teacher_trainer import TeacherPlan, TeacherTrainer
from mapreel.core.vid2vid.train_job import refuse_folder
from mapreel.core.vid2vid.training_data import class_table, generator_config, load_data


def run_train_teacher(
    data: list[Path],
    out: Path,
    *,
    steps: int,
    context: JobContext,
    ngf: int = 128,
    previous: int = 2,
    foreground: tuple[int, ...] = (),
    crop_px: tuple[int, int] | None = None,
    resume: bool = False,
    name: str | None = None,
    licence: str = "",
    palette: str | None = None,
    perceptual: Path | None = None,
    story: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Train the paper's composite generator on shots: folders with color, label and so on, or packed data sets.

    The checkpoint and the log stay in `out`, the finished model in `out/model`.

    Args:
        data: training shots, all of one size.
        out: folder of the training; must be new unless `resume`.
        steps: frames made in all, those before a resume included.
        ngf: channels at full resolution; the paper has 128.
        previous: pictures before this one that the network sees.
        foreground: label ids that a branch of their own draws; none: there is no such branch.
        crop_px: (H, W) of the window that is trained on; None: the whole picture.
        name, licence, palette, perceptual, story: as `run_train` has them.

    Returns:
        model (path of the weights), steps, ngf, classes, size.

    Raises:
        InputError: the data cannot be used.
        UsageError: torchrun started several processes.
        MissingInputError: there is no training in `out` to `resume`.
        ModelMismatchError: the training to `resume` has another network or other classes.
        OutputExistsError: there is a training in `out` and `resume` was not asked for.
        CancelledError: the context asked for it; a checkpoint is written first.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("a teacher is trained in one process", "start it without torchrun")
    refuse_folder(out, resume=resume)
    if not data:
        raise InputError("no training data is given", "give at least one folder with color and label")
    table = class_table(data, palette)
    places = _places(foreground, table)
    shots = [load_data(path, table) for path in data]
    asked = generator_config(data, shots, table)
    config = PaperConfig(
        width=asked.width,
        height=asked.height,
        classes=asked.classes,
        edges=asked.edges,
        conditions=asked.conditions,
        task=asked.task,
        canvas_px=asked.canvas_px,
        previous=previous,
        ngf=ngf,
        foreground=places,
    )
    device = pick_device()
    network = lpips_squeeze(perceptual, device) if perceptual else None
    plan = TeacherPlan(steps=steps, crop_px=crop_px)
    trainer = TeacherTrainer(out, config, plan, shots, table, device, network)
    if resume:
        trainer.resume()
    trainer.run(context)
    story = {"data": json.dumps([d.name for d in data]), **(story or {})}
    model = trainer.export(out / "model", name=name or out.name, licence=licence, story=story)
    return {
        "model": str(model),
        "steps": trainer.step,
        "ngf": ngf,
        "classes": list(table.ids),
        "size": [config.width, config.height],
    }


def _places(foreground: tuple[int, ...], table: ClassTable) -> tuple[int, ...]:
    """Class indices of label ids. Raises InputError for an id that is no class."""
    unknown = [i for i in foreground if i not in table.ids]
    if unknown:
        raise InputError(
            f"the foreground class {unknown[0]} is not among the classes of the training",
            f"choose from {', '.join(str(i) for i in table.ids)}",
        )
    return tuple(table.ids.index(i) for i in foreground)
