# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel label doctor`: what is wrong with label maps, where, and mended copies of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mapreel.core.commands.console import Console, table
from mapreel.core.commands.options import Frames, Json, Local, absolute, optional
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import MODEL_NAME, InspectRequest, RepairRequest

if TYPE_CHECKING:
    from mapreel.core.commands.submission import Finished


def doctor(
    maps: Annotated[str, typer.Argument(metavar="MAPS", help="Label maps: a folder, a pattern or one file.")],
    palette: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The palette that these maps should keep to.")
    ] = None,
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

    request = _request(maps, palette, frames, picture, repair, missing)
    console = Console(json=as_json)
    done = run_request(console, request, local=local)
    console.result(done.to_dict(), _story(done))
    counts = done.result.get("repair", {}).get("counts")
    left = any(each["after"] for each in counts.values()) if counts is not None else bool(done.result["findings"])
    if strict and left:
        raise typer.Exit(1)


def _request(
    maps: str, palette: str | None, frames: str | None, picture: str | None, repair: str | None, missing: MissingFrames
) -> InspectRequest | RepairRequest:
    """The request, after a look at what costs nothing to look at. Raises InputError, OutputError, UsageError."""
    from pathlib import Path

    from mapreel.core.contract.frames import FrameRange
    from mapreel.core.media.doctor import planned_frames
    from mapreel.core.media.doctor_repair import refuse_same_folder
    from mapreel.core.media.palettes import load_palette

    found, _ = planned_frames(absolute(maps), FrameRange.parse(frames) if frames else None)
    named = palette if palette is None or MODEL_NAME.fullmatch(palette) else absolute(palette)
    if named is not None:
        load_palette(named)
    shared: dict[str, Any] = {
        "source": absolute(maps),
        "palette": named,
        "frames": frames,
        "picture": optional(picture),
    }
    if repair is None:
        return InspectRequest(**shared)
    refuse_same_folder(found, Path(absolute(repair)))
    return RepairRequest(**shared, out=absolute(repair), missing=missing)


def _story(done: Finished) -> list[str]:
    result = done.result
    size = "x".join(map(str, result["size"])) if result["size"] else "none can be read"
    pace = f", {result['frames_per_second']:.0f} frames/s" if result.get("frames_per_second") else ""
    lines = [f"{result['source']}: {result['looked_at']} frames, {size}{pace}"]
    rows = [[each["problem"], line] for each, line in zip(result["findings"], result["lines"], strict=False)]
    lines += table(rows) if rows else ["nothing wrong"]
    if "repair" in result:
        lines += _mended(result["repair"])
    lines += [str(result["picture"])] if result.get("picture") else []
    return lines


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
    from mapreel.core.contract.frames import FrameRange
    from mapreel.core.media.doctor import glance
    from mapreel.core.media.palettes import load_palette

    known = load_palette(palette) if palette is not None else None
    told = glance(maps, palette=known, frames=FrameRange.parse(frames) if frames else None)
    if told:
        console.note(told)
