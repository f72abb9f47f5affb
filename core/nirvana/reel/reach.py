# SPDX-License-Identifier: GPL-3.0-or-later
"""How many channels each block of a grid has: what lies beyond is 0, and takes neither bits nor time.

Counts are few levels, coded block by block in the passes of the grids, each from the blocks around it.
"""

from __future__ import annotations

import math

import numpy as np

from mapreel.core.nirvana.reel.config import FRACTIONS
from mapreel.core.nirvana.reel.context import PASSES, Ints, PlaceCoder

BLOCK = 8  # places on a side
_TOP_SCALE, _FIRST_SCALE = 29, 27  # tables for the highest level of a frame, and for blocks with none around them
_FEW = 4  # channels, where equal blocks around leave little doubt
_SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def levels(channels: int) -> Ints:
    """Counts that a block can have: 0, 1, 2, 3, 4, then powers of the root of 2, rounded down, and all."""
    powers = [math.isqrt(1 << k) for k in range(5, 2 * channels.bit_length())]
    return np.array([k for k in (0, 1, 2, 3, 4, *powers) if k < channels] + [channels], np.int32)


def reach_of(grid: Ints) -> Ints:
    """The level of each block [T, ceil(h / 8), ceil(w / 8)] that holds a grid [T, C, h, w]."""
    frames, channels, height, width = grid.shape
    last = np.zeros((frames, height, width), np.int32)
    for channel in range(channels):
        last[grid[:, channel] != 0] = channel + 1
    rows, cols = -(-height // BLOCK), -(-width // BLOCK)
    last = np.pad(last, ((0, 0), (0, rows * BLOCK - height), (0, cols * BLOCK - width)))
    most = last.reshape(frames, rows, BLOCK, cols, BLOCK).max(axis=(2, 4))
    found: Ints = np.searchsorted(levels(channels), most).astype(np.int32)
    return found


def spread(blocks: Ints, channels: int, size: tuple[int, int]) -> Ints:
    """Levels of blocks -> channels of each place [T, h, w]."""
    counts = levels(channels)[blocks]
    wide: Ints = counts.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)[:, : size[0], : size[1]]
    return wide


def run_reach(coder: PlaceCoder, blocks: Ints, channels: int, known: bool) -> None:
    """Code (`known`) or decode levels in place: the highest of each frame, then the blocks of those above 0."""
    frames = len(blocks)
    top = np.full(frames, _TOP_SCALE * FRACTIONS, np.int32)
    highest = blocks.reshape(frames, -1).max(axis=1) if known else None
    highest = np.clip(coder.run(top, np.zeros(frames, np.int32), highest), 0, len(levels(channels)) - 1)
    rows = np.flatnonzero(highest)
    some, most = blocks[rows], highest[rows][:, None, None]
    around = np.full((len(rows), blocks.shape[1] + 2, blocks.shape[2] + 2), -1, np.int32)
    for number, (row, col) in enumerate(PASSES):
        part = some[:, row::2, col::2]
        if part.size == 0:
            continue
        tables, means = _tables(around, some.shape[1:], number, most, channels)
        values = np.ascontiguousarray(part).reshape(-1) if known else None
        part[...] = np.clip(coder.run(tables, means, values).reshape(part.shape), 0, most)
        around[:, 1 + row : -1 : 2, 1 + col : -1 : 2] = part
    blocks[rows] = some


def _tables(around: Ints, size: tuple[int, ...], number: int, most: Ints, channels: int) -> tuple[Ints, Ints]:
    """Tables and whole means of the blocks of a pass, from the blocks around it that are known: -1 is none."""
    top, left = PASSES[number]
    steps = ((), _CORNERS, _SIDES, _SIDES)[number]
    height, width = size
    own = around[:, 1 + top : 1 + height : 2, 1 + left : 1 + width : 2]
    mean = np.broadcast_to(most * (FRACTIONS // 2), own.shape).astype(np.int32)
    scale = np.full(own.shape, _FIRST_SCALE, np.int32)
    if steps:
        near = np.stack(
            [around[:, 1 + top + y : 1 + height + y : 2, 1 + left + x : 1 + width + x : 2] for y, x in steps]
        )
        count = (near >= 0).sum(axis=0)
        total, least = np.maximum(near, 0).sum(axis=0), np.where(near < 0, 1 << 10, near).min(axis=0)
        range_ = near.max(axis=0) - least
        there = count > 0
        mean = np.where(there, (2 * FRACTIONS * total + count) // np.maximum(2 * count, 1), mean).astype(np.int32)
        wide = np.where(range_ == 0, 8, 19 + range_) if channels <= _FEW else np.minimum(23 + range_ // 2, 29)
        wide = np.where((range_ == 0) & (channels > _FEW), 20, wide)
        scale = np.where(there, wide, scale).astype(np.int32)
    return (scale * FRACTIONS + mean % FRACTIONS).reshape(-1), (mean // FRACTIONS).reshape(-1)
