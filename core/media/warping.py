# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures and maps carried from one frame to another along motion fields (all flows are backward: `prev_to_cur`)."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Motion = NDArray[np.float32]  # [H, W, 2] pixels, x right, y down: pixel p of this frame was at p + motion
Ids = NDArray[np.unsignedinteger]  # [H, W]
Picture = NDArray[np.float32]  # [H, W, C]

SEAM_SHARE = 0.12
"""Of the height: so wide is the way from carried to new picture at the border of the frame."""
SMALLEST_SEARCH_PX = 16
"""The search lays patches of eight pixels over the picture and refuses what is smaller than one and a half."""


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
    return cv2.remap(picture, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload, no-any-return]


def warp_ids(ids: Ids, motion: Motion) -> Ids:
    """Carry ids along `motion`, nearest neighbour: an id is never a mixture."""
    h, w = ids.shape
    at = np.rint(positions(motion)).astype(np.int32)
    x, y = np.clip(at[..., 0], 0, w - 1), np.clip(at[..., 1], 0, h - 1)
    return ids[y, x]


def agreement(motion: Motion, here: tuple[Ids, ...], there: tuple[Ids, ...]) -> NDArray[np.bool_]:
    """True where a carried pixel counts: it came from inside the frame and every map (labels, instances) agrees.

    Args:
        motion: [H, W, 2] of this frame towards the other.
        here: maps of this frame, each [H, W].
        there: the same maps of the other frame.
    """
    h, w = motion.shape[:2]
    at = positions(motion)
    valid: NDArray[np.bool_] = cv2.inRange(at, (0.0, 0.0), (w - 1.0, h - 1.0)) > 0
    for a, b in zip(here, there, strict=True):
        valid &= _ids16(a) == cv2.remap(_ids16(b), at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return valid


def insideness(motion: Motion) -> NDArray[np.float32]:
    """How far each pixel is from those that come from outside of the other frame: [H, W], 0 there and 1 in the inner.

    What is weighted with it fades where a moving camera brings new picture into the frame, in place of a line; where
    nothing comes from outside, all of it is 1.
    """
    h, w = motion.shape[:2]
    step = 4 if min(h, w) >= 64 else 1  # it is smooth: a sixteenth of the pixels says it as well
    y, x = np.mgrid[0:h:step, 0:w:step].astype(np.float32)
    at = motion[::step, ::step] + np.stack([x, y], axis=-1)
    inside = cv2.inRange(at, (0.0, 0.0), (w - 1.0, h - 1.0))
    if inside.all():
        return np.ones((h, w), np.float32)
    away = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_3)
    soft: NDArray[np.float32] = cv2.resize(away * np.float32(step / (SEAM_SHARE * h)), (w, h))
    return np.minimum(soft, np.float32(1.0))


def _ids16(ids: Ids) -> NDArray[np.uint16]:
    """Ids as the widest integers OpenCV carries; all our maps fit."""
    return np.ascontiguousarray(ids, np.uint16)


def compose(near: Motion, far: Motion) -> Motion:
    """Motion over two steps: `near` leads from this frame to the middle one, `far` from there on: [H, W, 2]."""
    at = positions(near)
    carried = cv2.remap(far, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return near + carried  # type: ignore[no-any-return]


def invert(motion: Motion, here: tuple[Ids, ...], there: tuple[Ids, ...]) -> tuple[Motion, NDArray[np.bool_]]:
    """The way back: `motion` leads from this frame to another; the result leads from there to this frame.

    Every pixel is carried to where it was; only pixels whose maps agree there are taken. Small holes are filled with
    the mean of what is around them.

    Args:
        motion: [H, W, 2] of this frame towards the other.
        here: maps of this frame, each [H, W]; `there` the same maps of the other frame.

    Returns:
        Motion of the other frame [H, W, 2], and where it is known [H, W].
    """
    h, w = motion.shape[:2]
    source = np.flatnonzero(agreement(motion, here, there))
    at = np.rint(positions(motion).reshape(-1, 2)[source]).astype(np.int32)  # what agrees is inside
    target = at[:, 1] * w + at[:, 0]
    back = np.zeros((h, w, 2), np.float32)
    pairs = np.ascontiguousarray(-motion).reshape(-1, 2).view(np.int64)[:, 0]  # x and y moved as one value
    back.reshape(-1, 2).view(np.int64)[target, 0] = pairs[source]
    known = np.zeros((h, w), np.uint8)
    known.reshape(-1)[target] = 1
    nearby = cv2.boxFilter(known, cv2.CV_32F, (5, 5), borderType=cv2.BORDER_CONSTANT)
    holes = (known == 0) & (nearby > 0.15)
    if holes.any():
        around = cv2.blur(back, (5, 5), borderType=cv2.BORDER_CONSTANT)
        back[holes] = around[holes] / nearby[holes][:, None]
    return back, (known > 0) | holes


def estimate_motion(here: tuple[Ids, ...], there: tuple[Ids, ...]) -> Motion:
    """Motion of this frame towards the other, estimated on the maps alone: [H, W, 2] float32 px.

    Dense inverse search (Kroeger et al., ECCV 2016) on a grey picture in which every id has a tone of its own.
    Textureless insides follow their outlines; where that goes wrong the labels disagree and the pixel does not count.
    """
    return search_motion(_tones(here), _tones(there))


def search_motion(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> Motion:
    """Motion of one grey picture [H, W] towards another by dense inverse search: [H, W, 2] float32 px."""
    h, w = here.shape
    grown = (0, max(0, SMALLEST_SEARCH_PX - h), 0, max(0, SMALLEST_SEARCH_PX - w))
    before, after = (cv2.copyMakeBorder(grey, *grown, cv2.BORDER_REPLICATE) for grey in (there, here))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*after.shape, 2), np.float32)
    return np.ascontiguousarray(search.calc(after, before, start)[:h, :w], np.float32)


