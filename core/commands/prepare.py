# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel train prepare` and `score`: an artist's shot into a packed data set, and a model measured on one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from mapreel.core.commands.console import Console
from mapreel.core.commands.options import (
    Classes,
    Frames,
    InstanceLayer,
    Json,
    Layer,
    MotionLayout,
    PaletteName,
    absolute,
    map_options,
    model_name,
    optional,
)
from mapreel.core.contract.errors import CancelledError, UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.maps import MapOptions


def prepare(
    maps: Annotated[
        str,
        typer.Argument(
            metavar="MAPS",
            help="Label maps, drawn faces or bodies (folder, pattern), landmarks (.npy) or a folder of OpenPose JSON.",
        ),
    ],
    frames_of: Annotated[
        str, typer.Argument(metavar="FRAMES", help="The true frames: a folder, a pattern or a movie.")
    ],
    out: Annotated[Path, typer.Option(metavar="DATASET", help="The data set, name.safetensors.")],
    task: Annotated[
        str | None,
        typer.Option(metavar="city|face|pose", help="What MAPS are; landmarks say it themselves, pictures are city."),
    ] = None,
    instances: Annotated[str | None, typer.Option(metavar="MAPS", help="Instance maps, numbered as MAPS.")] = None,
    motion: Annotated[str | None, typer.Option(metavar="MAPS", help="Motion vectors, as EXR.")] = None,
    motion_from: Annotated[
        str,
        typer.Option(metavar="frames|maps|none", help="Where no motion is given: what it is estimated on."),
    ] = "frames",
    palette: PaletteName = None,
    classes: Classes = None,
    layer: Layer = None,
    instance_layer: InstanceLayer = None,
    motion_layout: MotionLayout = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Scale everything to this size.")] = None,
    frames: Frames = None,
    as_json: Json = False,
) -> None:
    """Pack a shot into a data set to train on, decoded once."""
    from mapreel.core.commands.label_doctor import mention_damage
    from mapreel.core.commands.submission import Interrupted, on_interrupt
    from mapreel.core.local import LocalContext
    from mapreel.core.vid2vid.config import TASKS
    from mapreel.core.vid2vid.prepare import MotionFrom, PreparePlan, run_prepare

    _one_of(task, TASKS, "--task")
    _one_of(motion_from, [m.value for m in MotionFrom], "--motion-from")
    plan = PreparePlan(
        maps=absolute(maps),
        pictures=absolute(frames_of),
        instances=optional(instances),
        motion=optional(motion),
        task=task,
        frames=FrameRange.parse(frames) if frames else None,
        size_px=_size(size),
        motion_from=MotionFrom(motion_from),
        options=MapOptions(**map_options(palette, classes, layer, instance_layer, motion_layout)),
    )
    console = Console(json=as_json)
    if task in (None, "city"):
        mention_damage(console, plan.maps, frames)
    with console.progress() as view:
        context = LocalContext(view.show)
        try:
            with on_interrupt(context.stop):
                result = run_prepare(plan, Path(absolute(str(out))), context)
        except CancelledError as exc:
            raise Interrupted("cancelled; no data set was written", "start it again") from exc
    width, height = result["size"]
    console.result(result, [f"{result['frames']} frames of {width}x{height}, {result['task']}", result["dataset"]])


def score(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATASET", help="Prepared data sets that the model has not seen.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="A shipped model by its name, or a folder.")],
    perceptual: Annotated[Path, typer.Option(metavar="FILE", help="LPIPS-SqueezeNet weights, to measure with.")],
    quality: Annotated[str, typer.Option(metavar="full|fast|draft", help="As mapreel render takes it.")] = "full",
    trained_on: Annotated[
        list[Path] | None, typer.Option(metavar="DATASET", help="Compare the mean picture of these as well.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a contact sheet: paint, render and truth.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Render data sets from their maps, compare with their frames."""
    from dataclasses import asdict

    from mapreel.core.commands.console import table
    from mapreel.core.contract.requests import Quality
    from mapreel.core.vid2vid.score import score_model

    _one_of(quality, ("full", "fast", "draft"), "--quality")
    found = score_model(model_name(model), data, perceptual, Quality(quality), trained_on, pictures)
    rows = [["frames", str(found.frames)], ["PSNR", f"{found.psnr:.2f} dB"], ["LPIPS", f"{found.lpips:.4f}"]]
    rows += [["of class-mean paint", f"{found.paint:.4f}"], ["ratio", f"{found.ratio:.3f}"]]
    if found.mean is not None:
        rows += [["of the mean picture", f"{found.mean:.4f}"], ["PSNR of that", f"{found.psnr_mean:.2f} dB"]]
    Console(json=as_json).result({**asdict(found), "ratio": found.ratio}, table(rows))


def _one_of(word: str | None, known: list[str] | tuple[str, ...], option: str) -> None:
    if word is not None and word not in known:
        raise UsageError(f"{option} is “{word[:100]}”", f"choose one of {', '.join(known)}")


def _size(word: str | None) -> tuple[int, int] | None:
    """`WxH` as (H, W) in pixels. Raises UsageError."""
    if word is None:
        return None
    match = re.fullmatch(r"([0-9]{2,5})x([0-9]{2,5})", word)
    if match is None or not (16 <= int(match[1]) <= 16384 and 16 <= int(match[2]) <= 16384):
        raise UsageError(f"--size is “{word[:100]}”", "write width and height in pixels, as in 512x288")
    return int(match[2]), int(match[1])
