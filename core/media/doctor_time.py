# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to classes from frame to frame: regions and single pixels that come or go for a few frames.

A region pops when its pixels are one class before and after and another between, when it comes or goes as a whole, and
when the classes around it gain and lose what it covers. What moves keeps its area, so it does not pop; slivers that
show for a moment behind what passes in front are real, so thin regions do not count.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.doctor_colours import UNKNOWN, Box, Ids, Mask
from mapreel.core.media.doctor_frames import Look

LONGEST_POP = 4
"""Frames; what stays longer may be meant."""
SPECK_PX = 9
"""Pixels of a speck at most."""
_NEAR_PX = 8  # a speck's class is nowhere within this distance, in its frame and its neighbours
_SURE_PX = 7  # side of a square that a region fills to count wherever it is …
_SMALL_PX = 3  # … and when nothing of its class is near
_COARSE = 3  # times larger where the edges themselves jump
_MOVING = 0.005  # share of the pixels that changes from frame to frame where something moves
_MOVES_PX = 24  # how far is looked for what moved away
_SHARE = 0.6
_SPECKS_AT_ONCE = 20000
_CLASS_PX = 24  # a class with less may come and go in a rendering


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that lasts for `frames` (in order). mask: [h, w] of box; before: ids there in the frame before.

    class_: the id that came (appeared) or went away.
    """

    problem: str
    frames: tuple[int, ...]
    box: Box
    mask: Mask
    before: Ids
    class_: int
    appeared: bool
    shapes: tuple[Mask, Mask] | None = None  # of what went away: before and after, in the whole frame

    @property
    def pixels(self) -> int:
        """How many the event covers in one frame."""
        return int(self.mask.sum())


class TimeWindow:
    """The last frames of a shot, LONGEST_POP + 2 at most; a gap or another size starts anew."""

    def __init__(self) -> None:
        self.looks: deque[Look] = deque(maxlen=LONGEST_POP + 2)
        self.judged: list[int] = []  # frames whose specks were looked for
        self._moved: deque[float] = deque(
            maxlen=LONGEST_POP + 2
        )  # share of the pixels that differ from the frame before

    def push(self, look: Look, *, follows: bool) -> list[Event]:
        """Takes the next frame and gives the events that end with it."""
        last = self.looks[-1] if self.looks else look
        if not follows or last.size != look.size or last.colored != look.colored:
            self.looks.clear()
            self._moved.clear()
        self._moved.append(float((last.ids != look.ids).mean()) if self.looks else 1.0)
        self.looks.append(look)
        found = self._specks_of_the_first() if len(self.looks) == 2 else []
        for length in range(1, min(LONGEST_POP, len(self.looks) - 2) + 1):
            found += self._events(length)
        return found

    def finish(self) -> list[Event]:
        """The specks of the last frame, that has none after it."""
        if len(self.looks) < 2:
            return []
        before, now = self.looks[-2], self.looks[-1]
        if now.coarse or now.single or before.single or self._stands_still(before, now):
            return []
        self.judged.append(now.number)
        return _specks(before, now, before, before.ids != now.ids)

    def _specks_of_the_first(self) -> list[Event]:
        now, after = self.looks
        if now.coarse or now.single or after.single:
            return []
        self.judged.append(now.number)
        return _specks(after, now, after, after.ids != now.ids)

    def _stands_still(self, before: Look, after: Look) -> bool:
        """True near a held frame of a shot that moves: what moves stands still and then jumps."""
        if min(self._moved) > 0.0 or max(list(self._moved)[1:]) <= _MOVING:
            return False
        return float((before.ids != after.ids).mean()) > _MOVING

    def _events(self, length: int) -> list[Event]:
        looks = list(self.looks)[-length - 2 :]
        before, between, after = looks[0], looks[1:-1], looks[-1]
        if before.single or after.single or any(look.single for look in between):
            return _empty(before, between, after)
        changed = (before.ids == after.ids) & (between[0].ids != before.ids)
        for look in between[1:]:
            changed &= look.ids != before.ids
        coarse = self._stands_still(before, after) or any(look.coarse for look in looks)
        found = _pops(before, between, after, changed, coarse=coarse)
        found += _newcomers(before, between, after, found, coarse=coarse)
        if coarse:
            return found
        found += _vanished_classes(before, between, after, found)
        if length == 1:
            self.judged.append(between[0].number)
            found += _specks(before, between[0], after, changed)
        return found


def _empty(before: Look, between: list[Look], after: Look) -> list[Event]:
    """Frames of one class between full ones; everything in them is lost."""
    if before.single or after.single or not all(look.single for look in between):
        return []
    height, width = before.size
    lost = np.ones((height, width), np.bool_)
    numbers = tuple(look.number for look in between)
    return [
        Event(
            problem="single-class",
            frames=numbers,
            box=(0, 0, width, height),
            mask=lost,
            before=before.ids,
            class_=int(between[0].ids[0, 0]),
            appeared=True,
        )
    ]


def _pops(before: Look, between: list[Look], after: Look, changed: Mask, *, coarse: bool) -> list[Event]:
    core = cv2.erode(changed.astype(np.uint8), np.ones((_SMALL_PX, _SMALL_PX), np.uint8))
    if not core.any():
        return []
    _, regions, stats, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8), connectivity=8)
    found = []
    for region in np.unique(regions[core > 0]):
        x, y, width, height = (int(value) for value in stats[region, :4])
        mask = regions[y : y + height, x : x + width] == region
        event = _judge(before, between, after, (x, y, width, height), mask, coarse=coarse)
        if event is not None:
            found.append(event)
    return found


def _newcomers(before: Look, between: list[Look], after: Look, found: list[Event], *, coarse: bool) -> list[Event]:
    """Regions that come whole on a background that moves, so that before and after are not alike beneath them."""
    now = between[0].ids
    fresh = (now != before.ids) & (now != after.ids) & (now != UNKNOWN)
    for look in between[1:]:
        fresh &= look.ids == now
    for event in found:
        x, y, width, height = event.box
        fresh[y : y + height, x : x + width] = False
    side = _SURE_PX * (_COARSE if coarse else 1)
    core = cv2.erode(fresh.astype(np.uint8), np.ones((side, side), np.uint8))
    events = []
    for label in np.unique(now[core > 0]):
        surface = (fresh & (now == label)).astype(np.uint8)
        _, regions, stats, _ = cv2.connectedComponentsWithStats(surface, connectivity=8)
        for region in np.unique(regions[(core > 0) & (surface > 0)]):
            x, y, width, height = (int(value) for value in stats[region, :4])
            mask = regions[y : y + height, x : x + width] == region
            if _fills(mask, side) and _came_whole(before, now, after, (x, y, width, height), mask):
                events.append(_newcomer(before, between, after, (x, y, width, height), mask))
    return events


def _came_whole(before: Look, now: Ids, after: Look, box: Box, mask: Mask) -> bool:
    """Whether the region is all of what it belongs to, away from the border, and more of its class than before."""
    x, y, width, height = box
    if x == 0 or y == 0 or x + width == now.shape[1] or y + height == now.shape[0]:
        return False
    inner, outer = _around(box, before.size, 0), _around(box, before.size, _MOVES_PX)
    label = now[inner][mask][0]
    earlier, here, later = (int((ids[outer] == label).sum()) for ids in (before.ids, now, after.ids))
    if here - max(earlier, later) < _SHARE * mask.sum():
        return False
    whole = np.zeros(now[outer].shape, np.bool_)
    top, left = inner[0].start - outer[0].start, inner[1].start - outer[1].start
    whole[top : top + height, left : left + width] = mask
    return _covered(now[outer] == label, whole) >= _SHARE


def _newcomer(before: Look, between: list[Look], after: Look, box: Box, mask: Mask) -> Event:
    inner = _around(box, before.size, 0)
    label = int(between[0].ids[inner][mask][0])
    gone = all(label >= len(look.histogram) or look.histogram[label] == 0 for look in (before, after))
    return Event(
        problem="class-pop" if gone else "region-pop",
        frames=tuple(look.number for look in between),
        box=box,
        mask=mask,
        before=np.ascontiguousarray(before.ids[inner]),
        class_=label,
        appeared=True,
    )


def _judge(before: Look, between: list[Look], after: Look, box: Box, mask: Mask, *, coarse: bool) -> Event | None:
    """The event that a region of changed pixels is, or None when something merely moved there."""
    side = (_SURE_PX + 2 * (len(between) - 1)) * (_COARSE if coarse else 1)  # the longer, the farther things have moved
    large = _fills(mask, side)
    if not large and (coarse or not _compact(mask, box, before.size)):
        return None
    inner, outer = _around(box, before.size, 0), _around(box, before.size, _MOVES_PX)
    frames = [before.ids, between[0].ids, after.ids]
    old, new = _main(frames[0][inner][mask]), _main(frames[1][inner][mask])
    if UNKNOWN in (old, new) or not _exchanged([frame[outer] for frame in frames], frames[0][inner], mask, frames[1]):
        return None
    whole = np.zeros(frames[0][outer].shape, np.bool_)
    top, left = inner[0].start - outer[0].start, inner[1].start - outer[1].start
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    came = _covered(frames[1][outer] == new, whole) >= _SHARE
    went = min(_covered(frame[outer] == old, whole) for frame in (frames[0], frames[2])) >= _SHARE
    alone = came and not any((frame[outer] == new).any() for frame in (frames[0], frames[2]))
    alone = alone or (went and not (frames[1][outer] == old).any())
    if not (came or went) or not (large or alone):
        return None
    class_ = new if came else old
    others = [look.histogram for look in ((before, after) if came else between)]
    gone = all(class_ >= len(counts) or counts[class_] == 0 for counts in others)
    return Event(
        problem="class-pop" if gone else "region-pop",
        frames=tuple(look.number for look in between),
        box=box,
        mask=mask,
        before=np.ascontiguousarray(frames[0][inner]),
        class_=class_,
        appeared=came,
        shapes=None if came else (_touched(before.ids == old, outer, whole), _touched(after.ids == old, outer, whole)),
    )


def _touched(surface: Mask, outer: tuple[slice, slice], region: Mask) -> Mask:
    """Those parts of a surface, looked at within `outer`, that meet the region."""
    part = surface[outer]
    _, parts = cv2.connectedComponents(part.astype(np.uint8), connectivity=8)
    full = np.zeros(surface.shape, np.bool_)
    full[outer] = np.isin(parts, np.unique(parts[region & part])) & part
    return full


def between_shapes(before: Mask, after: Mask, share: float) -> Mask:
    """A shape between two: where the mean of both signed distances is inside; the nearer one if they do not overlap.

    share: 0 at before, 1 at after. Source: shape-based interpolation, Raya and Udupa 1990.
    """
    if not (before & after).any():
        return after if share > 0.5 else before
    distance = [
        cv2.distanceTransform(shape.astype(np.uint8), cv2.DIST_L2, 3)
        - cv2.distanceTransform((~shape).astype(np.uint8), cv2.DIST_L2, 3)
        for shape in (before, after)
    ]
    return np.asarray((1.0 - share) * distance[0] + share * distance[1] > 0.0)


def _exchanged(parts: list[Ids], old: Ids, mask: Mask, current: Ids) -> bool:
    """Whether around the region the new classes gained, and the old ones lost, what the region covers."""
    length = max(int(part.max()) for part in parts) + 1
    before, now, after = (np.bincount(part.ravel(), minlength=length) for part in parts)
    area = int(mask.sum())
    gain = now - np.maximum(before, after)
    loss = np.minimum(before, after) - now
    gained, lost = int(np.maximum(gain, 0).sum()), int(np.maximum(loss, 0).sum())
    return current.size > 0 and old.size > 0 and min(gained, lost) >= _SHARE * area


def _covered(surface: Mask, region: Mask) -> float:
    """Share of the surface's parts that meet the region which lies in the region."""
    _, parts = cv2.connectedComponents(surface.astype(np.uint8), connectivity=8)
    met = np.unique(parts[region & surface])
    if len(met) == 0:
        return 0.0
    inside = np.isin(parts, met)
    return float((inside & region).sum() / inside.sum())


