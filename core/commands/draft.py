# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel draft`: one frame of a shot as a picture, at once, from the warm process of the service."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mapreel.core.commands.console import Console
from mapreel.core.commands.options import (
    Classes,
    InstanceLayer,
    Json,
    Layer,
    Local,
    MotionLayout,
    PaletteName,
    absolute,
    map_options,
    model_name,
    optional,
    references,
)
from mapreel.core.contract.draft import DraftFrame, frame_from_answer
from mapreel.core.contract.errors import OutputExistsError, UsageError
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import DraftRequest, Quality

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_VERSION = 9999


def draft(
    labels: Annotated[str, typer.Argument(metavar="LABELS", help="Label maps, drawings or landmarks.")],
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="A shipped model by its name, or a folder.")],
    frame: Annotated[int, typer.Option(metavar="N", help="The frame number.")],
    out: Annotated[Path, typer.Option(metavar="PNG", help="The picture; if it is there, NAME_v002.png is made.")],
    instances: Annotated[
        str | None, typer.Option(metavar="MAPS", help="Instance maps, numbered as the labels.")
    ] = None,
    motion: Annotated[str | None, typer.Option(metavar="MAPS", help="Motion vectors, as EXR.")] = None,
    reference: Annotated[list[str] | None, typer.Option(metavar="N=FILE", help="A true picture of frame N.")] = None,
    quality: Annotated[
        Quality, typer.Option(help="draft: carried from a key frame near by where that shows the same; full: never.")
    ] = (Quality.DRAFT),
    missing: Annotated[
        MissingFrames, typer.Option(help="A frame that is not there: stop, repeat the frame before, or class 0.")
    ] = (MissingFrames.ERROR),
    palette: PaletteName = None,
    classes: Classes = None,
    layer: Layer = None,
    instance_layer: InstanceLayer = None,
    motion_layout: MotionLayout = None,
    quick: Annotated[bool, typer.Option("--quick", help="A first look, softer where it cannot be carried.")] = False,
    local: Local = False,
    as_json: Json = False,
) -> None:
    """Draw one frame now; nothing is queued.

    The first draft loads the model, the next ones come from the process that keeps it warm.
    """
    from mapreel.core.media.images import write_png

    if out.suffix.lower() != ".png":
        raise UsageError(f"a draft is written as .png, not {out.suffix or 'a folder'}", "name the output NAME.png")
    request = DraftRequest(
        labels=absolute(labels),
        model=model_name(model),
        frame=frame,
        instances=optional(instances),
        motion=optional(motion),
        quality=quality,
        missing=missing,
        reference=references(reference or []),
        quick=quick,
        **map_options(palette, classes, layer, instance_layer, motion_layout),
    )
    drawn = _draw_here(request) if local else _draw(request)
    path = _free_name(Path(absolute(str(out))))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, _picture(drawn))
    data = {**drawn.facts, "picture": str(path)}
    Console(json=as_json).result(data, [_story(drawn), str(path)])


def _draw(request: DraftRequest) -> DraftFrame:
    from mapreel.core.contract.client import ServiceClient

    with ServiceClient() as client:
        return client.draft(request)


def _draw_here(request: DraftRequest) -> DraftFrame:
    from mapreel.core.local import wait_calmly
    from mapreel.core.runners import open_drafts

    wait_calmly()
    return frame_from_answer(*open_drafts().draft(request))


def _picture(drawn: DraftFrame) -> NDArray[np.uint8]:
    import numpy as np

    return np.frombuffer(drawn.pixels, np.uint8).reshape(drawn.height, drawn.width, 3)


def _free_name(out: Path) -> Path:
    """`out`, or where that is there the next of `NAME_v002.png`, `NAME_v003.png` …: no picture is overwritten."""
    later = (out.with_name(f"{out.stem}_v{number:03d}{out.suffix}") for number in range(2, MAX_VERSION + 1))
    free = next((name for name in chain([out], later) if not name.exists()), None)
    if free is None:
        raise OutputExistsError(f"{out} has {MAX_VERSION} versions already", "choose another output name")
    return free


def _story(drawn: DraftFrame) -> str:
    facts, how = drawn.facts, "by the network"
    if not facts["is_key"]:
        how = f"carried from frame {facts['source']}"
    loaded = f", the model loaded in {facts['loading_seconds']:.1f} s" if facts["loading_seconds"] else ""
    return f"frame {drawn.number} in {drawn.seconds * 1000:.0f} ms, {how}{loaded}"
