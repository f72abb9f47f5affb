# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixed shape of profile `reel`: its grids, its layers and the scales of its probability tables.

What stands here is part of the file format (docs/format.md): a change needs a new profile number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PATCH_PX = 8  # side of the patch that one place of the latent grid holds
LUMA, CHROMA = 44, 10  # coefficients of a patch for brightness and for each of two colour differences
CHANNELS = LUMA + 2 * CHROMA
HIDDEN = 48  # channels that see a place and its neighbours
REFINED, REFINED_INTRA = 16, 24  # channels at half size that put patches (and references) together
MOTION_LEVELS = 2  # at 1/8 and 1/16
MOTION_CHANNELS = 4  # x and y to the first reference, x and y to the second
MOTION_STEP_PX = 0.25
STRIDE_PX = 16  # frames are padded to a multiple of it
LONGEST_PREDICTION = 4

SCALES = 48
FRACTIONS = 4  # a mean is a multiple of 1 / FRACTIONS
LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE = -4.5, 5.0
SKIPPED_SCALES = 6  # of the smallest scales: a symbol there is 0 and takes nothing from the stream
CLAMP = 31  # of a symbol, where it tells something of its neighbours

LOG_RATE_CENTRE, LOG_RATE_SPREAD = math.log(200.0), 2.0
QUALITY_STEPS = 64  # a quality is stored as a multiple of 1 / QUALITY_STEPS of the spread
CONTEXT_STEPS = 16  # context models see it as a multiple of 1 / CONTEXT_STEPS, rounded down


@dataclass(frozen=True)
class Convolution:
    """One convolution of a synthesis network; the hidden ones have a second bias that goes with the quality."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    hidden: bool

    @property
    def tensors(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of what is stored, in file order."""
        shapes: list[tuple[str, tuple[int, ...]]] = [
            (f"{self.name}.weight", (self.outputs, self.inputs, self.kernel, self.kernel)),
            (f"{self.name}.bias", (self.outputs,)),
        ]
        if self.hidden:
            shapes.append((f"{self.name}.quality", (self.outputs,)))
        return tuple(shapes)


def convolutions(inter: bool) -> tuple[Convolution, ...]:
    """The synthesis network of frames with references, or of frames without, in the order in which it runs."""
    patch = 3 * PATCH_PX**2
    if inter:  # four pixels of what the patches give and of two references; three colours and a share come out
        last = (Convolution("refine", 36, REFINED, 1, hidden=True), Convolution("out", REFINED, 16, 3, hidden=False))
    else:
        last = (
            Convolution("refine", 12, REFINED_INTRA, 3, hidden=True),
            Convolution("out", REFINED_INTRA, 12, 3, hidden=False),
        )
    return (
        Convolution("around", CHANNELS, HIDDEN, 3, hidden=True),
        Convolution("patch", CHANNELS + HIDDEN, patch, 1, hidden=False),
        *last,
    )


def tensors_of(inter: bool) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Names and shapes of all tensors of a synthesis network, in file order."""
    return tuple(tensor for conv in convolutions(inter) for tensor in conv.tensors)


def padded(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width brought up to a multiple of the coarsest grid's cell."""
    return -(-size[0] // STRIDE_PX) * STRIDE_PX, -(-size[1] // STRIDE_PX) * STRIDE_PX
