# SPDX-License-Identifier: GPL-3.0-or-later
"""What files an archive is decoded to, and how its pictures become them. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.pictures import FileSpec, file_spec
from mapreel.core.contract.requests import DecodeRequest
from mapreel.core.contract.takes import is_file_take
from mapreel.core.media.colour import LINEAR, SRGB
from mapreel.core.media.delivery import Delivery
from mapreel.core.media.marks import Signer
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat

if TYPE_CHECKING:
    from mapreel.core.contract.strict_json import JSON


def decode_spec(request: DecodeRequest, form: PictureFormat) -> FileSpec:
    """The files of a decode; what is not asked for is as deep as the archive. Raises UsageError."""
    half = form.samples is SampleFormat.HALF
    deep = 16 if half else int(form.samples.value)
    out, word = Path(request.out), request.image_format.value
    if word == "auto" and not is_file_take(out):
        word, bits = ("exr", request.bits) if half else ("png", request.bits or (8 if deep == 8 else 16))
        return file_spec(out, word, bits, request.compression)
    return file_spec(out, word, request.bits, request.compression, deep=deep)


def decode_delivery(request: DecodeRequest, form: PictureFormat, recipe: JSON = None) -> Delivery:
    """How the pictures of an archive become files. They are marked as a network's own where the recipe says that one
    made them, for an archive of a camera's pictures is none. Raises UsageError.
    """
    half = form.samples is SampleFormat.HALF
    trained = isinstance(recipe, dict) and recipe.get("format") == "mapreel-take"
    return Delivery(
        spec=decode_spec(request, form),
        source=LINEAR if half and form.colour_space == SRGB else form.colour_space,
        asked=request.colour_space,
        ocio=request.ocio,
        linear=half,
        trained=trained or request.c2pa,
        signer=_signer(request, recipe if trained else None),
    )


def _signer(request: DecodeRequest, recipe: JSON) -> Signer | None:
    if not request.c2pa or request.c2pa_cert is None or request.c2pa_key is None:
        return None
    told = recipe.get("model") if isinstance(recipe, dict) else None
    model = {name: text for name, text in told.items() if isinstance(text, str)} if isinstance(told, dict) else {}
    title = Path(request.out).name
    return Signer(certificate=Path(request.c2pa_cert), key=Path(request.c2pa_key), title=title, model=model)
