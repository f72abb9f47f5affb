# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames depend on which: anchors, segments and cross-fades of a shot, the same for every chunk of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ANCHOR_EVERY = 48
"""Frames between anchors: two seconds, so that a resume repeats little and a cross-fade costs one frame in eight."""
RUN_IN = 6
"""Frames a new chain runs before its anchor, while the old one fades out."""


@dataclass(frozen=True)
class Segment:
    """Frames from one anchor up to the next, as indices into the timeline.

    Attributes:
        start: index of the anchor.
        end: index after the last frame.
        run_in: index where this segment's chain starts, at or before `start`.
        fade: index from which the next segment's chain fades in; `end` when there is no next segment.
    """

    start: int
    end: int
    run_in: int
    fade: int

    def share_of_next(self, index: int) -> float:
        """Weight of the next chain's frame at `index`: 0 before the cross-fade, rising evenly within it."""
        if index < self.fade:
            return 0.0
        return (index - self.fade + 1) / (self.end - self.fade + 1)


class Timeline:
    """All frame numbers of a shot in order, cut at anchors."""

    def __init__(self, numbers: tuple[int, ...], every: int = ANCHOR_EVERY, run_in: int = RUN_IN) -> None:
        self.numbers = numbers
        self._every, self._run_in = every, run_in

    def __len__(self) -> int:
        return len(self.numbers)

    def segment(self, index: int) -> Segment:
        """The segment that holds timeline index `index`."""
        start = index // self._every * self._every
        end = min(start + self._every, len(self.numbers))
        has_next = end < len(self.numbers)
        return Segment(start, end, max(0, start - self._run_in), end - self._run_in if has_next else end)

    def needed(self, segment: Segment) -> tuple[int, ...]:
        """Frame numbers a segment reads: from the start of its chain up to the next anchor, which its end leans on."""
        return self.numbers[segment.run_in : segment.end + 1]

    def segments(self, wanted: set[int]) -> Iterator[Segment]:
        """Segments that hold at least one wanted frame number, in order."""
        for start in range(0, len(self.numbers), self._every):
            segment = self.segment(start)
            if any(n in wanted for n in self.numbers[segment.start : segment.end]):
                yield segment
