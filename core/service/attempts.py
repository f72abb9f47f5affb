# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts at jobs, as the lane sees them. Every method is one transaction; any thread may call.

How a job can die and what then happens:
    its attempt crashes or hangs     → queued again, the next attempt goes on with the same take; after
                                       `max_crashes` in a row without a new frame → quarantined with the reason
    its attempt reports an error     → failed with the sentence (retry puts it back)
    the service dies                 → `recover` at the next start: attempt crashed, job queued; counts for nothing
    a late report of a dead attempt  → changes no row: only the running attempt may report
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import InternalError
from mapreel.core.contract.jobs import JOB_STEPS, AttemptState, JobState
from mapreel.core.service.ledger import Ledger, step

if TYPE_CHECKING:
    import sqlite3

    from mapreel.core.contract.progress import Progress

_PICK = (
    "SELECT id FROM jobs WHERE state = 'queued' AND NOT EXISTS"
    " (SELECT 1 FROM attempts WHERE job = jobs.id AND attempts.state = 'running')"
    " ORDER BY priority DESC, place LIMIT 1"
)


@dataclass(frozen=True)
class Claim:
    """A job that was given to the lane; (job, attempt) is the fencing token."""

    job: str
    attempt: int
    request: dict[str, Any]
    take: str | None


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `counts`: a crash that counts towards quarantine."""

    state: AttemptState
    reason: str = ""
    detail: str = ""
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    counts: bool = True


class Attempts:
    """Attempts in the ledger."""

    def __init__(self, ledger: Ledger, *, max_crashes: int = 3) -> None:
        self._ledger = ledger
        self._max_crashes = max_crashes

    def claim_next(self) -> Claim | None:
        """Start an attempt at the job that is first: highest priority, then its place. None when nothing waits."""
        with self._ledger.reading() as db:
            if db.execute(_PICK).fetchone() is None:
                return None
        now = time.time()
        with self._ledger.writing() as db:
            row = db.execute(
                f"UPDATE jobs SET state = 'running', changed_s = ?, attempts = attempts + 1 WHERE id = ({_PICK})"  # noqa: S608
                " RETURNING id, attempts, request, take, best_done",
                (now,),
            ).fetchone()
            if row is None:  # cancelled between the look and the grasp
                return None
            db.execute(
                "INSERT INTO attempts (job, number, started_s, best_before) VALUES (?, ?, ?, ?)",
                (row["id"], row["attempts"], now, row["best_done"]),
            )
        return Claim(row["id"], row["attempts"], json.loads(row["request"]), row["take"])

    def state(self, job: str) -> JobState:
        """The state of a job that is known to exist."""
        with self._ledger.reading() as db:
            return JobState(db.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()["state"])

    def progress(self, claim: Claim, progress: Progress) -> bool:
        """Keep the newest progress of the running attempt; False for anybody else."""
        text, now = json.dumps(asdict(progress)), time.time()
        sql = (
            "UPDATE jobs SET progress = ?, best_done = max(best_done, ?) WHERE id = ? AND state = 'running'"
            " AND EXISTS (SELECT 1 FROM attempts WHERE job = jobs.id AND number = ? AND attempts.state = 'running')"
        )
        with self._ledger.writing(durable=False) as db:
            if db.execute(sql, (text, progress.done, claim.job, claim.attempt)).rowcount == 0:
                return False
            db.execute("DELETE FROM events WHERE job = ? AND kind = 'progress'", (claim.job,))
            event = (claim.job, now, text)
            db.execute("INSERT INTO events (job, at_s, kind, data) VALUES (?, ?, 'progress', ?)", event)
        return True

    def end_attempt(self, claim: Claim, outcome: Outcome) -> bool:
        """Record how the attempt ended and take the job's next step; False when it had ended before (a zombie)."""
        sql = (
            "UPDATE attempts SET state = ?, ended_s = ?, reason = ?, detail = ?"
            " WHERE job = ? AND number = ? AND state = 'running'"
        )
        values = (outcome.state.value, time.time(), outcome.reason, outcome.detail, claim.job, claim.attempt)
        with self._ledger.writing() as db:
            if db.execute(sql, values).rowcount == 0:
                return False
            self._after(db, claim, outcome)
        return True

    def _after(self, db: sqlite3.Connection, claim: Claim, outcome: Outcome) -> None:
        row = db.execute("SELECT state, best_done, crashes FROM jobs WHERE id = ?", (claim.job,)).fetchone()
        state = JobState(row["state"])
        if outcome.state is AttemptState.DONE and JobState.FINISHED in JOB_STEPS[state]:
            step(db, claim.job, JobState.FINISHED, "result = ?, error = NULL", (json.dumps(outcome.result or {}),))
        elif outcome.state is AttemptState.FAILED and JobState.FAILED in JOB_STEPS[state]:
            step(db, claim.job, JobState.FAILED, "error = ?", (json.dumps(outcome.error),))
        elif state is JobState.RUNNING:  # crashed, hung, or stopped because the service ends
            self._again(db, claim, outcome, row)

    def _again(self, db: sqlite3.Connection, claim: Claim, outcome: Outcome, row: sqlite3.Row) -> None:
        crashes = row["crashes"]
        if outcome.counts and outcome.state in {AttemptState.CRASHED, AttemptState.HUNG}:
            sql = "SELECT best_before FROM attempts WHERE job = ? AND number = ?"
            before = db.execute(sql, (claim.job, claim.attempt)).fetchone()["best_before"]
            crashes = 1 if row["best_done"] > before else crashes + 1
        if crashes < self._max_crashes:
            step(db, claim.job, JobState.QUEUED, "crashes = ?", (crashes,))
            return
        what = f"the job ended the compute process {crashes} times in a row ({outcome.reason})"
        error = InternalError(what, "look at its attempts, then retry it", detail=outcome.detail).to_dict()
        step(db, claim.job, JobState.QUARANTINED, "crashes = ?, error = ?", (crashes, json.dumps(error)))

    def recover(self) -> int:
        """At the start of the service: attempts that still run belong to a dead service. Gives how many there were."""
        with self._ledger.reading() as db:
            rows = db.execute("SELECT job, number FROM attempts WHERE state = 'running'").fetchall()
        lost = Outcome(AttemptState.CRASHED, "the service ended in mid-job", counts=False)
        for row in rows:
            self.end_attempt(Claim(row["job"], row["number"], {}, None), lost)
        return len(rows)
