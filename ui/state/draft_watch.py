# SPDX-License-Identifier: GPL-3.0-or-later
"""Between drafts and viewer: the first draft of a shot is looked at, and nothing is drafted that nobody looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from PyQt6.QtCore import QObject

from mapreel.ui.state.shot import Layer
from mapreel.ui.state.viewer_plan import TWO

if TYPE_CHECKING:
    from mapreel.ui.state.drafts import Drafts
    from mapreel.ui.state.playback import Playback
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.viewer import ViewerState


class DraftWatch(QObject):
    """Keeps `drafts.watched` true to what the viewer shows."""

    def __init__(self, drafts: Drafts, viewer: ViewerState, playback: Playback) -> None:
        super().__init__()
        self._drafts, self._viewer, self._playback = drafts, viewer, playback
        self._seen: WeakSet[ShotState] = WeakSet()
        drafts.rank_changed.connect(self._came)
        for signal in (viewer.layer_a_changed, viewer.layer_b_changed, viewer.mode_changed, playback.shot_changed):
            signal.connect(self._look)
        self._look()

    def _came(self, rank: int) -> None:
        """The first draft of a shot takes the place of its labels."""
        shot = self._playback.shot
        if not rank or shot is None or shot in self._seen:
            return
        self._seen.add(shot)
        if self._viewer.layer_a is Layer.LABELS:
            self._viewer.layer_a = Layer.DRAFT
        self._look()

    def _look(self, _: object = None) -> None:
        shot = self._playback.shot
        shown = {self._viewer.layer_a}
        if self._viewer.mode in TWO:
            shown.add(self._viewer.layer_b)
        waiting = shot is not None and shot not in self._seen and Layer.LABELS in shown
        self._drafts.watched = waiting or Layer.DRAFT in shown
