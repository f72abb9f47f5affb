# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads motion fields from EXR files, whatever the renderer calls them and whichever way its y points.

Inside, motion is always `prev_to_cur`: pixel p (x right, y down) of this frame was at p + motion in the frame before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.maps import split_layout
from mapreel.core.media.exrlayers import ExrChannel, ExrLayout, exr_layout, read_channels, same_layer
from mapreel.core.media.files import EXR_MAGIC, damaged, read_head, unsupported
from mapreel.core.media.readers import read_apart

DOWN, UP = "x,y", "x,-y"
# x first, y second, in lower case; y down, in pixels towards the frame before, as Mapreel's own files have them.
_OWN_PAIRS = (
    ("motion.x", "motion.y"),
    ("x", "y"),
    ("u", "v"),
    ("r", "g"),
    ("red", "green"),
    ("motion.r", "motion.g"),
    ("motion.u", "motion.v"),
    ("flow.x", "flow.y"),
    ("flow.u", "flow.v"),
)
_REDS = ("r", "red")
_PLAIN = "two plain channels: towards the frame before, y down"
_LEAVES = (("x", "y"), ("u", "v"), ("r", "g"), ("red", "green"))
_REMEDY = "give motion as EXR with the channels motion.X and motion.Y"


@dataclass(frozen=True, kw_only=True)
class MotionSource:
    """The two channels of a file that are motion, what they mean (see contract.maps.AXES), and how that is known."""

    x: ExrChannel
    y: ExrChannel
    axes: str
    why: str

    @property
    def signs(self) -> tuple[float, float]:
        """What x and y are multiplied with."""
        first, second = self.axes.split(",")
        return (-1.0 if first[0] == "-" else 1.0), (-1.0 if second[0] == "-" else 1.0)


@read_apart
def read_motion(path: Path, *, frame: int | None = None, layout: str | None = None) -> NDArray[np.float32]:
    """Flow `prev_to_cur` [H, W, 2] float32 in pixels, x (right) then y (down).

    Pixel p of this frame was at p + motion in the frame before. Channels are found by name (`motion.X/motion.Y`, `X/Y`,
    `U/V`, `R/G` … in any case and order, half or float; Blender's Vector, Nuke's backward) or told by `layout`
    (`[LAYER:][AXES]`); pixels outside the data window have no motion.
    Raises MissingInputError, DamagedFileError (also for NaN or infinity), FileTooLargeError, UnsupportedFileError (no
    EXR, no two channels that we know, or motion that leads the other way).
    """
    path = Path(path)
    if not read_head(path, 16, frame).startswith(EXR_MAGIC) and path.suffix.lower() != ".exr":
        raise unsupported(path, frame, "is no EXR", _REMEDY)
    source = find_motion(exr_layout(path, frame), path, frame, layout)
    motion = np.stack(read_channels(path, frame, (source.x, source.y)), axis=2).astype(np.float32, copy=False)
    if not np.isfinite(motion).all():
        row, column = np.argwhere(~np.isfinite(motion).all(axis=2))[0]
        raise damaged(path, frame, f"has motion that is no number (NaN or infinite), first at x {column}, y {row}")
    if source.axes != DOWN:
        motion *= np.array(source.signs, np.float32)
        motion += np.float32(0.0)  # no negative zeros: what stands still reads alike, whoever wrote it
    return motion


def find_motion(layout: ExrLayout, path: Path, frame: int | None = None, told: str | None = None) -> MotionSource:
    """Which channels are motion and what they mean. Raises UnsupportedFileError as `read_motion`."""
    layer, axes = split_layout(told) if told is not None else (None, None)
    found = _named(layout, layer) if layer is not None else _known(layout, path, frame)
    if found is None:
        names = [channel.name for channel in layout.channels]
        listed = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
        raise unsupported(
            path,
            frame,
            f"has the channels {listed}, none of which is motion",
            "name its two channels motion.X and motion.Y (pixels to the frame before, y down), or give the layer with "
            "--motion-layout LAYER:x,y",
        )
    x, y, meaning, why = found
    if axes is not None:
        meaning, why = axes, "as it was told"
    return MotionSource(x=x, y=y, axes=meaning, why=why)


_Found = tuple[ExrChannel, ExrChannel, str, str]


def _known(layout: ExrLayout, path: Path, frame: int | None) -> _Found | None:
    by_name = {channel.name.lower(): channel for channel in reversed(layout.channels)}
    colors = {"b", "blue"} & set(by_name)
    for x, y in _OWN_PAIRS:
        if x in by_name and y in by_name and not (colors and x in _REDS):
            return by_name[x], by_name[y], DOWN, _PLAIN
    for name, channels in layout.layers().items():
        pair, meaning = _pair(channels), _meaning(name, channels)
        if pair is not None and meaning is not None:
            return (*pair, *meaning)
    if any(name.lower().rpartition(".")[2] == "forward" for name in layout.layers()):
        raise unsupported(
            path,
            frame,
            "holds only forward motion, towards the frame after",
            "write the backward layer (towards the frame before), too",
        )
    if len(layout.layers()) == 1:  # some write two channels as a picture; beside other layers they are the picture
        for x, y in _OWN_PAIRS:
            if x in by_name and y in by_name:
                return by_name[x], by_name[y], DOWN, _PLAIN
    return None


def _named(layout: ExrLayout, layer: str) -> _Found | None:
    for name, channels in layout.layers().items():
        pair = _pair(channels)
        if name and same_layer(layer, name) and pair is not None:
            axes, why = _meaning(name, channels) or (DOWN, f"the layer {name}, taken as it is")
            return (*pair, axes, why)
    return None


def _pair(channels: list[ExrChannel]) -> tuple[ExrChannel, ExrChannel] | None:
    leaves = {channel.leaf: channel for channel in channels}
    return next(((leaves[x], leaves[y]) for x, y in _LEAVES if x in leaves and y in leaves), None)


def _meaning(layer: str, channels: list[ExrChannel]) -> tuple[str, str] | None:
    """Axes by the customs of a renderer, and which; None for a layer nobody knows."""
    name, leaves = layer.lower().rpartition(".")[2], {channel.leaf for channel in channels}
    if name == "vector" and {"x", "y", "z", "w"} <= leaves:
        return UP, "Blender's Vector pass: x and y lead to the frame before, y up"
    if name == "backward" and {"u", "v"} <= leaves:
        return UP, "Nuke's backward layer: u and v lead to the frame before, y up"
    return None
