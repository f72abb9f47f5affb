# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a picture is asked for: a region, a smaller size; checked without torch."""

from __future__ import annotations

from mapreel.core.contract.errors import UsageError
from mapreel.core.nirvana.profile import PictureShape, View

SCALES = (1, 2, 4, 8)
Window = tuple[int, int, int, int]  # x, y, width, height in pixels


def view_size(shape: PictureShape, view: View) -> tuple[int, int]:
    """Height and width of what a view shows."""
    width, height = view.window[2:] if view.window is not None else (shape.width, shape.height)
    return -(-height // view.scale), -(-width // view.scale)


def checked_view(width: int, height: int, region: Window | None, scale: int) -> View:
    """What a region and a scale ask of a picture. Raises UsageError for those that cannot be."""
    if scale not in SCALES:
        raise UsageError(f"the scale is 1/{scale}", "use 1/1, 1/2, 1/4 or 1/8")
    if region is None:
        return View(scale=scale)
    x, y, w, h = region
    if not (0 <= x < x + w <= width and 0 <= y < y + h <= height):
        raise UsageError(
            f"the region {x},{y},{w},{h} is not inside the {width}x{height} pixels of a frame",
            "give X,Y,WIDTH,HEIGHT inside it",
        )
    if x % scale or y % scale:
        raise UsageError(f"the region begins at {x},{y}", f"at scale 1/{scale} give multiples of {scale}")
    return View(window=(x, y, w, h), scale=scale)
