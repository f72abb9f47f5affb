# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws faces and bodies from their landmarks, and reads what networks need off such drawings.

A drawing is [H, W, P] uint8, 0 where nothing is drawn. Drawn faces have one plane for each part, or a single plane
where an artist drew them; drawn bodies have the three planes of an RGB picture.
"""

from __future__ import annotations

import colorsys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.images import read_color
from mapreel.core.media.landmarks import JOINTS, Subject
from mapreel.core.media.warping import Motion, search_motion

Drawing = NDArray[np.uint8]  # [H, W, P]

SEEN = 0.1
"""Confidence from which a landmark is drawn: detectors give hidden joints a place, but next to none of this."""
DRAWN = 64
"""Brightness from which a pixel belongs to a line; lines have soft edges."""
FAR = 0.5
"""Distance at which a distance map reaches 1, as a share of the picture's height."""
BODY_REACH = 0.12
"""How far a body reaches around its drawn bones, as a share of the picture's height."""
_SHIFT = 4  # OpenCV takes sixteenths of a pixel
_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10,
)  # fmt: skip
FACE_PARTS: tuple[tuple[str, tuple[tuple[int, ...], ...]], ...] = (
    ("oval", (_OVAL,)),
    ("right brow", ((70, 63, 105, 66, 107), (46, 53, 52, 65, 55))),
    ("left brow", ((300, 293, 334, 296, 336), (276, 283, 282, 295, 285))),
    ("nose bridge", ((168, 6, 197, 195, 5, 4, 1),)),
    ("nose wings", ((64, 98, 97, 2, 326, 327, 294),)),
    ("right eye, upper lid", ((33, 246, 161, 160, 159, 158, 157, 173, 133),)),
    ("right eye, lower lid", ((33, 7, 163, 144, 145, 153, 154, 155, 133),)),
    ("left eye, upper lid", ((263, 466, 388, 387, 386, 385, 384, 398, 362),)),
    ("left eye, lower lid", ((263, 249, 390, 373, 374, 380, 381, 382, 362),)),
    ("upper lip, outside", ((61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),)),
    ("lower lip, outside", ((61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),)),
    ("upper lip, inside", ((78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),)),
    ("lower lip, inside", ((78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),)),
    ("irises", ((469, 470, 471, 472, 469), (474, 475, 476, 477, 474))),
)
"""Fourteen parts of a face as chains of mesh landmarks, right and left as the person has them."""
LIMBS: tuple[tuple[str, str], ...] = (
    ("nose", "neck"), ("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"),
    ("right_eye", "right_ear"), ("left_mouth", "right_mouth"), ("neck", "left_shoulder"), ("neck", "right_shoulder"),
    ("neck", "mid_hip"), ("mid_hip", "left_hip"), ("mid_hip", "right_hip"), ("left_hip", "left_knee"),
    ("right_hip", "right_knee"), ("left_knee", "left_ankle"), ("right_knee", "right_ankle"),
    ("left_ankle", "left_heel"), ("right_ankle", "right_heel"), ("left_ankle", "left_toe"),
    ("right_ankle", "right_toe"), ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"), ("left_wrist", "left_thumb"),
    ("right_wrist", "right_thumb"), ("left_wrist", "left_index"), ("right_wrist", "right_index"),
    ("left_wrist", "left_pinky"), ("right_wrist", "right_pinky"),
)  # fmt: skip
"""Bones in the order they are drawn: arms and hands last, for they are in front more often than not."""
PLANES = {Subject.FACE: len(FACE_PARTS), Subject.POSE: 3}
"""Planes of a drawing made from landmarks."""


def draw(subject: Subject, points: NDArray[np.float32], size_px: tuple[int, int]) -> Drawing:
    """Landmarks [N, 3] (x and y as shares of the picture, seen) as a drawing [H, W, PLANES[subject]]."""
    placed = points.astype(np.float32).copy()
    placed[:, :2] = placed[:, :2] * np.array(size_px[::-1], np.float32) - np.float32(0.5)
    return _draw_face(placed, size_px) if subject is Subject.FACE else _draw_body(placed, size_px)


