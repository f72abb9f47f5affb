# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the paper's student as one call: data folders and a teacher in, a model folder out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from mapreel.core.contract.errors import InputError, ModelMismatchError, UsageError
from mapreel.core.contract.progress import JobContext
from mapreel.core.quality import lpips_squeeze
from mapreel.core.vid2vid.checkpoint import open_model
from mapreel.core.vid2vid.distillation import Teacher, teach
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.paper_student import PaperStudentPlan, PaperStudentTrainer
from mapreel.core.vid2vid.ranks import join_ranks
from mapreel.core.vid2vid.teacher_model import TeacherModel, load_teacher
from mapreel.core.vid2vid.train_job import refuse_folder
from mapreel.core.vid2vid.training_data import class_table, generator_config, load_data


def run_train_paper_student(
    data: list[Path],
    out: Path,
    *,
    teacher: str,
    steps: int,
    context: JobContext,
    resume: bool = False,
    name: str | None = None,
    licence: str = "",
    palette: str | None = None,
    perceptual: Path | None = None,
    story: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Train the student of a teacher that `run_train_teacher` made, on shots of the teacher's classes.

    Channels, previous frames and foreground are the teacher's; the size is that of the shots. The teacher's frames and
    the checkpoint stay in `out`, the finished model in `out/model`.

    Args:
        data: training shots, all of one size.
        out: folder of the training; must be new unless `resume`.
        teacher: name or path of the teacher's model.
        steps: frames made in all, those before a resume included.
        name, licence, palette, perceptual, story: as `run_train` has them.

    Returns:
        model (path of the weights), steps, ngf, begun_with (tensors taken from the teacher), classes, size.

    Raises:
        InputError: the data cannot be used.
        UsageError: the teacher is none of the paper's kind.
        ModelError: the teacher cannot be used, or has other classes than the palette.
        MissingInputError: there is no training in `out` to `resume`.
        ModelMismatchError: the training to `resume` has another network, other classes or another teacher.
        OutputExistsError: there is a training in `out` and `resume` was not asked for.
        CancelledError: the context asked for it; a checkpoint is written first.
    """
    refuse_folder(out, resume=resume)
    if not data:
        raise InputError("no training data is given", "give at least one folder with color and label")
    master = _master(teacher)
    table = _classes(master, data, palette)
    shots = [load_data(path, table) for path in data]
    asked = generator_config(data, shots, table)
    config = replace(
        master.config.as_student(), width=asked.width, height=asked.height, task=asked.task, canvas_px=asked.canvas_px
    )
    plan = PaperStudentPlan(steps=steps)
    with join_ranks() as (ranks, device):
        with ranks.first_goes_first():
            made_by = Teacher(teacher, table, device, asked)
            shots = teach(made_by, shots, out, context)
        network = lpips_squeeze(perceptual, device) if perceptual else None
        trainer = PaperStudentTrainer(out, config, plan, shots, table, device, network, ranks, teacher=master)
        if resume:
            trainer.resume()
        trainer.run(context)
        story = {"data": json.dumps([d.name for d in data]), "teacher": Path(teacher).name, **(story or {})}
        if ranks.first:
            trainer.export(out / "model", name=name or out.name, licence=licence, story=story)
    return {
        "model": str(out / "model" / MODEL_FILE),
        "steps": trainer.step,
        "ngf": config.ngf,
        "begun_with": len(trainer.begun_with),
        "classes": list(table.ids),
        "size": [config.width, config.height],
    }


def _master(name: str) -> TeacherModel:
    """Raises UsageError for a model that is no teacher of the paper's kind."""
    if open_model(name).is_teacher:
        master = load_teacher(name)
        if not master.config.student:
            return master
    raise UsageError(
        f"the model {name} is no teacher as the paper has it",
        "train one with `mapreel train teacher` and give its model",
    )


def _classes(master: TeacherModel, data: list[Path], palette: str | None) -> ClassTable:
    """The teacher's: its weights are what the student begins with. Raises ModelMismatchError for another palette."""
    if palette is not None and class_table(data, palette).ids != master.table.ids:
        raise ModelMismatchError(
            f"the palette {palette} has other classes than the teacher {master.name}",
            "leave out --palette: the student has the classes of its teacher",
        )
    return master.table
