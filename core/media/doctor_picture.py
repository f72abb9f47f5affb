# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws what the label doctor found: a time line of the problems, then each one where it is worst, from near too."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.frames import find_sequence
from mapreel.core.media.doctor_colours import Box, Colours, Ids, made_color, try_read
from mapreel.core.media.doctor_findings import Finding, Place, Problem, Report, counted_as
from mapreel.core.media.doctor_frames import look_at
from mapreel.core.media.sheets import BACKGROUND

Picture = NDArray[np.uint8]  # [H, W, 3]

WIDTH_PX = 1280
_MARGIN_PX = 12
_NEAR_PX = 300  # side of the picture from near
_MAP_PX = WIDTH_PX - 3 * _MARGIN_PX - _NEAR_PX
_ROW_PX = 26
_NAMES_PX = 190
_LEAST_PX = 24  # side of what is shown from near: enough of the map around a single pixel to know the place
_WHITE, _GREY, _DARK = (240, 240, 240), (150, 150, 150), (60, 60, 60)
_SERIOUS, _MILD = (255, 92, 70), (255, 196, 60)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_IN_TIME = frozenset({Problem.CLASS_POP, Problem.REGION_POP, Problem.SPECKS, Problem.SINGLE_CLASS})
_FOCUS_PX = 200  # a larger place says little from near: then the busiest spot is shown
_MARKED = 12  # boxes of one frame


def draw_report(report: Report) -> Picture:
    """The report as one picture [H, WIDTH_PX, 3] uint8 sRGB. Reads again the frames that it shows."""
    parts = [_heading(report), _time_line(report)]
    for finding in report.findings:
        place = finding.places[0] if finding.places else None
        if place is not None:
            parts.append(_tile(report, finding, place))
    return np.concatenate([*parts, _blank(_MARGIN_PX)])


def _blank(height: int) -> Picture:
    return np.full((height, WIDTH_PX, 3), BACKGROUND, np.uint8)


