# SPDX-License-Identifier: GPL-3.0-or-later
"""Large pictures in bounded memory: layers run on some rows at a time, each strip with as many around it as it sees.

With gradients a strip keeps what went in and runs once more on the way back (Chen et al. 2016, arXiv 1604.06174).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

PLACES = 1 << 15  # of 8 x 8 px, of all frames together, that are done at once: about 2 GB where gradients are wanted


def strips_of(rows: int, cols: int, frames: int) -> list[range]:
    """Rows of places to do at once, from even rows on; a single strip is all of them."""
    if frames * rows * cols <= PLACES:
        return [range(rows)]
    step = max(2, PLACES // 2 // (frames * cols) // 2 * 2)
    return [range(top, min(top + step, rows)) for top in range(0, rows, step)]


def by_strips(
    run: Callable[..., tuple[Tensor, ...]],
    strips: list[range],
    *planes: tuple[Tensor | None, int],
    halo: int = 2,
    scale: int = 1,
) -> tuple[Tensor, ...]:
    """What `run` makes of planes [N, C, h, w], put together strip by strip along their rows.

    planes: each with how many of its rows belong to one of places (negative: so many share one). halo: rows of places
    around a strip that decide what it shows, even. scale: rows of what comes out for one of places.
    """
    if len(strips) == 1:
        return run(*(plane for plane, _ in planes))
    rows = strips[-1].stop
    made: list[tuple[Tensor, ...]] = []
    for strip in strips:
        top, end = max(strip.start - halo, 0), min(strip.stop + halo, rows)
        parts = [plane if plane is None else _rows(plane, top, end, times) for plane, times in planes]
        if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in parts):
            found = checkpoint(run, *parts, use_reentrant=False, preserve_rng_state=False)
        else:
            found = run(*parts)
        made.append(tuple(_rows(one, strip.start - top, strip.stop - top, scale) for one in found))
    return tuple(torch.cat(column, dim=2) for column in zip(*made, strict=True))


def _rows(plane: Tensor, top: int, end: int, times: int) -> Tensor:
    if times < 0:
        return plane[:, :, top // -times : -(-end // -times)]
    return plane[:, :, top * times : end * times]
