# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of one frame group: patch centroids in, that patch of all frames of the group out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.nirvana.config import NetworkConfig, patch_grid

Weights = Mapping[str, Tensor]
GREY = 0.5  # added to the last layer's output, so that a network of zeros shows mid grey


def centroids(height: int, width: int) -> Tensor:
    """Patch centres (row, column) of a frame, scaled to -1..1 over the padded frame -> [N, 2], row by row."""
    rows, cols = patch_grid(height, width)
    row = (torch.arange(rows, dtype=torch.float64) + 0.5) * 2 / rows - 1
    col = (torch.arange(cols, dtype=torch.float64) + 0.5) * 2 / cols - 1
    grid = torch.meshgrid(row, col, indexing="ij")
    return torch.stack(grid, dim=-1).reshape(-1, 2).float()


def temporal_encoding(config: NetworkConfig) -> Tensor:
    """Fixed sinusoids that tell the frames of a group apart -> [group_frames, features]."""
    frame = torch.arange(config.group_frames, dtype=torch.float64)[:, None]
    octave = torch.arange(config.features // 2, dtype=torch.float64)[None, :]
    angle = math.pi * (frame + 0.5) / config.group_frames * 2.0**octave
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=1).float()


def features_of(config: NetworkConfig, weights: Weights, at: Tensor) -> Tensor:
    """Two sine layers: centroids [N, 2] -> [N, hidden]."""
    x = torch.sin(config.w0 * F.linear(at, weights["sine0.weight"], weights["sine0.bias"]))
    return torch.sin(config.w0 * F.linear(x, weights["sine1.weight"], weights["sine1.bias"]))


def basis_images(config: NetworkConfig, weights: Weights, encoding: Tensor, dtype: torch.dtype) -> Tensor:
    """The last linear layer and the first convolution as one matrix -> [hidden + 1, patch, patch, G * C / 4].

    Both are linear, so the convolution is applied to the `hidden` columns of the linear layer (and to its bias, with
    the temporal encoding added) once, instead of to the features of every patch; pixel shuffle is a permutation and
    moves along. The result is the same up to the order of additions.
    """
    c, p, g = config.features, config.half_px, config.group_frames
    kernel, bias = weights["conv0.weight"], weights["conv0.bias"]
    columns = weights["out.weight"].t().reshape(config.hidden, c, p, p).to(dtype, memory_format=torch.channels_last)
    joined = F.conv2d(columns, kernel.to(dtype, memory_format=torch.channels_last), padding=1)
    # each frame sees all channels of the shared features, plus its own encoding
    constant = weights["out.bias"].reshape(1, c, p, p) + encoding[:, :, None, None]
    last = F.conv2d(constant.reshape(1, g * c, p, p), kernel, bias, padding=1, groups=g)
    joined = torch.cat([joined, last.to(dtype)])  # by the same name: large, and not needed twice
    return F.pixel_shuffle(joined, 2).permute(0, 2, 3, 1)


def patches_from(config: NetworkConfig, weights: Weights, features: Tensor, basis: Tensor) -> Tensor:
    """Features [N, hidden] and basis images -> patches [N, G * 3, patch, patch] in the basis' number type."""
    ones = torch.ones_like(features[:, :1])
    flat = torch.cat([features, ones], dim=1).to(basis.dtype) @ basis.reshape(config.hidden + 1, -1)
    x = F.gelu(flat.view(-1, *basis.shape[1:]).permute(0, 3, 1, 2))  # channels last in memory
    kernel = weights["conv1.weight"].to(basis.dtype)
    bias = (weights["conv1.bias"] + GREY).to(basis.dtype)
    return F.conv2d(x, kernel, bias, padding=1, groups=config.group_frames)


def cut_patches(frames: Tensor, config: NetworkConfig) -> Tensor:
    """Frames [G, 3, H, W] -> zero-padded patches [N, G * 3, patch, patch], row by row."""
    g, c, height, width = frames.shape
    rows, cols = patch_grid(height, width)
    p = config.patch_px
    padded = F.pad(frames, (0, cols * p - width, 0, rows * p - height))
    return padded.reshape(g * c, rows, p, cols, p).permute(1, 3, 0, 2, 4).reshape(rows * cols, g * c, p, p)


def join_patches(patches: Tensor, height: int, width: int) -> Tensor:
    """Inverse of cut_patches: [N, G * 3, patch, patch] -> [G, 3, H, W]."""
    rows, cols = patch_grid(height, width)
    n, channels, p, _ = patches.shape
    assert n == rows * cols, (n, rows, cols)
    whole = patches.view(rows, cols, channels, p, p).permute(2, 0, 3, 1, 4).reshape(channels, rows * p, cols * p)
    return whole.view(channels // 3, 3, rows * p, cols * p)[:, :, :height, :width]
