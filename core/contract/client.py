# SPDX-License-Identifier: Apache-2.0
"""The client of the service: asks for proof before it shows its token, starts the service when there is none.

One client for one thread. Every method raises ServiceError and, for what the service refuses, the service's own error.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mapreel.core.contract.connection import GONE, MAX_FAILURES, ServiceConnection
from mapreel.core.contract.draft import (
    DRAFT_PATH,
    FACTS_HEADER,
    MAX_PIXEL_BYTES,
    DraftFrame,
    DraftQuestion,
    DraftSession,
    frame_from_answer,
)
from mapreel.core.contract.errors import ServiceStoppingError, ServiceUnreachableError, UnknownJobError
from mapreel.core.contract.estimate import ESTIMATE_PATH, Estimate
from mapreel.core.contract.host_session import HOSTS_PATH, WAIT_S, HostView, command_from_json, view_from_json
from mapreel.core.contract.job_view import JobChanges, JobEvent, JobView
from mapreel.core.contract.jobs import JobState, Move
from mapreel.core.contract.state_folder import state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mapreel.core.contract.host_session import HostAnswer, HostCommand, HostFacts
    from mapreel.core.contract.requests import DraftRequest, PeekRequest, Request

DRAFT_TIMEOUT_S = 300.0  # the service itself gives up earlier and says why
_JOB = re.compile(r"[0-9A-Za-z_-]{1,64}")


class ServiceClient:
    """A connection to the service of this user and machine; `with` closes it."""

    def __init__(
        self,
        state: str | Path | None = None,
        *,
        start: bool = True,
        start_timeout_s: float = 60.0,
        arguments: tuple[str, ...] = (),
        python: str | None = None,
    ) -> None:
        """`start=False` never starts a service; `arguments` are words for the service that is started.

        python: the interpreter that Mapreel is installed for, where that is not the one that runs this.
        """
        self._connection = ServiceConnection(
            state_folder(state), starts=start, start_timeout_s=start_timeout_s, arguments=arguments, python=python
        )
        self._session, self._peeks = DraftSession(), DraftSession()

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def end(self) -> None:
        """From any thread: end what waits for an answer, with ServiceUnreachableError, and ask nothing more."""
        self._connection.end()

    def submit(self, request: Request, *, priority: int = 0) -> JobView:
        """Put a request into the queue; the view names the take that was claimed for it."""
        body = {"key": secrets.token_hex(16), "request": request.to_json(), "priority": priority}
        return JobView.from_json(self._connection.ask("POST", "/v1/jobs", body))

    def show(self, job: str) -> JobView:
        return JobView.from_json(self._connection.ask("GET", _address(job)))

    def list(self, state: JobState | None = None, *, after: int = 0, limit: int = 100) -> list[JobView]:
        """Jobs in the order of submission; go on after the last one's `data["number"]`."""
        query = {"after": after, "limit": limit, **({"state": state.value} if state else {})}
        return [JobView.from_json(row) for row in self._connection.ask("GET", f"/v1/jobs?{urlencode(query)}")["jobs"]]

    def cancel(self, job: str) -> JobView:
        return self._step(job, "cancel")

    def pause(self, job: str) -> JobView:
        return self._step(job, "pause")

    def resume(self, job: str) -> JobView:
        return self._step(job, "resume")

    def retry(self, job: str) -> JobView:
        return self._step(job, "retry")

    def draft(self, request: DraftRequest, *, session: DraftSession | None = None) -> DraftFrame:
        """One frame now, as pixels in memory; the first one loads the model and takes seconds.

        session: shared by several clients of one viewer; this client's own by default. Raises the sentence of what is
        wrong with the input, DraftSupersededError when a newer draft of the session took its place, DraftFailedError.
        """
        return self._frame(request, session or self._session)

    def peek(self, request: PeekRequest, *, session: DraftSession | None = None) -> DraftFrame:
        """One frame of an archive now, as sRGB pixels in memory; or with `frame=None` what the archive holds.

        The facts of a frame: number, width, height, seconds, and opening_seconds, 0 where the archive was open. The
        facts of an archive in `facts["archive"]`: frames (a range as `FrameRange.parse` reads it), count, width,
        height, fps, pixel_aspect, profile, colour_space, depth, alpha, groups as [first frame number, frames, bytes,
        whether it stands alone], label_maps, instance_maps, faults, file_bytes, bits_per_pixel and what else
        `mapreel archive info --json` tells. Archives keep no PSNR; the result of the encode job does.
        session: as for `draft`; this client's own for peeks by default, and what an archive holds waits in no session.
        Raises ArchiveError, InputError (a frame that it does not hold), UsageError (a region outside of it),
        DraftSupersededError, DraftFailedError.
        """
        return self._frame(request, session or (DraftSession() if request.frame is None else self._peeks))

    def _frame(self, request: DraftRequest | PeekRequest, session: DraftSession) -> DraftFrame:
        question = DraftQuestion(session.name, session.next_serial(), request)
        facts, pixels = self._connection.ask_bytes(
            DRAFT_PATH, question.to_json(), header=FACTS_HEADER, timeout_s=DRAFT_TIMEOUT_S, limit=MAX_PIXEL_BYTES
        )
        frame = frame_from_answer(facts, pixels)
        session.accept(question.serial)
        return frame

    def estimate(self, request: Request) -> Estimate:
        """What a job would take, by what such jobs took here before; None where none has finished. Queues nothing.

        Raises UsageError for a request that the queue would refuse; one whose files are not there has no frames.
        """
        body = {"request": request.to_json()}
        return Estimate.from_json(self._connection.ask("POST", ESTIMATE_PATH, body))

    def hosts(self) -> tuple[HostView, ...]:
        """Which hosts are open, the one heard of last first."""
        return tuple(view_from_json(host) for host in self._connection.ask("GET", HOSTS_PATH)["hosts"])

    def command_host(self, session: str, take: str, *, into: str = "node") -> int:
        """Have a host show a take; the number under which its answer will stand. Raises ServiceRefusedError."""
        body = {"take": take, "into": into}
        return int(self._connection.ask("POST", f"{HOSTS_PATH}/{session}/commands", body)["number"])

    def tell_as_host(
        self, session: str, facts: HostFacts | None, *, after: int = 0, answers: tuple[HostAnswer, ...] = ()
    ) -> tuple[HostCommand, ...]:
        """Say what this host has open, and wait some seconds for something to do. No facts: it leaves."""
        told = [{"number": answer.number, "error": answer.error} for answer in answers]
        body = {"leaves": True} if facts is None else {"facts": facts.to_json(), "after": after, "answers": told}
        answer = self._connection.ask("POST", f"{HOSTS_PATH}/{session}", body)
        return tuple(command_from_json(command) for command in answer["commands"])

    def status(self) -> dict[str, Any]:
        """Process ids and state folder of the service."""
        return self._connection.ask("GET", "/v1/status")

    def stop(self) -> bool:
        """End the service (its jobs stay queued); False when none runs. Never starts one."""
        starts, self._connection.starts = self._connection.starts, False
        try:
            self._connection.ask("POST", "/v1/stop", {})
        except ServiceUnreachableError:
            return False
        finally:
            self._connection.starts = starts
            self.close()
        return True

    def watch(self, job: str, *, after: int = 0, lost: Callable[[], None] | None = None) -> Iterator[JobEvent]:
        """Events of a job until it is over. Survives the death of the service: connects anew and goes on.

        lost: called each time that the service is gone, before another one is looked for or started.
        Raises ServiceStoppingError when the service was stopped: who did that does not want it back.
        """
        failures, path = 0, f"{_address(job)}/events"
        while failures < MAX_FAILURES:
            try:
                for event in _events(job, self._connection.stream(path, after)):
                    if event.kind == "over":
                        return
                    failures, after = 0, max(after, event.number)
                    yield event
            except GONE:  # noqa: PERF203 - the service died: the next one is asked for what comes after
                failures += 1
                if lost is not None:
                    lost()
            finally:
                self.close()
        raise ServiceUnreachableError("the service ended again and again", "look at its log")

    def wait(self, job: str) -> JobView:
        """Wait until a job is over."""
        for _ in self.watch(job):
            pass
        return self.show(job)

    def reorder(self, job: str, where: int | Move | str) -> JobView:
        """Another place in the queue for a job that is queued or paused.

        where: a priority (-100 to 100, higher is earlier), or a Move: first, up, down, last among all that wait; the
        job then takes the priority of those that it comes between. The order is `data["priority"]` downwards, then
        `data["place"]`. Raises JobStateError for a job in another state, UsageError for another number or word.
        """
        body = {"priority": where} if isinstance(where, int) else {"move": str(getattr(where, "value", where))}
        return JobView.from_json(self._connection.ask("POST", f"{_address(job)}/priority", body))

    def changes(self, after: int = 0, *, timeout_s: float = WAIT_S) -> JobChanges:
        """The jobs, as they stand, that changed past the event number `after` (0: all jobs), at most 500 a call.

        Answers at once when there is news, else as soon as there is, or with no jobs after `timeout_s` (at most 20).
        Go on with the answer's `number`; from a full answer the next call goes on without waiting. A job of which only
        the progress changed comes again with its newest progress. Nothing is missed when the service dies in between.
        """
        query = urlencode({"after": after, "wait": round(max(0.0, timeout_s) * 1000)})
        return JobChanges.from_json(self._connection.ask("GET", f"/v1/changes?{query}"))

    def _step(self, job: str, step: str) -> JobView:
        return JobView.from_json(self._connection.ask("POST", f"{_address(job)}/{step}", {}))


def _address(job: str) -> str:
    if not _JOB.fullmatch(job):
        raise UnknownJobError(f"there is no job “{job[:80]}”", "see all with: mapreel jobs list")
    return f"/v1/jobs/{job}"


def _events(job: str, response: http.client.HTTPResponse) -> Iterator[JobEvent]:
    """Read server-sent events. The end without an `over` is the end of the service: raises ConnectionError."""
    fields: dict[str, str] = {}
    with contextlib.closing(response):
        while line := response.readline():
            name, _, value = line.decode("utf-8").rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                data = json.loads(fields["data"])
                if fields["event"] == "stopping":
                    remedy = f"the job is kept, go on with: mapreel jobs watch {job}"
                    raise ServiceStoppingError("the service was stopped", remedy)
                view = JobView.from_json(data["job"])
                yield JobEvent(int(fields.get("id", "0")), fields["event"], data.get("data", {}), view)
                fields = {}
    raise ConnectionError
