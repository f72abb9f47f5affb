# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel label doctor`: what is wrong with label maps, where, and mended copies of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mapreel.core.commands.console import Console, table
from mapreel.core.commands.options import Classes, Frames, Json, Layer, Local, absolute, map_options, optional
from mapreel.core.contract.errors import (
    DamagedFileError,
    FileTooLargeError,
    GapError,
    InputError,
    MissingInputError,
)
from mapreel.core.contract.frames import FrameRange, MissingFrames, counted
from mapreel.core.contract.requests import InspectRequest, RepairRequest

if TYPE_CHECKING:
    from mapreel.core.commands.submission import Finished
    from mapreel.core.contract.frames import FoundSequence

UNREADABLE = (DamagedFileError, FileTooLargeError, MissingInputError)
"""What is wrong with one file: a finding."""


def doctor(
    maps: Annotated[str, typer.Argument(metavar="MAPS", help="Label maps: a folder, a pattern or one file.")],
    palette: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The palette that these maps should keep to.")
    ] = None,
    classes: Classes = None,
    layer: Layer = None,
    frames: Frames = None,
    picture: Annotated[
        str | None, typer.Option(metavar="PNG", help="Draw where; if it is there, NAME_v002.png is made.")
    ] = None,
    repair: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write mended copies; if it is there, DIR_v002 is made.")
    ] = None,
    missing: Annotated[
        MissingFrames, typer.Option(help="In copies, frames not there or broken: stop, repeat the one before, or id 0.")
    ] = (MissingFrames.ERROR),
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 when anything is wrong (or left wrong).")
    ] = False,
    local: Local = False,
    as_json: Json = False,
) -> None:
    """Find what is wrong with label maps; write mended copies."""
    from mapreel.core.commands.submission import run_request

    shared = {"frames": frames, "picture": optional(picture)}
    request = _request(maps, map_options(palette, classes, layer), shared, repair, missing)
    console = Console(json=as_json)
    done = run_request(console, request, local=local)
    console.result(done.to_dict(), _story(done))
    counts = done.result.get("repair", {}).get("counts")
    left = any(each["after"] for each in counts.values()) if counts is not None else bool(done.result["findings"])
    if strict and left:
        raise typer.Exit(1)


def _request(
    maps: str, options: dict[str, Any], shared: dict[str, Any], repair: str | None, missing: MissingFrames
) -> InspectRequest | RepairRequest:
    """The request, after a look at what costs little to look at. Raises InputError, OutputError, UsageError."""
    from pathlib import Path

    from mapreel.core.media.doctor_repair import refuse_same_folder

    told = {name: options[name] for name in ("palette", "classes", "layer")}
    request = InspectRequest(source=absolute(maps), **told, **shared)
    found, gaps = _looked_at(request)
    if repair is None:
        return request
    refuse_same_folder(found, Path(absolute(repair)))
    if gaps and missing is MissingFrames.ERROR:
        remedy = "bring the frame, leave it out with --frames, or choose --missing hold or --missing black"
        raise GapError(f"{counted(gaps)} missing from {found.pattern.format()}", remedy, frame=gaps[0])
    return RepairRequest(source=request.source, **told, **shared, out=absolute(repair), missing=missing)


def _looked_at(request: InspectRequest) -> tuple[FoundSequence, list[int]]:
    """The sequence and its gaps. Raises InputError for none, and for EXR maps that need to be told how to be read."""
    from mapreel.core.media.doctor import map_reading, planned_frames
    from mapreel.core.media.doctor_colours import try_read
    from mapreel.core.media.palettes import load_palette

    found, planned = planned_frames(request.source, FrameRange.parse(request.frames) if request.frames else None)
    palette = load_palette(request.palette) if request.palette is not None else None
    reading = map_reading(palette, request.map_reading)
    there = [number for number in planned if number in frozenset(found.numbers)]
    if there and found.pattern.tail.lower().endswith(".exr"):
        first = try_read(found.pattern.path(there[0]), there[0], reading)
        if isinstance(first, InputError) and not isinstance(first, UNREADABLE):
            raise first
    return found, [number for number in planned if number not in frozenset(found.numbers)]


def _story(done: Finished) -> list[str]:
    result = done.result
    size = "x".join(map(str, result["size"])) if result["size"] else "none can be read"
    pace = f", {result['frames_per_second']:.0f} frames/s" if result.get("frames_per_second") else ""
    lines = [f"{result['source']}: {_read_of(result)}, {size}{pace}"]
    rows = [[each["problem"], line] for each, line in zip(result["findings"], result["lines"], strict=False)]
    lines += table(rows) if rows else ["nothing wrong"]
    if "repair" in result:
        lines += _mended(result["repair"])
    lines += [str(result["picture"])] if result.get("picture") else []
    return lines


def _read_of(result: dict[str, Any]) -> str:
    """`12 frames`, or `10 of 12 frames read` where some are not there or cannot be."""
    planned, there = len(FrameRange.parse(result["frames"])), result["looked_at"]
    frames = "frame" if planned == 1 else "frames"
    return f"{planned} {frames}" if there == planned else f"{there} of {planned} {frames} read"


def _mended(repair: dict[str, Any]) -> list[str]:
    rows = [["problem", "before", "after"]]
    rows += [[name, str(counts["before"]), str(counts["after"])] for name, counts in repair["counts"].items()]
    told = [f"{name}: frames {repair[name]}" for name in ("mended", "filled", "copied") if repair[name]]
    return [
        *(table(rows) if len(rows) > 1 else []),
        f"{repair['pixels']} pixels changed; {'; '.join(told)}",
        repair["folder"],
    ]


def mention_damage(console: Console, maps: str, frames: str | None = None, palette: str | None = None) -> None:
    """One line on stderr when three of the label maps show damage; costs some tens of milliseconds."""
    from mapreel.core.media.doctor import glance
    from mapreel.core.media.palettes import load_palette

    known = load_palette(palette) if palette is not None else None
    told = glance(maps, palette=known, frames=FrameRange.parse(frames) if frames else None)
    if told:
        console.note(told)
