# SPDX-License-Identifier: GPL-3.0-or-later
"""The encoder's choice of motion: for each cell what costs least, error and bits together.

Cells try what their neighbours have, what optical flow says and small steps from there, and pay for the difference to
their neighbours, as the context models will make them (iterated conditional modes: Besag 1986).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.nirvana.reel.config import MOTION_STEP_PX
from mapreel.core.nirvana.reel.network import dense_motion, moved

STEPS = 255.0
_WORTH = 0.6  # of the error that better motion saves: the latents would have mended some of it
_BITS = 2.6
_SHARED = 0.7  # of the error of a frame with two references: that of their mean, the rest each one's own
_LUMA = (0.299, 0.587, 0.114)
_AROUND = ((0, -1), (0, 1), (-1, 0), (1, 0))
_FAR = tuple((x * s, y * s) for s in (4, 2, 1) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)))
_NEAR = _FAR[8:]


@dataclass
class _Search:
    """Frames that are searched together: brightness that is wanted and that of references [N, 1, H, W]."""

    wanted: Tensor
    references: tuple[Tensor, ...]
    price: Tensor

    def error(self, motion: Tensor, slot: int, others: Tensor | None, cell: int) -> Tensor:
        """Squared error in 8-bit steps around each cell with this motion to a reference [N, 2, H, W] -> [N, h, w]."""
        seen = moved(self.references[slot], motion)
        wrong = (seen - self.wanted).square()
        if others is not None:
            wrong = (1 - _SHARED) * wrong + _SHARED * (0.5 * (seen + others) - self.wanted).square()
        around = F.avg_pool2d(wrong, cell + cell // 2, cell, cell // 4, count_include_pad=False)
        return around[:, 0] * (cell * cell * STEPS**2 * _WORTH)


def guess_motion(
    flow: Tensor,
    known: Tensor | None,
    wanted: Tensor,
    references: tuple[Tensor, ...],
    price: Tensor,
    *,
    thorough: bool = True,
) -> tuple[Tensor, Tensor]:
    """Symbols at 1/8 and 1/16 [N, 4, h, w] for motion to one or two references.

    flow: a first idea [N, 4, H, W] in px. known: what symbols are added to. wanted, references: [N, 3, H, W] in
    0..1. price: of a bit [N, 1, 1, 1]. thorough: look further than flow and neighbours.
    """
    with torch.no_grad():
        search = _Search(_grey(wanted), tuple(_grey(one) for one in references), price.view(-1, 1, 1))
        base = torch.zeros_like(flow) if known is None else known
        coarse = _level(search, base, flow, 16, thorough)
        base = base + dense_motion(coarse, torch.zeros_like(F.avg_pool2d(flow, 8)))
        fine = _level(search, base, flow, 8, thorough)
        return fine, coarse


def _level(search: _Search, base: Tensor, flow: Tensor, cell: int, thorough: bool) -> Tensor:
    """Symbols [N, 4, h, w] of one grid that are added to the motion `base`."""
    found = torch.zeros_like(F.avg_pool2d(flow, cell))
    idea = (F.avg_pool2d(flow - base, cell) / MOTION_STEP_PX).round()
    slots = len(search.references)
    for turn in range(2 if slots > 1 and thorough else 1):
        for slot in range(slots):
            pair = slice(2 * slot, 2 * slot + 2)
            others = None
            if slots > 1:
                away = slice(2 - 2 * slot, 4 - 2 * slot)
                others = moved(search.references[1 - slot], base[:, away] + _blocks(found[:, away], cell))
            chosen = _Cells(search, base[:, pair], slot, others, cell, found[:, pair])
            if turn == 0:
                chosen.try_all([lambda _: idea[:, pair]])  # noqa: B023 - called at once
                chosen.spread()
                if thorough:
                    chosen.steps(_FAR)
            if thorough:
                chosen.spread()
            chosen.steps(_NEAR)
            found[:, pair] = chosen.values
    return found


class _Cells:
    """Motion of all cells to one reference while it is chosen [N, 2, h, w]."""

    def __init__(
        self, search: _Search, base: Tensor, slot: int, others: Tensor | None, cell: int, values: Tensor
    ) -> None:
        self._search, self._base, self._slot, self._others, self._cell = search, base, slot, others, cell
        self.values = values.clone()
        self._errors = self._error(self.values)
        self._still = self._error(torch.zeros_like(values))
        h, w = values.shape[2:]
        rows, cols = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        self._lattice = ((rows + cols) % 2).to(values.device).bool()

    def spread(self) -> None:
        """Every cell tries what its neighbours have, and nothing."""
        self.try_all([lambda v, s=step: torch.roll(v, s, (2, 3)) for step in _AROUND])  # type: ignore[misc]
        self._choose(torch.zeros_like(self.values), self._still)

    def steps(self, steps: tuple[tuple[int, int], ...]) -> None:
        """Every cell tries a little more or less."""
        for step in steps:
            self.try_all([lambda v, s=step: v + v.new_tensor(s).view(1, 2, 1, 1)])  # type: ignore[misc]

    def try_all(self, candidates: list[Callable[[Tensor], Tensor]]) -> None:
        for candidate in candidates:
            values = candidate(self.values)
            self._choose(values, self._error(values))

    def _choose(self, values: Tensor, errors: Tensor) -> None:
        """Take the candidate where it is cheaper, half of the cells at a time."""
        for half in (self._lattice, ~self._lattice):
            around = self._around()
            saved = (
                self._errors
                - errors
                + self._search.price * (self._bits(self.values, around) - self._bits(values, around))
            )
            better = (saved > 0) & half
            self.values = torch.where(better[:, None], values, self.values)
            self._errors = torch.where(better, errors, self._errors)

    def _error(self, values: Tensor) -> Tensor:
        return self._search.error(self._base + _blocks(values, self._cell), self._slot, self._others, self._cell)

    def _around(self) -> list[Tensor]:
        wide = F.pad(self.values, (1, 1, 1, 1), mode="replicate")
        h, w = self.values.shape[2:]
        return [wide[:, :, 1 + y : 1 + y + h, 1 + x : 1 + x + w] for y, x in _AROUND]

    @staticmethod
    def _bits(values: Tensor, around: list[Tensor]) -> Tensor:
        """About what these values cost beside their neighbours, and what they make those cost [N, h, w]."""
        bits = sum(_size(values - other) for other in around) * 0.4 + _size(values) * 0.4
        return bits.sum(dim=1)


def _size(steps: Tensor) -> Tensor:
    return _BITS * torch.log2(1 + 2.5 * steps.abs())


def _blocks(values: Tensor, cell: int) -> Tensor:
    """Symbols of cells [N, 2, h, w] -> px [N, 2, H, W], the same all over a cell."""
    return F.interpolate(values * MOTION_STEP_PX, scale_factor=cell, mode="nearest")


def _grey(pictures: Tensor) -> Tensor:
    return (pictures * pictures.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
