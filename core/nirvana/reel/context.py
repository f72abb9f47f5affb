# SPDX-License-Identifier: GPL-3.0-or-later
"""Which probability table a symbol is coded with: whole numbers only, so that every machine agrees.

Symbols of a grid are read channel by channel, each in four passes over a 2 x 2 lattice: (0, 0), (1, 1), (0, 1), (1, 0).
A pass is one step for all its places. What is known then (neighbours of earlier passes, earlier channels of the same
place and around it, the coarser grid) goes through two small layers of integers and gives a mean and a scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mapreel.core.nirvana.reel.config import CLAMP, FRACTIONS, SCALES

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]  # hold whole numbers below 2^24, so that sums in any order are exact

UNITS = 16
PASSES = ((0, 0), (1, 1), (0, 1), (1, 0))
NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
AROUND = ((0, 0), *NEIGHBOURS)
BUSY_LIMIT = 127  # of the sum of sizes of earlier channels at one place
FIRST_BITS, HIDDEN_BITS, SECOND_BITS = 8, 6, 8  # binary places of the first layer, its result and the second layer
HIDDEN_LIMIT = 4095
OUT_BITS = HIDDEN_BITS + SECOND_BITS


class PlaceCoder(Protocol):
    """Codes or decodes the symbols of one pass."""

    def run(self, tables: Ints, means: Ints, values: Ints | None) -> Ints: ...


@dataclass(frozen=True)
class GridContext:
    """The integer layers of one grid. first [C, 16, F], its bias [C, 16], second [C, 2, 16], its bias [C, 2].

    F counts, for a channel: 8 neighbours, their sizes (absolute values), how busy earlier channels are at 9 places
    (sums of sizes), sizes of every channel here, and where the grid has a coarser one above it or is the coarsest of
    motion: every channel here as it is, every channel of the coarser grid and their sizes; then 4 passes and the
    quality. What is not known at a channel's turn has weight 0.
    """

    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    channels: int
    coarser: int
    signed: bool  # earlier channels count with their sign as well

    @property
    def passes_at(self) -> int:
        """Where the passes stand among the features."""
        return 25 + self.channels * (2 if self.signed else 1) + 2 * self.coarser


def run_grid(
    context: GridContext,
    coder: PlaceCoder,
    grid: Ints,
    coarser: Ints | None,
    quality: int,
    offsets: Sequence[int],
    channels: int,
    known: bool,
) -> None:
    """Code (`known`) or decode the first `channels` of the grid [T, C, h, w] in place; coarser [T, C', h / 2, w / 2].

    When coding, a symbol whose scale is among the smallest becomes 0 in place, as the decoder will have it.
    offsets: for each channel, steps that are added to its scales.
    """
    frames, _, height, width = grid.shape
    seen = np.zeros((frames, channels, height + 2, width + 2), np.float32)
    busy = np.zeros((frames, height + 2, width + 2), np.float32)
    above = None if coarser is None else np.clip(coarser, -CLAMP, CLAMP).astype(np.float32)
    for channel in range(channels):
        for number, (top, left) in enumerate(PASSES):
            place = grid[:, channel, top::2, left::2]
            if place.size == 0:
                continue
            features, used = _features(context, seen, np.minimum(busy, BUSY_LIMIT), above, channel, number)
            tables, means = _tables(context, channel, number, features, used, quality, offsets[channel])
            values = np.ascontiguousarray(place).reshape(-1) if known else None
            place[...] = coder.run(tables, means, values).reshape(place.shape)
            seen[:, channel, 1 + top : 1 + height : 2, 1 + left : 1 + width : 2] = np.clip(place, -CLAMP, CLAMP)
        busy += np.abs(seen[:, channel])


def known_neighbours(number: int) -> tuple[int, ...]:
    """Which of NEIGHBOURS an earlier pass has read, at a place of pass `number`."""
    top, left = PASSES[number]
    earlier = PASSES[:number]
    return tuple(k for k, (dy, dx) in enumerate(NEIGHBOURS) if ((top + dy) % 2, (left + dx) % 2) in earlier)


def _features(
    context: GridContext, seen: Floats, busy: Floats, above: Floats | None, channel: int, number: int
) -> tuple[Floats, list[int]]:
    """What is known at the places of a pass [N, used], and which columns of the first layer it belongs to."""
    height, width = seen.shape[2] - 2, seen.shape[3] - 2
    top, left = PASSES[number]

    def at(plane: Floats, dy: int, dx: int) -> Floats:
        return plane[..., 1 + top + dy : 1 + height + dy : 2, 1 + left + dx : 1 + width + dx : 2]

    near = known_neighbours(number)
    parts = [at(seen[:, channel], *NEIGHBOURS[k]) for k in near]
    parts += [np.abs(part) for part in parts]
    used = [*near, *(8 + k for k in near)]
    if channel:
        parts += [at(busy, dy, dx) for dy, dx in AROUND]
        used += range(16, 25)
    here = [at(seen[:, c], 0, 0) for c in range(channel)]
    parts += [np.abs(part) for part in here]
    used += range(25, 25 + channel)
    column = 25 + context.channels
    if context.signed:
        parts += here
        used += range(column, column + channel)
        column += context.channels
    if above is not None:
        rows, cols = at(busy, 0, 0).shape[1:]
        parents = [above[:, c, :rows, :cols] for c in range(context.coarser)]
        parts += [*parents, *map(np.abs, parents)]
        used += range(column, column + 2 * context.coarser)
    if not parts:
        return np.zeros((at(busy, 0, 0).size, 0), np.float32), used
    return np.stack(parts, axis=-1).reshape(-1, len(parts)), used


def _tables(
    context: GridContext, channel: int, number: int, features: Floats, used: list[int], quality: int, offset: int
) -> tuple[Ints, Ints]:
    """Table numbers [N] and whole means [N]."""
    first, passes = context.first[channel], context.passes_at
    bias = context.first_bias[channel] + first[:, passes + number] + first[:, passes + 4] * np.float32(quality)
    hidden = features @ first[:, used].T + bias
    hidden = np.clip(np.floor(hidden * np.float32(2.0 ** (HIDDEN_BITS - FIRST_BITS))), 0, HIDDEN_LIMIT)
    out = (hidden @ context.second[channel].T + context.second_bias[channel]).astype(np.int64)
    mean = (out[:, 0] * FRACTIONS + (1 << (OUT_BITS - 1))) >> OUT_BITS
    # (log scale + 4.5) * 47 / 9.5, rounded: LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE and SCALES in whole numbers
    scale = ((2 * out[:, 1] + (9 << OUT_BITS)) * 2 * (SCALES - 1) + (19 << OUT_BITS)) // (38 << OUT_BITS)
    scale = np.clip(scale + offset, 0, SCALES - 1)
    return (scale * FRACTIONS + mean % FRACTIONS).astype(np.int32), (mean // FRACTIONS).astype(np.int32)
