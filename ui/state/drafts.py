# SPDX-License-Identifier: GPL-3.0-or-later
"""Drafts of the frame under the playhead: a first look at once, a better one when the hand rests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer, pyqtBoundSignal, pyqtSignal

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import DraftRequest, Quality
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.state.messages import told
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.shot import Layer, ShotKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mapreel.core.contract.client import ServiceClient
    from mapreel.core.contract.draft import DraftFrame
    from mapreel.core.contract.errors import MapreelError
    from mapreel.ui.state.bridge import ServiceBridge
    from mapreel.ui.state.frames import FrameStore
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.playback import Playback
    from mapreel.ui.state.preferences import Preferences
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots

REST_MS = 220
"""A hand that rests so long wants to see the frame as well as it gets."""
SLOW_MS = 350
"""After so long without a picture the panel says what it is waiting for."""
LANE = "drafts"


@dataclass(frozen=True)
class Step:
    """One of the looks at a frame, each better than the one before. rank: what FrameStore.put goes by."""

    rank: int
    quality: Quality
    quick: bool


LOOKS = (Step(1, Quality.DRAFT, quick=True), Step(2, Quality.DRAFT, quick=False), Step(3, Quality.FAST, quick=False))


@dataclass(frozen=True)
class Wish:
    """What is wanted: equal wishes give equal pictures."""

    request: DraftRequest
    version: int


class Drafts(Observable):
    """Asks for drafts while `enabled`; pictures go to the frame store under Layer.DRAFT.

    An old answer never takes the place of a newer one: questions are numbered in the client, pictures are kept under
    their own frame number, and what was asked before the maps changed is dropped.
    """

    enabled = Property(True)
    enabled_changed = pyqtSignal(object)
    watched = Property(True)
    """Whether anybody looks at drafts now."""
    watched_changed = pyqtSignal(object)
    model = Property("street")
    """Name or folder of the model."""
    model_changed = pyqtSignal(object)
    sentence = Property("")
    """What it is doing where that takes long, and how long it will take; empty: nothing to tell."""
    sentence_changed = pyqtSignal(object)
    latency_ms = Property(0.0)
    """From asking to pixels here, of the last first look."""
    latency_ms_changed = pyqtSignal(object)
    rank = Property(0)
    """How good the draft of the current frame is: 0 none, 1 first look, 2 draft, 3 fast quality."""
    rank_changed = pyqtSignal(object)

    def __init__(
        self,
        bridge: ServiceBridge,
        shots: Shots,
        playback: Playback,
        frames: FrameStore,
        preferences: Preferences,
        messages: Messages,
    ) -> None:
        super().__init__()
        self._bridge, self._shots, self._playback, self._frames = bridge, shots, playback, frames
        self._preferences, self._messages = preferences, messages
        self._shot: ShotState | None = None
        self._asked_s = 0.0
        self._last: Wish | None = None
        self._pending: Wish | None = None
        self._warm: set[str] = set()
        self._refused: Wish | None = None
        self._rest, self._slow = QTimer(self), QTimer(self)
        for timer, wait_ms, act in ((self._rest, REST_MS, self._refine), (self._slow, SLOW_MS, self._say_why)):
            timer.setSingleShot(True)
            timer.setInterval(wait_ms)
            timer.timeout.connect(act)
        shots.current_changed.connect(self._follow)
        for signal in (
            playback.frame_changed,
            playback.playing_changed,
            self.enabled_changed,
            self.watched_changed,
            self.model_changed,
            bridge.state_changed,
        ):
            signal.connect(self.ask)
        self._follow(shots.current)

    def ask(self, _: object = None) -> None:
        """A first look at the frame under the playhead, when there is none yet."""
        wish = self._wish(LOOKS[0])
        if wish is not None and wish == self._pending:
            return
        self._rest.stop()
        self._slow.stop()
        self.sentence = ""
        self._pending = None
        if wish is None or wish == self._refused:
            self.rank = 0
            return
        assert self._shot is not None
        self.rank = self._frames.quality(self._shot, Layer.DRAFT, wish.request.frame) or 0
        if self.rank == 0:
            self._send(LOOKS[0], wish)
            self._slow.start()
        elif not self._playback.playing:
            self._rest.start()

    def _wish(self, look: Step) -> Wish | None:
        """What to ask for now; None where there is nothing to draft."""
        shot = self._shot
        if (
            not (self.enabled and self.watched)
            or shot is None
            or shot.kind is not ShotKind.MAPS
            or not shot.labels
            or not self.model
        ):
            return None
        try:
            request = DraftRequest(
                labels=shot.labels,
                model=self.model,
                frame=self._playback.frame,
                instances=shot.instances or None,
                motion=shot.motion or None,
                quality=look.quality,
                quick=look.quick,
                reference=shot.references,
                palette=shot.palette or None,
                classes=shot.classes,
            )
        except UsageError as error:
            self._messages.say(told(error, key=LANE))
            return None
        return Wish(request, shot.maps_version)

    def _send(self, look: Step, wish: Wish) -> None:
        self._asked_s, self._last, self._pending = time.monotonic(), wish, wish

        def work(client: ServiceClient) -> DraftFrame:
            return client.draft(wish.request)

        assert self._shot is not None
        came = partial(self._came, look, wish, self._shot)
        self._bridge.ask(work, came, partial(self._failed, wish), lane=LANE, newest=True)

    def _came(self, look: Step, wish: Wish, shot: ShotState, frame: DraftFrame) -> None:
        self._warm.add(wish.request.model)
        loading_s = float(frame.facts.get("loading_seconds", 0.0))
        if loading_s > 0:
            self._preferences.keep(f"loading {wish.request.model}", round(time.monotonic() - self._asked_s, 1))
        if wish.version != shot.maps_version or wish.request.model != self.model:
            return  # what was asked since then is on its way
        rank = look.rank if look.quick is False or frame.facts.get("quick") else LOOKS[1].rank
        self._frames.put(shot, Layer.DRAFT, frame.number, _pixels(frame), quality=rank)
        if wish != self._last:
            return
        self._pending = None
        self._slow.stop()
        self.sentence = ""
        self._messages.settle(LANE)
        if look.rank == 1 and loading_s == 0:
            self.latency_ms = (time.monotonic() - self._asked_s) * 1000
        self.rank = max(self.rank, rank)
        if not self._playback.playing:
            self._rest.start()

    def _refine(self) -> None:
        """The hand rests: the next better look."""
        better = [look for look in LOOKS if look.rank > self.rank]
        if not better or self._playback.playing:
            return
        wish = self._wish(better[0])
        if wish is not None:
            self._send(better[0], wish)

    def _failed(self, wish: Wish, error: MapreelError) -> None:
        if wish != self._last:
            return
        self._pending = None
        self._slow.stop()
        self.sentence = ""
        if isinstance(error, UsageError):
            self._refused = wish  # the same question would get the same answer
        self._messages.say(told(error, key=LANE))

    def _say_why(self) -> None:
        """Nothing came yet: what it is waiting for."""
        if self._bridge.state is not ServiceState.HERE:
            self.sentence = "starting"
        elif self.model not in self._warm:
            self.sentence = "loading"
        else:
            self.sentence = "drawing"

    @property
    def usual_s(self) -> float | None:
        """How long the first draft with this model took the last time, None where that is not known."""
        kept = self._preferences.kept(f"loading {self.model}")
        return float(kept) if isinstance(kept, (int, float)) else None

    # -- the shot -----------------------------------------------------------------------------------------------------

    def _follow(self, shot: ShotState | None) -> None:
        if self._shot is not None:
            for signal in self._signals(self._shot):
                signal.disconnect(self._changed)
        self._shot = shot
        if shot is not None:
            for signal in self._signals(shot):
                signal.connect(self._changed)
        self.ask()

    def _changed(self, _: object = None) -> None:
        if self._shot is not None:
            self._frames.forget(self._shot, Layer.DRAFT)
        self._refused = None
        self.ask()

    @staticmethod
    def _signals(shot: ShotState) -> tuple[pyqtBoundSignal, ...]:
        return (
            shot.labels_changed,
            shot.instances_changed,
            shot.motion_changed,
            shot.palette_changed,
            shot.classes_changed,
            shot.references_changed,
            shot.maps_version_changed,
        )


def _pixels(frame: DraftFrame) -> NDArray[np.uint8]:
    """The picture of an answer [H, W, 3] sRGB; it shares the memory of the answer."""
    import numpy as np

    return np.frombuffer(frame.pixels, np.uint8).reshape(frame.height, frame.width, 3)
