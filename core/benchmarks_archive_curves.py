# SPDX-License-Identifier: GPL-3.0-or-later
"""What two rate-distortion curves say of each other: BD-rate, and bits at one quality.

A curve is a list of points (bits per pixel, PSNR in dB). The logarithm of the bits is a piecewise cubic of the PSNR
that rises wherever the points rise (Fritsch & Carlson, SIAM J. Numer. Anal. 1980), so that no overshoot between two
points flatters anybody; BD-rate is the mean distance of two such curves (Bjontegaard, VCEG-M33, 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapreel.core.contract.errors import UsageError

Points = Sequence[tuple[float, float]]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """log10 of the bits as a function of the PSNR: knots (rising PSNR), values and slopes there, each [n]."""

    psnr_db: Vector
    log_bits: Vector
    slopes: Vector

    @classmethod
    def through(cls, points: Points) -> Curve:
        """Through points (bits, PSNR) in any order. A point that costs more than a better one is left out.

        Raises UsageError when fewer than two are left.
        """
        kept: list[tuple[float, float]] = []
        for bits, psnr_db in sorted(points, key=lambda point: (-point[1], point[0])):
            if not kept or (bits < kept[-1][0] and psnr_db < kept[-1][1]):
                kept.append((bits, psnr_db))
        if len(kept) < 2:
            raise UsageError("one point makes no curve", "measure at two qualities at least")
        bits_of, knots = np.array(kept[::-1], np.float64).T
        values = np.log10(bits_of)
        return cls(knots, values, _slopes(knots, values))

    @property
    def low_db(self) -> float:
        return float(self.psnr_db[0])

    @property
    def high_db(self) -> float:
        return float(self.psnr_db[-1])

    def bits(self, psnr_db: float) -> float | None:
        """Bits at a PSNR, in the unit of the points; None outside them: nothing is guessed."""
        if not self.low_db <= psnr_db <= self.high_db:
            return None
        i = self._piece(psnr_db)
        width = self.psnr_db[i + 1] - self.psnr_db[i]
        value = sum(c * (psnr_db - self.psnr_db[i]) ** k for k, c in enumerate(self._cubic(i, width)))
        return float(10.0**value)

    def area(self, low_db: float, high_db: float) -> float:
        """Integral of log10(bits) over a range of PSNR within the points."""
        total = 0.0
        for i in range(self._piece(low_db), self._piece(high_db) + 1):
            start = float(self.psnr_db[i])
            cubic = self._cubic(i, float(self.psnr_db[i + 1]) - start)
            a, b = max(low_db, start) - start, min(high_db, float(self.psnr_db[i + 1])) - start
            total += sum(c * (b ** (k + 1) - a ** (k + 1)) / (k + 1) for k, c in enumerate(cubic))
        return total

    def _piece(self, psnr_db: float) -> int:
        return min(int(np.searchsorted(self.psnr_db, psnr_db, side="right")) - 1, len(self.psnr_db) - 2)

    def _cubic(self, i: int, width: float) -> tuple[float, float, float, float]:
        """Coefficients of the piece i, lowest power first, of the distance to its left knot."""
        rise = float(self.log_bits[i + 1] - self.log_bits[i]) / width
        left, right = float(self.slopes[i]), float(self.slopes[i + 1])
        return (
            float(self.log_bits[i]),
            left,
            (3 * rise - 2 * left - right) / width,
            (left + right - 2 * rise) / width**2,
        )


def bd_rate(points: Points, reference: Points) -> float:
    """Bits that `points` take more (or less: negative) than `reference` at the same PSNR, as a share: 0.1 is 10 % more.

    Mean over the range of PSNR that both have. Raises UsageError when there is none, or fewer than two points.
    """
    ours, theirs = Curve.through(points), Curve.through(reference)
    low, high = max(ours.low_db, theirs.low_db), min(ours.high_db, theirs.high_db)
    if high <= low:
        raise UsageError(
            f"the curves share no quality ({ours.low_db:.2f} to {ours.high_db:.2f} dB and "
            f"{theirs.low_db:.2f} to {theirs.high_db:.2f} dB)",
            "measure them at qualities that overlap",
        )
    return float(10.0 ** ((ours.area(low, high) - theirs.area(low, high)) / (high - low)) - 1.0)


def _slopes(x: Vector, y: Vector) -> Vector:
    """Slopes at the knots of a piecewise cubic that keeps the order of the points."""
    width, rise = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return np.repeat(rise, 2)
    slopes = np.zeros(len(x))
    before, after = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    same = rise[:-1] * rise[1:] > 0
    with np.errstate(divide="ignore"):
        inner = (before + after) / (before / rise[:-1] + after / rise[1:])
    slopes[1:-1] = np.where(same, inner, 0.0)
    slopes[0] = _end_slope(width[0], width[1], rise[0], rise[1])
    slopes[-1] = _end_slope(width[-1], width[-2], rise[-1], rise[-2])
    return slopes


def _end_slope(near: float, far: float, rise: float, next_rise: float) -> float:
    """Of the parabola through the last three points, held back where it would turn round."""
    slope = ((2 * near + far) * rise - near * next_rise) / (near + far)
    if slope * rise <= 0:
        return 0.0
    return 3 * rise if rise * next_rise < 0 and abs(slope) > 3 * abs(rise) else float(slope)
