# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures and maps carried from one frame to another along motion fields (all flows are backward: `prev_to_cur`)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Motion = NDArray[np.float32]  # [H, W, 2] pixels, x right, y down: pixel p of this frame was at p + motion
Ids = NDArray[np.unsignedinteger]  # [H, W]
Picture = NDArray[np.float32]  # [H, W, C]


def positions(motion: Motion) -> Motion:
    """Where each pixel was: [H, W, 2] absolute coordinates (x, y) in the other frame."""
    h, w = motion.shape[:2]
    grid = np.empty((h, w, 2), np.float32)
    grid[..., 0] = np.arange(w, dtype=np.float32)[None, :]
    grid[..., 1] = np.arange(h, dtype=np.float32)[:, None]
    return grid + motion


def warp_picture(picture: Picture, motion: Motion) -> Picture:
    """Carry a picture along `motion` with bicubic interpolation; outside the frame the border is held.

    Args:
        picture: [H, W, C] float32 of the other frame.
        motion: [H, W, 2] of this frame.
    """
    at = positions(motion)
    return cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def warp_ids(ids: Ids, motion: Motion) -> Ids:
    """Carry ids along `motion`, nearest neighbour: an id is never a mixture."""
    h, w = ids.shape
    at = np.rint(positions(motion)).astype(np.int32)
    x, y = np.clip(at[..., 0], 0, w - 1), np.clip(at[..., 1], 0, h - 1)
    return ids[y, x]


def inside(motion: Motion) -> NDArray[np.bool_]:
    """True where the pixel came from inside the other frame: [H, W]."""
    h, w = motion.shape[:2]
    at = positions(motion)
    x, y = at[..., 0], at[..., 1]
    return (x > -0.5) & (x < w - 0.5) & (y > -0.5) & (y < h - 0.5)


def agreement(motion: Motion, here: tuple[Ids, ...], there: tuple[Ids, ...]) -> NDArray[np.bool_]:
    """True where a carried pixel counts: it came from inside the frame and every map (labels, instances) agrees.

    Args:
        motion: [H, W, 2] of this frame towards the other.
        here: maps of this frame, each [H, W].
        there: the same maps of the other frame.
    """
    h, w = motion.shape[:2]
    at = np.rint(positions(motion)).astype(np.int32)
    x, y = at[..., 0], at[..., 1]
    valid: NDArray[np.bool_] = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    x, y = np.clip(x, 0, w - 1), np.clip(y, 0, h - 1)
    for a, b in zip(here, there, strict=True):
        valid &= a == b[y, x]
    return valid


def compose(near: Motion, far: Motion) -> Motion:
    """Motion over two steps: `near` leads from this frame to the middle one, `far` from there on: [H, W, 2]."""
    at = positions(near)
    carried = cv2.remap(far, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return near + carried  # type: ignore[no-any-return]
