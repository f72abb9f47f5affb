# SPDX-License-Identifier: GPL-3.0-or-later
"""In-betweens: both neighbouring key frames carried along the motion of the maps, and only where labels agree."""

from __future__ import annotations

from concurrent.futures import Executor
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.warping import agreement, compose, fill_from_same, invert, warp_picture
from mapreel.core.vid2vid.shot import Shot

Picture = NDArray[np.float32]  # [H, W, 3] -1..1, sRGB


def motion_to(shot: Shot, index: int, before: int) -> NDArray[np.float32]:
    """Motion of timeline index `index` all the way to the earlier index `before`: [H, W, 2] px."""
    motion = shot.motion_between(shot.maps(before), shot.maps(before + 1))
    for i in range(before + 2, index + 1):
        motion = compose(shot.motion_between(shot.maps(i - 1), shot.maps(i)), motion)
    return motion


def in_betweens(shot: Shot, first: tuple[int, Picture], last: tuple[int, Picture], pool: Executor) -> list[Picture]:
    """All frames between two key frames (timeline index and picture), in order, side by side on the pool's threads.

    A pixel is the mean of what both keys bring, weighted by nearness in time; a key counts only where its labels (and
    instances) agree. What neither brings takes the nearest colour of its own class.
    """
    steps = [shot.motion_between(shot.maps(i - 1), shot.maps(i)) for i in range(first[0] + 1, last[0] + 1)]
    to_first = list(accumulate(steps[:-1], lambda so_far, step: compose(step, so_far)))
    from_last = list(accumulate(reversed(steps[1:]), compose))[::-1]
    waiting = [
        pool.submit(_blend, shot, index, (*first, towards_first), (*last, towards_index))
        for index, towards_first, towards_index in zip(range(first[0] + 1, last[0]), to_first, from_last, strict=True)
    ]
    return [w.result() for w in waiting]


def carried_from(shot: Shot, index: int, key: int, picture: Picture) -> Picture:
    """The frame at `index` from the earlier key frame alone; the rest takes the nearest colour of its class."""
    motion = motion_to(shot, index, key)
    ids = shot.maps(index).ids
    return fill_from_same(warp_picture(picture, motion), agreement(motion, ids, shot.maps(key).ids), ids[0])


def _blend(
    shot: Shot,
    index: int,
    earlier: tuple[int, Picture, NDArray[np.float32]],
    later: tuple[int, Picture, NDArray[np.float32]],
) -> Picture:
    ids = shot.maps(index).ids
    first, first_picture, to_first = earlier
    last, last_picture, last_to_here = later
    first_valid = agreement(to_first, ids, shot.maps(first).ids)
    to_last, known = invert(last_to_here, shot.maps(last).ids, ids)
    last_valid = agreement(to_last, ids, shot.maps(last).ids) & known
    nearness = (last - index) / (last - first)
    weight_first = first_valid * np.float32(nearness)
    weight_last = last_valid * np.float32(1.0 - nearness)
    total = weight_first + weight_last
    mixed = weight_first[..., None] * warp_picture(first_picture, to_first)
    mixed += weight_last[..., None] * warp_picture(last_picture, to_last)
    mixed /= np.maximum(total, 1e-6)[..., None]
    return fill_from_same(mixed, total > 0, ids[0])
