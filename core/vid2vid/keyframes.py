# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames the network makes in fast quality: chosen from the maps, causally, with a bounded gap.

A key frame is due as soon as too many pixels could not be carried from the last one (their labels disagree or they
came from outside), and at the latest after `LONGEST_GAP` frames. The first and the last frame of a segment are always
keys. Fast-Vid2Vid (Zhuo et al., ECCV 2022, section 3.4) chooses from the maps as well, but by a fixed rule.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.warping import agreement, compose
from mapreel.core.vid2vid.shot import Shot

LONGEST_GAP = 6
LARGEST_LOSS = 0.12
"""Share of pixels that may be lost before a key frame is due."""


def next_key(shot: Shot, key: int, end: int) -> int:
    """Timeline index of the key frame after `key`, at most `end` (which is one: an anchor or the last frame)."""
    motion: NDArray[np.float32] | None = None
    base = shot.maps(key).ids
    for index in range(key + 1, min(key + LONGEST_GAP, end) + 1):
        before, here = shot.maps(index - 1), shot.maps(index)
        step = shot.motion_between(before, here)
        motion = step if motion is None else compose(step, motion)
        lost = 1.0 - float(agreement(motion, here.ids, base).mean())
        if lost > LARGEST_LOSS:
            return index
    return min(key + LONGEST_GAP, end)
