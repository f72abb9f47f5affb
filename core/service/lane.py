# SPDX-License-Identifier: GPL-3.0-or-later
"""What both lanes are: one thread, and one compute process that it starts when there is work and keeps warm."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from mapreel.core.service.compute_process import ComputePlan, ComputeProcess

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

TICK_S = 0.5


class Lane(ABC):
    """Start it, poke it when there may be work, stop it. Subclasses say what the thread does (`_live`)."""

    def __init__(self, plan: ComputePlan, log: FilteringBoundLogger) -> None:
        self._plan = plan
        self._settings = plan.settings
        self._log = log
        self._name = "interactive compute" if plan.interactive else "compute"
        self._inbox: queue.SimpleQueue[tuple[ComputeProcess | None, dict[str, Any]]] = queue.SimpleQueue()
        self._process: ComputeProcess | None = None
        self._idle_since_s = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"{self._name} lane")

    def start(self) -> None:
        self._thread.start()

    def poke(self) -> None:
        """There may be work: look."""
        self._inbox.put((None, {"type": "poke"}))

    def stop(self) -> None:
        """End what runs, as the lane ends it, and wait until the compute process has ended."""
        self._ending.set()
        self.poke()
        self._thread.join()

    @property
    def pid(self) -> int | None:
        """Of the compute process, None while there is none."""
        process = self._process
        return process.pid if process and process.is_alive else None

    # -- for the lane's own thread ---------------------------------------------------------------------------------

    @abstractmethod
    def _live(self) -> None:
        """The life of the thread, until `_ending`."""

    @property
    def _idle_s(self) -> float:
        """How long a process without work keeps its memory."""
        settings = self._settings
        return settings.draft_idle_s if self._plan.interactive else settings.compute_idle_s

    def _take(self, wait_s: float) -> dict[str, Any]:
        """The next message of the process that we have now; `tick` when there was none in time."""
        with contextlib.suppress(queue.Empty):
            process, message = self._inbox.get(timeout=max(0.0, wait_s))
            if process is None or process is self._process:
                return message
        return {"type": "tick"}

    def _rest(self) -> None:
        """No work: sleep until poked; the process gives its memory back after its idle time."""
        left_s = self._idle_since_s + self._idle_s - time.monotonic()
        message = self._take(left_s if self._process else TICK_S * 20)
        if message["type"] == "closed":
            self._drop(end=False)
        elif self._process and time.monotonic() - self._idle_since_s >= self._idle_s:
            self._log.info(f"{self._name} gives its memory back", pid=self._process.pid)
            self._drop(end=True)

    def _drop(self, *, end: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end(self._settings.grace_s) if end else process.kill()

    def _warm(self) -> ComputeProcess:
        """The process, started when there is none. Raises OSError."""
        if self._process is None or not self._process.is_alive:
            self._drop(end=False)
            self._process = ComputeProcess(self._plan, lambda process, message: self._inbox.put((process, message)))
            self._log.info(f"{self._name} started", pid=self._process.pid)
        return self._process
