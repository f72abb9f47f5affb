# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render request may ask for that this version cannot do. Loads no torch, so that it is said at once."""

from __future__ import annotations

from pathlib import Path

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import ImageFormat, Quality, RenderRequest
from mapreel.core.contract.takes import is_file_take


def refuse_unsupported(request: RenderRequest) -> None:
    """Raises UsageError for the teacher, movies other than MP4 and movies of EXR frames."""
    out = Path(request.out)
    refuse_teacher(request.quality)
    if is_file_take(out) and out.suffix.lower() != ".mp4":
        raise UsageError(f"movies are written as .mp4, not {out.suffix}", "name the output .mp4 or a folder")
    if is_file_take(out) and request.image_format is ImageFormat.EXR:
        raise UsageError("a movie cannot hold EXR frames", "render into a folder or leave out --format")


def refuse_teacher(quality: Quality) -> None:
    """Raises UsageError for the quality that no model has a network for yet."""
    if quality is Quality.TEACHER:
        raise UsageError("no model here has a teacher network", "choose the quality full, fast or draft")
