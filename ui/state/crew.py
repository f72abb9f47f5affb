# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that always do next what is wanted most now: who moves on replaces the list, and nobody works for nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QObject, pyqtSignal

from mapreel.core.contract.errors import InternalError, MapreelError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    Work = Callable[[Any], Any]
    Alone = Callable[[Any], Hashable]


class Crew(QObject):
    """Some threads with one list of wishes, the foremost first. Make it in the Qt thread; signals come there."""

    came = pyqtSignal(object, object)
    """A wish and what was made of it."""
    failed = pyqtSignal(object, object)
    """A wish and its error, one of ours."""
    _ended = pyqtSignal(object, object, object)

    def __init__(
        self, name: str, count: int, work: Work, *, alone: Alone | None = None, parent: QObject | None = None
    ) -> None:
        """work: makes something of a wish, in a thread. alone: wishes for which it gives the same (but None) are
        never worked on at once."""
        super().__init__(parent)
        self._name, self._count, self._work, self._alone = name, count, work, alone
        self._wanted: list[Any] = []
        self._begun: dict[Any, Hashable] = {}
        self._change = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._ended.connect(self._tell)  # from other threads: Qt queues it

    def want(self, wishes: Iterable[Hashable]) -> None:
        """These, in this order, in place of all that was wanted; what is begun is ended and told."""
        with self._change:
            self._wanted = [wish for wish in dict.fromkeys(wishes) if wish not in self._begun]
            self._change.notify_all()
        if self._wanted and not self._threads and not self._closed:
            for number in range(self._count):
                thread = threading.Thread(target=self._live, name=f"panel-{self._name}-{number}", daemon=True)
                self._threads.append(thread)
                thread.start()

    @property
    def idle(self) -> bool:
        """Whether nothing is wanted and nothing begun."""
        with self._change:
            return not self._wanted and not self._begun

    def close(self, wait_s: float = 5.0) -> None:
        """End the threads after what they have begun; nothing is told any more."""
        with self._change:
            self._closed = True
            self._wanted = []
            self._change.notify_all()
        for thread in self._threads:
            thread.join(wait_s)

    # -- in the threads ----------------------------------------------------------------------------------------------

    def _live(self) -> None:
        while (wish := self._next()) is not None:
            value, error = None, None
            try:
                value = self._work(wish)
            except MapreelError as exc:
                error = exc
            except Exception as exc:  # noqa: BLE001 - the border of a thread: the artist must hear of it as a sentence
                error = InternalError(f"this is a fault of ours ({type(exc).__name__}: {exc})", "send us this line")
            with self._change:
                self._begun.pop(wish, None)
                if self._closed:
                    return
                self._ended.emit(wish, value, error)
                self._change.notify_all()

    def _next(self) -> Any:
        with self._change:
            while not self._closed:
                taken = set(self._begun.values())
                for place, wish in enumerate(self._wanted):
                    lane = self._alone(wish) if self._alone is not None else None
                    if lane is None or lane not in taken:
                        del self._wanted[place]
                        self._begun[wish] = lane
                        return wish
                self._change.wait()
        return None

    def _tell(self, wish: Any, value: Any, error: MapreelError | None) -> None:
        if self._closed:
            return
        if error is None:
            self.came.emit(wish, value)
        else:
            self.failed.emit(wish, error)
