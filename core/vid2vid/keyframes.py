# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames the network makes in fast quality: chosen from the maps, with a bounded gap.

`adaptive`, ours, is causal: a key frame is due as soon as too many pixels could not be carried from the last one (their
labels disagree or they came from outside), and at the latest after `LONGEST_GAP` frames.

`paper` is the rule of Fast-Vid2Vid (Zhuo et al., ECCV 2022, section 3.4): the residual between neighbouring maps is the
share of pixels whose label changes, and where it peaks there is a key. What the paper leaves open, and what is done:

- the frame *after* the change is the key, for it is the first that shows what is new;
- every local peak counts, however small: larger than the residual before it, no smaller than the one after it, so that
  of a flat top the first frame is taken; it needs the maps of one frame ahead;
- a drawing has no labels beyond inside and outside, so there a pixel changes where its lines do;
- a still shot has no peaks: at the latest after `LONGEST_GAP` frames there is a key as well;
- the shot's first frame has no residual; the frame after it is never a peak.

The first and the last frame of a segment are keys under both rules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.requests import KeyRule
from mapreel.core.media.warping import agreement, compose
from mapreel.core.vid2vid.shot import Shot

LONGEST_GAP = 6
LARGEST_LOSS = 0.12
"""Share of pixels that may be lost before a key frame is due."""


def next_key(shot: Shot, key: int, end: int) -> int:
    """Timeline index of the key frame after `key`, at most `end` (which is one: an anchor or the last frame).

    Raises what `shot.maps` raises.
    """
    rule = next_peak if shot.keys is KeyRule.PAPER else next_loss
    return rule(shot, key, min(key + LONGEST_GAP, end))


def next_loss(shot: Shot, key: int, end: int) -> int:
    """The first frame after `key` to which too much cannot be carried, else `end`."""
    motion: NDArray[np.float32] | None = None
    base = shot.maps(key).ids
    for index in range(key + 1, end):
        before, here = shot.maps(index - 1), shot.maps(index)
        step = shot.motion_between(before, here)
        motion = step if motion is None else compose(step, motion)
        lost = 1.0 - float(agreement(motion, here.ids, base).mean())
        if lost > LARGEST_LOSS:
            return index
    return end


def next_peak(shot: Shot, key: int, end: int) -> int:
    """The first frame after `key` at which the residual peaks, else `end`; looks at no frame beyond `end`."""
    if end - key < 2:
        return end
    before, here = residual(shot, key), residual(shot, key + 1)
    for index in range(key + 1, end):
        after = residual(shot, index + 1)
        if before < here >= after:
            return index
        before, here = here, after
    return end


def residual(shot: Shot, index: int) -> float:
    """Share of pixels, 0..1, that change from the maps before to those at `index`; infinite where none are before."""
    if index == 0:
        return float("inf")
    before, here = shot.maps(index - 1), shot.maps(index)
    if before.drawing is not None and here.drawing is not None:
        return float((before.drawing != here.drawing).any(axis=-1).mean())
    return float((before.classes != here.classes).mean())
