# SPDX-License-Identifier: GPL-3.0-or-later
"""The shots that are open, and the one that is looked at."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.errors import InputError
from mapreel.ui.state.discovery import discover
from mapreel.ui.state.messages import told
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.shot import FoundShot, ShotKind, ShotState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapreel.core.contract.errors import MapreelError
    from mapreel.ui.state.bridge import ServiceBridge
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.preferences import Preferences


class Shots(Observable):
    """Open shots in the order of opening. opening: paths that are being looked at."""

    open = Property[tuple[ShotState, ...]](())
    open_changed = pyqtSignal(object)
    current = Property[ShotState | None](None)
    current_changed = pyqtSignal(object)
    opening = Property[tuple[str, ...]](())
    opening_changed = pyqtSignal(object)

    def __init__(self, errands: Errands, bridge: ServiceBridge, preferences: Preferences, messages: Messages) -> None:
        super().__init__()
        self._errands, self._bridge, self._preferences, self._messages = errands, bridge, preferences, messages

    def open_paths(self, paths: Iterable[str]) -> None:
        """Look at each path and open what is found; what cannot be opened is said."""
        for path in paths:
            if path in self.opening:
                continue
            self.opening = (*self.opening, path)
            self._errands.ask(
                partial(discover, path), partial(self._found, path), partial(self._failed, path), lane="discover"
            )

    def close_shot(self, shot: ShotState) -> None:
        """Take a shot off the list; nothing on disk changes."""
        left = tuple(other for other in self.open if other is not shot)
        if self.current is shot:
            place = self.open.index(shot)
            self.current = left[min(place, len(left) - 1)] if left else None
        self.open = left

    def add(self, found: FoundShot) -> ShotState:
        """Open what was found; a source that is open already is looked at again."""
        for shot in self.open:
            if shot.source == found.source and shot.name == found.name:
                self.current = shot
                return shot
        shot = ShotState(found)
        self.open = (*self.open, shot)
        self.current = shot
        return shot

    def _found(self, path: str, found: tuple[FoundShot, ...]) -> None:
        if len(found) == 1 and found[0].kind is ShotKind.ARCHIVE:
            self._look_into(path, found[0])
            return
        self._done(path)
        for one in found:
            self.add(one)

    def _look_into(self, path: str, found: FoundShot) -> None:
        """Ask the worker what an archive holds."""
        from mapreel.ui.state.archive_facts import ask_facts

        def opened(whole: FoundShot) -> None:
            self._done(path)
            self.add(whole)

        self._bridge.ask(partial(ask_facts, found), opened, partial(self._failed, path), lane="peek")

    def _done(self, path: str) -> None:
        self.opening = tuple(other for other in self.opening if other != path)
        self._preferences.add_recent(path)

    def _failed(self, path: str, error: MapreelError) -> None:
        self.opening = tuple(other for other in self.opening if other != path)
        self._messages.say(told(error, key=f"open {path}"))
        if isinstance(error, InputError) and not Path(path).exists():
            self._preferences.recent = tuple(other for other in self._preferences.recent if other != path)
