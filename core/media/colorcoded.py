# SPDX-License-Identifier: GPL-3.0-or-later
"""Label maps painted in the colours of a palette, back to ids: exact colours only, never the nearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import UnknownLabelError
from mapreel.core.media.files import picture_name
from mapreel.core.media.palettes import Palette, load_palette, palette_names

_SHOWN = 5


def packed_colors(pixels: NDArray[Any], path: Path, frame: int | None) -> NDArray[np.uint32]:
    """Colours [H, W] as 0xRRGGBB of a picture [H, W, 3 or 4], 8 or 16 bit.

    Raises UnknownLabelError for transparent pixels, and for 16-bit colours that no 8-bit colour stands for.
    """
    if pixels.shape[2] == 4:
        full = np.iinfo(pixels.dtype).max
        soft = int((pixels[:, :, 3] != full).sum())
        if soft:
            raise _wrong(path, frame, f"has {soft} pixels that are not opaque, so their class is unknown", "flatten it")
    if pixels.dtype == np.uint16:
        deep = pixels[:, :, :3] % 257 != 0
        if deep.any():
            count = int(deep.any(axis=2).sum())
            raise _wrong(path, frame, f"has {count} pixels whose 16-bit colours are none of 8 bits", "save 8 bits")
        pixels = pixels // 257
    wide = pixels[:, :, :3].astype(np.uint32)
    return (wide[:, :, 0] << 16 | wide[:, :, 1] << 8 | wide[:, :, 2]).astype(np.uint32)


def ids_of_colors(packed: NDArray[np.uint32], palette: Palette, path: Path, frame: int | None) -> NDArray[np.uint32]:
    """Ids [H, W] of colours [H, W]; of classes that share a colour the lowest id.

    Raises UnknownLabelError with the colours, pixels and the first place of what is no colour of the palette.
    """
    colors, ids = palette.by_color
    at = np.minimum(np.searchsorted(colors, packed), len(colors) - 1)
    unknown = colors[at] != packed
    if unknown.any():
        found, counts = np.unique(packed[unknown], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_SHOWN]
        shown = ", ".join(f"#{found[i]:06x} ({counts[i]} pixels)" for i in order)
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        row, column = np.argwhere(unknown)[0]
        raise _wrong(
            path,
            frame,
            f"has colours that are no class of {palette.name}: {shown}{more}, first at x {column}, y {row}",
            "see mapreel label doctor, or give another palette",
        )
    return np.asarray(ids[at])


def fitting_palettes(packed: NDArray[np.uint32]) -> list[str]:
    """Palettes that come with Mapreel and know every colour of a picture."""
    present = np.unique(packed)
    return [name for name in palette_names() if np.isin(present, load_palette(name).by_color[0]).all()]


def no_palette(packed: NDArray[np.uint32], path: Path, frame: int | None) -> UnknownLabelError:
    """The error for a colour-coded map without a palette; names the one that would fit."""
    fitting = fitting_palettes(packed)
    named = f"add --palette {fitting[0]}, which has all of its colours" if len(fitting) == 1 else "name --palette"
    remedy = f"{named}, or save the ids themselves as 8 or 16 bit grey or indexed PNG"
    return _wrong(path, frame, "is a colour picture, so its class ids are unknown", remedy)


def _wrong(path: Path, frame: int | None, how: str, remedy: str) -> UnknownLabelError:
    return UnknownLabelError(f"{picture_name(path, frame)} {how}", remedy, file=str(path), frame=frame)
