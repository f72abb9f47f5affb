# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of a teacher as one call: data folders in, a model folder out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.progress import JobContext
from mapreel.core.quality import lpips_squeeze
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.ranks import join_ranks
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
        MissingInputError: there is no training in `out` to `resume`.
        ModelMismatchError: the training to `resume` has another network or other classes.
        OutputExistsError: there is a training in `out` and `resume` was not asked for.
        CancelledError: the context asked for it; a checkpoint is written first.
    """
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
    plan = TeacherPlan(steps=steps, crop_px=crop_px)
    with join_ranks() as (ranks, device):
        network = lpips_squeeze(perceptual, device) if perceptual else None
        trainer = TeacherTrainer(out, config, plan, shots, table, device, network, ranks)
        if resume:
            trainer.resume()
        trainer.run(context)
        story = {"data": json.dumps([d.name for d in data]), **(story or {})}
        if ranks.first:
            trainer.export(out / "model", name=name or out.name, licence=licence, story=story)
    return {
        "model": str(out / "model" / MODEL_FILE),
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
