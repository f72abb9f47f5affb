# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel archive`: shots into neural archives and back."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.commands.console import Console, duration, table
from mapreel.core.commands.options import (
    Bits,
    C2pa,
    C2paCert,
    C2paKey,
    Classes,
    ColourSpace,
    Fps,
    Frames,
    InstanceLayer,
    Json,
    Layer,
    Local,
    Packing,
    Plate,
    absolute,
    colour_config_name,
    map_options,
    optional,
)
from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.requests import (
    DecodeFormat,
    DecodeRequest,
    EncodeRequest,
    Preset,
    VerifyRequest,
)

app = typer.Typer(no_args_is_help=True, help="Store shots as neural archives (.nirv) and bring them back.")

Archive = Annotated[str, typer.Argument(metavar="IN.nirv", help="A neural archive.")]


@app.command()
def encode(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A folder, a pattern (name.####.png) or a movie.")],
    out: Annotated[str, typer.Argument(metavar="OUT.nirv", help="The archive; if it is there, OUT_v002.nirv is made.")],
    psnr: Annotated[float | None, typer.Option(metavar="DB", help="Aim at this quality.")] = None,
    bpp: Annotated[float | None, typer.Option(metavar="X", help="Aim at so many bits a pixel.")] = None,
    size: Annotated[float | None, typer.Option(metavar="MB", help="Aim at this file size.")] = None,
    preset: Annotated[Preset, typer.Option(help="How long the encode may take.")] = Preset.GOOD,
    profile: Annotated[str, typer.Option(metavar="reel|nirvana", help="Which codec.")] = "reel",
    intra: Annotated[
        int | None, typer.Option(metavar="N", help="Each Nth group of frames stands alone: bounds what a seek costs.")
    ] = None,
    depth: Annotated[
        str | None, typer.Option(metavar="8|10|12|16|half", help="Bits a channel; the source's own when left out.")
    ] = None,
    colour_space: Annotated[
        str | None,
        typer.Option("--colour-space", "--color-space", metavar="NAME", help="Its name, where files do not say it."),
    ] = None,
    alpha: Annotated[bool, typer.Option(help="Keep the alpha of the source, if it has one.")] = True,
    labels: Annotated[str | None, typer.Option(metavar="MAPS", help="Keep these label maps, losslessly.")] = None,
    instances: Annotated[str | None, typer.Option(metavar="MAPS", help="Keep these instance maps.")] = None,
    palette: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="What the labels mean; their names are kept.")
    ] = None,
    classes: Classes = None,
    layer: Layer = None,
    instance_layer: InstanceLayer = None,
    recipe: Annotated[str | None, typer.Option(metavar="JSON", help="Keep this file: how the shot was made.")] = None,
    timecode: Annotated[str | None, typer.Option(metavar="HH:MM:SS:FF", help="Of the first frame.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=TEXT", help="Keep a note; may be repeated.")] = None,
    dated: Annotated[bool, typer.Option(help="Note the day; else the same shot gives the same bytes.")] = False,
    frames: Frames = None,
    fps: Fps = 24.0,
    local: Local = False,
    as_json: Json = False,
) -> None:
    """Fit a neural archive to a shot."""
    from mapreel.core.commands.preflight import check_encode
    from mapreel.core.commands.submission import run_request

    kept = map_options(palette, classes, layer, instance_layer)
    del kept["motion_layout"]
    request = EncodeRequest(
        source=absolute(source),
        out=absolute(out),
        frames=frames,
        fps=fps,
        profile=profile,
        preset=preset,
        psnr_db=psnr,
        bits_per_pixel=bpp,
        size_mb=size,
        intra=intra,
        depth=depth,
        colour_space=colour_space,
        alpha=alpha,
        labels=optional(labels),
        instances=optional(instances),
        **kept,
        recipe=optional(recipe),
        timecode=timecode,
        tags=tuple(_tag(text) for text in tag or ()),
        dated=dated,
        ocio=colour_config_name() if colour_space is not None else None,
    )
    check_encode(request)
    console = Console(json=as_json)
    done = run_request(console, request, local=local)
    console.result(done.to_dict(), [*story(done.result), done.take or ""])


