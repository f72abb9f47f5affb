# SPDX-License-Identifier: GPL-3.0-or-later
"""The interactive lane: one thread that gives drafts to one warm compute process of its own, beside the batch lane.

Nothing is queued on disk: whoever wants a draft waits for it. Of each session only the newest question is of interest;
a waiting older one is answered at once with DraftSupersededError. When the process dies, hangs or is late, that draft
fails with a sentence, and the next one gets a new process.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import (
    DraftFailedError,
    DraftSupersededError,
    MapreelError,
    ServiceRefusedError,
    ServiceStoppingError,
    UsageError,
    error_from_dict,
)
from mapreel.core.contract.paths import inside_roots
from mapreel.core.service.channel import PAYLOAD
from mapreel.core.service.lane import TICK_S, Lane

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from mapreel.core.contract.draft import DraftQuestion
    from mapreel.core.service.compute_process import ComputePlan

    Answer = tuple[dict[str, Any], bytes]

MAX_WAITING = 64  # sessions, not frames: one question of each
MAX_SESSIONS = 256  # whose newest serial is remembered


@dataclass
class Ticket:
    """A question and whoever waits for its answer."""

    number: int
    question: DraftQuestion
    answer: Future[Answer] = field(default_factory=Future)

    def fail(self, error: MapreelError) -> None:
        with contextlib.suppress(Exception):  # nobody waits any more
            self.answer.set_exception(error)

    def deliver(self, facts: dict[str, Any], pixels: bytes) -> None:
        with contextlib.suppress(Exception):
            self.answer.set_result((facts, pixels))


class WaitingRoom:
    """Questions that wait, one a session, in the order in which the sessions came. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, Ticket] = OrderedDict()
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._count = 0
        self._closed = False

    def enter(self, question: DraftQuestion) -> Ticket:
        """Let a question wait; it takes the place of an older one of its session.

        Raises DraftSupersededError for what is itself older, ServiceRefusedError when too many wait.
        """
        with self._lock:
            if self._closed:
                raise ServiceStoppingError("the service is ending", "try again")
            if question.serial < self._newest.get(question.session, -1):
                raise _superseded()
            older = self._waiting.get(question.session)
            if older is None and len(self._waiting) >= MAX_WAITING:
                raise ServiceRefusedError("too many wait for drafts", "try again when those are answered")
            self._count += 1
            ticket = Ticket(self._count, question)
            self._waiting[question.session] = ticket
            self._remember(question)
        if older is not None:
            older.fail(_superseded())
        return ticket

    def _remember(self, question: DraftQuestion) -> None:
        self._newest[question.session] = question.serial
        self._newest.move_to_end(question.session)
        while len(self._newest) > MAX_SESSIONS:
            self._newest.popitem(last=False)

    def next(self) -> Ticket | None:
        """The question whose turn it is, None when nobody waits; those whose asker has gone are left out."""
        with self._lock:
            while self._waiting:
                _, ticket = self._waiting.popitem(last=False)
                if not ticket.answer.cancelled():
                    return ticket
        return None

    def close(self) -> None:
        """The service ends: whoever waits hears so, and nobody may enter any more."""
        with self._lock:
            self._closed = True
            left = list(self._waiting.values())
            self._waiting.clear()
        for ticket in left:
            ticket.fail(ServiceStoppingError("the service is ending", "try again"))


def _superseded() -> DraftSupersededError:
    return DraftSupersededError("a newer draft was asked for", "use its picture")


class InteractiveLane(Lane):
    """Start it, ask it for drafts, stop it."""

    def __init__(self, plan: ComputePlan, log: FilteringBoundLogger) -> None:
        super().__init__(plan, log)
        self._room = WaitingRoom()

    def close(self) -> None:
        """Let whoever waits go, at once; the draft that is being made is not waited for."""
        self._ending.set()
        self._room.close()
        self.poke()

    def stop(self) -> None:
        """Close, and wait until the compute process has ended."""
        self.close()
        super().stop()

    def ask(self, question: DraftQuestion) -> Future[Answer]:
        """The future answer: facts and pixels, or the error. Raises what is wrong with the question at once."""
        for name, path in question.request.paths():
            if not inside_roots(path, self._settings.roots):
                raise UsageError(f"the path of {name} lies outside the configured folders", "choose another", file=path)
        ticket = self._room.enter(question)
        self.poke()
        return ticket.answer

    # -- the lane's own thread -------------------------------------------------------------------------------------

    def _live(self) -> None:
        while not self._ending.is_set():
            ticket = self._room.next()
            if ticket is None:
                self._rest()
                continue
            try:
                self._answer(ticket)
            except Exception as exc:  # noqa: BLE001 - the border of the thread: a dead lane would leave all waiting
                self._log.error("draft", fault=f"{type(exc).__name__}: {exc}")
                ticket.fail(DraftFailedError(f"this is a fault of ours ({type(exc).__name__})", "send us the log"))
                self._drop(end=False)
            self._idle_since_s = time.monotonic()
        self._drop(end=True)

    def _answer(self, ticket: Ticket) -> None:
        """One draft to its end, whatever that is."""
        started_s = time.monotonic()
        try:
            process = self._warm()
            process.last_beat_s = started_s
            process.send({"type": "draft", "ticket": ticket.number, "request": ticket.question.request.to_json()})
        except OSError as exc:
            self._drop(end=False)
            why = f"the interactive process could not be started or reached ({exc.strerror})"
            ticket.fail(DraftFailedError(why, "try again", detail=str(exc)))
            return
        while not self._handled(ticket, self._take(TICK_S)) and not self._overdue(ticket, started_s):
            pass

    def _handled(self, ticket: Ticket, message: dict[str, Any]) -> bool:
        """Whether this message ends the draft."""
        if message["type"] == "closed":
            self._fail(ticket, self._process.story() if self._process else "is gone")
            return True
        if message.get("ticket") != ticket.number:
            return False
        if message["type"] == "drafted":
            ticket.deliver(message["facts"], message[PAYLOAD])
        else:
            ticket.fail(error_from_dict(message["error"]))
        return True

    def _overdue(self, ticket: Ticket, started_s: float) -> bool:
        """What time alone brings: the end of the service, a hang, a draft that takes for ever, a silent death."""
        now_s = time.monotonic()
        if self._ending.is_set():
            ticket.fail(ServiceStoppingError("the service is ending", "try again"))
            self._drop(end=False)
            return True
        if now_s - started_s > self._settings.draft_timeout_s:
            self._fail(ticket, f"took longer than {self._settings.draft_timeout_s:g} s and was killed")
            return True
        if self._process is None or now_s - self._process.last_beat_s > self._settings.beat_timeout_s:
            self._fail(ticket, "gave no heartbeat and was killed")
            return True
        if not self._process.is_alive:
            self._fail(ticket, self._process.story())
            return True
        return False

    def _fail(self, ticket: Ticket, story: str) -> None:
        detail = self._process.tail() if self._process else ""
        self._drop(end=False)
        self._log.info("draft failed", story=story)
        remedy = "ask for it again; if that fails, too, look at the service's logs"
        ticket.fail(DraftFailedError(f"the interactive process {story}", remedy, detail=detail))
