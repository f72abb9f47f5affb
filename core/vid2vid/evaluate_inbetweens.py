# SPDX-License-Identifier: GPL-3.0-or-later
"""In-betweens of a take against ffmpeg's on the very same key frames, which is how the paper's code fills its gaps.

Once on the key frames of the take, where both inherit what the network got wrong, and once on the true frames in their
place, which shows what carrying alone is worth.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from mapreel.core.media.interpolation import interpolate_frames
from mapreel.core.vid2vid.compensation import in_betweens
from mapreel.core.vid2vid.evaluate_scores import Judges, TrueShot, lpips_of
from mapreel.core.vid2vid.evaluate_takes import GIVEN, Pictures, Pixels, Take
from mapreel.core.vid2vid.renderer import to_pixels
from mapreel.core.vid2vid.shot import Shot


def compare_in_betweens(
    truth: TrueShot, take: Take, picture_of: Pictures, judges: Judges, every: int, shot: Shot
) -> dict[str, Any] | None:
    """LPIPS of exactly the frames that no network made; every `every`-th of them. None when there are none.

    shot: the maps of the take, to carry true frames along.

    Gives frames, lpips (ours), lpips_minterpolate, lower_by (share; 0.2 is a fifth better) and the seconds a frame that
    the filter takes. The keys are those of the take, as they stand on disk and at their own times. true_keys: the same
    three figures with the true frames at the places of the keys.
    """
    keys = sorted(set(take.keys) & set(take.frames.numbers))
    scored = tuple(n for n in take.frames.numbers[GIVEN:] if n not in set(keys) and keys[0] < n < keys[-1])[::every]
    if not scored:
        return None
    started = time.perf_counter()
    theirs = _interpolated(keys, picture_of)
    seconds = time.perf_counter() - started
    found = _compared(truth, picture_of, theirs.__getitem__, scored, judges)
    ours, other = _carried(shot, keys, truth.color.read), _interpolated(keys, truth.color.read)
    found["true_keys"] = _compared(truth, ours.__getitem__, other.__getitem__, scored, judges)
    return {"frames": len(scored), **found, "seconds_a_frame_minterpolate": seconds / (keys[-1] - keys[0] + 1)}


def _compared(
    truth: TrueShot, ours: Pictures, theirs: Pictures, scored: tuple[int, ...], judges: Judges
) -> dict[str, Any]:
    own, other = (float(np.mean(lpips_of(truth, pictures, scored, judges))) for pictures in (ours, theirs))
    return {"lpips": own, "lpips_minterpolate": other, "lower_by": 1 - own / other}


def _interpolated(keys: list[int], picture_of: Pictures) -> dict[int, Pixels]:
    return dict(interpolate_frames(((key, picture_of(key)) for key in keys), keys[-1]))


def _carried(shot: Shot, keys: list[int], picture_of: Pictures) -> dict[int, Pixels]:
    """The frames between keys as the renderer carries them, by number; no filler goes over them."""
    numbers, made = shot.timeline.numbers, {}
    with ThreadPoolExecutor(1) as pool:
        for pair in pairwise(keys):
            first, last = ((bisect_left(numbers, k), picture_of(k).astype(np.float32) / 127.5 - 1.0) for k in pair)
            for index, carried in enumerate(in_betweens(shot, first, last, pool), start=first[0] + 1):
                made[numbers[index]] = to_pixels(carried.picture)
    return made