@app.command()
def decode(
    archive: Archive,
    out: Annotated[str, typer.Argument(metavar="OUT", help="A folder, or .mp4, .mov, .mkv; if it is there, OUT_v002.")],
    frames: Frames = None,
    image_format: Annotated[
        DecodeFormat, typer.Option("--format", help="Files of the take; auto: as deep as the archive.")
    ] = DecodeFormat.AUTO,
    region: Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="Only this part of each frame.")] = None,
    scale: Annotated[str, typer.Option(metavar="1/2|1/4|1/8", help="Smaller frames, for a preview.")] = "1",
    bits: Bits = None,
    compression: Packing = None,
    colour_space: ColourSpace = None,
    plate: Plate = None,
    c2pa: C2pa = False,
    c2pa_cert: C2paCert = None,
    c2pa_key: C2paKey = None,
    maps: Annotated[bool, typer.Option("--maps", help="Also write label maps, their names and the recipe.")] = False,
    local: Local = False,
    as_json: Json = False,
) -> None:
    """Write the frames of an archive, all or some, as pictures."""
    from mapreel.core.commands.preflight import check_archive
    from mapreel.core.commands.submission import run_request

    request = DecodeRequest(
        archive=absolute(archive),
        out=absolute(out),
        frames=frames,
        image_format=image_format,
        region=_region(region) if region is not None else None,
        scale=_scale(scale),
        maps=maps,
        bits=bits,
        compression=compression,
        colour_space=colour_space,
        ocio=colour_config_name() if colour_space is not None else None,
        plate=optional(plate),
        c2pa=c2pa,
        c2pa_cert=optional(c2pa_cert),
        c2pa_key=optional(c2pa_key),
    )
    check_archive(request)
    console = Console(json=as_json)
    done = run_request(console, request, local=local)
    console.result(done.to_dict(), [*story(done.result), done.take or ""])


def _tag(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not name or not mark:
        raise UsageError(f"“{text[:40]}” is no tag", "write it as NAME=TEXT")
    return name, value


def _region(text: str) -> tuple[int, int, int, int]:
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(r" *\d{1,9} *", part) for part in parts):
        raise UsageError(f"“{text[:40]}” is no region", "write it as X,Y,WIDTH,HEIGHT in pixels")
    x, y, width, height = map(int, parts)
    return x, y, width, height


def _scale(text: str) -> int:
    match = re.fullmatch(r"(?:1/)?([1248])", text)
    if match is None:
        raise UsageError(f"the scale “{text[:20]}” is unknown", "use 1, 1/2, 1/4 or 1/8")
    return int(match[1])


@app.command()
def info(archive: Archive, as_json: Json = False) -> None:
    """Say what an archive holds, from its header."""
    from mapreel.core.commands.preflight import check_archive

    request = VerifyRequest(archive=absolute(archive))
    check_archive(request)
    data = _header(Path(request.archive))
    told = {name: value for name, value in data.items() if value not in (None, (), {}, "")}
    Console(json=as_json).result(data, table([[name.replace("_", " "), _told(value)] for name, value in told.items()]))


def _told(value: Any) -> str:
    """A value of `info` for people: numbers short, lists and names with commas, the rest of what is long left out."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return ", ".join(map(_told, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(f"{name} {_told(each)}" for name, each in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) <= 200 else f"{text[:200]} …"


def _header(path: Path) -> dict[str, Any]:
    """What stands in the header of the archive. Raises ArchiveError. Loads no torch: nothing is decoded."""
    from mapreel.core.nirvana.container import Container
    from mapreel.core.nirvana.info import archive_info

    with Container(path) as container:
        facts = archive_info(container)
    told = dataclasses.asdict(facts)
    figures, notes = told.pop("figures"), told.pop("notes")
    notes["timecode"] = None if facts.notes.timecode is None else str(facts.notes.timecode)
    told |= {"frames": len(facts.numbers), "numbers": str(FrameRange.from_numbers(facts.numbers))}
    return {**told, **figures, **notes, "bits_per_pixel": round(facts.bits_per_pixel, 6)}


@app.command()
def verify(archive: Archive, local: Local = False, as_json: Json = False) -> None:
    """Read an archive from end to end and say whether it is whole."""
    from mapreel.core.commands.preflight import check_archive
    from mapreel.core.commands.submission import run_request

    request = VerifyRequest(archive=absolute(archive))
    check_archive(request)
    console = Console(json=as_json)
    done = run_request(console, request, local=local)
    console.result(done.to_dict(), story(done.result))


def story(result: dict[str, Any]) -> list[str]:
    """The figures of a result as one line each."""
    return [f"{name.replace('_', ' ')}: {_shown(name, value)}" for name, value in result.items() if name != "take"]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, float):
        return duration(value) if name.endswith("seconds") and value >= 60 else f"{value:.3f}".rstrip("0").rstrip(".")
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
