# SPDX-License-Identifier: Apache-2.0
"""The states of jobs and of their attempts, and which step leads from which to which."""

from __future__ import annotations

from enum import Enum


class JobState(str, Enum):
    """Where a job is; the last four are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"  # too many attempts crashed

    @property
    def is_over(self) -> bool:
        return self in _OVER


class AttemptState(str, Enum):
    """How one attempt at a job stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CRASHED = "crashed"
    HUNG = "hung"
    CANCELLED = "cancelled"  # asked to stop: by a cancel, a pause, or the end of the service


class Move(str, Enum):
    """Where a job that waits goes in the queue."""

    FIRST = "first"  # it is begun next
    UP = "up"  # before the one before it
    DOWN = "down"  # behind the one behind it
    LAST = "last"


_OVER = frozenset({JobState.FINISHED, JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED})
_END = frozenset({JobState.FINISHED, JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED})

JOB_STEPS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.CANCELLED}),
    JobState.RUNNING: _END | {JobState.PAUSED, JobState.QUEUED},  # queued again: its attempt crashed
    # a pausing attempt may still come to its end before it hears of the pause
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.CANCELLED, JobState.FINISHED, JobState.FAILED}),
    JobState.FINISHED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),  # by a retry
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
    JobState.QUARANTINED: frozenset({JobState.QUEUED}),
}
ATTEMPT_STEPS: dict[AttemptState, frozenset[AttemptState]] = {
    state: frozenset(set(AttemptState) - {AttemptState.RUNNING}) if state is AttemptState.RUNNING else frozenset()
    for state in AttemptState
}


def allowed(old: JobState, new: JobState) -> bool:
    """True when a job may step from `old` to `new`."""
    return new in JOB_STEPS[old]
