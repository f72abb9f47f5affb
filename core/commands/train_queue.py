# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel train queue`: a training as a job of the service, which goes on when this program and its terminal end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapreel.core.commands.console import Console
from mapreel.core.commands.options import Json, absolute, model_name, optional
from mapreel.core.contract.errors import MissingInputError, UsageError
from mapreel.core.contract.requests import MODEL_NAME, TrainRequest


def queue(
    data: Annotated[
        list[str], typer.Option(metavar="DIR|DATASET", help="A shot with color/ and label/, or a prepared data set.")
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="Checkpoint, log and model; DIR_v002 if it is there.")],
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Steps in all, those before a resume included.")],
    name: Annotated[str | None, typer.Option(help="Name of the model; the name of --out when left out.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the model, kept inside it.")] = "",
    palette: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Ids and names of the classes.")] = None,
    perceptual: Annotated[str | None, typer.Option(metavar="FILE", help="LPIPS-SqueezeNet weights.")] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="NAME|DIR", help="A model whose frames are learnt too.")
    ] = None,
    critic: Annotated[str, typer.Option(metavar="patch|oasis", help="Who judges the frames.")] = "oasis",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Queue a training as a job of the service.

    Pause, resume or cancel it with `mapreel jobs`: a checkpoint is written first, and it goes on from the newest one.
    """
    from mapreel.core.contract.client import ServiceClient

    for folder in data:
        if not Path(folder).expanduser().exists():
            raise MissingInputError(f"the training shot {folder} is not there", "check its name", file=folder)
    if Path(absolute(out)).is_file():
        raise UsageError(f"{out} is a file and not a folder", "choose another --out", file=out)
    request = TrainRequest(
        data=tuple(absolute(folder) for folder in data),
        out=absolute(out),
        steps=steps,
        resume=resume,
        name=name,
        licence=licence,
        palette=palette if palette is None or MODEL_NAME.fullmatch(palette) else absolute(palette),
        perceptual=optional(perceptual),
        teacher=None if teacher is None else model_name(teacher),
        critic=critic,
    )
    with ServiceClient() as client:
        job = client.submit(request)
    lines = [f"queued job {job.id}, writing to {job.take}", f"watch it with: mapreel jobs watch {job.id}"]
    Console(json=as_json).result({"job": job.id, "take": job.take}, lines)