def _fills(mask: Mask, side_px: int) -> bool:
    """Whether a square of this side fits into the mask."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return bool(cv2.erode(padded, np.ones((side_px, side_px), np.uint8)).any())


def _compact(mask: Mask, box: Box, size: tuple[int, int]) -> bool:
    """Small, but no sliver and no thing that enters or leaves at the border."""
    x, y, width, height = box
    at_border = x == 0 or y == 0 or x + width == size[1] or y + height == size[0]
    return not at_border and int(mask.sum()) > SPECK_PX and max(width, height) <= 3 * min(width, height)


def _vanished_classes(before: Look, between: list[Look], after: Look, found: list[Event]) -> list[Event]:
    """Classes of thin things (poles) that are nowhere in the frames between, though before and after."""
    length = max(len(look.histogram) for look in (before, *between, after))
    counts = [np.pad(look.histogram, (0, length - len(look.histogram))) for look in (before, *between, after)]
    there = np.minimum(counts[0], counts[-1]) >= _CLASS_PX
    nowhere = np.max(counts[1:-1], axis=0) == 0
    events = []
    known = {event.class_ for event in found if not event.appeared}
    for label in np.flatnonzero(there & nowhere):
        if label in known or label == UNKNOWN:
            continue
        mask = (before.ids == label) | (after.ids == label)
        ys, xs = np.nonzero(mask)
        box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
        inner = _around(box, before.size, 0)
        events.append(
            Event(
                problem="class-pop",
                frames=tuple(look.number for look in between),
                box=box,
                mask=((before.ids == label) & (after.ids == label))[inner],
                before=np.ascontiguousarray(before.ids[inner]),
                class_=int(label),
                appeared=False,
                shapes=(before.ids == label, after.ids == label),
            )
        )
    return events


def _specks(before: Look, now: Look, after: Look, changed: Mask) -> list[Event]:
    """Some pixels of a class that is nowhere near, in this frame only. One event for all of them."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= SPECK_PX
    small[0] = False
    ys, xs = np.nonzero(small[regions])
    for radius in (2, _NEAR_PX):
        for frame in (before.ids, after.ids):
            keep = _near(frame, ys, xs, now.ids[ys, xs], radius) == 0
            ys, xs = ys[keep], xs[keep]
    keep = _near(now.ids, ys, xs, now.ids[ys, xs], _NEAR_PX) <= SPECK_PX
    keep &= now.ids[ys, xs] != UNKNOWN
    ys, xs = ys[keep], xs[keep]
    if len(ys) == 0:
        return []
    mask = np.zeros(now.size, np.bool_)
    mask[ys, xs] = True
    return [
        Event(
            problem="specks",
            frames=(now.number,),
            box=(0, 0, now.size[1], now.size[0]),
            mask=mask,
            before=before.ids,
            class_=_main(now.ids[ys, xs]),
            appeared=True,
        )
    ]


def _near(ids: Ids, ys: NDArray[np.intp], xs: NDArray[np.intp], wanted: Ids, radius: int) -> NDArray[np.int64]:
    """How many pixels of `wanted` lie within `radius` of each place."""
    side = 2 * radius + 1
    padded = np.pad(ids, radius, constant_values=UNKNOWN)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    counts = np.empty(len(ys), np.int64)
    for start in range(0, len(ys), _SPECKS_AT_ONCE):
        part = slice(start, start + _SPECKS_AT_ONCE)
        counts[part] = (windows[ys[part], xs[part]] == wanted[part, None, None]).sum(axis=(1, 2))
    return counts


def _main(values: Ids) -> int:
    return int(np.bincount(values.ravel()).argmax())


def _around(box: Box, size: tuple[int, int], margin: int) -> tuple[slice, slice]:
    x, y, width, height = box
    return (
        slice(max(0, y - margin), min(size[0], y + height + margin)),
        slice(max(0, x - margin), min(size[1], x + width + margin)),
    )
