# SPDX-License-Identifier: GPL-3.0-or-later
"""Label maps of any kind as they stand in their files, and which colours stand for which ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError, UnsupportedFileError
from mapreel.core.media.files import kind_of, read_file
from mapreel.core.media.images import read_picture
from mapreel.core.media.labels import PLAIN, MapReading, read_label_map
from mapreel.core.media.palettes import Palette
from mapreel.core.media.pngfile import PngColor, integer_samples, parse_png
from mapreel.core.media.readers import read_apart

Ids = NDArray[np.uint16]  # [H, W]
Mask = NDArray[np.bool_]  # [H, W]
Box = tuple[int, int, int, int]  # x, y, width, height in pixels

UNKNOWN = 65535
"""Stands in the ids of a colour picture where its colour is none of the palette's."""
MANY_IDS = 256
_FEW_BLENDS = 0.1  # of the edges: a soft edge has a blend at nearly all of them


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A map as it stands in its file. pixels: [H, W] for one channel, [H, W, 2 to 4] otherwise; indices if indexed."""

    pixels: NDArray[Any]
    kind: str  # png, jpeg, tiff …
    channels: str  # grey, indexed, grey+alpha, RGB, RGBA
    bits: int


class Colours:
    """Which colours stand for which ids: the palette's, or those learnt from the flat surfaces of the shot."""

    def __init__(self, palette: Palette | None, reading: MapReading = PLAIN) -> None:
        """reading: how EXR files become ids, see `read_sample`."""
        self.palette, self.reading = palette, reading
        self.colors: list[tuple[int, int, int]] = []
        self.known: frozenset[int] | None = None
        if palette is not None:
            self.known = frozenset(entry.id for entry in palette.classes)

    @cached_property
    def _table(self) -> Ids:
        """Id of each of all colours: 32 MB, made when the first colour picture comes."""
        table = np.full(1 << 24, UNKNOWN, np.uint16)
        if self.palette is not None:
            first = {_pack_one(entry.color): entry.id for entry in reversed(self.palette.classes)}
            table[list(first)] = list(first.values())
        return table

    def ids(self, colors: NDArray[np.uint8], *, learn: bool) -> Ids:
        """[H, W, 3] to ids, UNKNOWN where the colour is none; without a palette flat surfaces are learnt first."""
        packed = pack(colors)
        found: Ids = self._table[packed]
        if learn and self.palette is None and (found == UNKNOWN).any():
            self._learn(packed[flat(packed, 3) & (found == UNKNOWN)], max(9, packed.size // 20000))
            found = self._table[packed]
            rest = found == UNKNOWN
            if 0 < rest.sum() < _FEW_BLENDS * (packed[:, 1:] != packed[:, :-1]).sum():
                self._learn(packed[rest], 1)  # too few for soft edges: small things of classes of their own
                found = self._table[packed]
        return found

    def _learn(self, pixels: NDArray[np.int32], least: int) -> None:
        colors, counts = np.unique(pixels, return_counts=True)
        for color in colors[counts >= least]:
            if len(self.colors) < MANY_IDS:
                self._table[color] = len(self.colors)
                self.colors.append((int(color) >> 16, int(color) >> 8 & 255, int(color) & 255))

    def color(self, label: int) -> tuple[int, int, int]:
        """The colour of an id: the palette's, the learnt one, or one made from the number."""
        if self.palette is not None:
            found = next((entry.color for entry in self.palette.classes if entry.id == label), None)
            return (255, 0, 255) if found is None else found
        return self.colors[label] if label < len(self.colors) else made_color(label)


def made_color(label: int) -> tuple[int, int, int]:
    """A colour for an id without a palette: hues a golden angle apart, so that small ids look unlike each other."""
    if label == UNKNOWN:
        return 255, 0, 255
    hue, shade = (label * 137.508) % 360.0, (235, 190, 150)[label // 3 % 3]
    pixel = np.array([[[round(hue / 2) % 180, 150, shade]]], np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return int(red), int(green), int(blue)


@read_apart
def read_sample(path: Path, number: int, reading: MapReading = PLAIN) -> Sample:
    """Reads one map of any kind that Mapreel opens, as it stands in its file. Raises InputError.

    reading: which layer of an EXR, and what the names of its objects become; other files say their ids themselves.
    """
    data = read_file(path, number)
    kind = kind_of(data)
    if kind == "png":
        png = parse_png(data, path, number)
        header = png.header
        if header.samples == 1:
            name = "indexed" if header.color is PngColor.INDEXED else "grey"
            ids = integer_samples(png, path, number)
            return Sample(pixels=ids, kind=kind, channels=name, bits=header.bit_depth)
    try:
        pixels = read_picture(path, frame=number)
    except UnsupportedFileError:
        ids = read_label_map(path, frame=number, reading=reading)
        return Sample(pixels=ids, kind=kind, channels="grey", bits=8 * ids.dtype.itemsize)
    names = {1: "grey", 2: "grey+alpha", 3: "RGB", 4: "RGBA"}
    plain = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return Sample(
        pixels=np.ascontiguousarray(plain),
        kind=kind,
        channels=names[pixels.shape[2]],
        bits=8 * pixels.dtype.itemsize,
    )


def eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """8 or 16-bit samples as 8 bits."""
    if pixels.dtype == np.uint8:
        return pixels
    return (pixels.astype(np.uint32) // 257).astype(np.uint8)


def changes(code: NDArray[Any]) -> tuple[Mask, Mask]:
    """Where a value differs from the one before it, along lines and down columns."""
    return np.asarray(code[:, 1:] != code[:, :-1]), np.asarray(code[1:] != code[:-1])


def flat(code: NDArray[Any], side_px: int) -> Mask:
    """Pixels in the middle of a square of one value."""
    reach = side_px // 2
    flat = np.zeros(code.shape, np.bool_)
    if min(code.shape) < side_px:
        return flat
    across, down = changes(code)
    rows, columns = code.shape[0] - 2 * reach, code.shape[1] - 2 * reach
    run = across[:, :columns].copy()
    for step in range(1, 2 * reach):
        run |= across[:, step : step + columns]
    inner = run[:rows].copy()
    for step in range(1, side_px):
        inner |= run[step : step + rows]
    for step in range(2 * reach):
        inner |= down[step : step + rows, reach : reach + columns]
    flat[reach : reach + rows, reach : reach + columns] = ~inner
    return flat


def pack(colors: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Colours [H, W, 3] as one number each."""
    wide = colors.astype(np.int32)
    return (wide[:, :, 0] << 16) | (wide[:, :, 1] << 8) | wide[:, :, 2]


def _pack_one(color: tuple[int, int, int]) -> int:
    return (color[0] << 16) | (color[1] << 8) | color[2]


def try_read(path: Path, number: int, reading: MapReading = PLAIN) -> Sample | InputError:
    """The sample, or the sentence that says why there is none."""
    try:
        return read_sample(path, number, reading)
    except InputError as error:
        return error
