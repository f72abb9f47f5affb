# SPDX-License-Identifier: GPL-3.0-or-later
"""In-betweens of a take against ffmpeg's on the very same key frames, which is how the paper's code fills its gaps."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from mapreel.core.media.interpolation import interpolate_frames
from mapreel.core.vid2vid.evaluate_scores import Judges, TrueShot, lpips_of
from mapreel.core.vid2vid.evaluate_takes import GIVEN, Pictures, Take


def compare_in_betweens(
    truth: TrueShot, take: Take, picture_of: Pictures, judges: Judges, every: int
) -> dict[str, Any] | None:
    """LPIPS of exactly the frames that no network made; every `every`-th of them. None when there are none.

    Gives frames, lpips (ours), lpips_minterpolate, lower_by (share; 0.2 is a fifth better) and the seconds a frame that
    the filter takes. The keys are those of the take, as they stand on disk and at their own times.
    """
    numbers = take.frames.numbers
    keys = sorted(set(take.keys) & set(numbers))
    scored = tuple(n for n in numbers[GIVEN:] if n not in set(keys) and keys[0] < n < keys[-1])[::every]
    if not scored:
        return None
    started = time.perf_counter()
    theirs = dict(interpolate_frames(((k, picture_of(k)) for k in keys), keys[-1]))
    seconds = time.perf_counter() - started
    ours = float(np.mean(lpips_of(truth, picture_of, scored, judges)))
    other = float(np.mean(lpips_of(truth, theirs.__getitem__, scored, judges)))
    return {
        "frames": len(scored),
        "lpips": ours,
        "lpips_minterpolate": other,
        "lower_by": 1 - ours / other,
        "seconds_a_frame_minterpolate": seconds / (keys[-1] - keys[0] + 1),
    }
