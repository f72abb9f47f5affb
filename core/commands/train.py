# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel train`: teach a model on the artist's own shots, in this process, resumable at any time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapreel.core.commands.console import Console, duration, table
from mapreel.core.commands.options import Json
from mapreel.core.commands.prepare import prepare, score
from mapreel.core.commands.train_filler import filler
from mapreel.core.commands.train_networks import student, teacher
from mapreel.core.commands.train_queue import queue
from mapreel.core.commands.train_ranges import ranges
from mapreel.core.contract.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Train a model on your own shots.")
for command in (prepare, score, student, teacher, filler, ranges, queue):
    app.command()(command)

PACE_STEPS = 200  # the time of a step is the mean of so many


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
