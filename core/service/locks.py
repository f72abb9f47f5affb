# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock that the operating system gives back when its process dies, however it dies."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class LockTimeoutError(Exception):
    """Somebody else holds the lock."""


class HeldLock:
    """A held lock; close it (or die) to let go."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _try(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def hold_lock(path: Path, *, wait_s: float = 0.0) -> HeldLock:
    """Hold the lock file `path` (never deleted, so that all lock the same file). Raises LockTimeoutError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_s
    while not _try(fd):
        if time.monotonic() >= deadline:
            os.close(fd)
            raise LockTimeoutError(str(path))
        time.sleep(0.05)
    return HeldLock(fd)
