# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader process may take: memory, time, files. Each system has its own way.

Linux: RLIMIT_AS, an alarm of the kernel, first in line when memory runs out, no files written, no core dumps.
macOS: the same calls, but its kernel does not hold a process to RLIMIT_AS: there the caps on what a header may claim
hold alone, with the limit of time. Windows: a job object, which ends the reader with us, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY_BYTES = 6 << 30  # a picture of MAX_IMAGE_MB as halfs, as floats, and what decodes it
LEAST_MEMORY_BYTES = 2 << 30
OPEN_FILES = 64


@dataclass(frozen=True, kw_only=True)
class Limits:
    """For one reader. seconds: for a small file; large ones get what a slow network share needs for them besides."""

    memory_bytes: int
    seconds: float = 60.0
    slowest_bytes_s: float = 4e6

    def seconds_for(self, path: Path) -> float:
        """How long reading this file may take."""
        try:
            return self.seconds + path.stat().st_size / self.slowest_bytes_s
        except (OSError, ValueError):  # not there, no name at all: the reader says so
            return self.seconds


def usual_limits() -> Limits:
    """Three quarters of this machine's memory, at most MEMORY_BYTES; MAPREEL_READER_MEMORY_MB and
    MAPREEL_READER_TIMEOUT_S say otherwise."""
    memory = min(MEMORY_BYTES, max(LEAST_MEMORY_BYTES, machine_bytes() * 3 // 4))
    told, seconds = os.environ.get("MAPREEL_READER_MEMORY_MB", ""), os.environ.get("MAPREEL_READER_TIMEOUT_S", "")
    return Limits(
        memory_bytes=int(told) << 20 if told.isdecimal() and told != "0" else memory,
        seconds=float(seconds) if seconds.isdecimal() and seconds != "0" else Limits.seconds,
    )


def machine_bytes() -> int:
    """Memory of this machine; MEMORY_BYTES where it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return MEMORY_BYTES


def confine_ourselves(memory_bytes: int) -> None:
    """In the reader, before anything is read. On Windows the parent does it (`confine`)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us: our pipe then ends
    if sys.platform == "win32":
        return
    import resource

    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, OPEN_FILES)]
    for what, most in [*limits, (resource.RLIMIT_AS, memory_bytes)]:
        with contextlib.suppress(ValueError, OSError):  # a lower limit holds already
            resource.setrlimit(what, (most, most))
    with contextlib.suppress(OSError):  # another system
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def wake_by_death(seconds: float) -> None:
    """The kernel ends us after so long, whatever we are at, also when nobody watches us any more; 0 calls it off."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)  # nobody handles SIGALRM: it ends the process


# What Windows calls these; values of winnt.h.
_KILL_ON_CLOSE, _PROCESS_MEMORY, _DIE_ON_FAULT = 0x2000, 0x100, 0x400
_EXTENDED_LIMITS = 9


def confine(process: subprocess.Popen[bytes], memory_bytes: int) -> JobObject | None:
    """On Windows: the reader in a job object that bounds its memory and ends it when we end. Keep what it gives; None:
    another system, or Windows said no, and then caps and time hold alone."""
    if os.name != "nt":
        return None
    return _job_object(_kernel32(), int(vars(process)["_handle"]), memory_bytes)


def _kernel32() -> Any:
    import ctypes

    return ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]


def limit_block(memory_bytes: int) -> Any:
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION with our limits in it."""
    import ctypes

    class Block(ctypes.Structure):
        _fields_ = (
            ("process_time", ctypes.c_int64),
            ("job_time", ctypes.c_int64),
            ("flags", ctypes.c_uint32),
            ("least_working_set", ctypes.c_size_t),
            ("most_working_set", ctypes.c_size_t),
            ("processes", ctypes.c_uint32),
            ("affinity", ctypes.c_size_t),
            ("priority", ctypes.c_uint32),
            ("scheduling", ctypes.c_uint32),
            ("io_counters", ctypes.c_uint64 * 6),
            ("process_memory", ctypes.c_size_t),
            ("job_memory", ctypes.c_size_t),
            ("peak_process", ctypes.c_size_t),
            ("peak_job", ctypes.c_size_t),
        )

    flags = _KILL_ON_CLOSE | _PROCESS_MEMORY | _DIE_ON_FAULT
    return Block(flags=flags, process_memory=memory_bytes)


def _job_object(kernel32: Any, process: int, memory_bytes: int) -> JobObject | None:
    import ctypes

    kernel32.CreateJobObjectW.restype = ctypes.c_void_p
    job = kernel32.CreateJobObjectW(None, None)
    if not job:
        return None
    block = limit_block(memory_bytes)
    handle, size = ctypes.c_void_p(job), ctypes.sizeof(block)
    told = kernel32.SetInformationJobObject(handle, _EXTENDED_LIMITS, ctypes.byref(block), size)
    if not told or not kernel32.AssignProcessToJobObject(handle, ctypes.c_void_p(process)):
        kernel32.CloseHandle(handle)
        return None
    return JobObject(kernel32, handle)


class JobObject:
    """A handle that ends its reader when it closes: with `close`, or with us."""

    def __init__(self, kernel32: Any, handle: Any) -> None:
        self._kernel32, self._handle = kernel32, handle

    def close(self) -> None:
        """End the reader, if it still runs."""
        self._kernel32.CloseHandle(self._handle)
