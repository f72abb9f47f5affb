# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator: label maps and the compensated previous frame in, the next frame out.

The composite of vid2vid (Wang et al., NeurIPS 2018, section 3.2): a picture `h` is synthesised, a weight `w` is
predicted for each pixel, and the frame is `w * h + (1 - w) * warp(previous)`. Ours differs where
`docs/decisions/0002-renderer.md` says why: motion comes from the maps instead of a flow head, norms look at single
pixels only, and the label map is shown again at every scale of the way up.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapreel.core.vid2vid.config import GeneratorConfig


class PixelNorm(nn.Module):
    """Layer norm over the channels of each pixel.

    Nothing is averaged over the picture: a crop, a tile and the whole frame give the same result, and a car that
    enters on the left cannot change the sky.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] -> same; free of copies in channels_last
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """norm, 3x3, GELU, 3x3, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] -> same
        change: Tensor = self.conv2(F.gelu(self.conv1(self.norm(x))))
        return x + change


class LabelModulation(nn.Module):
    """Scale and shift for each pixel from the label map (the idea of SPADE, Park et al., CVPR 2019)."""

    def __init__(self, label_channels: int, channels: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.conv = nn.Conv2d(label_channels, 2 * channels, 3, padding=1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # [N, C, h, w], [N, L, h, w] -> [N, C, h, w]
        scale, shift = self.conv(labels).chunk(2, dim=1)
        normed: Tensor = self.norm(x)
        changed: Tensor = normed * (1 + scale) + shift
        return changed


class DownLevel(nn.Module):
    """Half the resolution, then one residual block."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels_in, channels, 3, stride=2, padding=1)
        self.block = ResidualBlock(channels)

    def forward(self, x: Tensor) -> Tensor:  # [N, Ci, h, w] -> [N, C, h/2, w/2]
        return self.block(self.down(x))  # type: ignore[no-any-return]


class UpLevel(nn.Module):
    """Twice the resolution, plus the skip from the way down, then modulation and residual blocks."""

    def __init__(self, channels_in: int, channels: int, label_channels: int, blocks: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels_in, channels, 1)
        self.modulate = LabelModulation(label_channels, channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))

    def forward(self, x: Tensor, skip: Tensor, labels: Tensor) -> Tensor:  # [N, Ci, h/2, w/2] -> [N, C, h, w]
        x = F.interpolate(self.mix(x), scale_factor=2.0, mode="bilinear", align_corners=False) + skip
        return self.blocks(self.modulate(x, labels))  # type: ignore[no-any-return]


class FineHead(nn.Module):
    """From features at half resolution to the picture at full resolution.

    Pixel shuffle alone prints its grid into the picture; two thin convolutions after it, which also see the labels and
    the compensated frame at full resolution, draw clean outlines.
    """

    def __init__(self, channels: int, fine_channels: int, channels_out: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.spread = nn.Conv2d(channels, 4 * 12, 3, padding=1)
        self.fine = nn.Conv2d(12 + fine_channels, 16, 3, padding=1)
        self.out = nn.Conv2d(16, channels_out, 3, padding=1)

    def forward(self, x: Tensor, fine: Tensor) -> Tensor:  # [N, C, H/2, W/2], [N, F, H, W] -> [N, channels_out, H, W]
        x = F.pixel_shuffle(self.spread(F.gelu(self.norm(x))), 2)
        out: Tensor = self.out(F.gelu(self.fine(torch.cat([x, fine], dim=1))))
        return out


class Generator(nn.Module):
    """One network for every size of model: what it is made of stands in its `GeneratorConfig`."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        widths, blocks, labels = config.widths, config.blocks, config.label_channels
        self.stem = nn.Conv2d(4 * config.input_channels, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(DownLevel(a, b) for a, b in pairwise(widths))
        self.trunk = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(blocks[-1])))
        self.ups = nn.ModuleList(
            UpLevel(widths[i + 1], widths[i], labels, blocks[i]) for i in reversed(range(len(widths) - 1))
        )
        self.head = FineHead(widths[0], labels + 4 * config.previous, 3 + int(config.previous))

    def forward(self, labels: Tensor, extras: Tensor, warped: Tensor | None, valid: Tensor | None) -> Tensor:
        """Synthesise one frame.

        Args:
            labels: [N, label_channels, H, W], one-hot classes and instance edges, 0 or 1.
            extras: [N, 3 * looks + 2 * position + trust, H, W], instance colours, coordinates and trust in -1..1.
            warped: [N, 3, H, W], compensated previous frame in -1..1, or None for a model without memory.
            valid: [N, 1, H, W], 1 where `warped` may be trusted, 0 elsewhere.

        Returns:
            [N, 3, H, W] float, sRGB in -1..1; H and W must be multiples of `config.stride_px`.
        """
        parts = [labels, extras]
        if self.config.previous:
            assert warped is not None
            assert valid is not None
            warped = warped.masked_fill(valid == 0, 0.0)  # not a product: what may not be trusted may be NaN
            parts += [warped, valid]
        x = self.stem(F.pixel_unshuffle(torch.cat(parts, dim=1), 2))  # [N, w0, H/2, W/2]
        skips = []
        pyramid = [F.avg_pool2d(labels, 2)]
        for down in self.downs:
            skips.append(x)
            x = down(x)
            pyramid.append(F.avg_pool2d(pyramid[-1], 2))
        x = self.trunk(x)
        for up, skip, scale in zip(self.ups, reversed(skips), reversed(pyramid[:-1]), strict=True):
            x = up(x, skip, scale)
        fine = torch.cat([labels, *parts[2:]], dim=1)
        out = self.head(x, fine).float()  # [N, 3 or 4, H, W]
        picture = torch.tanh(out[:, :3])
        if not self.config.previous or warped is None or valid is None:
            return picture
        keep = torch.sigmoid(out[:, 3:4] - 1.0) * valid  # 1 - w of the paper; starts low so that h learns first
        return picture + keep * (warped - picture)


def count_parameters(module: nn.Module) -> int:
    """Number of learned values."""
    return sum(p.numel() for p in module.parameters())
