# SPDX-License-Identifier: GPL-3.0-or-later
"""A reference picture carried along the motion to where a chain of frames begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.warping import agreement, invert, warp_picture
from mapreel.core.vid2vid.compensation import motion_to
from mapreel.core.vid2vid.reference import Picture, References
from mapreel.core.vid2vid.shot import Shot


def carried_reference(shot: Shot, references: References, index: int) -> tuple[Picture, NDArray[np.bool_]] | None:
    """What a chain that begins at timeline index `index` has for a memory: the picture of a reference, seen from there.

    The picture is moved once, by the motion composed over all frames between, so it depends on nothing but the maps
    and the reference: every chunk of a shot gets the same. A pixel counts only where label and instance agree at both
    ends; towards an earlier frame the motion of the maps leads the wrong way and is turned round.

    Returns:
        The carried picture [H, W, 3] -1..1 and where it may be believed [H, W]; None when no reference is near.
    """
    source = references.source(index)
    if source is None:
        return None
    here, there = shot.maps(index).ids, shot.maps(source).ids
    if source == index:
        return references.picture(index), np.ones(shot.size_px, np.bool_)
    if source < index:
        motion = motion_to(shot, index, source)
        valid = agreement(motion, here, there)
    else:
        motion, known = invert(motion_to(shot, source, index), there, here)
        valid = agreement(motion, here, there) & known
    return warp_picture(references.picture(source), motion), valid
