# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole numbers by their cost: which way a latent is rounded, and how wide the scales of a channel are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mapreel.core.nirvana.reel.config import HIGHEST_LOG_SCALE, LOWEST_LOG_SCALE, SCALES, SKIPPED_SCALES
from mapreel.core.nirvana.reel.rate import symbol_bits

SCALE_STEP = (HIGHEST_LOG_SCALE - LOWEST_LOG_SCALE) / (SCALES - 1)
_SKIPPED = LOWEST_LOG_SCALE + (SKIPPED_SCALES - 0.5) * SCALE_STEP
_TURNS = 2
_HOLD = 0.4  # of a symbol: how far what is fitted may be from what was chosen
_LOST = 64.0  # bits that no saving is worth: a scale that is skipped takes a symbol away
_FARTHEST = 8  # steps of a scale
_STEP_BITS = 1.5  # of a step that is stored


@torch.no_grad()
def rounded_by_cost(context: nn.Module, values: Tensor, quality: Tensor, weights: Tensor, deadzone: float) -> Tensor:
    """Latents [N, C, h, w] in symbols, drawn to the whole numbers that cost least, error and bits together.

    quality: as the context model sees it. weights: bits that an error of one symbol is worth [N or 1, C, 1, 1].
    deadzone: where the search begins, in symbols.
    """
    low = values.abs().floor() * values.sign()
    high = low + values.sign()
    chosen = torch.where((values - low).abs() < 0.5 + deadzone, low, high)
    for _ in range(_TURNS):
        mean, log_scale = context(chosen, None, quality)
        log_scale = log_scale.clamp(LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE)
        least, chosen = torch.full_like(values, torch.inf), chosen.clone()
        for option in (torch.zeros_like(low), low, high):
            cost = symbol_bits(option, mean, log_scale) + (values - option).square() * weights
            chosen = torch.where(cost < least, option, chosen)
            least = torch.minimum(cost, least)
    return chosen + (values - chosen).clamp(-_HOLD, _HOLD)


@torch.no_grad()
def best_offsets(context: nn.Module, symbols: Tensor, coarser: Tensor | None, quality: Tensor) -> Tensor:
    """Steps on each channel's scales [C] that make these symbols [N, C, h, w] cost least."""
    mean, log_scale = context(symbols, coarser, quality)
    least: Tensor | None = None
    best = torch.zeros(symbols.shape[1], device=symbols.device)
    for steps in sorted(range(-_FARTHEST, _FARTHEST + 1), key=abs):
        scale = (log_scale + steps * SCALE_STEP).clamp(LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE)
        skipped = scale < _SKIPPED
        bits = torch.where(skipped, (symbols != 0) * _LOST, symbol_bits(symbols, mean, scale))
        cost = bits.sum(dim=(0, 2, 3)) + abs(steps) * _STEP_BITS
        if least is None:
            least = cost
        better = cost < least
        best = torch.where(better, float(steps), best)
        least = torch.minimum(cost, least)
    return best
