# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile nirvana: from a group's payload to its pictures, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from mapreel.core.nirvana.config import PATCH_PX, NetworkConfig, patch_grid, read_settings
from mapreel.core.nirvana.groups import symbols_crc, unpack_group
from mapreel.core.nirvana.network import (
    basis_images,
    centroids,
    features_of,
    join_patches,
    patches_from,
    temporal_encoding,
)
from mapreel.core.nirvana.profile import WHOLE, PictureShape, Show, Tile, View
from mapreel.core.nirvana.quantise import CodedGroup

_FLOATS_AT_ONCE = 1 << 23  # 32 MiB of a layer's values, about three times that in all


class NirvanaDecoder:
    """Groups of one plane set by the network of the paper; a state is the symbols of a group."""

    def __init__(self, config: NetworkConfig, shape: PictureShape) -> None:
        self.config = config
        self.shape = shape

    @classmethod
    def from_settings(cls, settings: bytes, shape: PictureShape) -> NirvanaDecoder:
        """Raises UnsupportedArchiveError for settings beyond the limits."""
        return cls(read_settings(settings, shape), shape)

    def expect(self, payload: bytes, number: int, frames: int, intra: bool) -> None:
        """See profile.GroupDecoder: nothing is worth doing ahead."""

    def decode(
        self,
        payload: bytes,
        number: int,
        previous: CodedGroup | None,
        frames: int,
        device: torch.device,
        show: Show | None,
        view: View,
    ) -> CodedGroup:
        """See profile.GroupDecoder. Shows whole patches of the window, all frames at once, at full size."""
        group = unpack_group(payload, number, previous, self.config)
        if show is not None:
            for tile in tiles_of(self.config, group, self.shape, frames, device, view):
                show(tile)
        return group

    def symbols_crc(self, state: CodedGroup) -> int:
        return symbols_crc(state, self.config)


@torch.no_grad()
def tiles_of(
    config: NetworkConfig, group: CodedGroup, shape: PictureShape, frames: int, device: torch.device, view: View = WHOLE
) -> Iterator[Tile]:
    """The first `frames` pictures of a group, as much as the view needs.

    Always float32, so that the pictures are the same to within one step wherever they are decoded.
    """
    height, width = shape.height, shape.width
    weights = group.weights(device)
    basis = basis_images(config, weights, temporal_encoding(config).to(device), torch.float32)
    rows, cols = patch_grid(height, width)
    at = centroids(height, width).to(device).view(rows, cols, 2)
    first_row, first_col, end_row, end_col = _patches_of(view, rows, cols)
    patches_at_once = max(1, _FLOATS_AT_ONCE // config.floats_a_patch)
    cols_at_once = min(end_col - first_col, patches_at_once)
    rows_at_once = max(1, patches_at_once // (end_col - first_col))
    places = itertools.product(range(first_row, end_row, rows_at_once), range(first_col, end_col, cols_at_once))
    for row, col in places:
        some = at[row : min(row + rows_at_once, end_row), col : min(col + cols_at_once, end_col)]
        shown = patches_from(config, weights, features_of(config, weights, some.reshape(-1, 2)), basis)
        top, left = row * config.patch_px, col * config.patch_px
        bottom = min(top + some.shape[0] * config.patch_px, height)
        right = min(left + some.shape[1] * config.patch_px, width)
        block = join_patches(shown.contiguous(), bottom - top, right - left)[:frames]
        yield Tile(block.permute(0, 2, 3, 1), 0, top, left)


def _patches_of(view: View, rows: int, cols: int) -> tuple[int, int, int, int]:
    """First row and column of patches that the view needs, and those behind its last."""
    if view.window is None:
        return 0, 0, rows, cols
    x, y, width, height = view.window
    return y // PATCH_PX, x // PATCH_PX, -(-(y + height) // PATCH_PX), -(-(x + width) // PATCH_PX)
