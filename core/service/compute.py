# SPDX-License-Identifier: GPL-3.0-or-later
"""A compute process: takes one job (or draft) after the other from its channel and stays warm between them.

Started with -m by the supervisor, imported by nobody. It loads nothing heavy before the first job, and ends itself when
the channel closes: a compute process without its service must not go on writing.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import threading
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mapreel.core.contract.errors import CancelledError, InternalError, MapreelError, OutputError, PausedError
from mapreel.core.contract.requests import request_from_json
from mapreel.core.contract.takes import remove_partial_files
from mapreel.core.service.channel import Channel, ChannelClosedError
from mapreel.core.service.locks import LockTimeoutError, hold_lock
from mapreel.core.service.process_tree import STILL_LOCKED, open_inherited

if TYPE_CHECKING:
    from types import ModuleType

    from mapreel.core.contract.progress import Progress
    from mapreel.core.contract.requests import Request

BEAT_S = 1.0
LOCK_WAIT_S = 30.0
AUTOGROUP = Path("/proc/self/autogroup")
ORPHANED = 70  # exit code when the service is gone
REPORT_S = 0.05  # progress is told at most this often


class DraftRunner(Protocol):
    """What the runners' `open_drafts` gives: it keeps the model and the last pictures warm."""

    def draft(self, request: Request) -> tuple[dict[str, Any], bytes]:
        """One frame: facts with number, width, height, seconds, and its RGB8 pixels. Raises MapreelError."""


class ChannelContext:
    """The JobContext of the job that runs now: reports over the channel, hears stops from it."""

    def __init__(self, channel: Channel, job: str, attempt: int) -> None:
        self.job = job
        self.attempt = attempt
        self.touched_s = time.monotonic()
        self._channel = channel
        self._stop: str | None = None
        self._told_s = 0.0

    def stop(self, why: str) -> None:
        self._stop = why if self._stop != "cancel" else self._stop

    def report(self, progress: Progress) -> None:
        self.touched_s = time.monotonic()
        if self.touched_s - self._told_s >= REPORT_S or progress.done >= progress.total:
            self._told_s = self.touched_s
            self.tell("progress", **asdict(progress))

    def check(self) -> None:
        self.touched_s = time.monotonic()
        if self._stop == "pause":
            raise PausedError("the job was paused", "resume it to go on")
        if self._stop is not None:
            raise CancelledError("the job was cancelled", "retry it to go on where it stopped")

    def tell(self, kind: str, **fields: Any) -> None:
        self._channel.send({"type": kind, "job": self.job, "attempt": self.attempt, **fields})


