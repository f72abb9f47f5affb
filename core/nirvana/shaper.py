# SPDX-License-Identifier: GPL-3.0-or-later
"""Scene-linear light to codes 0..1 and back: a logarithm on both sides of black, so that stops take equal room.

f(v) = sign(v) · log2(1 + 16 |v|);  code = (f(v) - f(low)) / (f(high) - f(low)), for low <= v <= high. Near black it is
linear, mid grey 0.18 lies at 0.48 of the way to 1.0, as in sRGB. low and high are the shot's own extremes, stored in
the file: a shot without negative values and without highlights spends no code on them. docs/format.md, "Shaper".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TOE = 16.0
LARGEST = 65504.0  # the largest half float

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shaper:
    """The curve of one archive. low: -65504 … 0; high: above 0, at most 65504."""

    low: float = 0.0
    high: float = 1.0

    @property
    def is_sound(self) -> bool:
        """True for bounds that a file may have."""
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        return finite and -LARGEST <= self.low <= 0.0 and 2.0**-14 <= self.high <= LARGEST

    @property
    def ends(self) -> tuple[float, float]:
        """The curve at both bounds: codes 0 and 1."""
        return _curve(self.low), _curve(self.high)

    def codes(self, linear: Floats) -> Floats:
        """Scene-linear values as codes 0..1, float32; what lies beyond the bounds is clamped."""
        start, end = self.ends
        held = np.clip(linear.astype(np.float64), self.low, self.high)
        shaped = np.sign(held) * np.log2(1.0 + TOE * np.abs(held))
        codes: Floats = ((shaped - start) / (end - start)).astype(np.float32)
        return codes

    def linear(self, codes: Floats) -> Floats:
        """Inverse of `codes`: float32 scene-linear values between the bounds."""
        start, end = self.ends
        shaped = start + np.clip(codes.astype(np.float64), 0.0, 1.0) * (end - start)
        linear = np.sign(shaped) * (np.exp2(np.abs(shaped)) - 1.0) / TOE
        held: Floats = np.clip(linear, self.low, self.high).astype(np.float32)
        return held


def _curve(value: float) -> float:
    return math.copysign(math.log2(1.0 + TOE * abs(value)), value)


def shaper_for(low: float, high: float) -> Shaper:
    """The shaper of a shot whose values lie between `low` and `high`, as half and single floats hold them exactly."""
    top = min(max(high, 1.0), LARGEST)  # black shots, too, have a curve that shows 1.0
    bottom = max(min(low, 0.0), -LARGEST)
    return Shaper(float(np.float16(bottom)), float(np.float16(top)))
