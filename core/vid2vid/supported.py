# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render request may ask for that this version cannot do. Loads no torch, so that it is said at once."""

from __future__ import annotations

from pathlib import Path

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import find_sequence
from mapreel.core.contract.pictures import file_spec
from mapreel.core.contract.requests import Quality, RenderRequest
from mapreel.core.vid2vid.models import find_model, holds_paper_student, holds_teacher


def refuse_unsupported(request: RenderRequest) -> None:
    """Raises UsageError for files, colours and marks that cannot be, InputError for a certificate or config."""
    file_spec(Path(request.out), request.image_format.value, request.bits, request.compression)
    if request.colour_space is not None or request.c2pa:
        from mapreel.core.vid2vid.takefiles import render_delivery

        render_delivery(request).check()
    if request.plate is not None:
        find_sequence(request.plate)


def refuse_other_network(request: RenderRequest) -> None:
    """Raises UsageError for the quality of a teacher with a model that holds none, and for the others with a teacher.

    Raises MissingModelError, PickleRefusedError: see `find_model`.
    """
    teacher = holds_teacher(find_model(request.model))
    if teacher is False:
        refuse_teacher(request.quality)
    if teacher and request.quality is Quality.FAST and holds_paper_student(find_model(request.model)):
        return
    if teacher and request.quality is not Quality.TEACHER:
        raise UsageError(
            f"the model {request.model} holds a teacher network, which renders in no other quality",
            "add --quality teacher or choose another model",
        )


def refuse_teacher(quality: Quality) -> None:
    """Raises UsageError for the quality of a teacher, where no teacher's network is."""
    if quality is Quality.TEACHER:
        raise UsageError("this model has no teacher network", "choose the quality full, fast or draft, or a teacher")