class Worker:
    """The main thread runs jobs; one thread reads the channel, one sends heartbeats."""

    def __init__(self, channel: Channel, runners: str) -> None:
        self._channel = channel
        self._runners = runners
        self._module: ModuleType | None = None
        self._drafts: DraftRunner | None = None
        self._context: ChannelContext | None = None
        self._inbox: list[dict[str, Any]] = []
        self._arrived = threading.Condition()

    def _read(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except (ChannelClosedError, ValueError):
                os._exit(ORPHANED)  # at once, whatever the main thread does: nobody listens any more
            with self._arrived:
                if message["type"] == "stop":
                    self._stop(message)
                else:
                    self._inbox.append(message)
                    self._arrived.notify()

    def _stop(self, message: dict[str, Any]) -> None:
        """Stop the job that runs, or one that still waits in the inbox."""
        context = self._context
        if context and (context.job, context.attempt) == (message["job"], message["attempt"]):
            context.stop(message["why"])
        for waiting in self._inbox:
            if (waiting.get("job"), waiting.get("attempt")) == (message["job"], message["attempt"]):
                waiting["stop"] = message["why"]

    def _beat(self) -> None:
        while True:
            context = self._context
            silent_s = time.monotonic() - context.touched_s if context else 0.0
            try:
                self._channel.send({"type": "beat", "silent_s": silent_s})
            except ChannelClosedError:
                os._exit(ORPHANED)
            time.sleep(BEAT_S)

    def _next(self) -> dict[str, Any]:
        with self._arrived:
            while not self._inbox:
                self._arrived.wait()
            message = self._inbox.pop(0)
            if message["type"] == "run":
                self._context = ChannelContext(self._channel, message["job"], message["attempt"])
                if "stop" in message:
                    self._context.stop(message["stop"])
            return message

    def _run(self, message: dict[str, Any], context: ChannelContext) -> dict[str, Any]:
        context.check()
        take = Path(message["take"]) if message["take"] else None
        request = request_from_json(message["request"])
        if take is not None and (message["attempt"] > 1 or getattr(request, "resume", False)):
            remove_partial_files(take)
        result: dict[str, Any] = self._runner_module().run(request, take, context)
        return result

    def _runner_module(self) -> ModuleType:
        if self._module is None:
            self._module = importlib.import_module(self._runners)
        return self._module

    def _draft(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The facts and pixels of one drafted frame; what is loaded for it stays for the next one."""
        request = request_from_json(message["request"])
        if self._drafts is None:
            self._drafts = self._runner_module().open_drafts()
        return self._drafts.draft(request)

    def _draft_and_tell(self, message: dict[str, Any]) -> None:
        ticket = message["ticket"]
        try:
            facts, pixels = self._draft(message)
            self._channel.send({"type": "drafted", "ticket": ticket, "facts": facts}, pixels)
        except ChannelClosedError:
            os._exit(ORPHANED)
        except MemoryError:
            error = OutputError("the memory is full", "close other programs or choose smaller maps")
            self._channel.send({"type": "refused", "ticket": ticket, "error": error.to_dict()})
        except Exception as exc:  # noqa: BLE001 - the border of the process: a fault of ours fails this draft only
            error_ = exc if isinstance(exc, MapreelError) else _our_fault(exc)
            self._channel.send({"type": "refused", "ticket": ticket, "error": error_.to_dict()})

    def _run_and_tell(self, message: dict[str, Any], context: ChannelContext) -> None:
        try:
            context.tell("done", result=self._run(message, context))
        except CancelledError as exc:
            context.tell("stopped", why=exc.code)
        except MapreelError as exc:
            context.tell("failed", error=exc.to_dict())
        except MemoryError:
            error = OutputError("the memory is full", "close other programs or choose a smaller size, then retry")
            context.tell("failed", error=error.to_dict())
        except ChannelClosedError:
            os._exit(ORPHANED)
        except Exception as exc:  # noqa: BLE001 - the border of the process: a fault of ours fails this attempt only
            context.tell("failed", error=_our_fault(exc).to_dict())

    def serve(self) -> None:
        """Run jobs and drafts until told to end."""
        for body in (self._read, self._beat):
            threading.Thread(target=body, daemon=True, name=body.__name__).start()
        self._channel.send({"type": "ready", "pid": os.getpid()})
        while (message := self._next())["type"] != "end":
            if message["type"] == "draft":
                self._draft_and_tell(message)
                continue
            assert self._context is not None
            self._run_and_tell(message, self._context)
            self._context = None


def _our_fault(exc: Exception) -> InternalError:
    what = f"this is a fault of ours ({type(exc).__name__}: {exc})"
    remedy = "send us the report that “mapreel jobs show” gives"
    return InternalError(what[:500], remedy, detail="".join(traceback.format_exception(exc))[-8000:])


def _give_way(nice: int) -> None:
    """Take a lower priority, for the whole session: where Linux shares cores between sessions first (desktops do), the
    nice value of a process in a session of its own would count for nothing."""
    total = os.nice(nice)
    with contextlib.suppress(OSError):  # another system, or a kernel without
        AUTOGROUP.write_text(str(total), "ascii")


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mapreel.core.service.compute")
    parser.add_argument("--channel", nargs=2, required=True, metavar=("READ", "WRITE"))
    parser.add_argument("--runners", default="mapreel.core.runners", help="module with run(request, take, context)")
    parser.add_argument("--lock", type=Path, required=True, help="held for life: never two compute processes at once")
    parser.add_argument("--lock-wait", type=float, default=LOCK_WAIT_S, help="seconds")
    parser.add_argument("--nice", type=int, default=10)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run as a process; the exit code says why it ended."""
    options = _arguments(words)
    channel = open_inherited(*options.channel)
    if sys.platform != "win32" and options.nice:  # on Windows the supervisor sets the priority class
        _give_way(options.nice)
    try:
        lock = hold_lock(options.lock, wait_s=options.lock_wait)
    except LockTimeoutError:
        sys.stderr.write("another compute process of this user still runs and holds its lock\n")
        return STILL_LOCKED
    with lock:
        Worker(channel, options.runners).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
