# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's one way to the worker service: numbered requests in threads, news of every job as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from PyQt6.QtCore import QObject, pyqtSignal

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import (
    DraftSupersededError,
    MapreelError,
    ServiceStoppingError,
    ServiceUnreachableError,
)
from mapreel.core.contract.host_session import WAIT_S
from mapreel.ui.state.errands import Errands
from mapreel.ui.state.observable import Observable, Property

T = TypeVar("T")
AGAIN_S = 1.0  # between two looks for a service that went away


class ServiceState(StrEnum):
    """How the panel stands with the service."""

    STARTING = "starting"
    HERE = "here"
    GONE = "gone"


class ServiceBridge(Observable):
    """Asks the service; never blocks. Signals and callbacks come in the Qt thread.

    jobs_came: the JobViews that changed, at first all there are, some hundred at a time.
    """

    state = Property(ServiceState.STARTING)
    state_changed = pyqtSignal(object)
    sentence = Property("")
    """What is wrong with the service, and what to do; empty while all is well."""
    sentence_changed = pyqtSignal(object)
    jobs_came = pyqtSignal(object)
    jobs_lost = pyqtSignal()
    """The service has another queue now: the jobs that were told are no more, those that are come anew."""
    jobs_complete = Property(False)
    """Whether every job that there is has come once."""
    jobs_complete_changed = pyqtSignal(object)

    def __init__(
        self, *, state: str | Path | None = None, python: str | None = None, parent: QObject | None = None
    ) -> None:
        """state: folder of the service, else the user's own; python: its interpreter, else this one."""
        super().__init__(parent)
        self._state, self._python = state, python
        self._errands = Errands(self)
        self._clients: dict[str, ServiceClient] = {}
        self._ended = threading.Event()

    def start(self) -> None:
        """Find or start the service, and listen to it from now on."""
        self._errands.ask(self._listen, lane="news")

    def ask(
        self,
        work: Callable[[ServiceClient], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[MapreelError], None] | None = None,
        *,
        lane: str = "requests",
        newest: bool = False,
    ) -> int:
        """Have `work` ask the service; see Errands.ask. A draft that was overtaken by a newer one is not told."""

        def failed_truly(error: MapreelError) -> None:
            if not isinstance(error, DraftSupersededError) and failed is not None:
                failed(error)

        return self._errands.ask(lambda: work(self._client(lane)), done, failed_truly, lane=lane, newest=newest)

    def drop(self, number: int) -> None:
        """Forget a request: its answer does not arrive."""
        self._errands.drop(number)

    def close(self) -> None:
        """Stop listening; jobs go on in the service."""
        self._ended.set()
        for client in list(self._clients.values()):
            client.end()
        self._errands.close()
        for client in self._clients.values():
            client.close()

    def _client(self, lane: str) -> ServiceClient:
        """The client of a lane's thread; made there."""
        if lane not in self._clients:
            self._clients[lane] = ServiceClient(self._state, python=self._python)
        return self._clients[lane]

    # -- the thread of the news ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                self._hear()
            except MapreelError as error:
                self._errands.post(lambda error=error: self._lost(error))  # type: ignore[misc]
            self._ended.wait(AGAIN_S)

    def _hear(self) -> None:
        """As long as one service lives."""
        client, after = self._client("news"), 0
        client.status()
        self._errands.post(self._found)
        complete = False
        while not self._ended.is_set():
            news = client.changes(after, timeout_s=WAIT_S if complete else 0.0)
            if news.anew:
                self._errands.post(self.jobs_lost.emit)
            if news.jobs:
                self._errands.post(lambda jobs=news.jobs: self.jobs_came.emit(jobs))  # type: ignore[misc]
            if not complete and (complete := not news.jobs or news.number == after):
                self._errands.post(self._all_came)
            after = news.number

    def _found(self) -> None:
        self.sentence = ""
        self.state = ServiceState.HERE

    def _all_came(self) -> None:
        self.jobs_complete = True

    def _lost(self, error: MapreelError) -> None:
        again = isinstance(error, (ServiceUnreachableError, ServiceStoppingError))
        self.sentence = str(error)
        self.state = ServiceState.STARTING if again and self.state is ServiceState.STARTING else ServiceState.GONE
