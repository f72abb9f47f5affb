# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel palettes`: the class ids, names and display colours that label maps may use."""

from __future__ import annotations

from typing import Annotated

import typer

from mapreel.core.commands.console import Console, table
from mapreel.core.commands.options import Json


def palettes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME|FILE]", help="Show the classes of this one.")] = None,
    as_json: Json = False,
) -> None:
    """List the palettes that come with Mapreel, or the classes of one."""
    from mapreel.core.media.palettes import load_palette, palette_names

    console = Console(json=as_json)
    if name is None:
        found = [load_palette(known) for known in palette_names()]
        rows = [["palette", "classes"], *([palette.name, str(len(palette.classes))] for palette in found)]
        listed = [{"name": palette.name, "classes": len(palette.classes)} for palette in found]
        console.result({"palettes": listed}, table(rows))
        return
    palette = load_palette(name)
    rows = [["id", "colour", "class"]]
    rows += [[str(entry.id), "#{:02x}{:02x}{:02x}".format(*entry.color), entry.name] for entry in palette.classes]
    classes = [{"id": entry.id, "name": entry.name, "color": list(entry.color)} for entry in palette.classes]
    told = [palette.source, palette.note]
    shared = [f"one colour: {', '.join(names)} (read as {names[0]})" for names in palette.shared_colors]
    data = {"name": palette.name, "source": palette.source, "note": palette.note, "classes": classes}
    console.result(data, [*table(rows), *(line for line in (*told, *shared) if line)])
