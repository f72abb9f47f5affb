# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel label`: what is in the maps that artists bring in, and how they become label maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.commands.console import Console, table
from mapreel.core.commands.label_doctor import doctor
from mapreel.core.commands.options import Classes, Frames, Json, Layer, MotionLayout, PaletteName, absolute, map_options
from mapreel.core.contract.errors import InputError, MapreelError
from mapreel.core.contract.frames import FrameRange, MissingFrames, find_sequence
from mapreel.core.contract.maps import MapOptions

app = typer.Typer(no_args_is_help=True, help="Look at label maps, turn other maps into them, mend them.")

Maps = Annotated[str, typer.Argument(metavar="MAPS", help="Maps of any kind: a folder, a pattern or one file.")]
SHOWN = 200


@app.callback()
def _group() -> None:
    """Look at label maps, turn other maps into them, mend them."""


app.command()(doctor)


@app.command()
def inspect(
    maps: Maps,
    palette: PaletteName = None,
    layer: Layer = None,
    motion_layout: MotionLayout = None,
    frames: Frames = None,
    as_json: Json = False,
) -> None:
    """Say what is in maps: frames, size, layers, names, ids, motion.

    Of a long sequence the first, the last and some frames between are read;
    `mapreel label doctor` reads all. Exit code 1 when nothing in them can be
    read as maps, or a frame cannot be read at all.
    """
    from mapreel.core.media.labels import label_reading
    from mapreel.core.media.mapfacts import survey

    options = MapOptions(**map_options(palette, None, layer, None, motion_layout))
    found = find_sequence(absolute(maps))
    wanted = FrameRange.parse(frames) if frames is not None else None
    numbers = [n for n in found.numbers if wanted is None or n in wanted]
    if not numbers:
        there = FrameRange.from_numbers(found.numbers)
        raise InputError(f"none of the frames {frames} is in {found.pattern.format()}", f"it has {there}")
    told: dict[str, Any] = {"source": found.pattern.format(), "frames": str(FrameRange.from_numbers(numbers))}
    told |= survey(found.pattern, numbers, label_reading(options)).to_dict()
    if any(fact["kind"] == "motion" for fact in told["layers"]) or motion_layout is not None:
        told["motion"] = _motion(found.pattern.format(), numbers, options)
    Console(json=as_json).result(told, _lines(told, lone=len(found.numbers) == 1))
    if told["unreadable"] or not _is_known(told):
        raise typer.Exit(1)


def _is_known(told: dict[str, Any]) -> bool:
    """Whether something can be read as maps: entries or motion, or several layers of which nobody chose one."""
    kinds = [fact["kind"] for fact in told["layers"]]
    to_choose = sum(kind in ("cryptomatte", "index") for kind in kinds) > 1
    return bool(told["entries"]) or to_choose or "axes" in told.get("motion", {})


def _motion(source: str, numbers: list[int], options: MapOptions) -> dict[str, Any]:
    """How motion is read, and what a warp test on the labels of the same files says of it, where they have any."""
    from mapreel.core.media.motiontrial import try_motion

    try:
        return try_motion(source, numbers, options)
    except MapreelError as error:
        return {"why_not": str(error)}


def _lines(told: dict[str, Any], *, lone: bool) -> list[str]:
    size = "x".join(map(str, told["size"])) if told["size"] else "none can be read"
    lines = [f"{told['source']}: frames {told['frames']}, {size}"]
    if lone:
        lines.append(f"one file; the number in its name is taken for the frame number, {told['frames']}")
    lines += table([[fact["kind"], fact["name"], fact["detail"]] for fact in told["layers"]])
    lines += [f"frame {number}: {why}" for number, why in told["unlike"].items()]
    lines += [str(why) for why in told["unreadable"].values()]
    lines += [told["why_not"]] if told.get("why_not") else []
    if told["entries"]:
        rows = [["pixels", "id", "name"]]
        rows += [
            [str(entry["pixels"]), "" if entry["id"] is None else str(entry["id"]), entry["name"]]
            for entry in told["entries"][:SHOWN]
        ]
        many = "frames" if len(FrameRange.parse(told["read"])) > 1 else "frame"
        lines += [f"{many} {told['read']}:", *table(rows)]
        lines += ["…"] if len(told["entries"]) > SHOWN else []
    motion = told.get("motion", {})
    return lines + ([motion.get("said", "") or motion.get("why_not", "")] if motion else [])


@app.command()
def convert(
    maps: Maps,
    out: Annotated[str, typer.Option(metavar="DIR", help="A folder for the label maps; if it is there, DIR_v002.")],
    palette: PaletteName = None,
    to: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The palette whose ids the result has, by class names.")
    ] = None,
    classes: Classes = None,
    layer: Layer = None,
    frames: Frames = None,
    missing: Annotated[
        MissingFrames, typer.Option(help="Frames that are not there: stop, repeat the frame before, or id 0.")
    ] = MissingFrames.ERROR,
    colours: Annotated[bool, typer.Option("--colours", help="Paint the palette's colours in place of ids.")] = False,
    instances: Annotated[bool, typer.Option("--as-instances", help="A number for every object, no classes.")] = False,
    as_json: Json = False,
) -> None:
    """Turn maps of any kind into label maps (PNG) and their palette."""
    from mapreel.core.contract.progress import Progress, RemainingTime
    from mapreel.core.contract.requests import MODEL_NAME
    from mapreel.core.contract.takes import claim_take
    from mapreel.core.media.convertmaps import ConvertPlan, open_conversion

    options = map_options(palette, classes, layer, layer if instances else None)
    plan = ConvertPlan(
        source=absolute(maps),
        options=MapOptions(**options),
        to=to if to is None or MODEL_NAME.fullmatch(to) else absolute(to),
        frames=FrameRange.parse(frames) if frames else None,
        missing=missing,
        colours=colours,
        instances=instances,
    )
    conversion = open_conversion(plan)
    folder = claim_take(Path(absolute(out)))
    console, remaining = Console(json=as_json), RemainingTime()
    with console.progress() as view:
        told = conversion.write(
            folder, lambda done, total: view.show(Progress(done, total, "convert", remaining.update(done, total)))
        )
    rows = [["id", "pixels", "class"]]
    rows += [[str(entry["id"]), str(entry["pixels"]), entry["name"]] for entry in told["ids"][:SHOWN]]
    lines = [*table(rows), *([told["palette"]] if told["palette"] else []), told["maps"]]
    console.result({"out": str(folder), **told}, lines)
