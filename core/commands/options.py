# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share, and how what is typed becomes what a request takes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import BUILT_IN, MODEL_NAME

Json = Annotated[bool, typer.Option("--json", help="The result as one JSON object on stdout, for machines.")]
Local = Annotated[bool, typer.Option("--local", help="Work in this process, without the background service.")]
Frames = Annotated[
    str | None, typer.Option(metavar="RANGE", help="Frame numbers such as 1001-1100x2,1200; all when left out.")
]
Bits = Annotated[
    int | None, typer.Option(metavar="N", help="Bits a channel: PNG, TIFF 8, 16; EXR 16 (half), 32; movies 8 to 16.")
]
Packing = Annotated[
    str | None, typer.Option("--compression", metavar="NAME", help="EXR: zip, dwaa …; TIFF: zip; ProRes: hq, 4444 …")
]
ColourSpace = Annotated[
    str | None,
    typer.Option("--colour-space", "--color-space", metavar="NAME", help="Of the files, by $OCIO or a built-in one."),
]
Plate = Annotated[
    str | None, typer.Option(metavar="PLATES", help="Keep the metadata and data window of these EXR frames.")
]
C2pa = Annotated[bool, typer.Option("--c2pa", help="Sign every file as made by a network (C2PA).")]
C2paCert = Annotated[str | None, typer.Option(metavar="PEM", help="The certificate chain that signs.")]
C2paKey = Annotated[str | None, typer.Option(metavar="PEM", help="Its private key.")]
Fps = Annotated[float, typer.Option(metavar="R", help="Frames a second of a movie.")]


PaletteName = Annotated[
    str | None, typer.Option("--palette", metavar="NAME|FILE", help="What the colours and ids of the label maps mean.")
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN=CLASS", help="What names in the maps become, as 'car*=vehicle' '*=terrain'; or a JSON file."
    ),
]
Layer = Annotated[str | None, typer.Option(metavar="NAME", help="Cryptomatte or index pass of the label maps (EXR).")]
InstanceLayer = Annotated[str | None, typer.Option(metavar="NAME", help="The same of the instance maps.")]
MotionLayout = Annotated[
    str | None,
    typer.Option(metavar="[LAYER:]AXES", help="Layer and signs of the motion: x,y is right and down; x,-y up."),
]


def map_options(
    palette: str | None,
    classes: list[str] | None,
    layer: str | None,
    instance_layer: str | None = None,
    motion_layout: str | None = None,
) -> dict[str, Any]:
    """These options as fields of a request. Raises UsageError, DamagedFileError for what cannot be meant."""
    from mapreel.core.media.classes import parse_rules

    return {
        "palette": palette if palette is None or MODEL_NAME.fullmatch(palette) else absolute(palette),
        "classes": parse_rules(classes or []),
        "layer": layer,
        "instance_layer": instance_layer,
        "motion_layout": motion_layout,
    }


def absolute(text: str) -> str:
    """The path (or pattern) as the service takes it: absolute, `~` and `..` worked out, spelled as it was otherwise."""
    path = os.path.expanduser(text)  # noqa: PTH111 - a Path would drop what the artist wrote
    if ".." in Path(path).parts:
        return os.path.realpath(path)
    return os.path.abspath(path)  # noqa: PTH100


def optional(text: str | None) -> str | None:
    """As `absolute`, for an option that may be left out."""
    return None if text is None else absolute(text)


def colour_config_name() -> str | None:
    """The studio's colour config, of `$OCIO`, as a request takes it."""
    found = os.environ.get("OCIO", "")
    return found if found.startswith(BUILT_IN) else absolute(found) if found else None


def model_name(text: str) -> str:
    """A model's folder or file that is there as its whole path; everything else as the name of a shipped model.

    A folder that holds no model is none: `--model street` shall work beside a shot called street.
    """
    from mapreel.core.vid2vid.models import MODEL_FILE

    path = Path(text).expanduser()
    if path.is_file() or (path / MODEL_FILE).is_file() or not MODEL_NAME.fullmatch(text):
        return absolute(text)
    return text


def references(words: list[str]) -> tuple[tuple[int, str], ...]:
    """`N=FILE …` as pairs. Raises UsageError."""
    found = []
    for word in words:
        number, equals, file = word.partition("=")
        if not equals or not file or not re.fullmatch(r"-?[0-9]{1,9}", number):
            raise UsageError(
                f"--reference is “{word[:100]}”", "write the frame number and the file, as in 1001=look.png"
            )
        found.append((int(number), absolute(file)))
    return tuple(found)
