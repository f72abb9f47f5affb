# SPDX-License-Identifier: GPL-3.0-or-later
"""A reference picture as it is seen from another frame: carried along the motion, in one step, however far.

A chain of frames hands its picture on from frame to frame and loses a little each time. A reference does not: the
motion back to it is composed over all frames between, and the picture is moved once. It goes into the network as
memory, and while it is young it also stands in the frame itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.warping import Motion, agreement, compose, invert, warp_picture
from mapreel.core.vid2vid.compensation import motion_to
from mapreel.core.vid2vid.reference import LONGEST_CARRY, Picture
from mapreel.core.vid2vid.shot import Shot

YOUNG_FRAMES = 12
"""So far a carried reference is wholly better than what the network makes of it; then less and less.

Measured on the test street (LPIPS over that of class-mean paint), network alone against carried picture: 0.30 and 0.20
after 4 frames, 0.33 and 0.25 after 8, 0.35 and 0.30 after 12, 0.40 and 0.38 after 16, 0.63 and 0.69 after 32.
"""
SOFT_PX = 5
"""The carried picture fades out over so many pixels where it ends, so that no seam is seen."""


@dataclass(frozen=True)
class Trail:
    """The way from a frame back to the reference its chain came from."""

    source: int  # timeline index of the reference
    motion: Motion  # [H, W, 2] px of the frame towards it


@dataclass(frozen=True)
class Sight:
    """What a frame sees of a reference.

    Attributes:
        picture: [H, W, 3] -1..1, the reference carried to the frame.
        valid: [H, W] where it may be believed.
        share: 0..1, how much of it stands in the frame itself.
        trail: for the frame after, None where the reference lies ahead.
    """

    picture: Picture
    valid: NDArray[np.bool_]
    share: float
    trail: Trail | None

    def stands_in(self, picture: Picture) -> Picture:
        """The network's frame [H, W, 3] with the carried picture laid over it."""
        if self.share <= 0:
            return picture
        inner = cv2.erode(self.valid.astype(np.float32), np.ones((3, 3), np.uint8))
        soft = cv2.blur(inner, (SOFT_PX, SOFT_PX)) * self.valid * np.float32(self.share)
        return picture + soft[..., None] * (self.picture - picture)


def at_reference(index: int, size_px: tuple[int, int]) -> Trail:
    """The trail of a frame that is a reference itself."""
    return Trail(index, np.zeros((*size_px, 2), np.float32))


def see_reference(shot: Shot, index: int, step: Motion | None = None, before: Trail | None = None) -> Sight | None:
    """What timeline index `index` sees of the reference in reach (see `References.source`), None when there is none.

    It depends on nothing but the maps, the references and where the chain began, so every chunk of a shot gets the
    same. A pixel counts only where label and instance agree at both ends; to a frame before its reference the motion
    of the maps leads the wrong way and is turned round.

    Args:
        shot: with references.
        index: of a frame that is no reference.
        step: motion [H, W, 2] of this frame towards the one the chain stood at before, None where a chain begins.
        before: the trail of that one.
    """
    source = shot.references.source(index) if shot.references is not None else None
    if shot.references is None or source is None:
        return None
    here, there = shot.maps(index).ids, shot.maps(source).ids
    if source > index:
        motion, known = invert(motion_to(shot, source, index), there, here)
        valid, trail = agreement(motion, here, there) & known, None
    else:
        if step is not None and before is not None and before.source == source:
            motion = compose(step, before.motion)
        else:
            motion = motion_to(shot, index, source)
        valid, trail = agreement(motion, here, there), Trail(source, motion)
    share = 0.0 if shot.maps(index).drawing is not None else _share(abs(source - index))
    return Sight(warp_picture(shot.references.picture(source), motion), valid, share, trail)


def _share(age_frames: int) -> float:
    """How much of a reference stands in a frame of label maps.

    Drawings have none of it: their lines say where a mouth is, and nothing about how the face beside it moves.
    """
    return min(1.0, max(0.0, (LONGEST_CARRY - age_frames) / (LONGEST_CARRY - YOUNG_FRAMES)))
