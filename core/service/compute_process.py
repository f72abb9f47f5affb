# SPDX-License-Identifier: GPL-3.0-or-later
"""The lane's handle on its compute process: start it, talk to it, end it, and tell how it ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mapreel.core.service.channel import ChannelClosedError
from mapreel.core.service.process_tree import STILL_LOCKED, Child, describe_exit, kill_tree, start_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mapreel.core.contract.state_folder import StateFolder
    from mapreel.core.settings import Settings

TAIL_BYTES = 4096
MAX_LOG_BYTES = 4_000_000
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class ComputePlan:
    """All that is needed to start a compute process.

    interactive: for drafts, not niced and on all cores; else for the queue's jobs, niced and leaving cores free.
    """

    folder: StateFolder
    settings: Settings
    runners: str = "mapreel.core.runners"
    interactive: bool = False

    @property
    def log(self) -> Path:
        return self.folder.logs / ("interactive.log" if self.interactive else "compute.log")

    def arguments(self) -> list[str]:
        lock = self.folder.interactive_lock if self.interactive else self.folder.compute_lock
        nice = 0 if self.interactive else self.settings.nice
        words = ["--runners", self.runners, "--lock", str(lock), "--nice", str(nice)]
        return ["-m", "mapreel.core.service.compute", *words]

    def environment(self) -> dict[str, str]:
        """Ours, with the thread counts that leave cores free (unless the user set them) and a crash story on stderr."""
        free = 0 if self.interactive else self.settings.cores_left_free
        threads = max(1, _cores() - free)
        counts = {name: os.environ.get(name, str(threads)) for name in _THREADS}
        # threads that spin while they wait take the core from the very thread they wait for: a render beside other
        # work took three times the processor time of one whose threads sleep
        calm = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
        return {**os.environ, **counts, **calm, "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}


def _cores() -> int:
    """Cores that we may use: more threads than that on a pinned service take turns and wait for one another."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ComputeProcess:
    """A running compute process. Its messages go to `deliver(self, message)`, at the end one of type `closed`."""

    def __init__(self, plan: ComputePlan, deliver: Callable[[ComputeProcess, dict[str, Any]], None]) -> None:
        self._log = plan.log
        self._deliver = deliver
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._rotate()
        fd = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(fd, "ab") as output:
            self._log_start = output.tell()
            self._child: Child = start_child(plan.arguments(), output, plan.environment(), urgent=plan.interactive)
        self.last_beat_s = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True, name="compute channel")
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._child.process.pid

    @property
    def is_alive(self) -> bool:
        return self._child.process.poll() is None

    def _rotate(self) -> None:
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))

    def _read(self) -> None:
        try:
            while True:
                message = self._child.channel.receive()
                self.last_beat_s = time.monotonic()
                self._deliver(self, message)
        except (ChannelClosedError, ValueError):
            self._deliver(self, {"type": "closed"})

    def send(self, message: dict[str, Any]) -> bool:
        """Send one message; False when the process is gone (its `closed` message is then on the way)."""
        try:
            self._child.channel.send(message)
        except ChannelClosedError:
            return False
        return True

    def end(self, grace_s: float) -> None:
        """Ask it to end, and kill the tree when it does not within the grace."""
        self.send({"type": "end"})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.process.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """End the whole tree now (what is left of it) and give everything back."""
        kill_tree(self._child.process)
        self._reader.join(timeout=5.0)
        if not self._reader.is_alive():  # else a stray grandchild holds the pipe: leave it open, not reused by others
            self._child.channel.close()

    def story(self) -> str:
        """How it ended, for people: “crashed (SIGKILL)”."""
        try:
            code = self._child.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "closed its channel"
        return describe_exit(code)

    @property
    def blames_the_job(self) -> bool:
        """False when it ended because another compute process had not yet ended."""
        return self._child.process.poll() != STILL_LOCKED

    def tail(self) -> str:
        """The last lines that it printed."""
        with self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES) if size >= self._log_start else 0)
            return log.read().decode("utf-8", "replace")
