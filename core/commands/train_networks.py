# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel train student` and `mapreel train teacher`: the network that renders, and the one it may learn from."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.commands.console import Console
from mapreel.core.commands.options import Json
from mapreel.core.contract.errors import CancelledError, MissingInputError, UsageError

Data = Annotated[
    list[Path],
    typer.Option(
        metavar="DIR|DATASET", help="A shot with color/ and label/, or a prepared data set; may be given often."
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Checkpoint, log and, at the end, the model.")]
Steps = Annotated[int, typer.Option(metavar="N", min=1, help="Steps in all, those before a resume included.")]
Name = Annotated[str | None, typer.Option(help="Name of the model; the name of --out when left out.")]
Licence = Annotated[str, typer.Option(help="Licence of the model, kept inside it.")]
Palette = Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Ids and names of the classes in label/.")]
Perceptual = Annotated[
    Path | None, typer.Option(metavar="FILE", help="LPIPS-SqueezeNet weights: trains on what the eye sees.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")]

DEFAULT_CRITIC = "oasis"  # the better one of those measured: docs/decisions/0007-training.md


def student(
    data: Data,
    out: Out,
    steps: Steps,
    name: Name = None,
    licence: Licence = "",
    palette: Palette = None,
    perceptual: Perceptual = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="NAME|DIR", help="A model to learn from as well, its frames beside the truth.")
    ] = None,
    critic: Annotated[
        str | None, typer.Option(metavar="patch|oasis", help="Who judges the frames; oasis when left out.")
    ] = None,
    slim: Annotated[
        bool, typer.Option("--slim", help="A fifth of the weights: quicker to train and render, softer.")
    ] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's own student of the paper's own teacher (--teacher).")
    ] = False,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Train the network of full, fast and draft quality."""
    check_paths(data, out)
    _check_paper(paper, teacher, slim=slim, critic=critic)
    if teacher is not None:
        from mapreel.core.vid2vid.models import find_model

        find_model(teacher)

    def work(**common: Any) -> dict[str, Any]:
        if paper and teacher is not None:
            from mapreel.core.vid2vid.train_paper_student import run_train_paper_student

            return run_train_paper_student(data, out, teacher=teacher, **common)
        from mapreel.core.vid2vid.train_job import run_train

        return run_train(data, out, critic=critic or DEFAULT_CRITIC, teacher=teacher, slim=slim, **common)

    named = {"name": name, "licence": licence, "palette": palette}
    run_training(out, work, as_json=as_json, steps=steps, perceptual=perceptual, resume=resume, **named)


def teacher(
    data: Data,
    out: Out,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Frames made in all, those before a resume included.")],
    ngf: Annotated[
        int, typer.Option(metavar="N", min=2, max=512, help="Channels at full resolution; the paper has 128.")
    ] = 128,
    previous: Annotated[
        int, typer.Option(metavar="N", min=1, max=16, help="Frames before this one that the network sees.")
    ] = 2,
    foreground: Annotated[
        str | None, typer.Option(metavar="ID,ID", help="Label ids that a branch of their own draws, such as cars.")
    ] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="WxH", help="Train on windows of this size; else on whole pictures.")
    ] = None,
    name: Name = None,
    licence: Licence = "",
    palette: Palette = None,
    perceptual: Perceptual = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Train the paper's network, which a student may learn from."""
    check_paths(data, out)
    branch, crop_px = _ids(foreground), _size(crop)

    def work(**common: Any) -> dict[str, Any]:
        from mapreel.core.vid2vid.train_teacher import run_train_teacher

        return run_train_teacher(data, out, ngf=ngf, previous=previous, foreground=branch, crop_px=crop_px, **common)

    named = {"name": name, "licence": licence, "palette": palette}
    run_training(out, work, as_json=as_json, steps=steps, perceptual=perceptual, resume=resume, **named)


def run_training(out: Path, work: Callable[..., dict[str, Any]], *, as_json: bool, **options: Any) -> None:
    """Run a training in this process, with progress, until its end or Ctrl-C. Raises its errors and Interrupted."""
    from mapreel.core.commands.submission import Interrupted, on_interrupt
    from mapreel.core.local import LocalContext, wait_calmly, work_in_background

    wait_calmly()
    work_in_background()
    console = Console(json=as_json)
    with console.progress() as view:
        context = LocalContext(view.show)
        try:
            with on_interrupt(context.stop):
                story = {"command": shlex.join(["mapreel", *map(_without_folders, sys.argv[1:])])}
                result = work(context=context, story=story, **options)
        except CancelledError as exc:
            from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE

            if not (out / CHECKPOINT_FILE).exists():
                raise Interrupted("cancelled before the first step", "start again without --resume") from exc
            raise Interrupted(f"cancelled; a checkpoint stands in {out}", "add --resume to go on") from exc
    if os.environ.get("RANK", "0") == "0":  # of several processes that torchrun started, the first speaks
        console.result(result, [f"trained {result['steps']} steps", str(result["model"])])


def _without_folders(word: str) -> str:
    """Absolute paths by their last part: a model that is handed on shall not tell where its maker keeps things."""
    return Path(word).name if Path(word).is_absolute() else word


def check_paths(data: list[Path], out: Path) -> None:
    """Before torch is loaded. Raises MissingInputError, UsageError."""
    for folder in data:
        if not folder.exists():
            raise MissingInputError(f"the training shot {folder} is not there", "check its name", file=str(folder))
    if out.is_file():
        raise UsageError(f"{out} is a file and not a folder", "choose another --out", file=str(out))


def _check_paper(paper: bool, teacher: str | None, *, slim: bool, critic: str | None) -> None:
    """Raises UsageError for options that do not go with --paper."""
    if not paper:
        return
    if teacher is None:
        raise UsageError(
            "the paper's student learns from a teacher", "add --teacher, a model of `mapreel train teacher`"
        )
    if slim or critic is not None:
        raise UsageError(
            f"--paper and {'--slim' if slim else '--critic'} do not go together",
            "the paper has said what it is made of",
        )


def _ids(text: str | None) -> tuple[int, ...]:
    """`6,10` as label ids. Raises UsageError."""
    if text is None:
        return ()
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text):
        raise UsageError(f"--foreground is {text}", "give label ids with commas between, such as 6,10")
    return tuple(dict.fromkeys(int(part) for part in text.split(",")))


def _size(text: str | None) -> tuple[int, int] | None:
    """`256x128` as (H, W). Raises UsageError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if found is None or "0" in found.groups():
        raise UsageError(f"--crop is {text}", "give width and height, such as 256x128")
    return int(found[2]), int(found[1])
