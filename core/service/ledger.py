# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to the queue's database for all threads: reads, transactions, and the step from state to state."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import JobStateError, UnknownJobError
from mapreel.core.contract.jobs import JOB_STEPS, JobState
from mapreel.core.service.database import open_database, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Ledger:
    """The database behind a lock. `changed` is called after every transaction, from the thread that made it."""

    def __init__(self, path: Path) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._path = path
        self._lock = threading.RLock()
        self._db = open_database(path)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as exc:
                raise translate(exc, self._path) from exc

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, synced to the disk at its end; `durable=False` for what may be lost with the power only.

        Nobody who cancels then waits for the syncs of progress.
        """
        with self.reading() as db:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        self.changed()


def unknown_job(job: str) -> UnknownJobError:
    """The error for an id that names no job: unknown is unknown, never done."""
    return UnknownJobError(f"there is no job “{job[:80]}”", "see all with: mapreel jobs list")


def step(
    db: sqlite3.Connection,
    job: str,
    new: JobState,
    also: str = "",
    values: tuple[Any, ...] = (),
    *,
    sources: frozenset[JobState] = frozenset(JobState),
) -> None:
    """The conditional update that every step is, out of `sources` only. Raises UnknownJobError, JobStateError."""
    olds = [old.value for old in JobState if old in sources and new in JOB_STEPS[old]]
    extra = f", {also}" if also else ""
    marks = ", ".join("?" * len(olds))
    sql = f"UPDATE jobs SET state = ?, changed_s = ?{extra} WHERE id = ? AND state IN ({marks})"  # noqa: S608
    if db.execute(sql, (new.value, time.time(), *values, job, *olds)).rowcount == 0:
        row = db.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
        if row is None:
            raise unknown_job(job)
        raise JobStateError(f"the job {job} is {row['state']}", f"from there it cannot become {new.value}")
