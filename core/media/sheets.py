# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds contact sheets: pictures in rows and columns on one dark canvas."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

BACKGROUND = 24  # dark grey, so that neither night nor sky melts into the gaps


def contact_sheet(
    rows: Sequence[Sequence[NDArray[np.uint8]]], *, cell_width_px: int | None = None, gap_px: int = 4
) -> NDArray[np.uint8]:
    """One picture [H, W, 3] uint8 with the given pictures [H, W, 3] uint8 in rows; rows may differ in length.

    cell_width_px: pictures are made smaller (area mean) to this width when they are wider, keeping their shape; None
    keeps them. A column is as wide as its widest picture, a row as high as its highest. Raises ValueError without any
    picture.
    """
    cells = [[_fit(picture, cell_width_px) for picture in row] for row in rows]
    columns = max((len(row) for row in cells), default=0)
    if columns == 0:
        raise ValueError("a contact sheet needs at least one picture")
    widths = [max((row[x].shape[1] for row in cells if x < len(row)), default=0) for x in range(columns)]
    heights = [max((picture.shape[0] for picture in row), default=0) for row in cells]
    canvas = np.full((sum(heights) + gap_px * (len(heights) + 1), sum(widths) + gap_px * (columns + 1), 3), BACKGROUND)
    sheet = canvas.astype(np.uint8)
    top = gap_px
    for row, height in zip(cells, heights, strict=True):
        left = gap_px
        for picture, width in zip(row, widths, strict=False):
            sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
            left += width + gap_px
        top += height + gap_px
    return sheet


def _fit(picture: NDArray[np.uint8], width_px: int | None) -> NDArray[np.uint8]:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"a contact sheet takes [H, W, 3] uint8, not {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    if width_px is None or width <= width_px:
        return picture
    small = cv2.resize(picture, (width_px, max(1, round(height * width_px / width))), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
