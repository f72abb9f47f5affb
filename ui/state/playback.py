# SPDX-License-Identifier: GPL-3.0-or-later
"""The playhead: which frame number is looked at, and how it moves. True rate: frames are dropped, time is never
stretched."""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from PyQt6.QtCore import Qt, QTimer, pyqtSignal

from mapreel.ui.state.observable import Observable, Property

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots

FASTEST = 8


class Playback(Observable):
    """Moves over the frames that the current shot has, between its in and out points, or over all with handles."""

    shot = Property["ShotState | None"](None)
    shot_changed = pyqtSignal(object)
    frame = Property(0)
    """The frame number under the playhead."""
    frame_changed = pyqtSignal(object)
    playing = Property(False)
    playing_changed = pyqtSignal(object)
    direction = Property(1)
    """1 forwards, -1 backwards; stays when it rests."""
    direction_changed = pyqtSignal(object)
    speed = Property(1)
    """How many times the shot's rate."""
    speed_changed = pyqtSignal(object)
    looping = Property(True)
    looping_changed = pyqtSignal(object)
    with_handles = Property(False)
    """Whether the frames outside the in and out points are played, too."""
    with_handles_changed = pyqtSignal(object)
    dropped = Property(0)
    """Frames since play began whose time came and went before they could be shown."""
    dropped_changed = pyqtSignal(object)
    range_changed = pyqtSignal()
    """In or out point, rate or handles have changed."""

    def __init__(self, shots: Shots, *, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds that never go back."""
        super().__init__()
        self._shots, self._clock = shots, clock
        self._places: WeakKeyDictionary[ShotState, int] = WeakKeyDictionary()
        self._start_s, self._start_index = 0.0, 0
        self._passed = self._shown = self._last_shown = 0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.tick)
        for signal in (self.speed_changed, self.direction_changed, self.looping_changed):
            signal.connect(self._restart)
        self.with_handles_changed.connect(self._narrow)
        self.playing_changed.connect(self._play_or_rest)
        shots.current_changed.connect(self._take)
        self._take(shots.current)

    # -- what there is -----------------------------------------------------------------------------------------------

    @property
    def numbers(self) -> tuple[int, ...]:
        """All frame numbers of the shot, ascending."""
        return self.shot.numbers if self.shot is not None else ()

    @property
    def rate(self) -> float:
        """Frames a second of the shot."""
        return self.shot.fps if self.shot is not None and self.shot.fps > 0 else 24.0

    def span(self) -> tuple[int, int]:
        """Index of the first and of the last frame that is played; the last is smaller where there is none."""
        numbers = self.numbers
        if not numbers or self.shot is None:
            return 0, -1
        if self.with_handles:
            return 0, len(numbers) - 1
        first = bisect_left(numbers, self.shot.cut_in)
        last = bisect_right(numbers, self.shot.cut_out) - 1
        return (first, last) if first <= last else (0, len(numbers) - 1)

    @property
    def index(self) -> int:
        """Index of the frame under the playhead among the numbers."""
        return self.index_of(self.frame)

    def before(self, number: int) -> int | None:
        """The frame number before this one; None for the first."""
        place = self.index_of(number) - 1
        return self.numbers[place] if place >= 0 else None

    def ahead(self, count: int) -> tuple[int, ...]:
        """The frame numbers that come next if it plays on as it does (or as it did last), the nearest first."""
        first, last = self.span()
        numbers, here = self.numbers, self.index
        if first > last:
            return ()
        if not first <= here <= last:
            reach = range(here + self.direction, -1 if self.direction < 0 else len(numbers), self.direction)
            return tuple(numbers[place] for place in reach[:count])
        around = self.looping and self.playing
        length = last - first + 1
        found = []
        for step in range(self.speed, min(count, length) * self.speed + 1, self.speed):
            place = here + step * self.direction
            if around:
                place = first + (place - first) % length
            elif not first <= place <= last:
                break
            found.append(numbers[place])
        return tuple(found)

    def behind(self, count: int) -> tuple[int, ...]:
        """The frame under the playhead and those that it has just passed, the newest first."""
        first, last = self.span()
        numbers, here = self.numbers, self.index
        if not first <= here <= last:
            return numbers[here : here + 1]
        length = last - first + 1
        places = (first + (here - step * self.direction - first) % length for step in range(min(count, length)))
        return tuple(numbers[place] for place in places)

    # -- what the artist does ----------------------------------------------------------------------------------------

    def play(self, direction: int = 1) -> None:
        """Play from here; at the end of the range from its beginning."""
        first, last = self.span()
        if last <= first:
            return
        self.direction = direction
        end, begin = (last, first) if direction > 0 else (first, last)
        if not first <= self.index <= last or self.index == end:
            self.frame = self.numbers[begin]
        self._restart()
        self.playing = True

    def pause(self) -> None:
        """Rest on this frame."""
        self.playing = False
        self.speed = 1

    def toggle(self) -> None:
        """Play on, or rest."""
        if self.playing:
            self.pause()
        else:
            self.play(self.direction)

    def shuttle(self, direction: int) -> None:
        """Play in a direction; once more: twice as fast."""
        if self.playing and self.direction == direction:
            self.speed = min(FASTEST, self.speed * 2)
        else:
            self.speed = 1
            self.play(direction)

    def step(self, frames: int = 1) -> None:
        """Rest, so many frames from here."""
        self.pause()
        self.direction = 1 if frames > 0 else -1
        if self.numbers:
            self.frame = self.numbers[min(max(self.index + frames, 0), len(self.numbers) - 1)]

    def go(self, number: int) -> None:
        """To the frame nearest to this number; when it plays it plays on from there."""
        if self.numbers:
            self.frame = self.numbers[self.index_of(number)]
            self._restart()

    def to_first(self) -> None:
        """To the in point; from there to the first frame of all."""
        self._to_end(self.span()[0], 0)

    def to_last(self) -> None:
        """To the out point; from there to the last frame of all."""
        self._to_end(self.span()[1], len(self.numbers) - 1)

    def set_in(self, number: int | None = None) -> None:
        """The cut begins here."""
        if self.shot is not None:
            self.shot.cut_in = self.frame if number is None else number
            self.shot.cut_out = max(self.shot.cut_out, self.shot.cut_in)

    def set_out(self, number: int | None = None) -> None:
        """The cut ends here."""
        if self.shot is not None:
            self.shot.cut_out = self.frame if number is None else number
            self.shot.cut_in = min(self.shot.cut_in, self.shot.cut_out)

    def clear_range(self) -> None:
        """The cut is the whole shot."""
        if self.shot is not None:
            self.shot.cut_in, self.shot.cut_out = self.shot.first, self.shot.last

    def count_shown(self, number: int) -> None:
        """The viewer has shown a frame; each counts once while the playhead passes it."""
        if self.playing and number != self._last_shown:
            self._last_shown = number
            self._shown += 1

    # -- time ----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Move to where the playhead should be by now; called by a timer."""
        if not self.playing:
            return
        first, last = self.span()
        if last <= first:
            self.pause()
            return
        due = int((self._clock() - self._start_s) * self.rate + 1e-6) * self.speed
        place = self._start_index + due * self.direction
        ended = not first <= place <= last
        if ended and not self.looping:
            place = last if self.direction > 0 else first
        elif ended:
            place = first + (place - first) % (last - first + 1)
        if place != self.index:
            self._pass(due)
            self.frame = self.numbers[place]
        if ended and not self.looping:
            self.pause()
        else:
            self._await_next()

    def _pass(self, due: int) -> None:
        """Count what should have been shown until now; the frame that comes now has its time still before it."""
        self._passed = due // self.speed
        self.dropped = max(0, self._passed - 1 - self._shown)

    def _await_next(self) -> None:
        steps = int((self._clock() - self._start_s) * self.rate + 1e-6) + 1
        wait_s = self._start_s + steps / self.rate - self._clock()
        self._timer.start(max(1, math.ceil(wait_s * 1000)))

    def _restart(self, _: object = None) -> None:
        """The clock starts anew at this frame."""
        self._start_s, self._start_index = self._clock(), self.index
        self._passed = self._shown = 0
        self._last_shown = self.frame
        if self.playing:
            self._await_next()

    def _play_or_rest(self, playing: bool) -> None:
        if playing:
            self.dropped = 0
            self._restart()
        else:
            self._timer.stop()

    # -- the shot ------------------------------------------------------------------------------------------------------

    def _take(self, shot: ShotState | None) -> None:
        self.playing = False
        if self.shot is not None:
            self._places[self.shot] = self.frame
            for signal in (self.shot.cut_in_changed, self.shot.cut_out_changed, self.shot.fps_changed):
                signal.disconnect(self._narrow)
        self.shot = shot
        if shot is not None:
            for signal in (shot.cut_in_changed, shot.cut_out_changed, shot.fps_changed):
                signal.connect(self._narrow)
            self.frame = self._places.get(shot, shot.cut_in)
        self.range_changed.emit()

    def _narrow(self, _: object = None) -> None:
        self.range_changed.emit()
        if self.playing:
            first, last = self.span()
            if not first <= self.index <= last:
                self.frame = self.numbers[first]
            self._restart()

    def _to_end(self, near: int, far: int) -> None:
        if not self.numbers:
            return
        place = far if self.frame == self.numbers[near] else near
        self.frame = self.numbers[place]
        self._restart()

    def index_of(self, number: int) -> int:
        """Index of the frame that is nearest to a number."""
        numbers = self.numbers
        place = bisect_left(numbers, number)
        if place == len(numbers):
            return max(0, place - 1)
        if place and number - numbers[place - 1] < numbers[place] - number:
            return place - 1
        return place
