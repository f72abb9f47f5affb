# SPDX-License-Identifier: GPL-3.0-or-later
"""What the numbers of a picture are: whole numbers of 8 to 16 bits, or scene-linear half floats; and codes 0..1.

Codecs see codes only: v / (2^n - 1) for whole numbers, the shaper's value for half floats. docs/format.md, "Samples".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from mapreel.core.nirvana.shaper import Shaper

Samples = npt.NDArray[Any]  # [..., H, W, C] uint8, uint16 or float16
Codes = npt.NDArray[np.float32]


class SampleFormat(StrEnum):
    """The words of `--depth`."""

    BITS_8 = "8"
    BITS_10 = "10"
    BITS_12 = "12"
    BITS_16 = "16"
    HALF = "half"

    @property
    def peak(self) -> int:
        """The largest whole number. Half floats have none."""
        assert self is not SampleFormat.HALF
        return (1 << int(self.value)) - 1

    @property
    def dtype(self) -> type[np.generic]:
        if self is SampleFormat.HALF:
            return np.float16
        return np.uint8 if self is SampleFormat.BITS_8 else np.uint16


@dataclass(frozen=True, kw_only=True)
class PictureFormat:
    """How the pictures of a shot are to be read, whatever codec holds them."""

    samples: SampleFormat = SampleFormat.BITS_8
    colour_space: str = "srgb"  # a name for people and for OCIO; what is computed depends on `samples` alone
    pixel_aspect: Fraction = field(default_factory=lambda: Fraction(1))
    alpha: bool = False  # a fourth channel, its own pictures for the codec; 0..1, never shaped
    shaper: Shaper = field(default_factory=Shaper)  # of half floats

    @property
    def channels(self) -> int:
        return 4 if self.alpha else 3

    @property
    def planes(self) -> int:
        """Sets of pictures that are coded one beside the other: colours, and alpha as grey pictures."""
        return 2 if self.alpha else 1

    def codes(self, samples: Samples, plane: int = 0) -> Codes:
        """Samples [..., 3 or 4] of a plane as codes [..., 3] float32 in 0..1; alpha is repeated."""
        if samples.ndim > 3:  # picture by picture: the shaper is worked out in double precision
            return np.stack([self.codes(picture, plane) for picture in samples])
        part = samples[..., :3] if plane == 0 else samples[..., 3:4].repeat(3, axis=-1)
        if self.samples is not SampleFormat.HALF:
            return part.astype(np.float32) / np.float32(self.samples.peak)
        values = part.astype(np.float32)
        return self.shaper.codes(values) if plane == 0 else np.clip(values, 0.0, 1.0)

    def rounded(self, values: Codes) -> Samples:
        """Codes (of half floats: scene-linear values) as samples, rounded to the nearest, whole numbers halves up."""
        if self.samples is SampleFormat.HALF:
            return values.astype(np.float16)
        steps = np.floor(np.clip(values, 0.0, 1.0) * np.float32(self.samples.peak) + np.float32(0.5))
        samples: Samples = steps.astype(self.samples.dtype)
        return samples

    def eight_bits(self, samples: Samples, plane: int = 0) -> npt.NDArray[np.uint8]:
        """The codes of samples in steps of 8 bits, for block means."""
        part = samples[..., :3] if plane == 0 else samples[..., 3:4]
        if self.samples is SampleFormat.BITS_8:
            return part
        if self.samples is not SampleFormat.HALF:
            peak = self.samples.peak
            return ((part.astype(np.uint32) * 510 + peak) // (2 * peak)).astype(np.uint8)
        codes = self.codes(samples[..., :3] if plane == 0 else samples, plane)[..., : 1 if plane else 3]
        steps: npt.NDArray[np.uint8] = np.floor(codes * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
        return steps
