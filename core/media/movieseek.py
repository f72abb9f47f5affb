# SPDX-License-Identifier: GPL-3.0-or-later
"""Any frame of a movie by its index: from the key frame before it, or onwards from the one that was read last."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from mapreel.core.media.files import damaged
from mapreel.core.media.movies import MovieFrame, frame_time, movie_pixels, open_movie
from mapreel.core.media.readers import read_apart

FAR = 48
"""Frames that are decoded rather than jumped over: most movies have a key frame at least as often."""
REST_S = 30.0
"""A reader process ends by itself after a minute of nothing; before that the movie is opened anew."""


@read_apart
def movie_times(path: Path) -> tuple[NDArray[np.int64], bool]:
    """Time stamps of all frames in order of display, in units of the stream, and whether they can be sought by.

    Raises as movies.movie_info.
    """
    path = Path(path)
    with open_movie(path) as (container, stream):
        try:
            stamps = [packet.pts for packet in container.demux(stream) if packet.size > 0 and not packet.is_discard]
        except av.FFmpegError as error:
            raise damaged(path, None, "cannot be read", str(error)) from error
    known = [stamp for stamp in stamps if stamp is not None]
    sought = len(known) == len(stamps) and len(set(known)) == len(known)
    return np.array(sorted(known) if sought else range(len(stamps)), np.int64), sought


@read_apart
def read_movie_from(path: Path, *, stamp: int, deep: bool = False, stored: bool = False) -> Iterator[MovieFrame]:
    """Frames from the key frame at or before a time stamp on; `index` of each is its own time stamp.

    deep, stored: as in movies.read_movie_frames. Raises as there.
    """
    path = Path(path)
    with open_movie(path) as (container, stream):
        try:
            container.seek(stamp, stream=stream, backward=True, any_frame=False)
            for frame in container.decode(stream):
                assert isinstance(frame, VideoFrame)
                if frame.is_corrupt or (frame.width, frame.height) != (stream.width, stream.height):
                    raise damaged(path, None, "cannot be decoded")
                here = frame.pts if frame.pts is not None else 0
                pixels = movie_pixels(frame, stream, path, deep=deep, stored=stored)
                yield MovieFrame(index=here, time_s=frame_time(frame, 0, stream), pixels=pixels)
        except av.FFmpegError as error:
            raise damaged(path, None, "cannot be decoded", str(error)) from error


class MovieReader:
    """One movie that stays open, for one thread at a time. Raises as movies.movie_info.

    count: frames. stored: see movies.read_movie_frames.
    """

    def __init__(self, path: Path, *, deep: bool = False, stored: bool = False) -> None:
        self._path, self._deep, self._stored = path, deep, stored
        stamps, self._sought = movie_times(path)
        self._stamps: list[int] = stamps.tolist()
        self.count = len(self._stamps)
        self._frames: Iterator[MovieFrame] | None = None
        self._next = 0
        self._used_s = 0.0

    def read(self, index: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Frames with their index from 0, the one that is asked for last; before it those that lie on the way.

        Raises DamagedFileError, IndexError.
        """
        if not 0 <= index < self.count:
            raise IndexError(index)
        rested = time.monotonic() - self._used_s > REST_S
        if self._frames is None or rested or not self._next <= index < self._next + FAR:
            self._begin(index)
        assert self._frames is not None
        for frame in self._frames:
            here = bisect_left(self._stamps, frame.index) if self._sought else frame.index
            if here >= self.count or (self._sought and self._stamps[here] != frame.index):
                continue
            self._next, self._used_s = here + 1, time.monotonic()
            yield here, frame.pixels
            if here >= index:
                return
        self.close()
        raise damaged(self._path, index + 1, "cannot be decoded")

    def close(self) -> None:
        """Close the movie."""
        closing = getattr(self._frames, "close", None)
        if closing is not None:
            closing()
        self._frames = None

    def _begin(self, index: int) -> None:
        self.close()
        if self._sought:
            wanted = {"deep": self._deep, "stored": self._stored}
            self._frames = read_movie_from(self._path, stamp=self._stamps[index], **wanted)
        else:
            from mapreel.core.media.movies import read_movie_frames

            self._frames = read_movie_frames(self._path, deep=self._deep, stored=self._stored)
        self._next = 0
