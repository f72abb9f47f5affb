# SPDX-License-Identifier: GPL-3.0-or-later
"""The batch lane: one thread that gives jobs to one warm compute process, and ends what crashes, hangs or shall stop.

What shall stop is read from the database, never kept here: a cancel or pause is recorded there first, then the lane is
poked, finds that its job is not `running` any more, tells the compute process, waits the grace, kills the tree.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_exc
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import MapreelError, ServiceError, UsageError
from mapreel.core.contract.job_view import progress_from_json
from mapreel.core.contract.jobs import AttemptState, JobState
from mapreel.core.contract.paths import inside_roots
from mapreel.core.contract.requests import TrainRequest, request_from_json
from mapreel.core.contract.takes import release_take
from mapreel.core.service.attempts import Attempts, Claim, Outcome
from mapreel.core.service.lane import TICK_S, Lane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import FilteringBoundLogger

    from mapreel.core.contract.progress import Progress
    from mapreel.core.service.compute_process import ComputePlan, ComputeProcess

PROGRESS_S = 0.5  # progress is written to the database at most this often
RETRY_S = 1.0  # after the database refused a write
MAX_LOCKED_OUT = 4  # attempts in a row that found an earlier compute process alive, each after half a minute


@dataclass
class Running:
    """The attempt that runs now."""

    claim: Claim
    process: ComputeProcess
    silent_s: float = 0.0  # since the job's last frame or check, as its last heartbeat told
    stop_sent_s: float | None = None
    newest: Progress | None = None
    written_s: float = field(default=float("-inf"))


class BatchLane(Lane):
    """Start it, poke it when the queue changed, stop it: the running attempt ends at its next check, its job stays
    queued."""

    def __init__(self, attempts: Attempts, plan: ComputePlan, log: FilteringBoundLogger) -> None:
        super().__init__(plan, log)
        self._attempts = attempts
        self._locked_out = 0  # attempts in a row that an earlier compute process kept from starting

    def _live(self) -> None:
        while not self._ending.is_set():
            try:
                claim = self._attempts.claim_next()
                if claim is None:
                    self._rest()
                else:
                    self._attempt(claim)
                    self._idle_since_s = time.monotonic()
            except MapreelError as exc:  # the disk of the queue is full or gone: keep trying, lose nothing
                self._log.error("queue", error=exc.to_dict())
                self._ending.wait(RETRY_S)
        self._drop(end=True)

    # -- one attempt -----------------------------------------------------------------------------------------------

    def _attempt(self, claim: Claim) -> None:
        self._log.info("attempt", job=claim.job, number=claim.attempt, take=claim.take)
        try:
            outcome = self._supervise(claim)
        except OSError as exc:
            outcome = Outcome(AttemptState.CRASHED, f"the compute process failed to start ({exc.strerror})", str(exc))
        except UsageError as exc:
            outcome = Outcome(AttemptState.FAILED, exc.what, error=exc.to_dict())
        except Exception as exc:  # noqa: BLE001 - the border of the thread: a dead lane would leave every job waiting
            self._drop(end=False)
            outcome = Outcome(AttemptState.CRASHED, f"this is a fault of ours ({type(exc).__name__})", format_exc())
        while not self._recorded(claim, outcome):
            time.sleep(RETRY_S)

    def _recorded(self, claim: Claim, outcome: Outcome) -> bool:
        """Write the end of the attempt; False when the database did not take it and it has to be tried again."""
        try:
            known = self._attempts.end_attempt(claim, outcome)
            state = self._attempts.state(claim.job)
        except MapreelError as exc:
            self._log.error("queue", error=exc.to_dict())
            return self._ending.is_set()  # at the end of the service, `recover` of the next start finds the attempt
        facts = {"state": outcome.state.value, "reason": outcome.reason, "was_running": known}
        self._log.info("attempt ended", job=claim.job, number=claim.attempt, **facts)
        if state is JobState.FINISHED and claim.take:
            release_take(Path(claim.take))
        return True

    def _supervise(self, claim: Claim) -> Outcome:
        """Run the attempt to its end, whatever that is. Raises OSError (no process), UsageError (outside the roots)."""
        for name, path in request_from_json(claim.request).paths():
            if not inside_roots(path, self._settings.roots):  # again: a link may have changed since the submission
                raise UsageError(f"the path of {name} lies outside the configured folders", "choose another", file=path)
        running = Running(claim, self._warm())
        running.process.last_beat_s = time.monotonic()
        fields = {"job": claim.job, "attempt": claim.attempt, "request": claim.request, "take": claim.take}
        running.process.send({"type": "run", **fields})
        outcome = None
        while outcome is None:
            outcome = self._handle(running, self._take(TICK_S)) or self._watch(running)
        self._keep_progress(running, last=True)
        return outcome

    def _handle(self, running: Running, message: dict[str, Any]) -> Outcome | None:
        kind = message["type"]
        if kind == "closed":
            return self._crashed(running)
        if kind == "ready":
            self._locked_out = 0
        if kind == "beat":
            running.silent_s = message["silent_s"]
        if (message.get("job"), message.get("attempt")) != (running.claim.job, running.claim.attempt):
            return None
        if kind == "progress":
            running.newest = progress_from_json(message)
            self._keep_progress(running)
        if kind == "done":
            return Outcome(AttemptState.DONE, result=message["result"])
        if kind == "failed":
            return Outcome(
                AttemptState.FAILED, message["error"]["what"], message["error"]["detail"], error=message["error"]
            )
        if kind == "stopped":
            return Outcome(AttemptState.CANCELLED, str(message["why"]))
        return None

    @contextlib.contextmanager
    def _queue_may_fail(self) -> Iterator[None]:
        """A queue that cannot be written now must not part the lane from the attempt that runs."""
        try:
            yield
        except MapreelError as exc:
            self._log.error("queue", error=exc.to_dict())

    def _keep_progress(self, running: Running, *, last: bool = False) -> None:
        now = time.monotonic()
        if running.newest is not None and (last or now - running.written_s >= PROGRESS_S):
            with self._queue_may_fail():
                self._attempts.progress(running.claim, running.newest)
            running.newest, running.written_s = None, now

    def _watch(self, running: Running) -> Outcome | None:
        """What time alone brings: a stop that was asked for, the end of the grace, a hang, a silent death."""
        self._keep_progress(running)
        now = time.monotonic()
        if running.stop_sent_s is None:
            with self._queue_may_fail():
                self._pass_on_stop(running)
        elif now - running.stop_sent_s > self._grace_s(running.claim):
            self._drop(end=False)
            return Outcome(AttemptState.CANCELLED, "killed: it did not stop in time", counts=False)
        if now - running.process.last_beat_s > self._settings.beat_timeout_s:
            return self._hung("gave no heartbeat")
        if running.silent_s > self._settings.stall_timeout_s:
            return self._hung("finished no frame")
        return None if running.process.is_alive else self._crashed(running)

    def _grace_s(self, claim: Claim) -> float:
        trains = claim.request.get("type") == TrainRequest.kind
        return self._settings.train_grace_s if trains else self._settings.grace_s

    def _pass_on_stop(self, running: Running) -> None:
        wanted = self._attempts.state(running.claim.job)
        if wanted is JobState.RUNNING and not self._ending.is_set():
            return
        why = "cancel" if wanted is JobState.CANCELLED else "pause"
        claim = running.claim
        running.process.send({"type": "stop", "job": claim.job, "attempt": claim.attempt, "why": why})
        running.stop_sent_s = time.monotonic()

    def _crashed(self, running: Running) -> Outcome:
        process = running.process
        story, tail = process.story(), process.tail()
        self._drop(end=False)
        if process.blames_the_job:
            return Outcome(AttemptState.CRASHED, f"the compute process {story}", tail)
        self._locked_out += 1
        what = "an earlier compute process has not ended yet"
        if self._locked_out < MAX_LOCKED_OUT:
            return Outcome(AttemptState.CRASHED, what, tail, counts=False)
        error = ServiceError(what, "end it (a disk that does not answer may hold it) or restart the machine")
        return Outcome(AttemptState.FAILED, what, tail, error=error.to_dict())

    def _hung(self, what: str) -> Outcome:
        tail = self._process.tail() if self._process else ""
        self._drop(end=False)
        return Outcome(AttemptState.HUNG, f"the compute process {what} and was killed", tail)
