# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render request may ask for that this version cannot do. Loads no torch, so that it is said at once."""

from __future__ import annotations

from pathlib import Path

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import ImageFormat, Quality, RenderRequest
from mapreel.core.contract.takes import is_file_take
from mapreel.core.vid2vid.models import find_model, holds_teacher


def refuse_unsupported(request: RenderRequest) -> None:
    """Raises UsageError for movies other than MP4 and movies of EXR frames."""
    out = Path(request.out)
    if is_file_take(out) and out.suffix.lower() != ".mp4":
        raise UsageError(f"movies are written as .mp4, not {out.suffix}", "name the output .mp4 or a folder")
    if is_file_take(out) and request.image_format is ImageFormat.EXR:
        raise UsageError("a movie cannot hold EXR frames", "render into a folder or leave out --format")


def refuse_other_network(request: RenderRequest) -> None:
    """Raises UsageError for the quality of a teacher with a model that holds none, and for the others with a teacher.

    Raises MissingModelError, PickleRefusedError: see `find_model`.
    """
    teacher = holds_teacher(find_model(request.model))
    if teacher is False:
        refuse_teacher(request.quality)
    if teacher and request.quality is not Quality.TEACHER:
        raise UsageError(
            f"the model {request.model} holds a teacher network, which renders in no other quality",
            "add --quality teacher or choose another model",
        )


def refuse_teacher(quality: Quality) -> None:
    """Raises UsageError for the quality of a teacher, where no teacher's network is."""
    if quality is Quality.TEACHER:
        raise UsageError("this model has no teacher network", "choose the quality full, fast or draft, or a teacher")
