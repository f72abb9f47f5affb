# SPDX-License-Identifier: GPL-3.0-or-later
"""The terms of the training loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

Verdicts = list[list[Tensor]]  # of each scale: features, the verdict last


def critic_hinge(real: Verdicts, fake: Verdicts) -> Tensor:
    """Hinge loss of the critic (Lim and Ye, 2017), mean over scales."""
    terms = [F.relu(1 - r[-1]).mean() + F.relu(1 + f[-1]).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def generator_hinge(fake: Verdicts) -> Tensor:
    """What the generator wants: the critic's verdict on its frames raised, mean over scales."""
    return torch.stack([-f[-1].mean() for f in fake]).mean()


def feature_matching(real: Verdicts, fake: Verdicts) -> Tensor:
    """L1 distance of the critic's features (Wang et al., CVPR 2018, equation 4); the real ones take no gradient."""
    terms = [
        F.l1_loss(b, a.detach()) for r, f in zip(real, fake, strict=True) for a, b in zip(r[:-1], f[:-1], strict=True)
    ]
    return torch.stack(terms).mean()


def grid_print(output: Tensor, truth: Tensor) -> Tensor:
    """Patterns that repeat every two pixels and that the truth does not have.

    The difference is multiplied by +1 and -1 in turn (along x, y and both) and averaged over 16x16 pixels: texture and
    outlines cancel out, a printed grid adds up. output, truth: [N, 3, H, W].
    """
    difference = output - truth
    h, w = difference.shape[-2:]
    x = (1 - 2 * (torch.arange(w, device=output.device) % 2)).to(output.dtype)[None, :]
    y = (1 - 2 * (torch.arange(h, device=output.device) % 2)).to(output.dtype)[:, None]
    return torch.stack([F.avg_pool2d(difference * sign, 16).abs().mean() for sign in (x, y, x * y)]).sum()


def carried(output: Tensor, motion: Tensor) -> Tensor:
    """A picture taken along a backward motion field, differentiable: [N, C, H, W], [N, 2, H, W] px -> [N, C, H, W]."""
    h, w = output.shape[-2:]
    x = torch.arange(w, device=output.device, dtype=output.dtype) + motion[:, 0]
    y = torch.arange(h, device=output.device, dtype=output.dtype)[:, None] + motion[:, 1]
    grid = torch.stack([2 * x / max(1, w - 1) - 1, 2 * y / max(1, h - 1) - 1], dim=-1)
    return F.grid_sample(output, grid, mode="bilinear", padding_mode="border", align_corners=True)


def in_between(made: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
    """L1 of a compensated in-between [N, 3, H, W] where `counts` [N, 1, H, W] says that a key brings something."""
    return ((made - truth).abs() * counts).sum() / (3 * counts.sum() + 1.0)


def steadiness(output: Tensor, warped: Tensor, steady: Tensor) -> Tensor:
    """Change against the compensated frame before, where the true frames did not change either.

    output, warped: [N, 3, H, W]; steady: [N, 1, H, W] weights 0..1.
    """
    return ((output - warped).abs() * steady).sum() / (3 * steady.sum() + 1.0)
