# SPDX-License-Identifier: GPL-3.0-or-later
"""The encoder's first choice of motion: optical flow where it pays for its bits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.nirvana.reel.config import MOTION_STEP_PX
from mapreel.core.nirvana.reel.network import dense_motion, moved

STEPS = 255.0
_BITS = 8.0  # about what a cell's own motion costs
_WORTH = 0.3  # of the error that better motion saves: the latents would have mended some of it


@torch.no_grad()
def guess_motion(
    flow: Tensor, known: Tensor | None, wanted: Tensor, references: tuple[Tensor, ...], price: Tensor
) -> tuple[Tensor, Tensor]:
    """Symbols at 1/8 and 1/16 [N, 4, h, w] for the flow to one or two references [N, 4, H, W] in px.

    known: what they are added to. wanted, references: [N, 3, H, W] in 0..1. price: of a bit [N, 1, 1, 1].
    """
    start = torch.zeros_like(flow) if known is None else known
    cells = F.avg_pool2d(flow - start, 8) / MOTION_STEP_PX
    coarse = F.avg_pool2d(cells, 2).round()
    fine = torch.zeros_like(cells)
    still = _errors(wanted, references, start, 16)
    better = _errors(wanted, references, start + dense_motion(coarse, fine), 16)
    coarse = coarse * _pays(still - better, price)
    start = start + dense_motion(coarse, fine)
    rest = (cells - F.interpolate(coarse, scale_factor=2, mode="nearest")).round()
    still = _errors(wanted, references, start, 8)
    better = _errors(wanted, references, start + dense_motion(torch.zeros_like(coarse), rest), 8)
    return rest * _pays(still - better, price), coarse


def _errors(wanted: Tensor, references: tuple[Tensor, ...], motion: Tensor, cell: int) -> Tensor:
    """Squared error in 8-bit steps of each moved reference, summed over cells [N, 2, h, w]; 0 for one not there."""
    found: list[Tensor] = []
    for slot in range(2):
        if slot >= len(references):
            found.append(torch.zeros_like(found[0]))
            continue
        wrong = (moved(references[slot], motion[:, 2 * slot : 2 * slot + 2]) - wanted).square().mean(1, keepdim=True)
        found.append(F.avg_pool2d(wrong, cell) * (cell * cell * STEPS**2))
    return torch.cat(found, dim=1)


def _pays(saved: Tensor, price: Tensor) -> Tensor:
    """1 where a cell's motion to a reference is kept [N, 4, h, w]; never for a reference that is not there."""
    return (saved * _WORTH > price * _BITS).float().repeat_interleave(2, dim=1)
