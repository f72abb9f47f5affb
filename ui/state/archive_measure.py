# SPDX-License-Identifier: GPL-3.0-or-later
"""How near an archive is to its original, group by group: archives keep no PSNR, so frames are decoded and compared."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.errors import MixedSizesError
from mapreel.core.contract.frames import FrameRange
from mapreel.ui.state.messages import spoken
from mapreel.ui.state.observable import Observable, Property

if TYPE_CHECKING:
    from mapreel.core.contract.client import ServiceClient
    from mapreel.core.contract.errors import MapreelError
    from mapreel.ui.state.archive_look import ArchiveFacts
    from mapreel.ui.state.bridge import ServiceBridge

FRAMES_A_GROUP = 3
"""Frames of a group that are compared: its first, middle and last."""
BEST_DB = 100.0
_LANE = "measure"


class ArchiveMeasure(Observable):
    """Measures one archive at a time, a frame a question, so that it can be stopped."""

    original = Property("")
    """Folder, pattern or movie that the archive was made of."""
    original_changed = pyqtSignal(object)
    psnr_db = Property[tuple[float | None, ...]](())
    """Of each group, None for one that was not measured; PSNR of what the screen shows (8 bits, sRGB)."""
    psnr_db_changed = pyqtSignal(object)
    running = Property(False)
    running_changed = pyqtSignal(object)
    done = Property(0)
    """Frames that were compared."""
    done_changed = pyqtSignal(object)
    total = Property(0)
    total_changed = pyqtSignal(object)
    trouble = Property("")
    trouble_changed = pyqtSignal(object)

    def __init__(self, bridge: ServiceBridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._archive = ""
        self._values: dict[int, list[float]] = {}
        self._left: list[tuple[int, int]] = []
        self._asked = 0

    def open(self, archive: str, groups: int, original: str) -> None:
        """Turn to an archive; nothing is measured yet."""
        self.stop()
        self._archive = archive
        self.original, self.trouble = original, ""
        self.psnr_db = (None,) * groups
        self.done = self.total = 0

    def start(self, facts: ArchiveFacts, frame: int) -> None:
        """Compare frames of every group, the group of `frame` first."""
        self.stop()
        here = facts.group_of(frame)
        order = sorted(range(len(facts.groups)), key=lambda group: (group != here, group))
        self._left = [(group, number) for group in order for number in _picked(facts.groups[group].numbers)]
        self._values = {}
        self.psnr_db = (None,) * len(facts.groups)
        self.done, self.total, self.trouble, self.running = 0, len(self._left), "", bool(self._left)
        self._next()

    def stop(self) -> None:
        """Leave it at what is measured."""
        self._bridge.drop(self._asked)
        self._left, self.running = [], False

    def _next(self) -> None:
        if not self._left:
            self.running = False
            return
        group, number = self._left.pop(0)
        work = partial(frame_psnr, self._archive, self.original, number)
        self._asked = self._bridge.ask(work, partial(self._came, group), self._failed, lane=_LANE)

    def _came(self, group: int, value: float) -> None:
        self._values.setdefault(group, []).append(value)
        means = {key: math.fsum(found) / len(found) for key, found in self._values.items()}
        self.psnr_db = tuple(means.get(place) for place in range(len(self.psnr_db)))
        self.done += 1
        self._next()

    def _failed(self, error: MapreelError) -> None:
        self.stop()
        self.trouble = spoken(error)


def _picked(numbers: tuple[int, ...]) -> tuple[int, ...]:
    places = {0, len(numbers) // 2, len(numbers) - 1}
    return tuple(numbers[place] for place in sorted(places)) if numbers else ()


def frame_psnr(archive: str, original: str, number: int, client: ServiceClient) -> float:
    """PSNR in dB of one frame of an archive, as the screen shows it. Raises InputError, ArchiveError."""
    import numpy as np

    from mapreel.core.contract.requests import PeekRequest
    from mapreel.core.media.sequence import MapKind, open_maps

    shown = client.peek(PeekRequest(archive=archive, frame=number))
    decoded = np.frombuffer(shown.pixels, np.uint8).reshape(shown.height, shown.width, 3)
    wanted = open_maps(original, MapKind.COLOR, _only(number)).read(number)
    if wanted.shape != decoded.shape:
        what = f"the original is {wanted.shape[1]}x{wanted.shape[0]}, the archive {shown.width}x{shown.height}"
        raise MixedSizesError(what, "choose the pictures that the archive was made of", file=original)
    error = float(np.mean(np.square(decoded.astype(np.float64) - wanted)))
    return BEST_DB if error == 0 else min(BEST_DB, 10 * math.log10(255**2 / error))


def _only(number: int) -> FrameRange:
    return FrameRange.from_numbers((number,))
