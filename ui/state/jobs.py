# SPDX-License-Identifier: GPL-3.0-or-later
"""The durable queue as the panel knows it: every job by its id, news as it comes, and the steps an artist can take."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.errors import JobStateError, UnknownJobError
from mapreel.core.contract.job_view import JobView
from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.messages import Message, told
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.text import trn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mapreel.core.contract.client import ServiceClient
    from mapreel.core.contract.errors import MapreelError
    from mapreel.core.contract.requests import Request
    from mapreel.ui.state.bridge import ServiceBridge
    from mapreel.ui.state.messages import Messages

MOST_LEARNT = 32  # jobs that are asked about at once


class Step(StrEnum):
    """What can be done to a job."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"


FROM: dict[Step, frozenset[JobState]] = {
    Step.PAUSE: frozenset({JobState.QUEUED, JobState.RUNNING}),
    Step.RESUME: frozenset({JobState.PAUSED}),
    Step.CANCEL: frozenset({JobState.QUEUED, JobState.RUNNING, JobState.PAUSED}),
    Step.RETRY: frozenset({JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED}),
}
"""The states out of which each step leads."""
MOVABLE = frozenset({JobState.QUEUED, JobState.PAUSED})


class Jobs(Observable):
    """All jobs of this user's service; they outlive the panel.

    came: a tuple of JobViews that are new or differ from what was known, as they come. changed: each of them alone.
    finished: a job that ended, well or badly, since the panel listens. forgotten: ids that the service does not know.
    learnt: ids whose requests are known now.
    """

    count = Property(0)
    count_changed = pyqtSignal(object)
    waiting = Property(0)
    """Jobs that run or wait for their turn."""
    waiting_changed = pyqtSignal(object)
    came = pyqtSignal(object)
    changed = pyqtSignal(object)
    finished = pyqtSignal(object)
    forgotten = pyqtSignal(object)
    learnt = pyqtSignal(object)

    def __init__(self, bridge: ServiceBridge, messages: Messages) -> None:
        super().__init__()
        self._bridge, self._messages = bridge, messages
        self._views: dict[str, JobView] = {}
        self._heard_s: dict[str, float] = {}
        self._busy: set[str] = set()
        self._queued: set[str] = set()
        self._resting: set[str] = set()
        self._requests: dict[str, dict[str, Any]] = {}
        self._asked: set[str] = set()
        self._wanted: list[str] = []
        bridge.jobs_came.connect(self._take)
        bridge.jobs_lost.connect(lambda: self._forget(*self._views))

    # -- looking -------------------------------------------------------------------------------------------------------

    def view(self, job: str) -> JobView | None:
        """A job as it was told last."""
        return self._views.get(job)

    def views(self) -> tuple[JobView, ...]:
        """All of them, in no order."""
        return tuple(self._views.values())

    def age_s(self, job: str) -> float:
        """How long ago the last news of a job came."""
        return time.monotonic() - self._heard_s.get(job, time.monotonic())

    def request(self, job: str) -> dict[str, Any] | None:
        """The request of a job as JSON, None while it is not known; see `learn`."""
        return self._requests.get(job)

    def learn(self, job: str) -> None:
        """Ask for the request of a job, once; `learnt` tells when it is there."""
        if job in self._requests or job in self._asked:
            return
        self._asked.add(job)
        self._wanted.append(job)
        if len(self._wanted) == 1:
            self._learn_some()

    def details(
        self, job: str, done: Callable[[JobView], None], failed: Callable[[MapreelError], None] | None = None
    ) -> None:
        """All about a job: its request and every attempt."""
        self._bridge.ask(lambda client: client.show(job), done, failed or self._say, lane="jobs")

    def queued(self) -> tuple[JobView, ...]:
        """Jobs that wait for their turn, the next one first."""
        views = [self._views[job] for job in self._queued]
        return tuple(sorted(views, key=queue_order))

    # -- acting --------------------------------------------------------------------------------------------------------

    def submit(
        self,
        request: Request,
        done: Callable[[JobView], None] | None = None,
        failed: Callable[[MapreelError], None] | None = None,
    ) -> int:
        """Queue a request. done gets the job as it was stored (or is by now); an error is said where nobody hears it.

        Gives the number of the question; see ServiceBridge.drop.
        """

        def stored(view: JobView) -> None:
            self._requests[view.id] = request.to_json()
            if view.id not in self._views:  # else the news was quicker, and knows more
                self._take((view,))
            self.learnt.emit((view.id,))
            if done is not None:
                done(self._views[view.id])

        return self._bridge.ask(lambda client: client.submit(request), stored, failed or self._say, lane="jobs")

    def can(self, step: Step, job: str) -> bool:
        """Whether a step leads out of where the job is."""
        view = self._views.get(job)
        return view is not None and view.state in FROM[step]

    def take_step(self, step: Step, jobs: Iterable[str]) -> int:
        """Do something to every one of these jobs that it can be done to; gives to how many.

        Those that are to stop do so from the end of the queue: else the next would begin before it is told.
        """
        stops = step in (Step.PAUSE, Step.CANCEL)
        views = [self._views[job] for job in dict.fromkeys(jobs) if self.can(step, job)]
        views.sort(key=lambda view: (view.state is not JobState.RUNNING, queue_order(view)), reverse=stops)
        able = [view.id for view in views]
        if able:
            self._bridge.ask(lambda client: _each(client, step.value, able), self._say_some, self._say, lane="jobs")
        return len(able)

    def can_move(self, job: str) -> bool:
        """Whether a job waits or is paused, so that its turn can be another."""
        return job in self._resting

    def move(self, where: str, jobs: Iterable[str]) -> int:
        """Have waiting jobs done earlier or later: `first`, `up` or `down`; gives how many are moved.

        Several keep their order among themselves.
        """
        order = [view.id for view in sorted((self._views[job] for job in self._resting), key=queue_order)]
        able = _movable(order[::-1] if where == "down" else order, set(jobs))
        if where == "first":  # the last one first, so that they stand as they stood
            able.reverse()
        if able:
            self._bridge.ask(lambda client: _move(client, where, able), self._say_some, self._say, lane="jobs")
        return len(able)

    # -- news ----------------------------------------------------------------------------------------------------------

    def _take(self, views: Iterable[JobView]) -> None:
        fresh: dict[str, JobView] = {}
        ended: list[JobView] = []
        for view in views:
            known = self._views.get(view.id)
            if known is not None and known.data == view.data:
                continue
            if view.state.is_over and (self._bridge.jobs_complete if known is None else not known.state.is_over):
                ended.append(view)
            self._keep(view)
            fresh[view.id] = view
        if not fresh:
            return
        self.count, self.waiting = len(self._views), len(self._busy)
        self.came.emit(tuple(fresh.values()))
        for view in fresh.values():
            self.changed.emit(view)
        for view in ended:
            self.finished.emit(view)

    def _keep(self, view: JobView) -> None:
        self._views[view.id] = view
        self._heard_s[view.id] = time.monotonic()
        if isinstance(view.data.get("request"), dict):
            self._requests[view.id] = view.data["request"]
        self._enter(view.id, view.state)

    def _enter(self, job: str, state: JobState | None) -> None:
        """Note who waits: of a state None the job is no more."""
        states = JobState
        groups = (
            (self._busy, (states.RUNNING, states.QUEUED)),
            (self._queued, (states.QUEUED,)),
            (self._resting, MOVABLE),
        )
        for group, fitting in groups:
            (group.add if state in fitting else group.discard)(job)

    def _forget(self, *jobs: str) -> None:
        for job in jobs:
            self._views.pop(job, None)
            self._heard_s.pop(job, None)
            self._enter(job, None)
        self.count, self.waiting = len(self._views), len(self._busy)
        self.forgotten.emit(jobs)

    # -- errors and lessons --------------------------------------------------------------------------------------------

    def _say(self, error: MapreelError) -> None:
        self._messages.say(told(error, key="jobs"))

    def _say_some(self, errors: list[tuple[str, MapreelError]]) -> None:
        for job, error in errors:
            if isinstance(error, UnknownJobError):
                self._forget(job)
        if len(errors) == 1:
            self._say(errors[0][1])
        elif errors:
            first = told(errors[0][1], key="jobs")
            detail = "\n".join(f"{job}: {error}" for job, error in errors)
            more = trn("{count} more job could not.", "{count} more jobs could not.", len(errors) - 1)
            self._messages.say(Message(first.what, f"{first.remedy} {more}".strip(), detail, first.weight, "jobs"))

    def _learn_some(self) -> None:
        some = self._wanted[:MOST_LEARNT]
        self._bridge.ask(
            lambda client: _requests(client, some), self._learnt_some, lambda _: self._not_learnt(), lane="job requests"
        )

    def _learnt_some(self, found: dict[str, dict[str, Any]]) -> None:
        self._requests.update(found)
        self._wanted = self._wanted[MOST_LEARNT:]
        if found:
            self.learnt.emit(tuple(found))
        if self._wanted:
            self._learn_some()

    def _not_learnt(self) -> None:
        """The service is gone: whoever looks again asks again."""
        self._asked.difference_update(self._wanted)
        self._wanted.clear()


