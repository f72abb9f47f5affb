# SPDX-License-Identifier: GPL-3.0-or-later
"""Which probability table a symbol is coded with: whole numbers only, so that every machine agrees.

Symbols of a grid are read channel by channel, each in four passes over a 2 x 2 lattice: (0, 0), (1, 1), (0, 1), (1, 0).
A pass is one step for all its places. What is known then (neighbours of earlier passes, earlier channels of the same
place and around it, the coarser grid) goes through two small layers of integers and gives a mean and a scale.
Where all of that is 0 every place has the same table, so work goes with what is there and not with the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mapreel.core.nirvana.reel.config import CLAMP, FRACTIONS, SCALES, SKIPPED_SCALES

Ints = npt.NDArray[np.int32]
Places = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float32]  # hold whole numbers below 2^24, so that sums in any order are exact

UNITS = 16
PASSES = ((0, 0), (1, 1), (0, 1), (1, 0))
NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
AROUND = ((0, 0), *NEIGHBOURS)
BUSY_LIMIT = 127  # of the sum of sizes of earlier channels at one place
FIRST_BITS, HIDDEN_BITS, SECOND_BITS = 8, 6, 8  # binary places of the first layer, its result and the second layer
HIDDEN_LIMIT = 4095
OUT_BITS = HIDDEN_BITS + SECOND_BITS
SPREAD_LIMIT = 1 << 19  # of what a scale is made from, so that 32 bits hold all sums


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

    @cached_property
    def parts(self) -> tuple[tuple[_Layer, ...], ...]:
        """The first layer for each channel and pass, in the parts that `run_grid` puts together."""
        return tuple(tuple(_layer(self, channel, k) for k in range(len(PASSES))) for channel in range(self.channels))


@dataclass(frozen=True)
class _Layer:
    """First layer of a channel at a pass, inputs by units. What is not known then is left out."""

    near: Floats
    near_sizes: Floats
    busy: Floats
    here: Floats
    here_sizes: Floats
    above: Floats
    above_sizes: Floats
    of_pass: Floats  # [16]
    of_quality: Floats  # [16]


def _layer(context: GridContext, channel: int, number: int) -> _Layer:
    first, near, channels = context.first[channel], list(known_neighbours(number)), context.channels
    end = 25 + channels * (2 if context.signed else 1)

    def columns(begin: int, count: int) -> Floats:
        return np.ascontiguousarray(first[:, begin : begin + count].T)

    return _Layer(
        near=np.ascontiguousarray(first[:, near].T),
        near_sizes=np.ascontiguousarray(first[:, [8 + k for k in near]].T),
        busy=columns(16, 9 if channel else 0),
        here=columns(25 + channels, channel if context.signed else 0),
        here_sizes=columns(25, channel),
        above=columns(end, context.coarser),
        above_sizes=columns(end + context.coarser, context.coarser),
        of_pass=context.first_bias[channel] + first[:, context.passes_at + number],
        of_quality=first[:, context.passes_at + 4],
    )


def run_grid(
    context: GridContext,
    coder: PlaceCoder,
    grid: Ints,
    coarser: Ints | None,
    quality: int,
    offsets: Sequence[int],
    reach: Ints,
    known: bool,
) -> None:
    """Code (`known`) or decode the grid [T, C, h, w] in place; coarser [T, C', h / 2, w / 2].

    reach: how many channels each place has [T, h, w], beyond which all is 0. offsets: for each channel, steps that are
    added to its scales. When coding, a symbol whose scale is among the smallest becomes 0, as the decoder will have it.
    """
    run = _Run(context, grid, coarser, quality, reach)
    for channel in range(int(reach.max(initial=0))):
        run.begin(channel)
        for number in range(len(PASSES)):
            places, spots, tables, means = run.look(number, offsets[channel])
            values = coder.run(tables, means, run.values_at(spots) if known else None)
            run.put(places, spots, values)
        run.end()


class _Run:
    """What is known of a grid so far, place by place, with a border of one place of zeros around each frame.

    A place is a number among all with borders (`place`) and among those of the grid's first channel (`spot`).
    """

    def __init__(self, context: GridContext, grid: Ints, coarser: Ints | None, quality: int, reach: Ints) -> None:
        frames, channels, height, width = grid.shape
        self._context, self._quality, self._reach = context, np.float32(quality), reach
        self._grid, self._flat = grid, grid.reshape(-1)
        assert self._flat.base is grid or self._flat.base is grid.base, "a grid that is not in one piece"
        self._cells = height * width
        around = width + 2
        total = frames * (height + 2) * around
        at = np.arange(total, dtype=np.intp).reshape(frames, height + 2, around)[:, 1:-1, 1:-1]
        spot = (np.arange(frames) * (channels * height * width))[:, None, None]
        spot = spot + np.arange(height * width).reshape(height, width)
        self._place = [np.ascontiguousarray(at[:, top::2, left::2]).reshape(-1) for top, left in PASSES]
        self._spot = [np.ascontiguousarray(spot[:, top::2, left::2]).reshape(-1) for top, left in PASSES]
        self._reached = [reach[:, top::2, left::2].reshape(-1) for top, left in PASSES]
        self._steps = np.array([dy * around + dx for dy, dx in AROUND], np.intp)
        self._near = [self._steps[[1 + k for k in known_neighbours(number)]] for number in range(len(PASSES))]
        self._seen = np.zeros(total, np.float32)  # symbols of this channel
        self._busy = np.zeros(total, np.float32)
        self._here = np.zeros((total, channels), np.int8)
        self._touched = np.zeros(total, bool)  # whether a context is more than zeros, by what came before this channel
        self._nearby = np.zeros(total, bool)  # and by this channel
        self._found: list[tuple[Places, Ints]] = []
        self._above: Floats | None = None
        if coarser is not None:
            self._see_above(coarser, at)
        self._levels = sorted({int(value) for value in np.unique(reach)})
        self._some: list[tuple[Places, Places]] = []
        self.channel = -1

    def _see_above(self, coarser: Ints, at: Places) -> None:
        """The coarser grid's symbols, and which of them stands above each place."""
        frames, channels, height, width = coarser.shape
        above = np.clip(coarser, -CLAMP, CLAMP).transpose(0, 2, 3, 1).reshape(-1, channels)
        self._above = above.astype(np.float32)
        self._parent = np.zeros(len(self._seen), np.int32)
        cells = np.arange(frames * height * width).reshape(frames, height, width)
        self._parent[at] = cells.repeat(2, axis=1).repeat(2, axis=2)[:, : at.shape[1], : at.shape[2]]
        self._touched[at] = np.any(above != 0, axis=1)[self._parent[at]]

    def begin(self, channel: int) -> None:
        """Go on to a channel; places change where some have no more channels."""
        self.channel = channel
        self._found = []
        if channel == 0 or channel in self._levels:
            chosen = [reached > channel for reached in self._reached]
            self._some = [(place[c], spot[c]) for place, spot, c in zip(self._place, self._spot, chosen, strict=True)]

    def look(self, number: int, offset: int) -> tuple[Places, Places, Ints, Ints]:
        """Places of a pass that take part, where they stand in the grid, their tables and whole means [N].

        Where nothing is known but zeros all have one table; those places are left out (and 0) when it is skipped.
        """
        places, spots = self._some[number]
        table, mean = self._from_hidden(self._bias(number)[None], offset)
        more = self._touched[places] | self._nearby[places]
        if table[0] < SKIPPED_SCALES * FRACTIONS:
            self._flat[spots[~more] + self.channel * self._cells] = 0
            places, spots = places[more], spots[more]
            return places, spots, *self._from_hidden(self._hidden(places, number), offset)
        at = np.flatnonzero(more)
        tables, means = table.repeat(len(places)), mean.repeat(len(places))
        tables[at], means[at] = self._from_hidden(self._hidden(places[at], number), offset)
        return places, spots, tables, means

    def _bias(self, number: int) -> Floats:
        layer = self._context.parts[self.channel][number]
        return layer.of_pass + layer.of_quality * self._quality

    def _hidden(self, places: Places, number: int) -> Floats:
        """What the first layer gives, before it is brought within its limits [N, 16]."""
        layer, channel = self._context.parts[self.channel][number], self.channel
        out = np.empty((len(places), UNITS), np.float32)
        out[...] = self._bias(number)
        if number:
            near = self._seen[places[:, None] + self._near[number]]
            out += near @ layer.near
            out += np.abs(near, out=near) @ layer.near_sizes
        if channel:
            out += self._busy[places[:, None] + self._steps] @ layer.busy
            here = self._here[places][:, :channel].astype(np.float32)
            if self._context.signed:
                out += here @ layer.here
            out += np.abs(here, out=here) @ layer.here_sizes
        if self._above is not None:
            above = self._above[self._parent[places]]
            out += above @ layer.above
            out += np.abs(above, out=above) @ layer.above_sizes
        return out

    def _from_hidden(self, hidden: Floats, offset: int) -> tuple[Ints, Ints]:
        hidden = np.clip(np.floor(hidden * np.float32(2.0 ** (HIDDEN_BITS - FIRST_BITS))), 0, HIDDEN_LIMIT)
        second, bias = self._context.second[self.channel], self._context.second_bias[self.channel]
        out = (hidden @ second.T + bias).astype(np.int32)
        mean = (out[:, 0] * FRACTIONS + (1 << (OUT_BITS - 1))) >> OUT_BITS
        # (log scale + 4.5) * 47 / 9.5, rounded: LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE and SCALES in whole numbers
        spread = np.clip(out[:, 1], -SPREAD_LIMIT, SPREAD_LIMIT)
        scale = ((2 * spread + (9 << OUT_BITS)) * (2 * (SCALES - 1)) + (19 << OUT_BITS)) // (38 << OUT_BITS)
        scale = np.clip(scale + offset, 0, SCALES - 1)
        return scale * FRACTIONS + (mean & (FRACTIONS - 1)), mean >> (FRACTIONS.bit_length() - 1)

    def values_at(self, spots: Places) -> Ints:
        """Symbols of this channel."""
        values: Ints = self._flat[spots + self.channel * self._cells]
        return values

    def put(self, places: Places, spots: Places, values: Ints) -> None:
        """Take the symbols of a pass."""
        self._flat[spots + self.channel * self._cells] = values
        there = np.flatnonzero(values)
        places, values = places[there], np.clip(values[there], -CLAMP, CLAMP)
        self._seen[places] = values
        self._nearby[places[:, None] + self._steps] = True
        self._found.append((places, values))

    def end(self) -> None:
        """All passes of a channel are there."""
        places = np.concatenate([places for places, _ in self._found])
        values = np.concatenate([values for _, values in self._found])
        self._seen[places] = 0
        self._here[places, self.channel] = values
        self._busy[places] = np.minimum(self._busy[places] + np.abs(values), BUSY_LIMIT)
        around = places[:, None] + self._steps
        self._nearby[around] = False
        self._touched[around] = True


def known_neighbours(number: int) -> tuple[int, ...]:
    """Which of NEIGHBOURS an earlier pass has read, at a place of pass `number`."""
    top, left = PASSES[number]
    earlier = PASSES[:number]
    return tuple(k for k, (dy, dx) in enumerate(NEIGHBOURS) if ((top + dy) % 2, (left + dx) % 2) in earlier)
