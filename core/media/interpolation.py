# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames between frames by ffmpeg's `minterpolate`, which knows nothing but the pictures: what ours must beat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError

_OPTIONS = "mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1"  # motion compensated, overlapped blocks, both ways
_FORMAT = "yuv444p"  # the filter takes no RGB; full chroma, so that nothing but the motion is judged
_LOOKS_AHEAD = 2
"""Frames the filter wants after the last it interpolates to; it also wants one before the first."""


def interpolate_frames(
    keys: Iterable[tuple[int, NDArray[np.uint8]]], last: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Every frame from the first to the last key.

    The filter freezes its first interval and drops its last; it is given the outer keys once more, so that every
    interval is interpolated and every frame comes at its own time.

    Args:
        keys: (frame number, [H, W, 3] uint8 sRGB) in ascending order, gaps of any length.
        last: number of the last key.

    Returns:
        (frame number, picture [H, W, 3] uint8) in order, one for each number; keys come back as they went in, to within
        what the way to YUV and back costs.

    Raises:
        InputError: no key, or the keys do not end at `last`.
    """
    graph: Graph | None = None
    first, newest, picture = 0, 0, None
    for number, picture in keys:
        if graph is None:
            graph, first = _graph(*picture.shape[:2]), number
            yield from _push(graph, picture, 0, (first, last))
        yield from _push(graph, picture, number - first + 1, (first, last))
        newest = number
    if graph is None or picture is None or newest != last:
        raise InputError("the key frames do not reach from the first to the last frame", "give the last one, too")
    for late in range(1, _LOOKS_AHEAD + 1):
        yield from _push(graph, picture, last - first + 1 + late, (first, last))
    graph.push(None)
    yield from _ready(graph, (first, last))


def _graph(height: int, width: int) -> Graph:
    graph = Graph()
    chain = [
        graph.add_buffer(width=width, height=height, format=VideoFormat(_FORMAT), time_base=Fraction(1, 1)),
        graph.add("minterpolate", f"fps=1:{_OPTIONS}"),
        graph.add("buffersink"),
    ]
    for source, target in pairwise(chain):
        source.link_to(target)
    graph.configure()
    return graph


def _push(
    graph: Graph, picture: NDArray[np.uint8], time: int, wanted: tuple[int, int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format=_FORMAT)
    frame.pts, frame.time_base = time, Fraction(1, 1)
    graph.push(frame)
    yield from _ready(graph, wanted)


def _ready(graph: Graph, wanted: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """What the filter has finished, without what lies before the first key and after the last."""
    first, last = wanted
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, VideoFrame)
        assert frame.pts is not None
        number = frame.pts + first - 1
        if first <= number <= last:
            yield number, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
