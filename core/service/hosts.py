# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts that are open: what they told last, and the commands that wait for them. In memory only."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import ServiceRefusedError, UsageError
from mapreel.core.contract.host_session import (
    GONE_AFTER_S,
    SESSION,
    HostAnswer,
    HostCommand,
    HostFacts,
    answer_from_json,
    facts_from_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HOSTS = 32
MAX_WAITING = 64
KEPT_ANSWERS = 16


@dataclass
class _Host:
    facts: HostFacts
    heard_s: float
    commands: deque[HostCommand] = field(default_factory=deque)
    answers: deque[HostAnswer] = field(default_factory=lambda: deque(maxlen=KEPT_ANSWERS))
    sent: int = 0


class Hosts:
    """All hosts by session. Every method may be called from any thread."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._hosts: dict[str, _Host] = {}
        self._changed = changed
        self._lock = threading.Lock()

    def hear(self, session: str, body: object) -> None:
        """What a host tells: `facts`, `after` (the last command that it has) and `answers`. Raises UsageError."""
        if not SESSION.fullmatch(session):
            raise UsageError("the session of the host is malformed", "send 16 to 64 hexadecimal digits")
        if not isinstance(body, dict) or set(body) - {"facts", "after", "answers", "leaves"}:
            raise UsageError("a host tells facts, after, answers or leaves", "send these")
        answers = body.get("answers", [])
        if not isinstance(answers, list):
            raise UsageError("the answers are no list", "send a list")
        known, after = [answer_from_json(answer) for answer in answers], body.get("after", 0)
        if not isinstance(after, int) or isinstance(after, bool):
            raise UsageError("after is no whole number", "send the number of the last command")
        facts = None if body.get("leaves") else facts_from_json(body.get("facts"))
        with self._lock:
            self._drop_gone()
            if facts is None:
                self._hosts.pop(session, None)
                return
            if session not in self._hosts and len(self._hosts) >= MAX_HOSTS:
                raise ServiceRefusedError(f"{MAX_HOSTS} hosts are linked already", "close some")
            host = self._hosts.setdefault(session, _Host(facts, 0.0))
            host.facts, host.heard_s = facts, time.monotonic()
            host.answers.extend(known)
            while host.commands and host.commands[0].number <= after:
                host.commands.popleft()

    def commands(self, session: str) -> list[HostCommand]:
        """What waits for a host."""
        with self._lock:
            host = self._hosts.get(session)
            if host is None:
                return []
            host.heard_s = time.monotonic()
            return list(host.commands)

    def send(self, session: str, take: str, into: str) -> int:
        """Put a command where its host finds it; gives its number. Raises ServiceRefusedError."""
        with self._lock:
            self._drop_gone()
            host = self._hosts.get(session)
            if host is None:
                raise ServiceRefusedError("that host is not linked any more", "look which are: GET /v1/hosts")
            if len(host.commands) >= MAX_WAITING:
                raise ServiceRefusedError("that host does not answer", "look at its window")
            host.sent += 1
            host.commands.append(HostCommand(host.sent, take, into))
            number = host.sent
        self._changed()
        return number

    def listing(self) -> list[dict[str, Any]]:
        """Every host as JSON, the one heard of last first."""
        with self._lock:
            self._drop_gone()
            now = time.monotonic()
            order = sorted(self._hosts.items(), key=lambda item: -item[1].heard_s)
            return [
                {
                    "session": session,
                    "facts": host.facts.to_json(),
                    "age_s": now - host.heard_s,
                    "answers": [vars(answer) for answer in host.answers],
                }
                for session, host in order
            ]

    def _drop_gone(self) -> None:
        oldest = time.monotonic() - GONE_AFTER_S
        for session in [session for session, host in self._hosts.items() if host.heard_s < oldest]:
            del self._hosts[session]
