# SPDX-License-Identifier: GPL-3.0-or-later
"""Who leans on whom in a frame group of `reel`, and which motion is known before a frame's own is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from mapreel.core.nirvana.reel.config import LONGEST_PREDICTION

BEFORE = -1  # place of the last picture of the group before


@dataclass(frozen=True)
class Known:
    """A frame's own motion is added to that of frame `of` towards its reference `slot`, times these factors."""

    of: int
    slot: int
    factors: tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """One frame of a group in coding order; `refs` are places in the group or BEFORE, empty for an intra frame."""

    place: int
    refs: tuple[int, ...]
    known: Known | None
    stage: int  # frames of one stage need only earlier stages
    level: int  # 0 without references, 1 anchors, 2 in the middle of two anchors, and so on
    row: int = 0  # in the grids of all frames with references


@cache
def hierarchy(frames: int, intra: bool, span: int = LONGEST_PREDICTION) -> tuple[Frame, ...]:
    """Frames of a group, each after those that it leans on.

    Anchors lean on the anchor before, `span` apart (the last frame is one); each of the others leans on
    its nearest coded neighbours before and after, halving what lies between.
    """
    first = 0 if intra else BEFORE
    coded = [Frame(0, (), None, 0, 0)] if intra else []
    stage = {first: 0}
    anchors = [first]
    while anchors[-1] < frames - 1:
        before = anchors[-1]
        place = min(before + span, frames - 1)
        stage[place] = stage[before] + 1
        known = None
        if len(anchors) > 1:
            factor = (place - before) / (before - anchors[-2])
            known = Known(before, 0, (factor, factor))
        coded.append(Frame(place, (before,), known, stage[place], 1))
        anchors.append(place)
    spans = list(pairwise(anchors))
    level = 1
    while spans:
        level += 1
        inner = []
        for a, b in spans:
            if b - a < 2:
                continue
            place = (a + b) // 2
            coded.append(_between(place, a, b, coded, stage, level))
            inner += [(a, place), (place, b)]
        spans = inner
    ordered = sorted(coded, key=lambda frame: frame.stage)
    return tuple(replace(frame, row=max(0, k - intra)) for k, frame in enumerate(ordered))


def _between(place: int, a: int, b: int, coded: list[Frame], stage: dict[int, int], level: int) -> Frame:
    leaning = {frame.place: frame.refs for frame in coded}
    to_a, to_b = (place - a) / (b - a), (b - place) / (b - a)
    if a in leaning.get(b, ()):
        known = Known(b, leaning[b].index(a), (to_a, -to_b))
    else:
        known = Known(a, leaning[a].index(b), (-to_a, to_b))
    stage[place] = max(stage[a], stage[b]) + 1
    return Frame(place, (a, b), known, stage[place], level)
