# SPDX-License-Identifier: Apache-2.0
"""How a running job tells where it is, and how it hears that it shall stop."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """`done` of `total` frames (or steps) of a stage; `seconds_left` is None while nobody knows."""

    done: int
    total: int
    stage: str
    seconds_left: float | None = None


class JobContext(Protocol):
    """What a runner gets: call `report` after every frame and `check` before every frame (both are cheap)."""

    def report(self, progress: Progress) -> None:
        """Tell the others; never blocks for long."""

    def check(self) -> None:
        """Raise CancelledError (PausedError is one) when the job shall stop; what is written stays."""


class SilentContext:
    """A context that nobody listens to: for a job inside this process."""

    def report(self, progress: Progress) -> None:
        """Nobody to tell."""

    def check(self) -> None:
        """Nobody to stop it."""


class RemainingTime:
    """Seconds left from a moving window of finished frames; None until two frames of this run are finished.

    Frames that stood complete before this run are not counted as work, so a resumed job does not promise too much.
    """

    def __init__(self, window: int = 32) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=window + 1)

    def update(self, done: int, total: int, *, now_s: float | None = None) -> float | None:
        """Note that `done` of `total` are finished and give the seconds left, never below 0."""
        now = time.monotonic() if now_s is None else now_s
        if self._marks and done < self._marks[-1][1]:
            self._marks.clear()
        if not self._marks or done > self._marks[-1][1]:
            self._marks.append((now, done))
        first_s, first_done = self._marks[0]
        last_s, last_done = self._marks[-1]
        if len(self._marks) < 3:
            return 0.0 if done >= total else None
        pace_s = (last_s - first_s) / (last_done - first_done)
        return max(0.0, pace_s * (total - done) - min(now - last_s, pace_s))
