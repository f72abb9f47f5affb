# SPDX-License-Identifier: GPL-3.0-or-later
"""A group's synthesis weights: the prior's plus whole steps."""

from __future__ import annotations

import torch
from torch import Tensor

from mapreel.core.nirvana.reel.payload import Deltas
from mapreel.core.nirvana.reel.prior import Prior

WEIGHT_STEP, BIAS_STEP = 2.0**-7, 2.0**-8


def delta_step(name: str) -> float:
    """What one symbol changes in a tensor of the synthesis network."""
    return WEIGHT_STEP if name.endswith("weight") else BIAS_STEP


def weights_of(prior: Prior, deltas: Deltas, inter: bool, device: torch.device) -> dict[str, Tensor]:
    """The synthesis network of frames with references, or of those without."""
    kind = "inter" if inter else "intra"
    return {
        name: (value + torch.from_numpy(deltas[f"{kind}.{name}"]).float() * delta_step(name)).to(device)
        for name, value in prior.weights(inter).items()
    }
