# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a request to the service (or runs it here) and stays with it to its end, whatever dies meanwhile."""

from __future__ import annotations

import contextlib
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mapreel.core.contract.errors import (
    CancelledError,
    FramesLostError,
    InternalError,
    MapreelError,
    ServiceStoppingError,
    ServiceUnreachableError,
    UsageError,
)
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.takes import is_file_take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from mapreel.core.commands.console import Console, Lines, LiveBar
    from mapreel.core.contract.client import ServiceClient
    from mapreel.core.contract.job_view import JobEvent, JobView
    from mapreel.core.contract.requests import Request

RECONNECTS = 10  # in a row without hearing anything of the job: then the service cannot be brought back


class Interrupted(CancelledError):  # noqa: N818 - the user's own wish
    """Ctrl-C or a polite kill: the job was cancelled, what is finished stays."""

    code: ClassVar[str] = "interrupted"
    exit_code = 128 + signal.SIGINT


@dataclass(frozen=True)
class Finished:
    """What a request came to. `job` is None when it ran in this process."""

    result: dict[str, Any]
    take: str | None
    job: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"job": self.job, "take": self.take, "result": self.result}


@contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` at Ctrl-C or SIGTERM while the block lasts; a second one ends the program at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(_number: int, _frame: FrameType | None) -> None:
        restore()
        act()

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()


def _raise_interrupt() -> None:
    raise KeyboardInterrupt


def run_request(console: Console, request: Request, *, local: bool) -> Finished:
    """Do a request to its end, with progress. Raises the job's own error, Interrupted after Ctrl-C."""
    return _run_here(console, request) if local else _run_in_service(console, request)


def _run_here(console: Console, request: Request) -> Finished:
    from mapreel.core.local import LocalContext, claim, wait_calmly

    wait_calmly()
    job = claim(request)
    if job.take is not None:
        console.note(f"writing to {job.take}")
    with console.progress() as view:
        context = LocalContext(view.show)
        try:
            with on_interrupt(context.stop):
                result = job.run(context)
        except CancelledError as exc:
            kept = f"; what is finished is kept for {job.take}" if job.stands else ""
            again = "add --resume and give this take as --out" if hasattr(request, "resume") else "run the same command"
            raise Interrupted(f"cancelled{kept}", f"{again} to go on") from exc
        except FramesLostError as exc:
            if hasattr(request, "resume"):
                exc.remedy += f", then add --resume and give --out {job.take}"
            raise
    return Finished(result, str(job.take) if job.take else None)


def _run_in_service(console: Console, request: Request) -> Finished:
    from mapreel.core.contract.client import ServiceClient

    with ServiceClient() as client, on_interrupt(_raise_interrupt):
        job = client.submit(request)
        console.note(f"job {job.id}" + (f", writing to {job.take}" if job.take else ""))
        try:
            _note_queue(console, client, job)
            job = follow(console, client, job.id)
        except KeyboardInterrupt:
            raise _cancelled(client, job) from None
    return finished(job)


def _note_queue(console: Console, client: ServiceClient, job: JobView) -> None:
    waiting = [*client.list(JobState.RUNNING), *client.list(JobState.QUEUED)]
    before = sum(int(other.data["number"]) < int(job.data["number"]) for other in waiting)
    if before:
        console.note("waiting: " + ("1 job is" if before == 1 else f"{before} jobs are") + " before this one")


def kept(job: JobView) -> str:
    """The end of a sentence about a job that was stopped. A movie or archive is there only once it is whole."""
    if job.take is None:
        return ""
    return f"; what is finished is kept {'for' if is_file_take(Path(job.take)) else 'in'} {job.take}"


def _cancelled(client: ServiceClient, job: JobView) -> Interrupted:
    client.close()  # the connection may be in the middle of an answer
    try:
        client.cancel(job.id)
    except MapreelError as exc:
        remedy = f"see how it stands with: mapreel jobs show {job.id}"
        return Interrupted(f"interrupted, and the job {job.id} could not be cancelled ({exc.what})", remedy)
    return Interrupted(f"cancelled job {job.id}{kept(job)}", f"go on with: mapreel jobs retry {job.id}")


def follow(console: Console, client: ServiceClient, job: str) -> JobView:
    """Show a job's progress until it is over or the service is stopped; survives the death of either process."""
    follower = _Follower(console, client, job)
    with console.progress() as view:
        while not follower.to_the_end(view):
            pass
    return client.show(job)


class _Follower:
    """Reads the events of a job; remembers where it was when the service is gone for a while."""

    def __init__(self, console: Console, client: ServiceClient, job: str) -> None:
        self._console, self._client, self._job = console, client, job
        self._after = 0
        self._lost = 0

    def to_the_end(self, view: Lines | LiveBar) -> bool:
        """True when the job is over, False when the service was lost and it has to be tried again.

        Raises ServiceStoppingError: a service that was stopped is not brought back by those who watch.
        """
        try:
            for event in self._client.watch(self._job, after=self._after):
                self._after, self._lost = max(self._after, event.number), 0
                self._show(event, view)
        except ServiceStoppingError:
            raise
        except ServiceUnreachableError:
            self._lost += 1
            if self._lost > RECONNECTS:
                raise
            return False
        return True

    def _show(self, event: JobEvent, view: Lines | LiveBar) -> None:
        if event.kind == "attempt" and event.data.get("to") in {"crashed", "hung"} and not event.job.state.is_over:
            self._console.note(f"{event.data.get('reason')}; going on with what is finished")
        if event.kind == "state" and event.data.get("to") == JobState.PAUSED.value:
            self._console.note(f"paused; go on with: mapreel jobs resume {self._job}")
        if event.job.progress is not None and event.job.state in {JobState.RUNNING, JobState.FINISHED}:
            view.show(event.job.progress)


def finished(job: JobView) -> Finished:
    """The result of a job that is over. Raises its error, with how to go on."""
    if job.state is JobState.FINISHED:
        return Finished(job.result or {}, job.take, job.id)
    if job.state is JobState.CANCELLED:
        raise CancelledError(f"job {job.id} was cancelled{kept(job)}", f"go on with: mapreel jobs retry {job.id}")
    error = job.error or InternalError(f"job {job.id} ended without a reason", f"see: mapreel jobs show {job.id}")
    if job.take is not None and type(error) is not UsageError:  # a request that was wrong itself cannot be mended
        error.remedy = f"{error.remedy or 'mend that'}, then: mapreel jobs retry {job.id}"
    _give_back(job, error)
    raise error


def _give_back(job: JobView, error: MapreelError) -> None:
    """Take away the empty folder of a job whose input was bad: the corrected command shall get its name."""
    if job.take is not None and error.exit_code == 2 and not is_file_take(Path(job.take)):
        with contextlib.suppress(OSError):  # something stands in it: it is kept
            Path(job.take).rmdir()
