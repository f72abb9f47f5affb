# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads motion fields from two-channel EXR files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.exrfile import read_exr
from mapreel.core.media.files import damaged, unsupported

# x first, y second, in lower case. Names that state another direction or an upward y by custom (Nuke's forward.u and
# backward.u, Blender's Vector.X) are left out on purpose: a wrong sign would pass unseen and smear every frame.
_CHANNEL_PAIRS = (
    ("motion.x", "motion.y"),
    ("x", "y"),
    ("u", "v"),
    ("r", "g"),
    ("red", "green"),
    ("motion.r", "motion.g"),
    ("motion.u", "motion.v"),
    ("flow.x", "flow.y"),
    ("flow.u", "flow.v"),
)


def read_motion(path: Path, *, frame: int | None = None) -> NDArray[np.float32]:
    """Flow `prev_to_cur` [H, W, 2] float32 in pixels, x (right) then y (down).

    Pixel p of this frame was at p + motion in the frame before. Channels are found by name (`motion.X/motion.Y`, `X/Y`,
    `U/V`, `R/G` … in any case and order, half or float); pixels outside the data window have no motion.
    Raises MissingInputError, DamagedFileError (also for NaN or infinity), FileTooLargeError, UnsupportedFileError (no
    EXR, or no two channels that we know).
    """
    path = Path(path)
    remedy = "give motion as EXR with the channels motion.X and motion.Y"
    motion = read_exr(path, frame, lambda channels: _find_pair(channels, path, frame), remedy)
    if not np.isfinite(motion).all():
        row, column = np.argwhere(~np.isfinite(motion).all(axis=2))[0]
        raise damaged(path, frame, f"has motion that is no number (NaN or infinite), first at x {column}, y {row}")
    return motion


def _find_pair(channels: tuple[str, ...], path: Path, frame: int | None) -> tuple[int, int]:
    lower = [name.lower() for name in channels]
    for x, y in _CHANNEL_PAIRS:
        if x in lower and y in lower:
            return lower.index(x), lower.index(y)
    listed = ", ".join(channels[:8]) + (" …" if len(channels) > 8 else "")
    raise unsupported(
        path,
        frame,
        f"has the channels {listed}, none of which is motion",
        "name its two channels motion.X and motion.Y (pixels to the frame before, y down)",
    )
