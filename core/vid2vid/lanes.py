# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments of a shot rendered side by side: in fast quality none needs what another one made.

One segment on all cores waits for itself: the network for the maps, the in-betweens for the key, two OpenMP threads
for each other at every layer. Two segments with half of the cores each never do.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import Empty, SimpleQueue

import torch

from mapreel.core.contract.requests import Quality
from mapreel.core.device import thread_count
from mapreel.core.vid2vid.renderer import Memory, RenderedFrame, Renderer
from mapreel.core.vid2vid.shot import Shot
from mapreel.core.vid2vid.timeline import ANCHOR_EVERY, Segment

LANES = 2
WAITING_BYTES = 160 << 20
"""What frames of the later segment may take while they wait for their turn; larger pictures get one lane."""
LOOK_UP_S = 0.05
"""How often somebody who waits for a frame looks whether a cancel was asked for."""

Rendering = Generator[RenderedFrame, None, Memory | None]


def can_part(shot: Shot, quality: Quality, renderer: Renderer) -> bool:
    """True where segments may be rendered side by side: nothing passes between them, and the frames fit the memory."""
    (h, w), device = shot.size_px, renderer.device
    fits = LANES * ANCHOR_EVERY * h * w * 3 * (1 if renderer.peak == 255 else 2) <= WAITING_BYTES
    return quality is Quality.FAST and device.type == "cpu" and thread_count() >= LANES and fits and not shot.references


class Lanes:
    """Renders segments in order of their start, up to LANES of them at once; close it when done."""

    def __init__(
        self, shot: Shot, renderer: Renderer, segments: Iterable[tuple[Segment, int]], check: Callable[[], None]
    ) -> None:
        """`segments`: each with the number of the last frame that is wanted of it; `check` raises when cancelled."""
        self._shot, self._quality, self._check = shot, Quality.FAST, check
        others = (Renderer(renderer.model, renderer.device, peak=renderer.peak) for _ in range(LANES - 1))
        self._renderers = [renderer, *others]
        self._segments = iter(enumerate(segments))
        self._threads = torch.get_num_threads()
        self._lanes: deque[_Lane] = deque()

    @property
    def notes(self) -> list[str]:
        """What the lanes' renderers have to say, each sentence once."""
        return list(dict.fromkeys(note for renderer in self._renderers for note in renderer.notes))

    def next(self) -> Rendering:
        """Frames of the next segment, in order. Raises what rendering raises, and what `check` raises."""
        while len(self._lanes) < LANES and (following := next(self._segments, None)) is not None:
            index, (segment, last) = following
            renderer = self._renderers[index % LANES]
            self._lanes.append(_Lane(renderer.render(self._shot.twin(), segment, self._quality), last))
        return self._lanes.popleft().frames(self._check)

    def close(self) -> None:
        """Stop what still renders and wait for it."""
        while self._lanes:
            self._lanes.popleft().stop()
        torch.set_num_threads(self._threads)  # a thread that sets its own count also sets that of later threads


class _Lane:
    """One segment on a thread of its own."""

    def __init__(self, rendering: Rendering, last: int) -> None:
        self._rendering, self._last = rendering, last
        self._made: SimpleQueue[RenderedFrame | BaseException | None] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segment", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        torch.set_num_threads(max(1, thread_count() // LANES))
        try:
            for frame in self._rendering:
                self._made.put(frame)
                if self._stopped.is_set() or frame.number == self._last:
                    break
            self._rendering.close()
            self._made.put(None)
        except BaseException as exc:  # noqa: BLE001 - raised where the frames are asked for
            self._made.put(exc)

    def frames(self, check: Callable[[], None]) -> Rendering:
        """What the lane makes, as it is made."""
        try:
            while True:
                check()
                try:
                    made = self._made.get(timeout=LOOK_UP_S)
                except Empty:
                    continue
                if made is None:
                    return None
                if isinstance(made, BaseException):
                    raise made
                yield made
        finally:
            self.stop()

    def stop(self) -> None:
        """Let it end after the frame it is at."""
        self._stopped.set()
        self._thread.join()
