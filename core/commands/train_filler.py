# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel train filler`: the tiny network that goes over finished frames, for a model that is trained already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.commands.options import Json
from mapreel.core.commands.train_networks import Out, Perceptual, Resume, Steps, check_paths, run_training


def filler(
    data: Annotated[list[Path], typer.Option(metavar="DIR", help="A shot with color/ and label/; may be given often.")],
    out: Out,
    steps: Steps,
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="The model that it is for.")] = "street",
    perceptual: Perceptual = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Train the tiny network that mends finished frames."""
    check_paths(data, out)
    from mapreel.core.vid2vid.models import find_model

    find_model(model)

    def work(**common: Any) -> dict[str, Any]:
        from mapreel.core.vid2vid.filler_training import run_train_filler

        return run_train_filler(data, out, model=model, **common)

    run_training(out, work, as_json=as_json, steps=steps, perceptual=perceptual, resume=resume)
