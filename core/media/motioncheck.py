# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out by a warp test which way motion vectors point: labels carried along them must meet the same labels.

Every way of signs is tried on two neighbouring frames. Only pixels count where the ways differ, near the outlines of
what moves; inside a wall all ways agree, and so do all where nothing moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.maps import AXES
from mapreel.core.media.warping import warp_ids

LEAST_PX = 100
"""Pixels that must tell two ways apart before anything is said."""
CLEARLY = 0.25
"""How much more of them must agree before another way is called right."""
Pair = tuple[NDArray[np.float32], NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]


@dataclass(frozen=True)
class Trial:
    """One way of signs against the motion as it was read, on the pixels where the two differ."""

    axes: str
    telling_px: int
    as_read: float  # share of them whose labels meet
    this_way: float

    @property
    def gained_px(self) -> float:
        """Pixels more that meet this way."""
        return self.telling_px * (self.this_way - self.as_read)

    @property
    def clear(self) -> bool:
        """This way is clearly better."""
        return self.telling_px >= LEAST_PX and self.this_way - self.as_read > CLEARLY


@dataclass(frozen=True)
class Verdict:
    """What the warp test found."""

    trials: tuple[Trial, ...]

    @property
    def better(self) -> Trial | None:
        """The way that is clearly better than the motion as it was read, None where there is none."""
        return max((trial for trial in self.trials if trial.clear), key=lambda trial: trial.gained_px, default=None)

    @property
    def sure(self) -> bool:
        """True where enough moves to tell every other way from this one, and this one is clearly better."""
        return all(trial.telling_px >= LEAST_PX and trial.as_read - trial.this_way > CLEARLY for trial in self.trials)


def judge(pairs: Iterable[Pair]) -> Verdict:
    """The verdict over (motion [H, W, 2] of a frame, its labels [H, W], those of the frame before)."""
    counts = {axes: [0, 0, 0] for axes in AXES[1:]}  # telling, met as read, met this way
    for motion, here, before in pairs:
        as_read = warp_ids(before, motion)
        for axes, count in counts.items():
            carried = warp_ids(before, motion * np.array(_signs(axes), np.float32))
            telling = carried != as_read
            count[0] += int(telling.sum())
            count[1] += int((as_read[telling] == here[telling]).sum())
            count[2] += int((carried[telling] == here[telling]).sum())
    return Verdict(tuple(Trial(axes, n, a / max(n, 1), b / max(n, 1)) for axes, (n, a, b) in counts.items()))


def combined(read: str, change: str) -> str:
    """The axes that motion read as `read` has to be read as when `change` of its signs is right."""
    first, second = (a * b for a, b in zip(_signs(read), _signs(change), strict=True))
    return f"{'-' if first < 0 else ''}x,{'-' if second < 0 else ''}y"


def _signs(axes: str) -> tuple[float, float]:
    first, second = axes.split(",")
    return (-1.0 if first[0] == "-" else 1.0), (-1.0 if second[0] == "-" else 1.0)
