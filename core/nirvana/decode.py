# SPDX-License-Identifier: GPL-3.0-or-later
"""From a group's symbols to its pictures, in bounded memory."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch

from mapreel.core.nirvana.bitstream import damaged
from mapreel.core.nirvana.config import NetworkConfig, patch_grid
from mapreel.core.nirvana.network import (
    basis_images,
    centroids,
    features_of,
    join_patches,
    patches_from,
    temporal_encoding,
)
from mapreel.core.nirvana.quantise import CodedGroup

_FLOATS_AT_ONCE = 1 << 23  # 32 MiB of a layer's values, about three times that in all


@torch.no_grad()
def decode_pictures(
    config: NetworkConfig, group: CodedGroup, height: int, width: int, frames: int, *, name: str, device: torch.device
) -> npt.NDArray[np.uint8]:
    """The first `frames` pictures of a group -> [frames, height, width, 3] uint8, sRGB.

    Always float32, so that the pictures are the same to within one step wherever they are decoded. Raises
    DamagedArchiveError, naming the group `name`, when its weights give something that is no number.
    """
    weights = group.weights(device)
    basis = basis_images(config, weights, temporal_encoding(config).to(device), torch.float32)
    rows, cols = patch_grid(height, width)
    at = centroids(height, width).to(device).view(rows, cols, 2)
    patches_at_once = max(1, _FLOATS_AT_ONCE // config.floats_a_patch)
    cols_at_once = min(cols, patches_at_once)
    rows_at_once = max(1, patches_at_once // cols)
    pictures = np.empty((frames, height, width, 3), dtype=np.uint8)
    for row, col in itertools.product(range(0, rows, rows_at_once), range(0, cols, cols_at_once)):
        some = at[row : row + rows_at_once, col : col + cols_at_once]
        shown = patches_from(config, weights, features_of(config, weights, some.reshape(-1, 2)), basis)
        if not bool(torch.isfinite(shown).all()):
            raise damaged(name, "its weights lead to no picture")
        top, left = row * config.patch_px, col * config.patch_px
        bottom = min(top + some.shape[0] * config.patch_px, height)
        right = min(left + some.shape[1] * config.patch_px, width)
        block = join_patches(shown.contiguous(), bottom - top, right - left)[:frames]
        steps = (block.clamp(0.0, 1.0) * 255.0 + 0.5).floor().to(torch.uint8)
        pictures[:, top:bottom, left:right] = steps.permute(0, 2, 3, 1).cpu().numpy()
    return pictures
