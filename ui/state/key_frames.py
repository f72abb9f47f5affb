# SPDX-License-Identifier: GPL-3.0-or-later
"""The key frames of the take that is looked at: those that the network painted, where others were carried."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.ui.state.observable import Observable, Property

if TYPE_CHECKING:
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.playback import Playback
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots

_RECORD = "mapreel.json"
_LARGEST_BYTES = 64 << 20


class KeyFrames(Observable):
    """Read from the record beside the frames of a take; a movie has none."""

    numbers = Property[tuple[int, ...]](())
    """Ascending; none where the network painted every frame."""
    numbers_changed = pyqtSignal(object)

    def __init__(self, shots: Shots, playback: Playback, errands: Errands) -> None:
        super().__init__()
        self._playback, self._errands = playback, errands
        self._shot: ShotState | None = None
        shots.current_changed.connect(self._follow)
        self._follow(shots.current)

    def step(self, direction: int) -> None:
        """Go to the key frame before (-1) or after (1) the playhead; stay where there is none."""
        here = self._playback.frame
        place = bisect_left(self.numbers, here) - 1 if direction < 0 else bisect_right(self.numbers, here)
        if 0 <= place < len(self.numbers):
            self._playback.pause()
            self._playback.go(self.numbers[place])

    def _follow(self, shot: ShotState | None) -> None:
        if self._shot is not None:
            self._shot.result_changed.disconnect(self._look)
        self._shot, self.numbers = shot, ()
        if shot is not None:
            shot.result_changed.connect(self._look)
            self._look(shot.result)

    def _look(self, take: str) -> None:
        shot = self._shot

        def came(numbers: tuple[int, ...]) -> None:
            if shot is self._shot and shot is not None and shot.result == take:
                self.numbers = numbers

        self.numbers = ()
        if take:
            self._errands.ask(partial(read_key_frames, take), came, lane="key frames", newest=True)


def read_key_frames(take: str) -> tuple[int, ...]:
    """The key frames that a take's record names; none where every frame is one, or nothing tells. Reads the disk."""
    record = Path(take) / _RECORD
    try:
        if record.stat().st_size > _LARGEST_BYTES:
            return ()
        told = json.loads(record.read_bytes())
        keys = tuple(sorted({int(key) for key in told["keys"]}))
        frames = len(FrameRange.parse(str(told["frames"])))
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return ()
    return keys if len(keys) < frames else ()
