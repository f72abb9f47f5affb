# SPDX-License-Identifier: GPL-3.0-or-later
"""From a grid of latents, motion and reference pictures to pictures: the part of `reel` that both sides run.

As in NIRVANA (Maiya et al., CVPR 2023) a network gives patches, here from a few integers for each patch and for its
neighbours instead of from its place alone, so that patches overlap and no seams show. The network begins as a cosine
transform and is trained from there. Frames between others see two references and a share of each, as B frames do.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.nirvana.reel.config import CHANNELS, MOTION_STEP_PX, PATCH_PX

Weights = Mapping[str, Tensor]
GREY = 0.5


def _hidden(weights: Weights, name: str, x: Tensor, quality: Tensor) -> Tensor:
    kernel = weights[f"{name}.weight"]
    x = F.conv2d(x, kernel, weights[f"{name}.bias"], padding=kernel.shape[-1] // 2)
    return F.gelu(x + quality * weights[f"{name}.quality"].view(1, -1, 1, 1))


def _plain(weights: Weights, name: str, x: Tensor) -> Tensor:
    kernel = weights[f"{name}.weight"]
    return F.conv2d(x, kernel, weights[f"{name}.bias"], padding=kernel.shape[-1] // 2)


def _patches(weights: Weights, latents: Tensor, quality: Tensor) -> Tensor:
    """Latents [N, C, H / 8, W / 8] -> what the patches show or add [N, 12, H / 2, W / 2], four pixels at a place.

    C may be less than CHANNELS: the others are 0.
    """
    there = latents.shape[1]
    around, patch = weights["around.weight"], weights["patch.weight"]
    x = F.conv2d(latents, around[:, :there], weights["around.bias"], padding=1)
    x = F.gelu(x + quality * weights["around.quality"].view(1, -1, 1, 1))
    used = patch if there == CHANNELS else torch.cat([patch[:, :there], patch[:, CHANNELS:]], dim=1)
    x = F.conv2d(torch.cat([latents, x.to(latents.dtype)], dim=1), used, weights["patch.bias"])
    return F.pixel_shuffle(x, PATCH_PX // 2)


def intra_pictures(weights: Weights, latents: Tensor, quality: Tensor) -> Tensor:
    """Pictures of frames without references [N, 3, H, W], about 0..1."""
    shown = _patches(weights, latents, quality)
    refined = _plain(weights, "out", _hidden(weights, "refine", shown, quality))
    return F.pixel_shuffle(shown + refined, 2) + GREY


def inter_pictures(weights: Weights, latents: Tensor, quality: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Pictures of frames with two references, already moved into place [N, 3, H, W] -> [N, 3, H, W], about 0..1."""
    added = _patches(weights, latents, quality)
    seen = F.pixel_unshuffle(torch.cat([first, second], dim=1) - GREY, 2).to(added.dtype)
    made = _plain(weights, "out", _hidden(weights, "refine", torch.cat([added, seen], dim=1), quality))
    share = F.pixel_shuffle(made[:, 12:], 2).clamp(-GREY, GREY)
    return F.pixel_shuffle(added + made[:, :12], 2) + GREY * (first + second) + share * (first - second)


def dense_motion(coarse: Tensor, fine: Tensor) -> Tensor:
    """Motion symbols at 1/16 and 1/8 [N, 4, h, w] -> displacement in px [N, 4, H, W]."""
    return MOTION_STEP_PX * (_enlarged(coarse, 16) + _enlarged(fine, 8))


def _enlarged(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


HALFWAY = (-1 / 64, 4 / 64, -11 / 64, 40 / 64)  # half of the symmetric filter of HEVC (ITU-T H.265, 8.5.3.3.3)


def enlarged(picture: Tensor) -> Tensor:
    """Pixels and what lies halfway between them [N, C, H, W] -> [N, C, 2 H, 2 W]; borders repeat."""
    rows = torch.stack([picture, _halfway(picture, 2)], dim=3).flatten(2, 3)
    return torch.stack([rows, _halfway(rows, 3)], dim=4).flatten(3, 4)


def _halfway(picture: Tensor, dim: int) -> Tensor:
    """Between each pixel and the next, by eight around it."""
    size = picture.shape[dim]
    around = F.pad(picture, (0, 0, 3, 4) if dim == 2 else (3, 4, 0, 0), mode="replicate")
    parts = [around.narrow(dim, k, size) + around.narrow(dim, 7 - k, size) for k in range(4)]
    mixed = HALFWAY[0] * parts[0]
    for share, part in zip(HALFWAY[1:], parts[1:], strict=True):
        mixed = mixed + share * part
    return mixed


def read_at(large: Tensor, motion: Tensor) -> Tensor:
    """An enlarged reference [N, 3, 2 H, 2 W] seen at p + motion(p), motion [N, 2, H, W] in px, x then y.

    The filter once for a picture and linear mixing between half pixels: as sharp as cubic reading, and a decoder can
    afford it. Borders repeat.
    """
    height, width = motion.shape[2:]
    row = torch.arange(height, dtype=torch.float32, device=motion.device).view(1, -1, 1)
    col = torch.arange(width, dtype=torch.float32, device=motion.device).view(1, 1, -1)
    x = (col + motion[:, 0]) * (2.0 / width) + (0.5 / width - 1.0)
    y = (row + motion[:, 1]) * (2.0 / height) + (0.5 / height - 1.0)
    at = torch.stack([x, y], dim=-1)
    return F.grid_sample(large, at, mode="bilinear", padding_mode="border", align_corners=False)


def moved(picture: Tensor, motion: Tensor) -> Tensor:
    """The reference [N, C, H, W] seen at p + motion(p), motion [N, 2, H, W] in px, x then y; borders repeat.

    Cubic (a = -0.75), for who searches motion or trains: it comes near `read_at`.
    """
    height, width = picture.shape[2:]
    row = torch.arange(height, dtype=torch.float32, device=picture.device).view(1, -1, 1)
    col = torch.arange(width, dtype=torch.float32, device=picture.device).view(1, 1, -1)
    x = (col + motion[:, 0]) * (2.0 / width) + (1.0 / width - 1.0)
    y = (row + motion[:, 1]) * (2.0 / height) + (1.0 / height - 1.0)
    at = torch.stack([x, y], dim=-1)
    return F.grid_sample(picture, at, mode="bicubic", padding_mode="border", align_corners=False)
