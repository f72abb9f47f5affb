# SPDX-License-Identifier: Apache-2.0
"""Small squares of one colour, drawn beside the names of classes."""

from __future__ import annotations

from typing import Any

import bpy.utils.previews

SIDE = 8
_made: dict[str, Any] = {}  # "all": Blender's collection; it has to be taken out before Blender ends


def chip(colour: str) -> int:
    """The icon of a colour such as #ff8000; 0, none, in a Blender without a window."""
    collection = _made.setdefault("all", None) or bpy.utils.previews.new()
    _made["all"] = collection
    if colour not in collection:
        picture = collection.new(colour)
        picture.icon_size = (SIDE, SIDE)
        rgb = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        picture.icon_pixels_float = [*rgb, 1.0] * (SIDE * SIDE)
    return int(collection[colour].icon_id)


def forget() -> None:
    """Give all of them back to Blender."""
    collection = _made.pop("all", None)
    if collection is not None:
        bpy.utils.previews.remove(collection)
