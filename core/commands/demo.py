# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel demo`: the whole job on the bundled shot, through the background service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mapreel.core.commands.console import Console, duration
from mapreel.core.commands.options import Json, absolute
from mapreel.core.contract.requests import Quality

if TYPE_CHECKING:
    from mapreel.core.contract.requests import Request


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The take; if it is there, DIR_v002 is made.")] = Path(
        "demo-out"
    ),
    quality: Annotated[Quality, typer.Option(help="full: each frame by the network; fast: key frames only.")] = (
        Quality.FAST
    ),
    as_json: Json = False,
) -> None:
    """Render and archive the bundled street, say where to look."""
    from mapreel.core.commands.submission import run_request
    from mapreel.core.demo import run_demo

    console = Console(json=as_json)

    def run(request: Request) -> dict[str, Any]:
        return run_request(console, request, local=False).result

    take, report = run_demo(Path(absolute(str(out))), run, console.note, quality)
    console.result({"take": str(take), "report": report}, _where_to_look(take, report))


def _where_to_look(take: Path, report: dict[str, Any]) -> list[str]:
    archive = report["archive"]
    pace = f"{report['frames_per_second']:.1f} frames/s, {report['key_frame_share']:.0%} of them key frames"
    packed = f"{archive['frames']} frames in {archive['bytes'] / 1000:.0f} kB, {archive['psnr_db']:.1f} dB"
    places = {
        "render.mp4": f"{report['frames']} frames, rendered at {pace}",
        "contact_sheet.png": "label maps beside their pictures",
        "frames/": "the pictures, one PNG each",
        "shot.nirv": f"{packed}, {archive['bits_per_pixel']:.3f} bits a pixel",
        "report.json": "all figures",
    }
    wide = max(map(len, places)) + 2
    lines = [f"  {name:<{wide}}{what}" for name, what in places.items()]
    return [f"the demo is done in {duration(report['seconds']['total'])}; look into {take}:", *lines]
