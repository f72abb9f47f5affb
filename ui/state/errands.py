# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that would hold up the window, done in threads; what comes of it arrives in the Qt thread.

A lane is one thread: its errands come one after the other, in order. Errands have numbers; one that nobody wants any
more is dropped, and its answer never arrives.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from PyQt6.QtCore import QObject, pyqtSignal

from mapreel.core.contract.errors import InternalError, MapreelError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass
class _Errand:
    number: int
    work: Callable[[], Any]
    done: Callable[[Any], None] | None
    failed: Callable[[MapreelError], None] | None


class Errands(QObject):
    """Threads of one owner. Make it in the Qt thread; `close` it there."""

    _came = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lanes: dict[str, queue.SimpleQueue[_Errand | None]] = {}
        self._threads: list[threading.Thread] = []
        self._wanted: dict[int, str] = {}
        self._running: dict[str, int] = {}
        self._count = 0
        self._closed = threading.Event()
        self._came.connect(self._arrive)  # queued: it is emitted by other threads

    @property
    def closed(self) -> bool:
        """Whether the owner has gone; long errands look now and then."""
        return self._closed.is_set()

    def ask(
        self,
        work: Callable[[], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[MapreelError], None] | None = None,
        *,
        lane: str = "work",
        newest: bool = False,
    ) -> int:
        """Have `work` done in the thread of `lane`; gives its number.

        done, failed: called in the Qt thread with what it returned, or with its error as one of ours. newest: whatever
        waits in this lane is dropped; what runs there comes to its end.
        """
        if newest:
            for number in [number for number, other in self._wanted.items() if other == lane]:
                if number != self._running.get(lane):
                    self.drop(number)
        self._count += 1
        number = self._count
        self._wanted[number] = lane
        self._lane(lane).put(_Errand(number, work, done, failed))
        return number

    def drop(self, number: int) -> None:
        """Forget an errand: it is not begun any more, or its answer does not arrive."""
        self._wanted.pop(number, None)

    def waiting(self, lane: str) -> int:
        """How many errands of a lane have not been answered yet."""
        return sum(other == lane for other in self._wanted.values())

    def post(self, act: Callable[[], None]) -> None:
        """Run `act` in the Qt thread; from any thread."""
        if not self._closed.is_set():
            with contextlib.suppress(RuntimeError):  # the window was taken down meanwhile
                self._came.emit(act)

    def close(self, wait_s: float = 5.0) -> None:
        """Begin nothing more, let no answer arrive, wait for what runs."""
        self._closed.set()
        self._wanted.clear()
        for waiting in self._lanes.values():
            waiting.put(None)
        for thread in self._threads:
            thread.join(wait_s)

    def _lane(self, name: str) -> queue.SimpleQueue[_Errand | None]:
        if name not in self._lanes:
            waiting: queue.SimpleQueue[_Errand | None] = queue.SimpleQueue()
            thread = threading.Thread(target=self._work, args=(name, waiting), name=f"panel-{name}", daemon=True)
            self._lanes[name] = waiting
            self._threads.append(thread)
            thread.start()
        return self._lanes[name]

    def _work(self, lane: str, waiting: queue.SimpleQueue[_Errand | None]) -> None:
        while (errand := waiting.get()) is not None:
            if self._closed.is_set():
                return
            self._running[lane] = errand.number
            if errand.number in self._wanted:
                self._do(errand)

    def _do(self, errand: _Errand) -> None:
        try:
            value = errand.work()
        except MapreelError as exc:
            error: MapreelError = exc
        except Exception as exc:  # noqa: BLE001 - the border of a thread: the artist must hear of it as a sentence
            error = InternalError(f"this is a fault of ours ({type(exc).__name__}: {exc})", "send us this line")
        else:
            self.post(lambda: self._answer(errand, errand.done, value))
            return
        self.post(lambda: self._answer(errand, errand.failed, error))

    def _answer(self, errand: _Errand, hear: Callable[[Any], None] | None, value: Any) -> None:
        if self._wanted.pop(errand.number, None) is not None and hear is not None:
            hear(value)

    def _arrive(self, act: Callable[[], None]) -> None:
        if not self._closed.is_set():
            act()
