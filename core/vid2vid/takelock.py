# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock for the moment in which a job reads and writes what a take tells about itself.

Chunks of one shot may be rendered into one take side by side, by several processes and machines. Frames do not meet:
each is written whole, and the same job gives the same pixels. The side-car would: who writes last would forget what the
others had noted. The lock is a file, so that it works on every system and on shared disks.
"""

from __future__ import annotations

import contextlib
import time
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
    deadline = time.monotonic() + PATIENCE_S
    while not _made(path):
        if time.monotonic() > deadline:
            path.unlink(missing_ok=True)
            deadline = time.monotonic() + PATIENCE_S
        time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the disk is gone: what was written in the block has said so
            path.unlink(missing_ok=True)


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
