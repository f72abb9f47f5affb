# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel render`: label maps in, photoreal frames or a movie out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mapreel.core.commands.console import Console, duration
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
    MotionLayout,
    Packing,
    PaletteName,
    Plate,
    absolute,
    colour_config_name,
    map_options,
    model_name,
    optional,
    references,
)
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import ImageFormat, KeyRule, Quality, RenderRequest

if TYPE_CHECKING:
    from mapreel.core.commands.submission import Finished


def render(
    labels: Annotated[str, typer.Argument(metavar="LABELS", help="Label maps, drawings or landmarks.")],
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="A shipped model by its name, or a folder.")],
    out: Annotated[
        str, typer.Option(metavar="DIR|MOVIE", help="A folder, or .mp4, .mov, .mkv; if it is there, DIR_v002.")
    ],
    instances: Annotated[
        str | None, typer.Option(metavar="MAPS", help="Instance maps, numbered as the labels.")
    ] = None,
    motion: Annotated[str | None, typer.Option(metavar="MAPS", help="Motion vectors, as EXR.")] = None,
    reference: Annotated[
        list[str] | None, typer.Option(metavar="N=FILE", help="A true picture of frame N: its look is kept.")
    ] = None,
    palette: PaletteName = None,
    classes: Classes = None,
    layer: Layer = None,
    instance_layer: InstanceLayer = None,
    motion_layout: MotionLayout = None,
    frames: Frames = None,
    fps: Fps = 24.0,
    quality: Annotated[
        Quality, typer.Option(help="full: each frame by the network; fast, draft: key frames, the rest carried.")
    ] = (Quality.FULL),
    keys: Annotated[
        KeyRule, typer.Option(help="Key frames of fast and draft: by what can be carried, or the paper's rule.")
    ] = (KeyRule.ADAPTIVE),
    missing: Annotated[
        MissingFrames,
        typer.Option(help="Planned frames that are not there: stop, repeat the frame before, or class 0."),
    ] = (MissingFrames.ERROR),
    image_format: Annotated[
        ImageFormat, typer.Option("--format", help="Files of the take; of a movie its ending decides.")
    ] = ImageFormat.PNG,
    bits: Bits = None,
    compression: Packing = None,
    colour_space: ColourSpace = None,
    plate: Plate = None,
    c2pa: C2pa = False,
    c2pa_cert: C2paCert = None,
    c2pa_key: C2paKey = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on in the take that --out names.")] = False,
    local: Local = False,
    as_json: Json = False,
) -> None:
    """Turn label maps into photoreal frames or a movie."""
    from mapreel.core.commands.preflight import check_palette, check_render, told_of_maps
    from mapreel.core.commands.submission import run_request

    request = RenderRequest(
        labels=absolute(labels),
        model=model_name(model),
        out=absolute(out),
        instances=optional(instances),
        motion=optional(motion),
        frames=frames,
        fps=fps,
        quality=quality,
        missing=missing,
        image_format=image_format,
        reference=references(reference or []),
        resume=resume,
        keys=keys,
        bits=bits,
        compression=compression,
        colour_space=colour_space,
        ocio=colour_config_name() if colour_space is not None else None,
        plate=optional(plate),
        c2pa=c2pa,
        c2pa_cert=optional(c2pa_cert),
        c2pa_key=optional(c2pa_key),
        **map_options(palette, classes, layer, instance_layer, motion_layout),
    )
    check_palette(request)
    check_render(request)
    console = Console(json=as_json)
    for told in told_of_maps(request):
        console.note(told)
    done = run_request(console, request, local=local)
    console.result(done.to_dict(), _story(done))


def _story(done: Finished) -> list[str]:
    result, take = done.result, done.take or ""
    kept = result["frames"] - result["rendered"]
    pace = f", {result['frames_per_second']:.1f} frames/s" if result.get("frames_per_second") else ""
    stood = f", {kept} of them stood there" if kept else ""
    lines = [f"{result['frames']} frames in {duration(result['seconds'])}{pace}{stood}"]
    lines += [str(note) for note in result.get("notes", [])]
    return [*lines, take]
