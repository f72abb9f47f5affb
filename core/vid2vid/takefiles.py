# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a render are: of the take's folder, and of the movie that is made of it. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.pictures import FileSpec, file_spec
from mapreel.core.contract.requests import RenderRequest
from mapreel.core.contract.takes import is_file_take
from mapreel.core.media.delivery import Delivery
from mapreel.core.media.marks import Signer
from mapreel.core.media.plates import PlateHeaders
from mapreel.core.media.sequence import ShotSequence

if TYPE_CHECKING:
    from mapreel.core.vid2vid.checkpoint import Model
    from mapreel.core.vid2vid.teacher_model import TeacherModel


def render_spec(request: RenderRequest) -> FileSpec:
    """The files that a render ends in. Raises UsageError."""
    return file_spec(Path(request.out), request.image_format.value, request.bits, request.compression)


def render_delivery(request: RenderRequest, model: Model | TeacherModel | None = None) -> Delivery:
    """How pictures become those files. Without the model its name is not in the marks. Raises UsageError."""
    return Delivery(
        spec=render_spec(request), asked=request.colour_space, ocio=request.ocio, signer=_signer(request, model)
    )


def _signer(request: RenderRequest, model: Model | TeacherModel | None) -> Signer | None:
    if not request.c2pa or request.c2pa_cert is None or request.c2pa_key is None:
        return None
    facts = {}
    if model is not None:
        facts = {"name": model.name, "sha256": model.sha256, "licence": model.licence or "unknown"}
    title = Path(request.out).name
    return Signer(certificate=Path(request.c2pa_cert), key=Path(request.c2pa_key), title=title, model=facts)


def frame_delivery(request: RenderRequest, model: Model | TeacherModel | None = None) -> Delivery:
    """Of the frames of a take's folder. Those of a movie wait as PNG, as the network made them."""
    if not is_file_take(Path(request.out)):
        return render_delivery(request, model)
    return Delivery(spec=file_spec(Path("frames"), "png", 8 if render_spec(request).bits == 8 else 16), trained=False)


Maps = tuple[tuple[str, ShotSequence | None], ...]


def map_files(maps: Maps) -> Callable[[int], list[tuple[str, Path]]]:
    """Which files of the shot a frame is made from."""

    def files(number: int) -> list[tuple[str, Path]]:
        found = []
        for name, sequence in maps:
            if sequence is not None and number in sequence.numbers and number not in sequence.filled:
                found.append((name, Path(sequence.path(number))))
        return found

    return files


def plate_headers(request: RenderRequest, maps: Maps) -> PlateHeaders:
    """What the frames take over of the plates, or of the maps where those are EXR. Raises InputError."""
    files = map_files(maps)

    def place(name: str) -> Callable[[int], Path | None]:
        return lambda number: dict(files(number)).get(name)

    return PlateHeaders(request.plate, [place(name) for name, sequence in maps if sequence is not None])