def queue_order(view: JobView) -> tuple[int, float]:
    """The order in which waiting jobs are begun."""
    number = view.data.get("number", 0)
    return -int(view.data.get("priority", 0)), float(view.data.get("place", number))


def _each(client: ServiceClient, step: str, jobs: list[str]) -> list[tuple[str, MapreelError]]:
    """Take a step with each job; gives those that could not, with why. Raises what is wrong with the service."""
    errors: list[tuple[str, MapreelError]] = []
    for job in jobs:
        try:
            getattr(client, step)(job)
        except (JobStateError, UnknownJobError) as error:
            errors.append((job, error))
    return errors


def _movable(order: list[str], chosen: set[str]) -> list[str]:
    """The chosen ones that stand behind one that is not chosen: those at the front have no further to go."""
    front = next((place for place, job in enumerate(order) if job not in chosen), len(order))
    return [job for job in order[front:] if job in chosen]


def _move(client: ServiceClient, where: str, jobs: list[str]) -> list[tuple[str, MapreelError]]:
    errors: list[tuple[str, MapreelError]] = []
    for job in jobs:
        try:
            client.reorder(job, where)
        except (JobStateError, UnknownJobError) as error:  # it has begun meanwhile
            errors.append((job, error))
    return errors


def _requests(client: ServiceClient, jobs: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for job in jobs:
        try:
            found[job] = client.show(job).data["request"]
        except UnknownJobError:
            continue
    return found
