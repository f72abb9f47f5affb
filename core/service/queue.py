# SPDX-License-Identifier: GPL-3.0-or-later
"""The durable queue as clients see it: submit, look, cancel, pause, resume, retry, reorder.

Every method is one transaction.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import JobStateError
from mapreel.core.contract.jobs import JobState, Move
from mapreel.core.service.ledger import Ledger, step, unknown_job
from mapreel.core.service.order import moved

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

MAX_LISTED = 1000
MAX_CHANGED = 500
_STARTED = "(SELECT max(started_s) FROM attempts WHERE attempts.job = jobs.id) AS started_s"  # the last attempt
_SUMMARY = (
    "number, id, type, state, take, priority, created_s, changed_s, attempts, progress, error, result, place, "
    + _STARTED
)
_WAITING = frozenset({JobState.QUEUED, JobState.PAUSED})
_ENDED_BADLY = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED})


class Queue:
    """Jobs in the ledger; any thread may call."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def find_key(self, key: str) -> str | None:
        """The job that this submission made already, if it did."""
        with self._ledger.reading() as db:
            row = db.execute("SELECT id FROM jobs WHERE key = ?", (key,)).fetchone()
        return row["id"] if row else None

    def submit(self, key: str, request: dict[str, Any], take: str | None, priority: int = 0) -> str:
        """Put a job at the end of its priority; gives its id (48 random bits: never used again)."""
        job, now = secrets.token_hex(6), time.time()
        columns = "id, key, type, request, take, priority, created_s, changed_s"
        values = (job, key, request["type"], json.dumps(request), take, priority, now, now)
        with self._ledger.writing() as db:
            db.execute(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608
        return job

    def show(self, job: str) -> dict[str, Any]:
        """All about one job. Raises UnknownJobError."""
        with self._ledger.reading() as db:
            row = db.execute(f"SELECT {_SUMMARY}, request FROM jobs WHERE id = ?", (job,)).fetchone()  # noqa: S608
            if row is None:
                raise unknown_job(job)
            tries = db.execute("SELECT * FROM attempts WHERE job = ? ORDER BY number", (job,)).fetchall()
        return {**_plain(row), "tries": [dict(one) for one in tries]}

    def listing(self, state: JobState | None = None, *, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Jobs in the order of submission, at most MAX_LISTED; go on after the last one's `number`."""
        where, values = ("state = ? AND", (state.value,)) if state else ("", ())
        sql = f"SELECT {_SUMMARY} FROM jobs WHERE {where} number > ? ORDER BY number LIMIT ?"  # noqa: S608
        with self._ledger.reading() as db:
            rows = db.execute(sql, (*values, after, min(limit, MAX_LISTED))).fetchall()
        return [_plain(row) for row in rows]

    def events(self, job: str, after: int = 0) -> list[dict[str, Any]]:
        """Events of a job past the number `after`; of progress only the newest is kept."""
        sql = "SELECT number, at_s, kind, data FROM events WHERE job = ? AND number > ? ORDER BY number LIMIT 1000"
        with self._ledger.reading() as db:
            rows = db.execute(sql, (job, after)).fetchall()
        return [{**dict(row), "data": json.loads(row["data"])} for row in rows]

    def changed(self, after: int = 0) -> tuple[int, bool, list[dict[str, Any]]]:
        """Jobs with events past the number `after`, in the order of their newest, at most MAX_CHANGED.

        Gives the number to go on from, whether `after` is of another queue (then all is told from the start), the rows.
        """
        sql = f"SELECT {_SUMMARY}, last_event FROM jobs WHERE last_event > ? ORDER BY last_event LIMIT ?"  # noqa: S608
        with self._ledger.reading() as db:
            newest = db.execute("SELECT coalesce(max(last_event), 0) FROM jobs").fetchone()[0]
            anew = after > newest
            rows = db.execute(sql, (0 if anew else after, MAX_CHANGED)).fetchall()
        number = rows[-1]["last_event"] if rows else newest
        return number, anew, [_plain(row) for row in rows]

    def finished(self, kind: str, limit: int) -> list[dict[str, Any]]:
        """The newest finished jobs of a type: request, result, seconds that the attempt took which finished it."""
        sql = (
            "SELECT request, result, ended_s - started_s AS seconds FROM jobs JOIN attempts ON attempts.job = jobs.id"
            " WHERE type = ? AND jobs.state = 'finished' AND attempts.state = 'done'"
            " ORDER BY jobs.number DESC LIMIT ?"
        )
        with self._ledger.reading() as db:
            rows = db.execute(sql, (kind, limit)).fetchall()
        return [_plain(row) for row in rows]

    def busy(self) -> bool:
        """True while a job waits or runs."""
        with self._ledger.reading() as db:
            return db.execute("SELECT 1 FROM jobs WHERE state IN ('queued', 'running') LIMIT 1").fetchone() is not None

    def cancel(self, job: str) -> None:
        self._ask(job, JobState.CANCELLED)

    def pause(self, job: str) -> None:
        self._ask(job, JobState.PAUSED)

    def resume(self, job: str) -> None:
        self._ask(job, JobState.QUEUED, sources=frozenset({JobState.PAUSED}), also_fine={JobState.RUNNING})

    def retry(self, job: str) -> None:
        """Queue an ended job again: same take, what stands complete in it is kept."""
        self._ask(job, JobState.QUEUED, "crashes = 0, error = NULL", sources=_ENDED_BADLY)

    def reorder(self, job: str, where: int | Move) -> None:
        """Another priority, or place among all that wait, for a job that waits or is paused.

        Raises UnknownJobError, JobStateError.
        """
        with self._ledger.writing() as db:
            row = db.execute("SELECT state, priority, place FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is None:
                raise unknown_job(job)
            if row["state"] not in _WAITING:
                remedy = "only what waits or is paused has a place in the queue"
                raise JobStateError(f"the job {job} is {row['state']}", remedy)
            priority, place = (where, row["place"]) if isinstance(where, int) else moved(db, job, where)
            sql = "UPDATE jobs SET priority = ?, place = ?, changed_s = ? WHERE id = ?"
            db.execute(sql, (priority, place, time.time(), job))

    def _ask(
        self,
        job: str,
        new: JobState,
        also: str = "",
        *,
        sources: frozenset[JobState] = frozenset(JobState),
        also_fine: Iterable[JobState] = (),
    ) -> None:
        """Take the step unless it is taken already (an answer can get lost on its way and be asked for again).

        Out of `running` the answer does not wait for the disk (a busy one takes half a second): the step stands in the
        database at once, survives the death of the service, and is synced with the end of the attempt that it stops.
        """
        with self._ledger.reading() as db:
            row = db.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is not None and row["state"] in {new, *also_fine}:
                return
            with self._ledger.writing(durable=row is None or row["state"] != JobState.RUNNING):
                step(db, job, new, also, sources=sources)


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    """A row with its JSON columns read."""
    texts = {"progress", "error", "result", "request"}
    return {
        name: json.loads(row[name]) if name in texts and row[name] is not None else row[name]
        for name in row.keys()  # noqa: SIM118 - a Row iterates over values
    }