def _draw_face(points: NDArray[np.float32], size_px: tuple[int, int]) -> Drawing:
    planes = np.zeros((len(FACE_PARTS), *size_px), np.uint8)
    width = max(1, round(size_px[0] / 256))
    for plane, (_, chains) in zip(planes, FACE_PARTS, strict=True):
        for chain in chains:
            for a, b in pairwise(chain):
                _line(plane, points[a], points[b], (255.0,), width)
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def _draw_body(points: NDArray[np.float32], size_px: tuple[int, int]) -> Drawing:
    canvas = np.zeros((*size_px, 3), np.uint8)
    width = max(2, round(size_px[0] / 80))
    for index, (a, b) in enumerate(LIMBS):
        red, green, blue = colorsys.hsv_to_rgb(index / len(LIMBS), 1.0, 1.0)
        color = (255.0 * red, 255.0 * green, 255.0 * blue)
        _line(canvas, points[JOINTS.index(a)], points[JOINTS.index(b)], color, width)
    return canvas


def _line(
    canvas: NDArray[np.uint8], a: NDArray[np.float32], b: NDArray[np.float32], color: tuple[float, ...], width: int
) -> None:
    """A soft line between two landmarks (x, y in px, seen); none where one was not seen."""
    if min(a[2], b[2]) < SEEN:
        return
    ends = np.rint(np.stack([a[:2], b[:2]]) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(canvas, [ends], False, color, width, cv2.LINE_AA, _SHIFT)


def read_drawing(subject: Subject, path: Path, *, frame: int | None = None) -> Drawing:
    """A drawn picture: [H, W, 1] for a face (its brightest colour), [H, W, 3] for a body; lines on black.

    A face drawn dark on bright is turned round. Raises what `read_color` raises.
    """
    return drawing_of(subject, read_color(path, frame=frame))


def drawing_of(subject: Subject, pixels: NDArray[np.uint8]) -> Drawing:
    """The drawing that a picture [H, W, 3] uint8 is; see `read_drawing`."""
    if subject is Subject.POSE:
        return pixels
    bright: Drawing = pixels.max(axis=2, keepdims=True)
    dark: Drawing = pixels.min(axis=2, keepdims=True)
    return bright if bright.mean() < 128 else np.uint8(255) - dark


def condition_planes(planes: int) -> int:
    """Channels that a network reads of a drawing with so many planes (see `conditions`)."""
    return 3 if planes == PLANES[Subject.POSE] else planes + 1


def conditions(drawing: Drawing) -> NDArray[np.float32]:
    """What a network reads of a drawing: [H, W, C] float32 in 0..1.

    A body: its three planes. A face: all lines in one edge map, then for each plane how far the nearest line of that
    part is, 1 at half the picture's height and beyond: 15 channels of a face of 14 parts, as in vid2vid (Wang et al.,
    2018), 2 of one drawn by an artist, whose lines belong to no part.
    """
    if drawing.shape[2] == PLANES[Subject.POSE]:
        return drawing.astype(np.float32) / np.float32(255.0)
    far_px = FAR * drawing.shape[0]
    edges = drawing.max(axis=2).astype(np.float32) / np.float32(255.0)
    distances = [np.minimum(_distance(drawing[..., plane] >= DRAWN) / far_px, 1.0) for plane in range(drawing.shape[2])]
    return np.stack([edges, *distances], axis=2).astype(np.float32)


def subject_mask(drawing: Drawing) -> NDArray[np.bool_]:
    """Where the drawn one is, [H, W]: a face within the hull of its lines, a body around its bones."""
    lines = drawing.max(axis=2) >= DRAWN
    if drawing.shape[2] == PLANES[Subject.POSE]:
        reach: NDArray[np.bool_] = _distance(lines) <= BODY_REACH * drawing.shape[0]
        return reach
    mask = np.zeros(lines.shape, np.uint8)
    spots = cv2.findNonZero(lines.astype(np.uint8))
    if spots is not None:
        cv2.fillConvexPoly(mask, cv2.convexHull(spots), (1.0,))
    return mask.astype(np.bool_)


def drawing_motion(here: Drawing, there: Drawing) -> Motion:
    """Motion of this drawing towards the other, [H, W, 2] px: dense inverse search on tones that fade around lines."""
    return search_motion(_tones(here), _tones(there))


def _tones(drawing: Drawing) -> NDArray[np.uint8]:
    """Grey that fades with the distance to the nearest line, so that what lies between lines has a slope to follow."""
    distance = _distance(drawing.max(axis=2) >= DRAWN)
    tones: NDArray[np.uint8] = np.rint(255.0 * np.exp(-distance / (drawing.shape[0] / 20))).astype(np.uint8)
    return tones


def _distance(lines: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far the nearest line is, in px [H, W]; far away everywhere where there is none."""
    if not lines.any():
        return np.full(lines.shape, float(sum(lines.shape)), np.float32)
    return cv2.distanceTransform((~lines).astype(np.uint8), cv2.DIST_L2, 5)  # type: ignore[return-value]
