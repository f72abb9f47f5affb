# SPDX-License-Identifier: GPL-3.0-or-later
"""The terms of the teacher's loss that the student's training has no use for."""

from __future__ import annotations

import torch
from torch import Tensor

from mapreel.core.vid2vid.losses import Verdicts


def critic_squares(real: Verdicts, fake: Verdicts) -> Tensor:
    """Least squares of the critic (Mao et al., ICCV 2017): 1 for the truth, 0 for what was made; mean over scales."""
    terms = [((r[-1] - 1).square().mean() + f[-1].square().mean()) / 2 for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def generator_squares(fake: Verdicts) -> Tensor:
    """What the generator wants: the verdict 1 on what it made, mean over scales."""
    return torch.stack([(f[-1] - 1).square().mean() for f in fake]).mean()


def weighted_l1(made: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """L1 distance of [N, C, H, W] where `weight` [N, 1, H, W] (0..1) says that it counts; each picture counts alike.

    So a batch gives the mean of what its pictures give alone, also where they lie in several processes.
    """
    distances = ((made - wanted).abs() * weight).sum(dim=(1, 2, 3))
    return (distances / (made.shape[1] * weight.sum(dim=(1, 2, 3)) + 1.0)).mean()


def trusted_share(weight: Tensor, confidence: Tensor) -> Tensor:
    """Mean of the blend weight where the motion may be believed: there the frame before shall be taken.

    weight, confidence: [N, 1, H, W], 0..1.
    """
    shares = (weight * confidence).sum(dim=(1, 2, 3)) / (confidence.sum(dim=(1, 2, 3)) + 1.0)
    return shares.mean()
