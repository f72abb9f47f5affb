# SPDX-License-Identifier: GPL-3.0-or-later
"""Rate-distortion curves as a picture: PSNR over bits per pixel, the bits on a logarithmic axis. Drawn with OpenCV."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from mapreel.core.benchmarks_archive_curves import Curve
from mapreel.core.contract.errors import UsageError
from mapreel.core.media.images import write_png
from mapreel.core.vid2vid.charts import ticks

if TYPE_CHECKING:
    Points = list[tuple[float, float]]

SIZE_PX = (560, 860)  # height, width
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 150, 44, 52
_INK, _FAINT = (40, 40, 40), (225, 225, 225)
_COLOURS = {
    "reel": (200, 40, 40),
    "nirvana": (230, 140, 20),
    "x264": (30, 90, 200),
    "x265": (30, 150, 80),
    "x264-444": (130, 170, 240),
    "x265-444": (130, 210, 160),
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PIECES = 40  # a curve is drawn with so many straight lines
Canvas = npt.NDArray[np.uint8]


def write_chart(path: Path, found: dict[str, Any]) -> None:
    """Draw what `measure_archive` found as a PNG. Raises OutputError."""
    clip = found["clip"]
    title = f"{Path(clip['source']).name}: {clip['frames']} frames of {clip['width']} x {clip['height']} px"
    points = {
        codec: [(point["bits_per_pixel"], point["psnr_db"]) for point in figures.get("points", [])]
        for codec, figures in found["codecs"].items()
    }
    write_png(path, chart(title, {codec: curve for codec, curve in points.items() if curve}))


def chart(title: str, curves: dict[str, Points]) -> Canvas:
    """Curves by name, each points (bits per pixel, PSNR in dB), as a picture [H, W, 3] uint8."""
    canvas = np.full((*SIZE_PX, 3), 255, np.uint8)
    every = [point for curve in curves.values() for point in curve]
    if not every:
        raise UsageError("there is no point to draw", "measure a codec that can be encoded")
    axes = _Axes(every)
    axes.draw(canvas)
    _write(canvas, title, (_LEFT, 26), 0.55)
    _write(canvas, "PSNR in dB (RGB, mean of frames) over bits per pixel", (_LEFT, SIZE_PX[0] - 10), 0.42)
    for row, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS.get(name, _INK)
        _draw_curve(canvas, axes, curve, colour)
        y = _TOP + 16 + 22 * row
        cv2.line(canvas, (SIZE_PX[1] - _RIGHT + 12, y - 4), (SIZE_PX[1] - _RIGHT + 36, y - 4), colour, 2, cv2.LINE_AA)
        _write(canvas, name, (SIZE_PX[1] - _RIGHT + 44, y), 0.45)
    return canvas


class _Axes:
    """Where a point lies on the canvas."""

    def __init__(self, points: Points) -> None:
        bits, psnr_db = zip(*points, strict=True)
        self.x = _widened(math.log10(min(bits)), math.log10(max(bits)))
        self.y = _widened(min(psnr_db), max(psnr_db))

    def place(self, bits: float, psnr_db: float) -> tuple[int, int]:
        across = (math.log10(bits) - self.x[0]) / (self.x[1] - self.x[0])
        up = (psnr_db - self.y[0]) / (self.y[1] - self.y[0])
        height, width = SIZE_PX
        return (
            round(_LEFT + across * (width - _LEFT - _RIGHT)),
            round(height - _BOTTOM - up * (height - _TOP - _BOTTOM)),
        )

    def draw(self, canvas: Canvas) -> None:
        left, bottom = self.place(10 ** self.x[0], self.y[0])
        right, top = self.place(10 ** self.x[1], self.y[1])
        for tick in ticks(*self.y, most=9):
            y = self.place(10 ** self.x[0], tick)[1]
            cv2.line(canvas, (left, y), (right, y), _FAINT)
            _write(canvas, f"{tick:g}", (left - 8, y + 4), 0.4, right=True)
        for power in range(math.floor(self.x[0]), math.ceil(self.x[1]) + 1):
            for step in (1, 2, 5):
                value = step * 10.0**power
                if self.x[0] <= math.log10(value) <= self.x[1]:
                    x = self.place(value, self.y[0])[0]
                    cv2.line(canvas, (x, top), (x, bottom), _FAINT)
                    _write(canvas, f"{value:g}", (x, bottom + 16), 0.4, centre=True)
        cv2.rectangle(canvas, (left, top), (right, bottom), _INK)


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _draw_curve(canvas: Canvas, axes: _Axes, points: Points, colour: tuple[int, int, int]) -> None:
    for point in points:
        cv2.circle(canvas, axes.place(*point), 4, colour, -1, cv2.LINE_AA)
    try:
        curve = Curve.through(points)
    except UsageError:
        return
    places = []
    for psnr_db in np.linspace(curve.low_db, curve.high_db, _PIECES + 1):
        bits = curve.bits(min(float(psnr_db), curve.high_db))
        assert bits is not None, psnr_db
        places.append(axes.place(bits, float(psnr_db)))
    cv2.polylines(canvas, [np.array(places, np.int32)], False, colour, 2, cv2.LINE_AA)


def _write(
    canvas: Canvas, text: str, at: tuple[int, int], size: float, *, right: bool = False, centre: bool = False
) -> None:
    (width, _), _ = cv2.getTextSize(text, _FONT, size, 1)
    x = at[0] - width if right else at[0] - width // 2 if centre else at[0]
    cv2.putText(canvas, text, (x, at[1]), _FONT, size, _INK, 1, cv2.LINE_AA)