def _text(
    canvas: Picture, text: str, at: tuple[int, int], color: tuple[int, int, int], scale: float = 0.5, limit: int = 0
) -> None:
    """Text whose line stands on `at` (x, y); letters that the font lacks become `?`, what does not fit is cut."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in text)
    room = (limit or canvas.shape[1] - _MARGIN_PX) - at[0]
    while plain and cv2.getTextSize(plain, _FONT, scale, 1)[0][0] > room:
        plain = plain[:-4] + "..." if len(plain) > 6 else ""
    cv2.putText(canvas, plain, at, _FONT, scale, color, 1, cv2.LINE_AA)


def _heading(report: Report) -> Picture:
    canvas = _blank(64)
    _text(canvas, f"label doctor: {report.source}", (_MARGIN_PX, 26), _WHITE, 0.62)
    size = f"{report.size[1]}x{report.size[0]}" if report.size else "no frame that can be read"
    palette = f", palette {report.palette.name}" if report.palette else ", no palette"
    count = len(report.findings)
    said = f"{count} problem{'s' if count > 1 else ''}" if count else "nothing wrong"
    text = f"{len(report.numbers)} of {len(report.planned)} frames read, {size}{palette}: {said}"
    _text(canvas, text, (_MARGIN_PX, 52), _GREY)
    return canvas


def _time_line(report: Report) -> Picture:
    """A row for each problem, a column for each frame, marked where they meet; brighter where there is more of it."""
    if not report.findings:
        return _blank(0)
    canvas = _blank(_ROW_PX * (len(report.findings) + 1) + _MARGIN_PX)
    left, right = _NAMES_PX, WIDTH_PX - _MARGIN_PX
    planned = sorted(report.planned)
    index = {number: place for place, number in enumerate(planned)}
    for row, finding in enumerate(report.findings):
        top = row * _ROW_PX
        color = _SERIOUS if finding.serious else _MILD
        _text(canvas, finding.problem.value, (_MARGIN_PX, top + 18), color, limit=left - 6)
        canvas[top + 4 : top + _ROW_PX - 4, left:right] = _DARK
        for number in finding.frames:
            start = left + (right - left) * index.get(number, 0) // len(planned)
            end = left + (right - left) * (index.get(number, 0) + 1) // len(planned)
            canvas[top + 4 : top + _ROW_PX - 4, start : max(end - (end - start > 3), start + 2)] = color
    bottom = len(report.findings) * _ROW_PX + 16
    _text(canvas, "frame", (_MARGIN_PX, bottom), _GREY)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = round(share * (len(planned) - 1))
        label = str(planned[place])
        middle = left + int((right - left) * (place + 0.5) / len(planned))
        width = cv2.getTextSize(label, _FONT, 0.45, 1)[0][0]
        _text(canvas, label, (min(max(middle - width // 2, left), right - width), bottom), _GREY, 0.45, limit=WIDTH_PX)
    return canvas


def _tile(report: Report, finding: Finding, place: Place) -> Picture:
    """Caption, the map with its places marked, and the first of them from near."""
    color = _SERIOUS if finding.serious else _MILD
    caption = _blank(2 * _ROW_PX + 4)
    count = "" if finding.counts == "frames" else f", {counted_as(place.count, finding.counts)} here"
    _text(caption, f"{finding.problem.value}: frame {place.frame}{count}", (_MARGIN_PX, 24), color, 0.62)
    _text(
        caption,
        place.note if finding.problem is Problem.DAMAGED else finding.sentence(report.names),
        (_MARGIN_PX, 48),
        _GREY,
    )
    shown = _painted(report, place.frame)
    if shown is None:
        return caption
    ids, painted = shown
    boxes = list(place.boxes) or ([_busiest(ids)] if finding.counts == "pixels" else [])
    scale = min(_MAP_PX / painted.shape[1], 1.25 * _MAP_PX / painted.shape[0] / 2, 8.0)
    large = _scaled(painted, scale)
    for box in [each for each in boxes if max(each[2:]) < max(ids.shape) // 2][:_MARKED]:
        _mark(large, box, scale, color)
    focus = boxes[0] if boxes and max(boxes[0][2:]) <= _FOCUS_PX else _busiest(ids)
    near = _from_near(painted, focus, color)
    earlier = _painted(report, _before(report, place.frame)) if finding.problem in _IN_TIME and boxes else None
    if earlier is not None and earlier[1].shape == painted.shape:
        title = _blank(_ROW_PX)[:, :_NEAR_PX]
        _text(title, f"frame {_before(report, place.frame)}, before", (0, 18), _GREY)
        near = np.concatenate([near, title, _from_near(earlier[1], focus, _DARK)])
    height = max(large.shape[0], near.shape[0])
    body = _blank(height)
    body[: large.shape[0], _MARGIN_PX : _MARGIN_PX + large.shape[1]] = large
    start = 2 * _MARGIN_PX + large.shape[1]
    body[: near.shape[0], start : start + near.shape[1]] = near
    return np.concatenate([caption, body])


def _before(report: Report, number: int) -> int:
    """The frame before, or the one after the first."""
    place = report.numbers.index(number)
    return report.numbers[place - 1 if place else min(1, len(report.numbers) - 1)]


def _painted(report: Report, number: int) -> tuple[Ids, Picture] | None:
    """Ids and colours of a frame; None where it cannot be read."""
    found = report.found or find_sequence(report.source)
    sample = try_read(found.pattern.path(number), number, report.colours.reading)
    if isinstance(sample, InputError):
        return None
    look = look_at(sample, number, report.colours)
    labels = np.flatnonzero(np.bincount(look.ids.ravel()))
    table = np.zeros((int(labels[-1]) + 1, 3), np.uint8)
    for label in labels:
        table[label] = _color(report.colours, int(label), colored=look.colored)
    painted = np.asarray(table[look.ids], np.uint8)
    if look.colored:
        painted = np.ascontiguousarray(look.sample.pixels[:, :, :3] // (257 if look.sample.bits == 16 else 1), np.uint8)
    return look.ids, painted


def _color(colours: Colours, label: int, *, colored: bool) -> tuple[int, int, int]:
    return colours.color(label) if colored or colours.palette is not None else made_color(label)


def _scaled(picture: Picture, scale: float) -> Picture:
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = cv2.INTER_NEAREST if scale >= 1.0 else cv2.INTER_AREA
    return np.ascontiguousarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _mark(canvas: Picture, box: Box, scale: float, color: tuple[int, int, int]) -> None:
    """A frame around the place, dark outside and coloured inside, at least some pixels large."""
    x, y, width, height = (value * scale for value in box)
    grow = max(4.0, (16.0 - min(width, height)) / 2.0)
    start = (round(x - grow), round(y - grow))
    end = (round(x + width + grow), round(y + height + grow))
    cv2.rectangle(canvas, start, end, (0, 0, 0), 4)
    cv2.rectangle(canvas, start, end, color, 2)


def _from_near(painted: Picture, box: Box, color: tuple[int, int, int]) -> Picture:
    """The place enlarged to _NEAR_PX, pixel by pixel."""
    x, y, width, height = box
    side = min(max(_LEAST_PX, int(1.5 * max(width, height))), max(painted.shape[:2]), _NEAR_PX)
    left = min(max(0, x + width // 2 - side // 2), max(0, painted.shape[1] - side))
    top = min(max(0, y + height // 2 - side // 2), max(0, painted.shape[0] - side))
    part = painted[top : top + side, left : left + side]
    scale = _NEAR_PX / max(part.shape[:2])
    large = _scaled(part, scale)
    cv2.rectangle(large, (0, 0), (large.shape[1] - 1, large.shape[0] - 1), color, 2)
    square = _blank(large.shape[0])[:, :_NEAR_PX]
    square[:, : large.shape[1]] = large
    return square


def _busiest(ids: Ids) -> Box:
    """Where the map changes most: what shows damage that is everywhere."""
    side = min(2 * _LEAST_PX, *ids.shape)
    changes = np.zeros(ids.shape, np.float32)
    changes[:, 1:] = ids[:, 1:] != ids[:, :-1]
    around = cv2.boxFilter(changes, -1, (side, side), normalize=False)
    y, x = np.unravel_index(int(around.argmax()), around.shape)
    return max(0, int(x) - side // 2), max(0, int(y) - side // 2), side, side
