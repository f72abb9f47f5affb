# SPDX-License-Identifier: GPL-3.0-or-later
"""One reader process as its parent sees it: started, asked, watched, ended. `readers` lends them out."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from mapreel.core.media.readerlimits import Limits, confine
from mapreel.core.media.readerline import Closed, Late, Line

SHARED_BYTES = 4 << 30  # address space for the pixels of one file, no memory before they are there
STALE_S = 50.0  # a reader ends by itself after a minute of nothing
START_S = 60.0  # a machine that swaps
_MAPPED_STEP = 1 << 24
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ReaderProcess:
    """A reader and our end of its channel."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.used_s = time.monotonic()
        self._shared = _shared_memory()
        self._block: Any = None
        child_read, our_write = os.pipe()
        our_read, child_write = os.pipe()
        child_lifeline, self._lifeline = os.pipe()
        self._line = Line(our_read, our_write)
        theirs = [child_read, child_write, child_lifeline]
        hand_down, words = _inherit(theirs)
        try:
            self.process = self._start(hand_down, words)
        except OSError:
            self.close()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self._job = confine(self.process, limits.memory_bytes)
        try:
            with self._watched(START_S):
                self._line.receive()
        except (Closed, Late):
            self.close()
            raise

    def _start(self, hand_down: dict[str, Any], words: list[str]) -> subprocess.Popen[bytes]:
        arguments = ["-m", "mapreel.core.media.reader", "--memory", str(self.limits.memory_bytes), "--channel", *words]
        if self._shared is not None:
            hand_down["pass_fds"] = (*hand_down["pass_fds"], self._shared)
            arguments += ["--shared", str(self._shared), str(SHARED_BYTES)]
        return subprocess.Popen(
            [sys.executable, "-P", *(["-I"] if sys.flags.isolated else []), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **dict.fromkeys(_THREADS, "1")},
            **hand_down,
        )

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Its answer; `arrays` holds the pixels. Raises Closed (it died), Late, ValueError (it says nonsense)."""
        with self._watched(seconds):
            self._line.send(json.dumps({**message, "seconds": seconds, "folder": _folder()}))
            reply = self._line.receive()
            if "item" in reply:
                reply["arrays"] = self._arrays(reply)
        self.used_s = time.monotonic()
        return reply

    @contextlib.contextmanager
    def _watched(self, seconds: float) -> Iterator[None]:
        """A reader that lets us wait for longer is ended. Raises Late."""
        due_s = self._line.due_s = time.monotonic() + seconds
        watch = None if hasattr(select, "poll") else threading.Timer(seconds, self.kill)
        if watch is not None:
            watch.start()
        try:
            yield
        except Late:
            self.kill()
            raise
        except Closed:
            if watch is not None and time.monotonic() >= due_s:
                raise Late from None
            raise
        finally:
            if watch is not None:
                watch.cancel()

    def _arrays(self, reply: dict[str, Any]) -> list[Any]:
        from mapreel.core.media.readerwire import lift

        needed, inline = int(reply["bytes"]), int(reply["inline"])
        if not 0 <= needed <= SHARED_BYTES or inline not in (0, needed):
            raise ValueError("more than was shared")
        if inline:
            return lift(self._line.receive_bytes(needed), reply["places"])
        return lift(self._mapped(needed), reply["places"])

    def _mapped(self, needed: int) -> Any:
        """The shared block, as much of it as is needed."""
        import mmap

        if needed == 0:
            return b""
        if self._shared is None:
            raise ValueError("nothing was shared")
        if self._block is None or len(self._block) < needed:
            self._block = None
            size = min(SHARED_BYTES, -(-needed // _MAPPED_STEP) * _MAPPED_STEP)
            self._block = mmap.mmap(self._shared, size, prot=mmap.PROT_READ)
        return self._block

    @property
    def is_fresh(self) -> bool:
        """False when it has ended, or will end by itself soon."""
        return self.process.poll() is None and time.monotonic() - self.used_s < STALE_S

    def story(self) -> str:
        """How it ended, for the details of an error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(1.0)
            with contextlib.suppress(ValueError):
                return f"the reader process ended by {signal.Signals(-code).name}"
            return f"the reader process ended with exit code {code}"
        return "the reader process closed its channel"

    def kill(self) -> None:
        """End it now. One that hangs in its disk goes when the disk answers: nobody waits for that, nor is lent it."""
        self.used_s = -STALE_S
        self.process.kill()

    def close(self) -> None:
        """End it and give everything back."""
        process = getattr(self, "process", None)
        if process is not None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        self._line.close()
        os.close(self._lifeline)
        if self._shared is not None:
            os.close(self._shared)
        job = getattr(self, "_job", None)
        if job is not None:
            job.close()


def _shared_memory() -> int | None:
    """A block that a reader can fill, but neither shrink under our feet nor grow. None: pixels go through the channel
    (macOS and Windows, which have no such block without a name)."""
    if sys.platform != "linux":
        return None
    import fcntl

    try:
        shared = os.memfd_create("mapreel pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError:
        return None
    os.ftruncate(shared, SHARED_BYTES)
    fcntl.fcntl(shared, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return shared


def _inherit(fds: list[int]) -> tuple[dict[str, Any], list[str]]:
    """Popen arguments that hand `fds` down, and how the child is told of them."""
    if sys.platform == "win32":
        import msvcrt

        handles = [msvcrt.get_osfhandle(fd) for fd in fds]
        for handle in handles:
            os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": handles})
        return {"startupinfo": startup, "close_fds": True}, [str(handle) for handle in handles]
    return {"pass_fds": tuple(fds)}, [str(fd) for fd in fds]


def _folder() -> str:
    """Where relative paths start: we may have gone elsewhere since the reader was started."""
    try:
        return os.getcwd()  # noqa: PTH109  # a text, and asked for with every file
    except OSError:  # it was taken away
        return ""
