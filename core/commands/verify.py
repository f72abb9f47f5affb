# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel verify`: is a take what was planned and written?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mapreel.core.commands.console import Console
from mapreel.core.commands.options import Json, absolute
from mapreel.core.contract.errors import FramesLostError, UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.progress import Progress

if TYPE_CHECKING:
    from mapreel.core.media.takecheck import TakeVerdict

SENTENCES = 20  # of faults on the screen; --json has all


def verify(
    take: Annotated[str, typer.Argument(metavar="TAKE", help="A folder of frames or a movie that Mapreel wrote.")],
    as_json: Json = False,
) -> None:
    """Say whether a take is whole, and as it was written."""
    from mapreel.core.media.takecheck import check_take

    path = Path(absolute(take))
    if path.suffix.lower() == ".nirv":
        raise UsageError(f"{path.name} is an archive", f"use: mapreel archive verify {take}")
    console = Console(json=as_json)
    with console.progress() as view:
        verdict = check_take(path, lambda done, total: view.show(Progress(done, total, "verify")))
    data = {
        "take": str(path),
        "planned": verdict.planned,
        "good": verdict.good,
        "without_hash": verdict.unproven,
        "bad_frames": sorted(verdict.frames),
        "faults": verdict.faults,
        "whole": not verdict.faults,
    }
    if verdict.faults:
        if as_json:  # all of it: a script wants the numbers
            console.result({**data, "error": _broken(verdict).to_dict()}, [])
            raise typer.Exit(1)
        for sentence in verdict.faults[:SENTENCES]:
            console.note(sentence)
        raise _broken(verdict)
    told = f"{verdict.planned} frames planned, all there, whole and as they were written"
    if verdict.unproven:
        told = f"{verdict.planned} frames planned, all there and whole; of {verdict.unproven} no hash was noted"
    console.result(data, [told])


def _broken(verdict: TakeVerdict) -> FramesLostError:
    frames = sorted(verdict.frames)
    if frames:
        many = "frame" if len(frames) == 1 else f"{len(frames)} of {verdict.planned} frames"
        what = f"{many} {FrameRange.from_numbers(frames)} of {verdict.take.name} cannot be trusted: {verdict.faults[0]}"
    else:
        what = f"{verdict.take.name} is not what was planned: {verdict.faults[0]}"
    return FramesLostError(
        what, "take the named files away and render again with --resume", detail="\n".join(verdict.faults)
    )
