# SPDX-License-Identifier: GPL-3.0-or-later
"""Training as one call: data folders in, a model folder out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from mapreel.core.contract.errors import InputError, MissingInputError, OutputExistsError, UsageError
from mapreel.core.contract.progress import JobContext
from mapreel.core.quality import lpips_squeeze
from mapreel.core.vid2vid.adversary import Critic
from mapreel.core.vid2vid.dataset import check_shots
from mapreel.core.vid2vid.distillation import Teacher, teach
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.ranks import join_ranks
from mapreel.core.vid2vid.trainer import Trainer, TrainingPlan
from mapreel.core.vid2vid.training_data import class_table, generator_config, load_data
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
    critic: str = "patch",
    teacher: str | None = None,
    slim: bool = False,
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
        critic: "patch" or "oasis", see `Critic`.
        teacher: name or path of a model whose frames the network learns from as well; None: from the truth alone.
        slim: a network with a fifth of the weights.
        story: more lines for the model's header, such as where the data came from.

    Returns:
        model (path of the weights), steps, classes, size.

    Raises:
        InputError: the data cannot be used.
        UsageError: there is no such critic.
        ModelError: the teacher cannot be used.
        MissingInputError: there is no training in `out` to `resume`.
        ModelMismatchError: the training to `resume` has other classes, another size or other teachers, or the teacher
            reads other maps.
        OutputExistsError: there is a training in `out` and `resume` was not asked for.
        CancelledError: the context asked for it; a checkpoint is written first.
    """
    refuse_folder(out, resume=resume)
    if critic not in list(Critic):
        raise UsageError(f"there is no critic called {critic}", f"choose from {', '.join(Critic)}")
    if not data:
        raise InputError("no training data is given", "give at least one folder with color and label")
    table = class_table(data, palette)
    shots = [load_data(path, table) for path in data]
    config = generator_config(data, shots, table)
    config = config.slim() if slim else config
    check_shots(shots, config)
    plan = TrainingPlan(steps=steps, critic=Critic(critic))
    with join_ranks() as (ranks, device):
        teacher_sha256 = None
        if teacher is not None:
            plan = replace(plan, temporal=plan.temporal or 1.0)  # whose features compare clips
            with ranks.first_goes_first():
                made_by = Teacher(teacher, table, device, config)
                shots, teacher_sha256 = teach(made_by, shots, out, context), made_by.sha256
        network = lpips_squeeze(perceptual, device) if perceptual else None
        trainer = Trainer(out, config, plan, shots, table, device, network, ranks, teacher_sha256)
        if resume:
            trainer.resume()
        trainer.run(context)
        story = {
            "data": json.dumps([d.name for d in data]),
            **({"teacher": Path(teacher).name} if teacher else {}),
            **(story or {}),
        }
        if ranks.first:
            trainer.export(out / "model", name=name or out.name, licence=licence, story=story)
    return {
        "model": str(out / "model" / MODEL_FILE),
        "steps": trainer.step,
        "classes": list(table.ids),
        "size": [config.width, config.height],
    }


def refuse_folder(out: Path, *, resume: bool) -> None:
    """A new training needs a folder without one, a resume needs one. Raises OutputExistsError, MissingInputError."""
    there = (out / CHECKPOINT_FILE).exists()
    if there and not resume:
        raise OutputExistsError(f"{out} holds a training already", "go on with --resume or choose another folder")
    if resume and not there:
        raise MissingInputError(f"there is no training in {out} to go on with", "check the folder or omit --resume")
