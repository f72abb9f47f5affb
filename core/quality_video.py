# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a sequence of pictures: how steady it is along the motion of the true shot, and how sharp each picture is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.flicker import returns
from mapreel.core.media.warping import SMALLEST_SEARCH_PX, warp_picture

Pixels = NDArray[np.uint8]  # [H, W, 3] sRGB


@dataclass(frozen=True)
class TrueMotion:
    """Motion between two neighbouring true frames, estimated on the pictures themselves.

    Attributes:
        motion: [H, W, 2] px, of the later frame towards the earlier one.
        visible: [H, W], pixels of the later frame that the earlier one shows, too.
    """

    motion: NDArray[np.float32]
    visible: NDArray[np.bool_]


def true_motion(before: Pixels, now: Pixels) -> TrueMotion:
    """Dense inverse search both ways (Kroeger et al., ECCV 2016); what the two disagree about counts as hidden
    (`flicker.returns`).
    """
    motion, back = _search(now, before), _search(before, now)
    return TrueMotion(motion, returns(motion, back))


def _search(here: Pixels, there: Pixels) -> NDArray[np.float32]:
    h, w = here.shape[:2]
    grown = (0, max(0, SMALLEST_SEARCH_PX - h), 0, max(0, SMALLEST_SEARCH_PX - w))
    grey = [
        cv2.copyMakeBorder(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), *grown, cv2.BORDER_REPLICATE) for x in (here, there)
    ]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*grey[0].shape, 2), np.float32)
    return np.ascontiguousarray(search.calc(grey[0], grey[1], start)[:h, :w], np.float32)


def warping_error(before: Pixels, now: Pixels, true: TrueMotion) -> float:
    """Mean absolute change, in 8-bit steps, of what the motion carries from one picture to the next.

    Only pixels that both true frames show count (as in Lai et al., "Learning Blind Video Temporal Consistency", ECCV
    2018, who square the change). 0 when no pixel counts.
    """
    if not true.visible.any():
        return 0.0
    carried = warp_picture(before.astype(np.float32), true.motion)
    return float(np.abs(carried - now.astype(np.float32))[true.visible].mean())


def mean_gradient(picture: Pixels) -> float:
    """Mean length of the brightness gradient, in 8-bit steps a pixel."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    return float(np.hypot(across, down).mean()) if across.size else 0.0


def sharpness(pictures: list[float], truths: list[float]) -> float:
    """Mean gradient of a sequence over that of the true one: 1 is as sharp, less is softer, more is noisier.

    pictures, truths: `mean_gradient` of each frame. 1 where the true shot has no gradient at all and neither has this.
    """
    made, true = float(np.mean(pictures)), float(np.mean(truths))
    if true == 0.0:
        return 1.0 if made == 0.0 else float("inf")
    return made / true
