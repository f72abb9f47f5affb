# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory this machine has, in total and free. Standard library only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def memory_bytes() -> tuple[int, int]:
    """Memory of this machine and what of it programs may still take, in bytes; of a container its limit counts."""
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return _mac()
    text = Path("/proc/meminfo").read_text("ascii")
    total, free = (
        int(number) << 10 for number in re.findall(r"^Mem(?:Total|Available):\s+(\d+) kB", text, re.MULTILINE)
    )
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if limit and limit < total:
        return limit, min(free, max(0, limit - (used or 0)))
    return total, free


def _number(path: str) -> int | None:
    """The number in a file of the kernel; None where there is none (`max`) or no such file."""
    try:
        return int(Path(path).read_text("ascii"))
    except (OSError, ValueError):
        return None


def _windows() -> tuple[int, int]:
    import ctypes

    class Status(ctypes.Structure):  # MEMORYSTATUSEX
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("free", ctypes.c_ulonglong),
            *((f"rest{index}", ctypes.c_ulonglong) for index in range(5)),
        )

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined,unused-ignore]
    return int(status.total), int(status.free)


def _mac() -> tuple[int, int]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    listing = subprocess.run(["/usr/bin/vm_stat"], capture_output=True, text=True, check=True).stdout
    return total, mac_free(listing)


def mac_free(listing: str) -> int:
    """Free bytes from what `vm_stat` prints: pages that are free, inactive or only guessed to be of use."""
    size = re.search(r"page size of (\d+) bytes", listing)
    pages = re.findall(r"^Pages (?:free|inactive|speculative):\s+(\d+)\.", listing, re.MULTILINE)
    return int(size[1] if size else 4096) * sum(map(int, pages))
