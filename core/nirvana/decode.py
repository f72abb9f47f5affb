# SPDX-License-Identifier: GPL-3.0-or-later
"""From a group's symbols to its pictures, in bounded memory."""

from __future__ import annotations

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

_PATCHES_AT_ONCE = 256  # about 100 MB for groups of three


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
    at = centroids(height, width).to(device)
    rows, cols = patch_grid(height, width)
    rows_at_once = max(1, _PATCHES_AT_ONCE // cols)
    pictures = np.empty((frames, height, width, 3), dtype=np.uint8)
    for row in range(0, rows, rows_at_once):
        last = min(row + rows_at_once, rows)
        some = at[row * cols : last * cols]
        shown = patches_from(config, weights, features_of(config, weights, some), basis)
        if not bool(torch.isfinite(shown).all()):
            raise damaged(name, "its weights lead to no picture")
        first_px, last_px = row * config.patch_px, min(last * config.patch_px, height)
        strip = join_patches(shown.contiguous(), last_px - first_px, width)[:frames]
        steps = (strip.clamp(0.0, 1.0) * 255.0 + 0.5).floor().to(torch.uint8)
        pictures[:, first_px:last_px] = steps.permute(0, 2, 3, 1).cpu().numpy()
    return pictures
