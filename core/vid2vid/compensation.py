# SPDX-License-Identifier: GPL-3.0-or-later
"""In-betweens: both neighbouring key frames carried along the motion of the maps, and only where labels agree."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from itertools import accumulate

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.warping import agreement, compose, fill_from_same, insideness, invert, warp_picture
from mapreel.core.vid2vid.filler import Carried
from mapreel.core.vid2vid.keyframes import LONGEST_GAP
from mapreel.core.vid2vid.shot import Shot

Picture = NDArray[np.float32]  # [H, W, 3] -1..1, sRGB
Motion = NDArray[np.float32]  # [H, W, 2] px
_LEAST = np.float32(1e-3)  # what one key alone brings counts whole, wherever it comes from
_MEAN = np.full((1, 3), 1 / 3, np.float32)
_Neighbour = tuple[Picture, Motion, NDArray[np.bool_]]


def motion_to(shot: Shot, index: int, before: int) -> NDArray[np.float32]:
    """Motion of timeline index `index` all the way to the earlier index `before`: [H, W, 2] px."""
    motion = shot.motion_between(shot.maps(before), shot.maps(before + 1))
    for i in range(before + 2, index + 1):
        motion = compose(shot.motion_between(shot.maps(i - 1), shot.maps(i)), motion)
    return motion


def in_betweens(shot: Shot, first: tuple[int, Picture], last: tuple[int, Picture], pool: Executor) -> list[Carried]:
    """All frames between two key frames (timeline index and picture), in order, side by side on the pool's threads.

    A pixel is the mean of what both keys bring, weighted by nearness in time; a key counts only where its labels (and
    instances) agree. What neither brings takes the nearest colour of its own class.
    """
    steps = [shot.motion_between(shot.maps(i - 1), shot.maps(i)) for i in range(first[0] + 1, last[0] + 1)]
    return [wait.result() for wait in start_in_betweens(shot, first, last, steps, pool)]


def start_in_betweens(
    shot: Shot, first: tuple[int, Picture], last: tuple[int, Picture], steps: list[Motion], pool: Executor
) -> list[Future[Carried]]:
    """As `in_betweens`, but nobody waits: `steps` are the motions of every frame after `first` up to `last`.

    What the work reads of the maps is taken here, so that the shot may go on reading while the pool works.
    """
    ids = {index: shot.maps(index).ids for index in range(first[0], last[0] + 1)}
    to_first = pool.submit(lambda: list(accumulate(steps[:-1], lambda so_far, step: compose(step, so_far))))
    from_last = pool.submit(lambda: list(accumulate(reversed(steps[1:]), compose))[::-1])

    def blend(index: int) -> Carried:
        place = index - first[0] - 1
        nearness = (last[0] - index) / (last[0] - first[0])
        towards, back = to_first.result()[place], from_last.result()[place]
        earlier = (first[1], towards, agreement(towards, ids[index], ids[first[0]]))
        to_last, known = invert(back, ids[last[0]], ids[index])
        later = (last[1], to_last, agreement(to_last, ids[index], ids[last[0]]) & known)
        return _blend(earlier, later, nearness, ids[index][0])

    return [pool.submit(blend, index) for index in range(first[0] + 1, last[0])]


def carried_from(shot: Shot, index: int, key: int, picture: Picture) -> Carried:
    """The frame at `index` from the earlier key frame alone; the rest takes the nearest colour of its class."""
    motion = motion_to(shot, index, key)
    ids = shot.maps(index).ids
    valid = agreement(motion, ids, shot.maps(key).ids)
    return one_sided(warp_picture(picture, motion), valid, ids[0], index - key)


def one_sided(picture: Picture, valid: NDArray[np.bool_], classes: NDArray[np.unsignedinteger], apart: int) -> Carried:
    """What one key brought from so many frames `apart`, with its holes filled."""
    filled = fill_from_same(picture, valid, classes)
    nearness = min(1.0, abs(apart) / LONGEST_GAP)
    return Carried(filled, valid.astype(np.uint8), np.zeros(valid.shape, np.float32), nearness)


def _blend(earlier: _Neighbour, later: _Neighbour, nearness: float, classes: NDArray[np.unsignedinteger]) -> Carried:
    """Two keys (picture, motion towards it, where it counts), the earlier one weighted by `nearness`."""
    weights = [
        valid * np.maximum(insideness(motion), _LEAST) * np.float32(w)
        for (_, motion, valid), w in ((earlier, nearness), (later, 1.0 - nearness))
    ]
    pictures = [warp_picture(picture, motion) for picture, motion, _ in (earlier, later)]
    mixed: Picture = cv2.blendLinear(*pictures, *weights)  # type: ignore[assignment]  # divides by their sum
    filled = fill_from_same(mixed, earlier[2] | later[2], classes)
    keys = earlier[2].view(np.uint8) + later[2].view(np.uint8)
    differ = cv2.transform(cv2.absdiff(*pictures), _MEAN) * (keys == 2)
    return Carried(filled, keys, differ, 2 * min(nearness, 1 - nearness))
