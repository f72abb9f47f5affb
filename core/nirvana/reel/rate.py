# SPDX-License-Identifier: GPL-3.0-or-later
"""The context model as differentiable arithmetic: what symbols will cost, while they are still being chosen."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mapreel.core.nirvana.reel.config import CLAMP, HIGHEST_LOG_SCALE, LOWEST_LOG_SCALE
from mapreel.core.nirvana.reel.context import AROUND, BUSY_LIMIT, NEIGHBOURS, PASSES, UNITS, known_neighbours
from mapreel.core.nirvana.reel.strips import by_strips, strips_of

_LEAST_SHARE = 2.0**-10  # of every table that is spread over rare values
_RARE = 2.0**-16
_START = 0.3  # of what torch starts a layer with


class GridRate(nn.Module):
    """Mean and log scale of every symbol of a grid, from what a decoder knows at its turn (`context.run_grid`).

    The first layer is kept in the parts of `context.GridContext`: own neighbours and business (one set for each
    channel), then all channels here, the coarser grid, the pass and the quality.
    """

    def __init__(self, channels: int, coarser: int, *, signed: bool) -> None:
        super().__init__()
        self.channels, self.coarser, self.signed = channels, coarser, signed
        shared = channels * (2 if signed else 1) + 2 * coarser + len(PASSES) + 1
        self.own = nn.Parameter(_random(channels * UNITS, 25))
        self.shared = nn.Parameter(_random(channels * UNITS, shared))
        self.bias = nn.Parameter(torch.rand(channels * UNITS) * 0.2)
        self.second = nn.Parameter(_random(2 * channels, UNITS))
        self.second_bias = nn.Parameter(torch.tensor([0.0, -1.0]).repeat(channels))
        self.register_buffer("earlier", _earlier(channels, shared, signed), persistent=False)
        self.register_buffer("near", _near_mask(), persistent=False)
        self.register_buffer("passes", _pass_mask(), persistent=False)
        self.earlier: Tensor
        self.near: Tensor
        self.passes: Tensor

    def forward(self, grid: Tensor, coarser: Tensor | None, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Symbols [N, C, h, w], those of the coarser grid, quality [N or 1, 1, 1, 1] -> means and log scales.

        The grid may be cut off after its first channels, the rest being 0, unless channels count with their sign.
        """
        n, _, h, w = grid.shape
        mean, log_scale = by_strips(
            lambda some, above: self._rows(some, above, quality), strips_of(h, w, n), (grid, 1), (coarser, -2)
        )
        return mean, log_scale

    def _rows(self, grid: Tensor, coarser: Tensor | None, quality: Tensor) -> tuple[Tensor, Tensor]:
        """All of a grid at once."""
        n, c, h, w = grid.shape
        units = c * UNITS
        shared = self.shared * self.earlier
        if c < self.channels:
            shared = torch.cat([shared[:units, :c], shared[:units, self.channels :]], dim=1)
        around = F.pad(grid.clamp(-CLAMP, CLAMP), (1, 1, 1, 1))
        sizes = around.abs()
        near = torch.stack([_at(around, h, w, *step) for step in NEIGHBOURS], dim=2) * _tiled(self.near, h, w)
        busy = (sizes.cumsum(dim=1) - sizes).clamp_max(BUSY_LIMIT)
        busy = torch.stack([_at(busy, h, w, *step) for step in AROUND], dim=2)
        own = torch.cat([near, near.abs(), busy], dim=2).flatten(1, 2)
        here = _at(around, h, w, 0, 0)
        parts = [here.abs(), here] if self.signed else [here.abs()]
        if coarser is not None:
            above = F.interpolate(coarser.clamp(-CLAMP, CLAMP), scale_factor=2, mode="nearest")[:, :, :h, :w]
            parts += [above, above.abs()]
        parts += [_tiled(self.passes, h, w).expand(n, -1, -1, -1), quality.expand(n, 1, h, w)]
        hidden = F.conv2d(own, self.own[:units, :, None, None], self.bias[:units], groups=c)
        hidden = F.relu(hidden + F.conv2d(torch.cat(parts, dim=1), shared[:, :, None, None]))
        second, bias = self.second[: 2 * c, :, None, None], self.second_bias[: 2 * c]
        out = F.conv2d(hidden, second, bias, groups=c).view(n, c, 2, h, w)
        return out[:, :, 0], out[:, :, 1].clamp(LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE)


def symbol_bits(values: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Bits of each value (a symbol, or one with noise) under a discretised Laplace distribution."""
    sharpness = torch.exp(-log_scale)
    distance = (values - mean).abs()
    outside = torch.exp(-(distance - 0.5).clamp_min(0) * sharpness) * (1 - torch.exp(-sharpness)) * 0.5
    above = torch.exp(-(distance + 0.5) * sharpness)
    below = torch.exp((distance - 0.5).clamp_max(0) * sharpness)
    mass = torch.where(distance > 0.5, outside, 1 - 0.5 * (above + below))
    return -torch.log2(mass * (1 - _LEAST_SHARE) + _RARE)


def nearly_rounded(values: Tensor, sharpness: float, generator: torch.Generator | None = None) -> Tensor:
    """Values drawn towards whole numbers, with the noise that is left: what is priced while symbols are not yet fixed.

    sharpness: 0 gives uniform noise of one step, which prices small values far too high where most symbols are 0; the
    higher, the nearer to rounding (soft rounding: Agustsson and Theis, NeurIPS 2020).
    """
    if sharpness == 0.0:
        return values + _noise(values, generator)
    floor = values.detach().floor()
    rest = values - floor - 0.5
    drawn = floor + 0.5 + torch.tanh(rest * sharpness) / (2.0 * math.tanh(0.5 * sharpness))
    return drawn + _noise(values, generator) * min(1.0, 2.0 / sharpness)


def _noise(values: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(values.shape, generator=generator, device=values.device) - 0.5


def laplace_mass(low: float, high: float, scale: float) -> float:
    """Mass of a Laplace distribution around 0 between two places."""

    def below(x: float) -> float:
        return 0.5 * math.exp(x / scale) if x < 0 else 1.0 - 0.5 * math.exp(-x / scale)

    return below(high) - below(low)


def _at(plane: Tensor, height: int, width: int, dy: int, dx: int) -> Tensor:
    return plane[:, :, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]


def _tiled(mask: Tensor, height: int, width: int) -> Tensor:
    return mask.repeat(1, (height + 1) // 2, (width + 1) // 2)[:, :height, :width]


def _random(rows: int, cols: int) -> Tensor:
    return (torch.rand(rows, cols) * 2 - 1) * _START / math.sqrt(cols)


def _near_mask() -> Tensor:
    mask = torch.zeros(len(NEIGHBOURS), 2, 2)
    for number, (top, left) in enumerate(PASSES):
        mask[list(known_neighbours(number)), top, left] = 1.0
    return mask


def _pass_mask() -> Tensor:
    mask = torch.zeros(len(PASSES), 2, 2)
    for number, (top, left) in enumerate(PASSES):
        mask[number, top, left] = 1.0
    return mask


def _earlier(channels: int, shared: int, signed: bool) -> Tensor:
    """Which of the shared features a channel may see: [C · 16, shared]."""
    mask = torch.ones(channels, UNITS, shared)
    for channel in range(channels):
        for begin in (0, channels) if signed else (0,):
            mask[channel, :, begin + channel : begin + channels] = 0.0
    return mask.view(channels * UNITS, shared)
