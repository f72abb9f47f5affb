# SPDX-License-Identifier: GPL-3.0-or-later
"""All learned parts of one kind of frame: synthesis, analysis, context models and how fine its latents are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mapreel.core.nirvana.reel.analysis import Analysis
from mapreel.core.nirvana.reel.config import (
    CHANNELS,
    HIGHEST_LOG_SCALE,
    LOG_RATE_CENTRE,
    LOG_RATE_SPREAD,
    LOWEST_LOG_SCALE,
    MOTION_CHANNELS,
    MOTION_LEVELS,
    tensors_of,
)
from mapreel.core.nirvana.reel.rate import GridRate, symbol_bits
from mapreel.core.nirvana.reel.transform import cosine_patches, for_shuffle

_GAIN = 1.8  # log of symbols for each unit: steps of about 0.17 at the middle quality


class Coder(nn.Module):
    """Frames without references (intra) or with two (inter)."""

    def __init__(self, inter: bool) -> None:
        super().__init__()
        self.inter = inter
        self.synthesis = nn.ParameterDict({_key(name): _first(name, shape) for name, shape in tensors_of(inter)})
        self.analysis = Analysis(inter)
        self.context = GridRate(CHANNELS, 0, signed=False)
        self.gain = nn.Parameter(torch.full((CHANNELS,), _GAIN))
        self.gain_slope = nn.Parameter(torch.full((CHANNELS,), -0.5))
        motion = range(MOTION_LEVELS) if inter else range(0)
        self.motion_contexts = nn.ModuleList(
            GridRate(MOTION_CHANNELS, MOTION_CHANNELS if k + 1 < MOTION_LEVELS else 0, signed=True) for k in motion
        )

    @property
    def weights(self) -> dict[str, Tensor]:
        """Synthesis weights under the names of `config.tensors_of`."""
        return {name: self.synthesis[_key(name)] for name, _ in tensors_of(self.inter)}

    def gains(self, quality: Tensor) -> Tensor:
        """Symbols for each unit of a latent, for quality [N, 1, 1, 1] -> [N, C, 1, 1]."""
        return torch.exp(self.gain.view(1, -1, 1, 1) + self.gain_slope.view(1, -1, 1, 1) * quality * LOG_RATE_SPREAD)

    def latent_bits(self, symbols: Tensor, values: Tensor, quality: Tensor, shift: Tensor | float = 0.0) -> Tensor:
        """Bits of each frame's latents [N]: contexts see `symbols`, `values` are priced ([K, N, …]: K times).

        shift: on the log scales.
        """
        return _bits(self.context, symbols, None, values, quality, shift)

    def motion_bits(
        self, symbols: Sequence[Tensor], values: Sequence[Tensor], quality: Tensor, shifts: Sequence[Tensor | float]
    ) -> Tensor:
        """Bits of each frame's motion [N], grids from fine to coarse."""
        fine, coarse = self.motion_contexts
        first = _bits(fine, symbols[0], symbols[1], values[0], quality, shifts[0])
        return first + _bits(coarse, symbols[1], None, values[1], quality, shifts[1])


def _bits(
    context: nn.Module, symbols: Tensor, coarser: Tensor | None, values: Tensor, quality: Tensor, shift: Tensor | float
) -> Tensor:
    mean, log_scale = context(symbols, coarser, quality)
    scale = (log_scale + shift).clamp(LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE)
    return symbol_bits(values, mean, scale).sum(dim=(-3, -2, -1))


def quality_of(rate_price: Tensor) -> Tensor:
    """Price of a bit (squared 8-bit steps of error it must save a pixel) [N] -> quality [N, 1, 1, 1], about -1..1."""
    return ((rate_price.log() - LOG_RATE_CENTRE) / LOG_RATE_SPREAD).view(-1, 1, 1, 1)


def _key(name: str) -> str:
    return name.replace(".", "_")


def _first(name: str, shape: tuple[int, ...]) -> nn.Parameter:
    """A cosine transform of patches, and small random layers that refine it."""
    if not name.endswith("weight"):
        return nn.Parameter(torch.zeros(shape))
    weight = (torch.rand(shape) * 2 - 1) * (shape[1] * shape[2] * shape[3]) ** -0.5
    if name == "patch.weight":
        weight[:, :CHANNELS] = for_shuffle(cosine_patches()).t()[:, :, None, None]
        weight[:, CHANNELS:] *= 0.1
    return nn.Parameter(weight * (0.1 if name == "out.weight" else 1.0))
