# SPDX-License-Identifier: Apache-2.0
"""The link from a host to the service: what is slow happens in threads, and the host takes what came when it likes.

A host's own thread calls `submit`, `draft`, `cancel`, which return at once, and a few times a second `pump`, which runs
what came back. Nothing here knows a host, and nothing that goes wrong here leaves `pump` as an exception.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.draft import DraftFrame, DraftSession
from mapreel.core.contract.errors import DraftSupersededError, InternalError, MapreelError, ServiceUnreachableError
from mapreel.core.contract.host_session import HostAnswer, new_session
from mapreel.core.contract.jobs import AttemptState, JobState
from mapreel.core.contract.progress import Progress
from mapreel.plugin.shared import panel_process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from mapreel.core.contract.host_session import HostCommand, HostFacts
    from mapreel.core.contract.job_view import JobEvent, JobView
    from mapreel.core.contract.requests import DraftRequest, Request

LOOK_AGAIN_S = 3.0  # for a service that did not run
BROKEN = {AttemptState.CRASHED.value, AttemptState.HUNG.value}
SERVICE_GONE = "the service ended; it starts anew and goes on with what is done"
PUMP_BUDGET_S = 0.004  # of the host's own time at a go; what is left comes the next time


@dataclass
class LinkedJob:
    """A job as the host shows it. Changed by `pump` only, so the host's thread reads it without a lock."""

    kind: str
    state: str = "sending"
    id: str = ""
    take: str = ""
    progress: Progress | None = None
    error: str = ""
    note: str = ""  # what went wrong and mends itself; gone with the next frame
    result: dict[str, Any] = field(default_factory=dict)
    prepared: Any = None  # what `after` gave, once it is finished
    is_over: bool = False

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.progress.done / self.progress.total if self.progress and self.progress.total else 0.0

    @property
    def sentence(self) -> str:
        """One line for a person."""
        if self.error:
            return self.error
        if self.note and not self.is_over:
            return self.note
        if self.progress and not self.is_over:
            left = self.progress.seconds_left
            about = f", about {left:.0f} s left" if left is not None else ""
            return f"{self.progress.stage}: {self.progress.done} of {self.progress.total}{about}"
        if self.state == "finished" and self.take:
            return f"{Path(self.take).name} is ready"
        return self.state


@dataclass(frozen=True)
class _Wish:
    """A frame that is wanted, and what is done with it."""

    request: DraftRequest
    show: Callable[[DraftFrame | MapreelError], None]
    prepare: Callable[[DraftFrame], None] | None


