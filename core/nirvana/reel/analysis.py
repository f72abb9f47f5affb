# SPDX-License-Identifier: GPL-3.0-or-later
"""A first guess of a frame's latents: only encoders run it, its weights are no part of the format."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mapreel.core.nirvana.reel.config import CHANNELS, PATCH_PX
from mapreel.core.nirvana.reel.network import GREY
from mapreel.core.nirvana.reel.transform import cosine_patches, for_shuffle

_WIDTH = 96


class Analysis(nn.Module):
    """Pictures (less what their references predict) -> latents at 1/8, before their gain: a transform and more."""

    def __init__(self, inter: bool) -> None:
        super().__init__()
        patch = 3 * PATCH_PX**2
        self.linear = nn.Conv2d(patch, CHANNELS, 1)
        self.enter = nn.Conv2d(patch * (2 if inter else 1) + 1, _WIDTH, 1)
        self.around = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
        self.leave = nn.Conv2d(_WIDTH, CHANNELS, 3, padding=1)
        with torch.no_grad():
            self.linear.weight.copy_(for_shuffle(cosine_patches())[:, :, None, None])
            for layer in (self.linear, self.leave):
                assert layer.bias is not None
                layer.bias.zero_()
            self.leave.weight *= 0.1

    def forward(self, pictures: Tensor, quality: Tensor, *references: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in 0..1, quality [N or 1, 1, 1, 1], two moved references or none -> [N, C, h, w]."""
        predicted = GREY * (references[0] + references[1]) if references else torch.full_like(pictures, GREY)
        x = _patchwise(pictures - predicted)
        seen = [x, _patchwise(predicted - GREY)] if references else [x]
        seen.append(quality.expand(x.shape[0], 1, *x.shape[2:]))
        hidden = F.gelu(self.enter(torch.cat(seen, dim=1)))
        hidden = F.gelu(self.around(hidden))
        latents: Tensor = self.linear(x) + self.leave(hidden)
        return latents


def _patchwise(pictures: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, 192, H / 8, W / 8] in the order of `transform.for_shuffle`."""
    return F.pixel_unshuffle(F.pixel_unshuffle(pictures, 2), PATCH_PX // 2)
