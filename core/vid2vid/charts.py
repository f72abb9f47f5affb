# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts of a training from its log: one panel for each term, every step in grey, its moving average in colour.

Drawn with OpenCV, and without torch: a look at a training must not slow it down.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.images import write_png
from mapreel.core.vid2vid.training_log import Entry

COLUMNS = 3
PANEL_PX = (220, 380)  # height, width
AVERAGED_STEPS = 50
"""The moving average looks back so many steps (fewer in a short log): crops differ more than a training moves."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 30, 28
_INK, _FAINT, _RAW, _MEAN = (40, 40, 40), (225, 225, 225), (190, 190, 190), (30, 90, 200)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
Canvas = NDArray[np.uint8]


def write_charts(path: Path, log: list[Entry]) -> Path:
    """Draw a log (see `read_log`) as a PNG. Raises OutputError."""
    write_png(path, charts(log))
    return path


def charts(log: list[Entry]) -> Canvas:
    """All terms of a log as panels [H, W, 3] uint8: total and critic first, the time of a step last."""
    names = list(dict.fromkeys(key for entry in log for key in entry if key not in ("step", "seconds")))
    order = sorted(names, key=lambda name: ("total", "critic").index(name) if name in ("total", "critic") else 2)
    panels = [_panel(name, *_series(log, name)) for name in [*order, "seconds"]]
    panels += [np.full((*PANEL_PX, 3), 255, np.uint8)] * (-len(panels) % COLUMNS)
    rows = [np.concatenate(panels[i : i + COLUMNS], axis=1) for i in range(0, len(panels), COLUMNS)]
    return np.concatenate(rows, axis=0)


def moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean of each value and those before it, `window` at most: [n] -> [n]."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    mean: NDArray[np.float64] = (sums[ends] - sums[starts]) / (ends - starts)
    return mean


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from low to high, `most` at most."""
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-12) / most))
    step *= next(f for f in (1, 2, 5, 10, 20) if (high - low) / (step * f) <= most - 1)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _series(log: list[Entry], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and values of a term, where it has one."""
    found = [(entry["step"], entry[name]) for entry in log if _is_number(entry.get(name))]
    steps, values = np.array(found, np.float64).reshape(-1, 2).T
    return steps, values


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _panel(name: str, steps: NDArray[np.float64], values: NDArray[np.float64]) -> Canvas:
    canvas = np.full((*PANEL_PX, 3), 255, np.uint8)
    if not len(steps):
        _write(canvas, name, (_LEFT, 18), 0.5)
        return canvas
    mean = moving_average(values, max(1, min(AVERAGED_STEPS, len(values) // 5)))
    low, high = _limits(values, mean)
    x_low, x_high = float(steps[0]), max(float(steps[-1]), float(steps[0]) + 1)
    h, w = PANEL_PX
    x = _LEFT + (steps - x_low) / (x_high - x_low) * (w - _LEFT - _RIGHT)

    def y(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return _TOP + (1 - (np.clip(value, low, high) - low) / (high - low)) * (h - _TOP - _BOTTOM)

    for tick in ticks(low, high):
        at = round(float(y(np.array(tick))))
        cv2.line(canvas, (_LEFT, at), (w - _RIGHT, at), _FAINT)
        _write(canvas, f"{tick:.4g}", (_LEFT - 6, at + 4), 0.36, right=True)
    for tick in ticks(x_low, x_high):
        at = round(_LEFT + (tick - x_low) / (x_high - x_low) * (w - _LEFT - _RIGHT))
        cv2.line(canvas, (at, h - _BOTTOM), (at, h - _BOTTOM + 4), _INK)
        _write(canvas, f"{tick:.6g}", (at, h - 8), 0.36, centre=True)
    _curve(canvas, x, y(values), _RAW, 1)
    _curve(canvas, x, y(mean), _MEAN, 2)
    cv2.rectangle(canvas, (_LEFT, _TOP), (w - _RIGHT, h - _BOTTOM), _INK)
    _write(canvas, f"{name}: {mean[-1]:.4g}", (_LEFT, 18), 0.5)
    return canvas


def _limits(values: NDArray[np.float64], mean: NDArray[np.float64]) -> tuple[float, float]:
    """What the axis shows: all but the rarest outliers, and the whole average."""
    low, high = np.percentile(values, (1, 99))
    low, high = float(min(low, mean.min())), float(max(high, mean.max()))
    margin = 0.05 * (high - low) or 0.05 * max(abs(high), 1e-6)
    return low - margin, high + margin


def _curve(
    canvas: Canvas, x: NDArray[np.float64], y: NDArray[np.float64], color: tuple[int, int, int], width_px: int
) -> None:
    points = np.rint(np.stack([x, y], axis=1)).astype(np.int32)
    cv2.polylines(canvas, [points], False, color, width_px, cv2.LINE_AA)


def _write(
    canvas: Canvas, text: str, at: tuple[int, int], size: float, *, right: bool = False, centre: bool = False
) -> None:
    (width, _), _ = cv2.getTextSize(text, _FONT, size, 1)
    x = at[0] - width if right else at[0] - width // 2 if centre else at[0]
    cv2.putText(canvas, text, (max(0, min(x, canvas.shape[1] - width)), at[1]), _FONT, size, _INK, 1, cv2.LINE_AA)
