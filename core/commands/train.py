# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel train`: teach a model on the artist's own shots, in this process, resumable at any time."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mapreel.core.commands.console import Console, duration, table
from mapreel.core.commands.options import Json
from mapreel.core.commands.prepare import prepare
from mapreel.core.commands.train_queue import queue
from mapreel.core.contract.errors import CancelledError, MissingInputError, UsageError

app = typer.Typer(no_args_is_help=True, help="Train a model on your own shots.")
app.command()(prepare)
app.command()(queue)

PACE_STEPS = 200  # the time of a step is the mean of so many


@app.command()
def teacher(
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR|DATASET", help="A shot with color/ and label/, or a prepared data set; may be given often."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Checkpoint, log and, at the end, the model.")],
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Steps in all, those before a resume included.")],
    name: Annotated[str | None, typer.Option(help="Name of the model; the name of --out when left out.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the model, kept inside it.")] = "",
    palette: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Ids and names of the classes in label/.")
    ] = None,
    perceptual: Annotated[
        Path | None, typer.Option(metavar="FILE", help="LPIPS-SqueezeNet weights: trains on what the eye sees.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Train the network that renders in full quality."""
    from mapreel.core.commands.submission import Interrupted, on_interrupt
    from mapreel.core.local import LocalContext, wait_calmly, work_in_background

    for folder in data:
        if not folder.exists():
            raise MissingInputError(f"the training shot {folder} is not there", "check its name", file=str(folder))
    if out.is_file():
        raise UsageError(f"{out} is a file and not a folder", "choose another --out", file=str(out))
    wait_calmly()
    work_in_background()
    from mapreel.core.vid2vid.train_job import run_train

    console = Console(json=as_json)
    with console.progress() as view:
        context = LocalContext(view.show)
        try:
            with on_interrupt(context.stop):
                result = run_train(
                    data,
                    out,
                    steps=steps,
                    context=context,
                    resume=resume,
                    name=name,
                    licence=licence,
                    palette=palette,
                    perceptual=perceptual,
                    story={"command": shlex.join(["mapreel", *sys.argv[1:]])},
                )
        except CancelledError as exc:
            raise Interrupted(f"cancelled; a checkpoint stands in {out}", "add --resume to go on") from exc
    console.result(result, [f"trained {result['steps']} steps", str(result["model"])])


@app.command()
def status(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="The --out of a training.")],
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw every term over the steps into this picture.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how far a training is, from its log."""
    from mapreel.core.vid2vid.models import LOG_FILE
    from mapreel.core.vid2vid.training_log import read_log

    if plot is not None and plot.suffix.lower() != ".png":
        raise UsageError(f"charts are drawn as PNG, and {plot} is none", "end the name in .png", file=str(plot))
    log = read_log(out / LOG_FILE)
    times, last = [float(entry.get("seconds", 0.0)) for entry in log], log[-1]
    seconds, started = sum(times[-PACE_STEPS:]) / len(times[-PACE_STEPS:]), sum(times)
    losses = {key: value for key, value in last.items() if key not in {"step", "seconds"}}
    data = {"step": last["step"], "seconds_a_step": seconds, "seconds": started, "losses": losses}
    rows = [["step", str(last["step"])], ["time a step", f"{seconds:.2f} s"], ["time so far", duration(started)]]
    rows += [[key, f"{value:.4g}" if isinstance(value, float) else str(value)] for key, value in losses.items()]
    if plot is not None:
        from mapreel.core.vid2vid.charts import write_charts

        data["plot"] = str(write_charts(plot, log))
        rows.append(["charts", data["plot"]])
    Console(json=as_json).result(data, table(rows))
