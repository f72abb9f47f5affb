# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures to look at beside the figures: a contact sheet, crops of 24 frames in a row, lines through time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.images import write_png
from mapreel.core.media.sheets import contact_sheet
from mapreel.core.vid2vid.evaluate_takes import Pictures, Pixels

_SHOWN = 4
_CELL_PX = 384
STRIP_FRAMES = 24
"""One second."""
_CROP_PX = (128, 64)


def write_pictures(folder: Path, name: str, numbers: tuple[int, ...], columns: Mapping[str, Pictures]) -> list[str]:
    """Write `NAME_sheet.png`, `NAME_flicker.png` and `NAME_lines.png`; gives their names.

    Sheet: four frames, a column for each sequence, in order. Flicker: a row for each sequence, the middle of 24 frames
    one beside the other. Lines: two picture lines of all frames, time downwards, one picture for each sequence: what
    sticks to things runs in smooth curves.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [numbers[round(i * (len(numbers) - 1) / (_SHOWN - 1))] for i in range(_SHOWN)]
    sheet = [[picture_of(n) for picture_of in columns.values()] for n in chosen]
    first = max(0, (len(numbers) - STRIP_FRAMES) // 2)
    row = numbers[first : first + STRIP_FRAMES]
    strip = [[_middle(picture_of(n)) for n in row] for picture_of in columns.values()]
    lines = [_lines(picture_of, numbers) for picture_of in columns.values()]
    made = {
        f"{name}_sheet.png": contact_sheet(sheet, cell_width_px=_CELL_PX),
        f"{name}_flicker.png": contact_sheet(strip, gap_px=2),
        f"{name}_lines.png": contact_sheet([lines]),
    }
    for file, picture in made.items():
        write_png(folder / file, picture)
    return list(made)


def _middle(picture: Pixels) -> Pixels:
    (h, w), (high, wide) = picture.shape[:2], _CROP_PX
    top, left = max(0, (h - high) // 2), max(0, (w - wide) // 2)
    return picture[top : top + high, left : left + wide]


def _lines(picture_of: Pictures, numbers: tuple[int, ...]) -> NDArray[np.uint8]:
    rows: list[list[Pixels]] = [[], []]
    for number in numbers:
        picture = picture_of(number)
        for kept, y in zip(rows, (picture.shape[0] * 3 // 7, picture.shape[0] * 3 // 4), strict=True):
            kept.append(picture[y])
    return np.concatenate([np.stack(kept) for kept in rows]).repeat(2, axis=0)
