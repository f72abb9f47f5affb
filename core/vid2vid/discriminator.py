# SPDX-License-Identifier: GPL-3.0-or-later
"""The critic of the training: PatchGAN at several scales, seeing the maps too (pix2pixHD, Wang et al., CVPR 2018)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: [N, C, H, W] -> list of features, the last of which is the verdict [N, 1, h, w]."""

    def __init__(self, channels_in: int, width: int) -> None:
        super().__init__()
        sizes = [channels_in, width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairwise(sizes))
        self.layers.append(spectral_norm(nn.Conv2d(4 * width, 4 * width, 3, padding=1)))
        self.verdict = spectral_norm(nn.Conv2d(4 * width, 1, 3, padding=1))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return [*features, self.verdict(x)]


class MultiScaleDiscriminator(nn.Module):
    """The same critic on the picture and on its halves: textures at one scale, shapes at the next."""

    def __init__(self, channels_in: int, width: int = 32, scales: int = 2) -> None:
        super().__init__()
        self.critics = nn.ModuleList(PatchDiscriminator(channels_in, width) for _ in range(scales))

    def forward(self, x: Tensor) -> list[list[Tensor]]:  # [N, C, H, W] -> features of each scale
        results = []
        for critic in self.critics:
            results.append(critic(x))
            x = F.avg_pool2d(x, 2)
        return results
