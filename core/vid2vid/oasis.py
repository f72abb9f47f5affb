# SPDX-License-Identifier: GPL-3.0-or-later
"""The segmentation-style critic of OASIS (Schönfeld et al., ICLR 2021): every pixel is one of N classes or fake.

It never sees the maps: that a pixel looks like its class is the whole lesson, so no perceptual network and no feature
matching is needed.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class _Block(nn.Module):
    """Two 3x3 convolutions with activations before them, added to a 1x1 one."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(channels_in, channels, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(channels, channels, 3, padding=1))
        self.short = spectral_norm(nn.Conv2d(channels_in, channels, 1))

    def forward(self, x: Tensor) -> Tensor:  # [N, Ci, h, w] -> [N, C, h, w]
        change = self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)), 0.2))
        return change + self.short(x)  # type: ignore[no-any-return]


class SegmentationDiscriminator(nn.Module):
    """A U-Net from a picture to class scores for each pixel; the last class is "made by the generator".

    The stem halves the resolution at once and the scores are widened back at the end: at full resolution the paper's
    blocks would cost more than our whole generator.
    """

    def __init__(self, classes: int, width: int = 32, levels: int = 4) -> None:
        super().__init__()
        sizes = [width * min(2**i, 4) for i in range(levels)]
        self.stem = spectral_norm(nn.Conv2d(3, width, 4, stride=2, padding=1))
        self.downs = nn.ModuleList(_Block(a, b) for a, b in pairwise([width, *sizes]))
        self.ups = nn.ModuleList(_Block(a + b, b) for a, b in pairwise(sizes[::-1]))
        self.scores = nn.Conv2d(width, 4 * (classes + 1), 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [N, 3, H, W] -> [N, classes + 1, H, W]
        h, w = x.shape[-2:]
        x = self.stem(F.pad(x, (0, w % 2, 0, h % 2), mode="replicate"))
        skips = []
        for level, down in enumerate(self.downs):
            x = down(x if level == 0 else F.avg_pool2d(x, 2, ceil_mode=True))
            skips.append(x)
        for up, skip in zip(self.ups, reversed(skips[:-1]), strict=True):
            wide = F.interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=False)
            x = up(torch.cat([wide, skip], dim=1))
        scores: Tensor = F.pixel_shuffle(self.scores(F.leaky_relu(x, 0.2)), 2)
        return scores[..., :h, :w]


def class_weights(classes: Tensor, count: int) -> Tensor:
    """Weight of each class, [count]: the rarer in this batch, the heavier; their mean over the pixels is 1.

    classes: [N, H, W] indices (equation 1 of the paper weights by the inverse frequency).
    """
    seen = torch.bincount(classes.flatten(), minlength=count).float()
    present = (seen > 0).sum()
    return torch.where(seen > 0, classes.numel() / (seen.clamp(min=1) * present), torch.zeros_like(seen))


def pixel_verdict(scores: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of each pixel against its class, weighted by class: what critic (true) and generator (made) want.

    scores: [N, classes + 1, H, W]; classes: [N, H, W]; weights: [classes].
    """
    entropy = F.cross_entropy(scores.float(), classes, reduction="none")
    return (entropy * weights[classes]).mean()


def fake_verdict(scores: Tensor) -> Tensor:
    """Cross entropy of each pixel against the class "made": what the critic wants of made frames."""
    wanted = torch.full_like(scores[:, 0], scores.shape[1] - 1, dtype=torch.long)
    return F.cross_entropy(scores.float(), wanted)


def mixing_mask(classes: Tensor, count: int) -> Tensor:
    """LabelMix: for each class of each picture a coin decides between true and made: [N, H, W] -> [N, 1, H, W] bool."""
    coins = torch.rand(classes.shape[0], count, device=classes.device) < 0.5
    return coins.gather(1, classes.flatten(1)).view_as(classes)[:, None]
