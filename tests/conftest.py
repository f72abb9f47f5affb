# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test has to leave behind: no thread, no child."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapreel.core.media.readers import warm_pids

PATIENCE_S = 5.0


def children() -> dict[int, str]:
    """Children of this process that still run, with their names; empty where /proc does not tell.

    Warm reader processes are left out: they serve the whole run, and end with it.
    """
    found, warm = {}, warm_pids()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended while we looked
        name, (state, parent, *_) = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
        if int(parent) == os.getpid() and state != "Z" and int(stat.parent.name) not in warm:
            found[int(stat.parent.name)] = name
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread or a child running."""
    threads, processes = set(threading.enumerate()), set(children())
    yield
    deadline = time.monotonic() + PATIENCE_S
    while True:
        stray_threads = [thread.name for thread in threading.enumerate() if thread not in threads and not _pool(thread)]
        stray_children = {pid: name for pid, name in children().items() if pid not in processes}
        if not stray_threads and not stray_children:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: threads {stray_threads}, children {stray_children}")
        time.sleep(0.05)


def _pool(thread: threading.Thread) -> bool:
    """Threads that a library keeps for the whole process (OpenImageIO, torch) and that Python only sees as dummies."""
    return thread.name.startswith("Dummy-")
