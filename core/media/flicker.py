# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes from one frame to the next that the motion does not explain, as a heat map and as a number."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.warping import Ids, Motion, agreement, positions, search_motion, warp_picture

Codes = NDArray[np.uint8]  # [H, W, 3] sRGB

SEARCH_PIXELS = 640 * 360
"""Motion is searched for on pictures of so many pixels at most: the panel shows it while it plays."""
_COLD, _FULL = 4.0, 48.0  # 8-bit steps that are shown as nothing (light grain does as much), and at full heat


@dataclass(frozen=True)
class Flicker:
    """heat [H, W, 3] uint8 sRGB; steps: mean change in 8-bit steps of what both frames show; share of those pixels."""

    heat: Codes
    steps: float
    visible: float


def returns(motion: Motion, back: Motion) -> NDArray[np.bool_]:
    """Pixels [H, W] that both frames show: the way there and back ends where it began, and stays inside.

    The test is that of Sundaram et al. (ECCV 2010): |f + b|² > 0.01 (|f|² + |b|²) + 0.5, with b read where f leads.
    """
    at = positions(motion)
    x, y = at[..., 0], at[..., 1]
    returned = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error = np.square(motion + returned).sum(axis=2)
    allowed = 0.01 * (np.square(motion).sum(axis=2) + np.square(returned).sum(axis=2)) + 0.5
    h, w = motion.shape[:2]
    inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    seen: NDArray[np.bool_] = inside & (error <= allowed)
    return seen


def flicker(
    before: Codes, now: Codes, motion: Motion | None = None, here: tuple[Ids, ...] = (), there: tuple[Ids, ...] = ()
) -> Flicker:
    """Compares a frame with the one before, carried along.

    Args:
        before, now: [H, W, 3] of one size.
        motion: [H, W, 2] px of this frame towards the one before; without it, it is searched for on the pictures
            (Kroeger et al., ECCV 2016).
        here, there: maps of this frame and of the one before, of the same size as the motion; where they disagree,
            something was hidden. Without them what is hidden is searched for, too.

    The number is what quality_video.warping_error counts, with this motion in place of the truth's.
    """
    size = now.shape[1], now.shape[0]
    if motion is None:
        motion, seen = _searched(before, now)
    else:
        motion = _grown(motion, size)
        if here and all(ids.shape == now.shape[:2] for ids in (*here, *there)):
            seen = agreement(motion, here, there)
        else:
            seen = _searched(before, now)[1]  # what is hidden is no matter of whether the given motion is right
    carried = warp_picture(before.astype(np.float32), motion)
    change = np.abs(np.clip(carried, 0, 255) - now).mean(axis=2)
    change[~seen] = 0.0
    count = int(seen.sum())
    return Flicker(_heat(now, change), float(change.sum() / count) if count else 0.0, count / seen.size)


def _searched(before: Codes, now: Codes) -> tuple[Motion, NDArray[np.bool_]]:
    motion = _search(before, now)
    return motion, returns(motion, _search(now, before))


def _search(there: Codes, here: Codes) -> Motion:
    """Motion of `here` towards `there`, searched for on small pictures."""
    h, w = here.shape[:2]
    factor = min(1.0, (SEARCH_PIXELS / (w * h)) ** 0.5)
    size = max(1, round(w * factor)), max(1, round(h * factor))
    greys = [cv2.resize(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for x in (here, there)]
    found = search_motion(np.asarray(greys[0], np.uint8), np.asarray(greys[1], np.uint8))
    return _grown(found, (w, h))


def _grown(motion: Motion, size: tuple[int, int]) -> Motion:
    """A motion field in the size of the pictures, its lengths with it."""
    h, w = motion.shape[:2]
    if (w, h) == size:
        return np.ascontiguousarray(motion, np.float32)
    grown = cv2.resize(motion.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown * np.array([size[0] / w, size[1] / h], np.float32), np.float32)


def _heat(now: Codes, change: NDArray[np.float32]) -> Codes:
    """The frame, dark and grey, and on it the change from violet to yellow."""
    grey = cv2.cvtColor(now, cv2.COLOR_RGB2GRAY) // 3
    smooth = cv2.GaussianBlur(change.astype(np.float32), (0, 0), 1.2)
    warm = np.clip((smooth - _COLD) / (_FULL - _COLD), 0.0, 1.0)
    scaled = np.asarray(np.power(warm, 0.6) * 255.0, np.uint8)
    fire = cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return np.asarray(np.maximum(fire, grey[..., None]), np.uint8)
