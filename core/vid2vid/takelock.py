# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock for the moment in which a job reads and writes what a take tells about itself.

Chunks of one shot may be rendered into one take side by side, by several processes and machines. Frames do not meet:
each is written whole, and the same job gives the same pixels. The side-car would: who writes last would forget what the
others had noted. The lock is a file, so that it works on every system and on shared disks.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from mapreel.core.contract.errors import disk_error

LOCK = ".mapreel.lock"
PATIENCE_S = 5.0
"""A side-car is written in milliseconds: a lock that stands longer belongs to a job that died, and is taken away."""
_PAUSE_S = 0.02


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a take. Raises OutputError where the folder cannot be written."""
    path = folder / LOCK
    standing, since_s = _identity(path), time.monotonic()
    while not _made(path):
        found = _identity(path)
        if found != standing:  # another one's: its time begins now
            standing, since_s = found, time.monotonic()
        elif time.monotonic() - since_s > PATIENCE_S:
            _take_away(path)
            since_s = time.monotonic()
        time.sleep(_PAUSE_S)
    own = _identity(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the disk is gone: what was written in the block has said so
            if _identity(path) == own:  # a job that was thought dead must not open the lock of the next one
                path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _take_away(path: Path) -> None:
    """Of several that wait for a dead lock one moves it. Raises OutputError where the folder does not allow that."""
    aside = path.with_name(f"{LOCK}.{uuid.uuid4().hex}")
    try:
        path.rename(aside)
        aside.unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise disk_error(exc, path) from exc


def _made(path: Path) -> bool:
    """True when this call made the file. Windows refuses access to a name whose file is just being deleted."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    except OSError as exc:
        if isinstance(exc, PermissionError) and path.exists():
            return False
        raise disk_error(exc, path) from exc
    return True