def _tones(maps: tuple[Ids, ...]) -> NDArray[np.uint8]:
    """Ids as grey tones that neighbours rarely share, blurred so that an outline has a slope to follow."""
    mixed = np.zeros(maps[0].shape, np.uint32)
    with np.errstate(over="ignore"):
        for ids in maps:
            mixed = (mixed * np.uint32(31) + ids.astype(np.uint32)) * np.uint32(0x9E3779B1)
    tones = (mixed >> np.uint32(24)).astype(np.uint8)
    return cv2.GaussianBlur(tones, (5, 5), 1.0)  # type: ignore[return-value]


def fill_from_same(picture: Picture, valid: NDArray[np.bool_], ids: Ids) -> Picture:
    """Give every invalid pixel the colour of a near valid pixel with the same id; of any id if there is none.

    Args:
        picture: [H, W, C] float32.
        valid: [H, W], pixels that may be trusted.
        ids: [H, W] class or instance ids that a colour must not leave.
    """
    if valid.all() or not valid.any():
        return picture
    filled = picture.copy()
    rows, columns = _fill_near(filled, picture, valid, ids)
    for value in np.unique(ids[rows, columns]):
        trusted = (ids == value) & valid
        wanted = ids[rows, columns] == value
        _fill_far(filled, picture, trusted if trusted.any() else valid, rows[wanted], columns[wanted])
    return filled


def _fill_near(
    target: Picture, source: Picture, valid: NDArray[np.bool_], ids: Ids
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Look around each invalid pixel at growing distances; returns rows and columns of those that found nothing."""
    (h, w), edge = valid.shape, _REACH_PX
    known = np.full((h + 2 * edge, w + 2 * edge), -1, np.int32)
    known[edge:-edge, edge:-edge] = np.where(valid, ids, -1)
    flat, line = known.reshape(-1), w + 2 * edge
    rows, columns = np.nonzero(~valid)
    wanted, at = ids[rows, columns].astype(np.int32), (rows + edge) * line + columns + edge
    came, waiting = np.full(len(rows), -1, np.intp), np.arange(len(rows))
    for ring in _RINGS:
        offsets = ring[:, 0] * line + ring[:, 1]
        for part in np.array_split(waiting, len(waiting) * len(offsets) // _AT_ONCE + 1):
            there = at[part, None] + offsets
            same = flat[there] == wanted[part, None]
            first = same.argmax(axis=1)
            of = np.arange(len(part))
            came[part] = np.where(same[of, first], there[of, first], -1)
        waiting = waiting[came[waiting] < 0]
    done = came >= 0
    y, x = np.divmod(came[done], line)
    target[rows[done], columns[done]] = source[y - edge, x - edge]
    return rows[~done], columns[~done]


def _fill_far(
    target: Picture,
    source: Picture,
    trusted: NDArray[np.bool_],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> None:
    """Copy into the given pixels of target the colour of the nearest `trusted` pixel of source."""
    ys, xs = np.nonzero(trusted)
    if len(rows) <= _FEW:  # not worth a look at the whole picture: the nearest of some that lie everywhere
        ys, xs = (some[:: len(some) // _SOME + 1] for some in (ys, xs))
        chosen = ((ys - rows[:, None]) ** 2 + (xs - columns[:, None]) ** 2).argmin(axis=1)
        target[rows, columns] = source[ys[chosen], xs[chosen]]
        return
    _, nearest = cv2.distanceTransformWithLabels(
        (~trusted).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    lookup = np.zeros(nearest.max() + 1, np.intp)
    lookup[nearest[ys, xs]] = np.arange(len(ys))
    chosen = lookup[nearest[rows, columns]]
    target[rows, columns] = source[ys[chosen], xs[chosen]]


def _rings(radii: tuple[float, ...]) -> tuple[NDArray[np.intp], ...]:
    """Offsets [K, 2] (dy, dx) up to each radius and beyond the one before, nearest first."""
    reach = np.arange(-_REACH_PX, _REACH_PX + 1)
    offsets = np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2)
    far = np.hypot(*offsets.T)
    offsets, far = offsets[np.argsort(far, kind="stable")], np.sort(far, kind="stable")
    return tuple(offsets[(far > a) & (far <= b)] for a, b in pairwise((0.0, *radii)))


_FEW, _SOME = 200, 2048
_REACH_PX = 24
_AT_ONCE = 1 << 20
"""Pixels times offsets looked at in one go."""
_RINGS = _rings((1.5, 3.0, 5.0, 9.0, 15.0, _REACH_PX))
