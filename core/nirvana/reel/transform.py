# SPDX-License-Identifier: GPL-3.0-or-later
"""The cosine transform of patches that the learned networks begin from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mapreel.core.nirvana.reel.config import CHROMA, LUMA, PATCH_PX

_COLOURS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))  # brightness and two differences, made unit vectors


def cosine_patches() -> Tensor:
    """Orthonormal rows [CHANNELS, 3 · 64]: coefficient by colour · row · column of a patch, by rising frequency."""
    n = PATCH_PX
    k = torch.arange(n, dtype=torch.float64)
    basis = torch.cos(math.pi * (2 * k[None, :] + 1) * k[:, None] / (2 * n)) * math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    order = sorted(((u, v) for u in range(n) for v in range(n)), key=lambda p: (p[0] ** 2 + p[1] ** 2, p))
    wanted = [
        (rank * (1.0 if colour == 0 else 3.6), colour, order[rank]) for colour in range(3) for rank in range(n * n)
    ]
    counts = [LUMA, CHROMA, CHROMA]
    wanted = sorted(entry for entry in wanted if order.index(entry[2]) < counts[entry[1]])
    rows = []
    for _, colour, (u, v) in wanted:
        mix = torch.tensor(_COLOURS[colour], dtype=torch.float64)
        rows.append(torch.einsum("c,y,x->cyx", mix / mix.norm(), basis[u], basis[v]).reshape(-1))
    return torch.stack(rows).float()


def for_shuffle(rows: Tensor) -> Tensor:
    """Columns by colour · row · column -> as twice unshuffled pictures have them: by 4 · 4 place in the half-size
    picture within its channel (colour, then 2 x 2 place), the order of `network._patches`."""
    n, half = rows.shape[0], PATCH_PX // 2
    grid = rows.reshape(n, 3, half, 2, half, 2).permute(0, 1, 3, 5, 2, 4)
    return grid.reshape(n, 3 * 4 * half * half)