class Link:
    """Talks to the service of this user in threads of its own; see the module."""

    def __init__(self, *, python: str | None = None, state: str | None = None) -> None:
        """python: the interpreter that Mapreel is installed for; state: folder of the service, else the user's own."""
        self._arguments = {"python": python or None, "state": state or None}
        self._came: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._session = DraftSession()
        self._wish: queue.LifoQueue[_Wish] = queue.LifoQueue()
        self._wanted: queue.SimpleQueue[tuple[Callable[[], None], str] | None] = queue.SimpleQueue()
        self._starter: threading.Thread | None = None
        self._drafting = threading.Lock()  # held while a thread asks for drafts
        self._closed = threading.Event()
        self._listens = False
        self.session = new_session()  # the name that this host has at the service
        self.panel: subprocess.Popen[bytes] | None = None
        self._facts: HostFacts | None = None
        self._do: Callable[[HostCommand], None] = lambda _: None
        self._answers: queue.SimpleQueue[HostAnswer] = queue.SimpleQueue()
        self.jobs: list[LinkedJob] = []

    def client(self) -> ServiceClient:
        """A client for a thread that may wait."""
        return ServiceClient(state=self._arguments["state"], python=self._arguments["python"])

    def pump(self) -> int:
        """Run what came back, in the caller's thread, for some milliseconds at most. Gives how many things it ran."""
        started, count = time.monotonic(), 0
        while time.monotonic() - started < PUMP_BUDGET_S:
            try:
                act = self._came.get_nowait()
            except queue.Empty:
                break
            act()
            count += 1
        return count

    def submit(
        self,
        request: Request,
        done: Callable[[LinkedJob], None] | None = None,
        after: Callable[[str], Any] | None = None,
    ) -> LinkedJob:
        """Send a job and watch it; `done` is called from `pump` when it is over, whatever came of it.

        after: what takes long with its result (the path), called in a thread when it is finished; what it gives stands
        in `prepared`, and its MapreelError becomes the job's.
        """
        job = LinkedJob(request.kind)
        self.jobs.append(job)
        self._start(lambda: self._watch(job, request, done, after), f"mapreel-{request.kind}")
        return job

    def apart(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Call `work` in a thread, then `done` from `pump` with what it gave or the MapreelError that it raised."""
        self._start(lambda: self._apart(work, done), "mapreel-apart")

    def cancel(self, job: LinkedJob) -> None:
        """Ask for the end of a job; it is over when its state says so."""
        if job.id and not job.is_over:
            self._start(lambda: self._cancel(job.id), "mapreel-cancel")

    def draft(
        self,
        request: DraftRequest,
        show: Callable[[DraftFrame | MapreelError], None],
        prepare: Callable[[DraftFrame], None] | None = None,
    ) -> None:
        """Ask for a frame; while one is under way only the newest wish is kept. `show` is called from `pump`.

        prepare: what takes long, called before that in a thread; its MapreelError is shown in place of the frame.
        """
        self._wish.put(_Wish(request, show, prepare))
        self._start(self._draft_loop, "mapreel-draft")

    def open_session(self, facts: HostFacts, do: Callable[[HostCommand], None]) -> None:
        """Tell the service what is open here, now and at every change; `do` is called from `pump` for each command.

        A service that does not run is not started for this: it hears of us when somebody else needs it. `do` raises
        MapreelError for what cannot be done, which is told to whoever asked.
        """
        self._facts, self._do = facts, do
        if not self._listens:
            self._listens = True
            self._start(self._listen, "mapreel-host")

    def open_panel(self, paths: tuple[str, ...], tell: Callable[[str], None]) -> None:
        """Start the panel as a process of its own that knows this host; it outlives us.

        paths: maps to open in it. `tell` is called from `pump` with one sentence when it did not start, or broke off.
        """
        if self.panel is not None and self.panel.poll() is None:
            tell("the panel is open already")
        else:
            self._start(lambda: self._panel(paths, tell), "mapreel-panel")

    def close(self) -> None:
        """Stop listening; jobs go on in the service."""
        self._closed.set()
        self._wanted.put(None)

    # -- in threads ------------------------------------------------------------------------------------------------

    def _start(self, work: Callable[[], None], name: str) -> None:
        """Have a thread do it. `Thread.start` waits until the new thread runs: one of ours waits, not the host's."""
        self._wanted.put((work, name))
        if self._starter is None:
            self._starter = threading.Thread(target=self._start_threads, name="mapreel-starter", daemon=True)
            self._starter.start()

    def _start_threads(self) -> None:
        while True:
            wanted = self._wanted.get()
            if wanted is None:
                return
            threading.Thread(target=wanted[0], name=wanted[1], daemon=True).start()

    def _post(self, act: Callable[[], None]) -> None:
        if not self._closed.is_set():
            self._came.put(act)

    def _cancel(self, job: str) -> None:
        try:
            with self.client() as client:
                client.cancel(job)
        except MapreelError:
            pass  # over already, or the watching thread has its own sentence for it

    def _watch(
        self,
        job: LinkedJob,
        request: Request,
        done: Callable[[LinkedJob], None] | None,
        after: Callable[[str], Any] | None,
    ) -> None:
        prepared = None
        try:
            with self.client() as client:
                view = client.submit(request)
                self._post(functools.partial(_take_over, job, view))
                for event in client.watch(
                    view.id, lost=lambda: self._post(functools.partial(_note, job, SERVICE_GONE))
                ):
                    if self._closed.is_set():
                        return
                    if not event.job.state.is_over:  # the end is told below, with what is prepared
                        self._post(functools.partial(_take_over, job, event.job))
                    self._post(functools.partial(_note_event, job, event))
                view = client.show(view.id)
                if after is not None and view.state is JobState.FINISHED:
                    prepared = after(view.take or "")
                self._post(functools.partial(_take_over, job, view, prepared))
        except MapreelError as error:
            self._post(functools.partial(_fail, job, told_better(error, self._arguments["python"])))
        except Exception as error:  # noqa: BLE001 - the end of a thread: a host must hear of it as a sentence
            fault = InternalError(f"this is a fault of ours ({type(error).__name__}: {error})", "send us this line")
            self._post(lambda: _fail(job, fault))
        finally:
            if done is not None:
                self._post(lambda: done(job))

    def _apart(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        try:
            answer = work()
        except MapreelError as error:
            answer = told_better(error, self._arguments["python"])
        except Exception as error:  # noqa: BLE001 - as above
            answer = InternalError(f"this is a fault of ours ({type(error).__name__}: {error})", "send us this line")
        self._post(lambda: done(answer))

    def _panel(self, paths: tuple[str, ...], tell: Callable[[str], None]) -> None:
        try:
            with panel_process.started(self.session, paths, **self._arguments) as (process, words):
                self.panel = process
                process.wait()
                why = panel_process.why_ended(process.returncode, words)
        except MapreelError as error:
            why = str(error)
        if why:
            self._post(lambda: tell(why))

    def _listen(self) -> None:
        after = 0
        while not self._closed.is_set():
            after = self._listen_once(self.session, after)
            self._closed.wait(LOOK_AGAIN_S)

    def _listen_once(self, session: str, after: int) -> int:
        """As long as one service lives. Gives the number of the last command."""
        # the link is a comfort, not the work: whatever goes wrong with it, it is tried again
        with contextlib.suppress(Exception), ServiceClient(state=self._arguments["state"], start=False) as client:
            while not self._closed.is_set():
                answers = _all_of(self._answers)
                commands = client.tell_as_host(session, self._facts, after=after, answers=answers)
                for command in (command for command in commands if command.number > after):
                    after = command.number
                    self._post(functools.partial(self._obey, command))
            client.tell_as_host(session, None)  # it leaves: nobody shall list it for half a minute more
        return after

    def _obey(self, command: HostCommand) -> None:
        try:
            self._do(command)
        except MapreelError as error:
            self._answers.put(HostAnswer(command.number, str(error)))
        except Exception as error:  # noqa: BLE001 - the border to a host
            self._answers.put(HostAnswer(command.number, f"this is a fault of ours ({type(error).__name__}: {error})"))
        else:
            self._answers.put(HostAnswer(command.number))

    def _draft_loop(self) -> None:
        while not self._wish.empty() and self._drafting.acquire(blocking=False):
            try:
                with self.client() as client:
                    self._draft_until_idle(client)
            finally:
                self._drafting.release()

    def _draft_until_idle(self, client: ServiceClient) -> None:
        while not self._closed.is_set():
            try:
                wish = self._wish.get(timeout=5.0)
            except queue.Empty:
                return
            self._forget_older()
            self._one_draft(client, wish)

    def _forget_older(self) -> None:
        while True:
            try:
                self._wish.get_nowait()
            except queue.Empty:  # noqa: PERF203 - this is how a queue is emptied
                return

    def _one_draft(self, client: ServiceClient, wish: _Wish) -> None:
        answer: DraftFrame | MapreelError
        try:
            answer = client.draft(wish.request, session=self._session)
            if wish.prepare is not None:
                wish.prepare(answer)
        except DraftSupersededError:
            return
        except MapreelError as error:
            answer = told_better(error, self._arguments["python"])
        except Exception as error:  # noqa: BLE001 - as above
            answer = InternalError(f"this is a fault of ours ({type(error).__name__}: {error})", "send us this line")
        self._post(lambda: wish.show(answer))


def told_better(error: MapreelError, python: str | None) -> MapreelError:
    """A service that cannot be reached, said to somebody in a host where nobody named Mapreel's own Python."""
    if python or not isinstance(error, ServiceUnreachableError):
        return error
    what = "Mapreel itself is not set up for this host"
    remedy = "run `install.py host blender`, or name the Python of Mapreel in the preferences of the extension"
    return ServiceUnreachableError(what, remedy, detail=str(error))


def _all_of(answers: queue.SimpleQueue[HostAnswer]) -> tuple[HostAnswer, ...]:
    """What a queue holds now."""
    found = []
    while not answers.empty():
        found.append(answers.get())
    return tuple(found)


def _take_over(job: LinkedJob, view: JobView, prepared: Any = None) -> None:
    job.prepared = prepared
    job.id, job.state, job.take = view.id, view.state.value, view.take or job.take
    job.progress = view.progress or job.progress
    job.result = view.result or job.result
    job.error = str(view.error) if view.error and view.state is not JobState.CANCELLED else ""
    job.is_over = view.state.is_over


def _note(job: LinkedJob, sentence: str) -> None:
    job.note = sentence


def _note_event(job: LinkedJob, event: JobEvent) -> None:
    if event.kind == "progress":
        job.note = ""
    elif event.kind == "attempt" and event.data.get("to") in BROKEN:
        job.note = (
            f"the worker stopped in mid-job: {event.data.get('reason')}; it starts anew and goes on with what is done"
        )


def _fail(job: LinkedJob, error: MapreelError) -> None:
    job.error, job.state, job.is_over = str(error), "failed", True
