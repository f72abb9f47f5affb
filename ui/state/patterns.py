# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes hatched as well as coloured, for those who tell colours apart badly: a pattern of its own for each class."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mapreel.core.media.palettes import Palette

TILE_PX = 16
"""A pattern repeats after so many pixels of the map, across and down."""
INK = 0.55
"""How far a line is drawn towards black or white, whichever is farther from the colour of the class."""
_lock = threading.Lock()


def hatch(ids: NDArray[np.integer], palette: Palette) -> NDArray[np.uint8]:
    """A label map [H, W] painted in class colours and patterns, [H, W, 3] uint8 sRGB; unknown ids are plain magenta.

    The pattern of a class hangs on its place in the palette alone, so that it stays from frame to frame.
    """
    import cv2  # loads with the first map, not with the window

    rows, table = _table(palette)
    wanted = np.take(rows, ids, mode="clip")
    wanted += _places(*ids.shape)
    painted = np.take(table, wanted).view(np.uint8).reshape(*ids.shape, 4)
    return np.asarray(cv2.cvtColor(painted, cv2.COLOR_RGBA2RGB), np.uint8)


def tile(place: int) -> NDArray[np.bool_]:
    """The pattern of the n-th class, [TILE_PX, TILE_PX], True where there is ink. The first one is empty."""
    return _tiles()[place % len(_tiles())]


@lru_cache(maxsize=1)
def _tiles() -> tuple[NDArray[np.bool_], ...]:
    """Patterns, the ones that differ most first; no two are alike."""
    y, x = np.mgrid[0:TILE_PX, 0:TILE_PX]
    down, up = (x + y) % TILE_PX, (x - y) % TILE_PX
    directions = (down, y + 0 * x, up, x + 0 * y)

    def lines(spacing: int, width: int) -> list[NDArray[np.bool_]]:
        return [direction % spacing < width for direction in directions]

    wide, close, bold, fine = lines(8, 1), lines(4, 1), lines(8, 3), lines(16, 1)
    found = [np.zeros((TILE_PX, TILE_PX), np.bool_)]
    found += [*wide, wide[0] | wide[2], wide[1] | wide[3], _dots(8, 1.5), _checks(8), *bold, _rings(8)]
    found += [*close, close[0] | close[2], close[1] | close[3], _dots(8, 2.6), _checks(4), *fine]
    found += [a & ~b for a in bold for b in wide if a is not b]
    found += [a & b for a, b in ((bold[0], bold[2]), (bold[1], bold[3]), (bold[0], bold[1]), (bold[2], bold[3]))]
    found += [a | b for a in fine for b in wide]
    found += [a ^ b for a in (_checks(8), _rings(8), _dots(8, 2.6), _dots(16, 4.5)) for b in (*wide, *bold, *fine)]
    found += [a ^ b for a in bold for b in (*close, *fine)]
    found += [a | b | c for a in wide for b in fine for c in fine]
    found += [a ^ b ^ c for a in close for b in bold for c in fine]
    different: dict[bytes, NDArray[np.bool_]] = {}
    for pattern in found:
        different.setdefault(pattern.tobytes(), pattern)
    return tuple(different.values())


def _dots(spacing: int, radius: float) -> NDArray[np.bool_]:
    return _radius(spacing) < radius


def _rings(spacing: int) -> NDArray[np.bool_]:
    distance = _radius(spacing)
    return (distance > 1.9) & (distance < 3.1)


def _radius(spacing: int) -> NDArray[np.float64]:
    y, x = np.mgrid[0:TILE_PX, 0:TILE_PX] % spacing - (spacing - 1) / 2
    return np.asarray(np.hypot(x, y))


def _checks(size: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[0:TILE_PX, 0:TILE_PX]
    return np.asarray((x // size + y // size) % 2 == 1)


def _table(palette: Palette) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Where the tile of each id begins, and all tiles as four bytes a pixel in the order of memory."""
    with _lock:
        return _made_table(tuple((entry.id, entry.color) for entry in palette.classes), tuple(palette.lookup[-1]))


@lru_cache(maxsize=4)
def _made_table(
    classes: tuple[tuple[int, tuple[int, int, int]], ...], unknown: tuple[int, int, int]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    rows = np.full(classes[-1][0] + 2, len(classes), np.uint32)  # the last tile is that of ids which are no class
    table = np.zeros((len(classes) + 1, TILE_PX * TILE_PX, 4), np.uint8)
    table[-1, :, :3] = unknown
    for place, (label, color) in enumerate(classes):
        rows[label] = place
        table[place, :, :3] = color
        table[place, tile(place).reshape(-1), :3] = inked(color)
    return rows * np.uint32(TILE_PX * TILE_PX), table.view(np.uint32).reshape(-1)


def inked(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """The colour of the lines on a class of this colour."""
    light = 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2] > 110
    towards = 0 if light else 255
    red, green, blue = (round(part + (towards - part) * INK) for part in color)
    return red, green, blue


@lru_cache(maxsize=4)
def _places(height: int, width: int) -> NDArray[np.uint32]:
    rows = np.arange(height, dtype=np.uint32)[:, None] % TILE_PX * TILE_PX
    return np.asarray(rows + np.arange(width, dtype=np.uint32)[None, :] % TILE_PX)
