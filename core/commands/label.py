# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel label`: what is in the maps that artists bring in, and how they become label maps."""

from __future__ import annotations

from typing import Annotated

import typer

from mapreel.core.commands.console import Console, table
from mapreel.core.commands.label_doctor import doctor
from mapreel.core.commands.options import Frames, Json, absolute

app = typer.Typer(no_args_is_help=True, help="Look at label maps, turn other maps into them, mend them.")

Maps = Annotated[str, typer.Argument(metavar="MAPS", help="Label maps: a folder, a pattern or one file.")]


@app.callback()
def _group() -> None:
    """Look at label maps, turn other maps into them, mend them."""


app.command()(doctor)


@app.command()
def inspect(maps: Maps, frames: Frames = None, as_json: Json = False) -> None:
    """Say what is in maps: frames, size, ids of the first."""
    import numpy as np

    from mapreel.core.contract.frames import FrameRange
    from mapreel.core.media.sequence import MapKind, open_maps

    found = open_maps(absolute(maps), MapKind.LABEL, FrameRange.parse(frames) if frames else None)
    ids, counts = np.unique(found.read(found.numbers[0]), return_counts=True)
    rows = [["id", "pixels"], *([str(i), str(n)] for i, n in zip(ids, counts, strict=True))]
    height, width = found.size
    told = {
        "source": found.source,
        "frames": str(FrameRange.from_numbers(found.numbers)),
        "size": [width, height],
        "ids": {str(i): int(n) for i, n in zip(ids, counts, strict=True)},
    }
    Console(json=as_json).result(told, [f"{told['source']}: {told['frames']}, {width}x{height}", *table(rows)])
