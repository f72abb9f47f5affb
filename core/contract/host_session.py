# SPDX-License-Identifier: Apache-2.0
"""A host that is open beside the panel: what it tells of its file, and what it is asked to do.

A host asks `POST /v1/hosts/SESSION` again and again: the body says what is open and what came of earlier commands, the
answer brings new commands, or comes empty after some seconds. A panel lists hosts (`GET /v1/hosts`) and sends them
commands (`POST /v1/hosts/SESSION/commands`). Nothing is kept: a host that is not heard of for a while is gone.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from dataclasses import dataclass
from typing import Any

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.paths import checked_path

HOSTS_PATH = "/v1/hosts"
WAIT_S = 2.0  # the longest that the service keeps a host's question open: so old is what it knows at most
GONE_AFTER_S = 30.0
SESSION = re.compile(r"[0-9a-f]{16,64}")
INTO = ("node", "strip")
MAX_TEXT = 4096
MAX_SIDE_PX = 65535


@dataclass(frozen=True)
class HostFacts:
    """What a host has open. Empty text and 0: nothing of the kind.

    host: blender, nuke …; file: its path; first, last: frame range; take: the one that it shows.
    """

    host: str
    version: str
    pid: int
    file: str = ""
    scene: str = ""
    first: int = 0
    last: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    colour_space: str = ""
    labels: str = ""
    take: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, by name."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class HostCommand:
    """One thing for a host to do: show a take in its compositor (node) or on its timeline (strip)."""

    number: int
    take: str
    into: str = "node"

    def to_json(self) -> dict[str, Any]:
        """Plain values, by name."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class HostAnswer:
    """What came of a command: an empty error means done."""

    number: int
    error: str = ""


@dataclass(frozen=True)
class HostView:
    """A host as the panel sees it. age_s: since it was last heard of; answers: the last ones, oldest first."""

    session: str
    facts: HostFacts
    age_s: float
    answers: tuple[HostAnswer, ...]


def new_session() -> str:
    """A name that nobody else has."""
    return secrets.token_hex(16)


def _checked(data: object, kind: type[Any], what: str) -> dict[str, Any]:
    """The fields of a dataclass, each of its own type. Raises UsageError."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(data, dict) or set(data) - set(fields):
        raise UsageError(f"{what} is not an object with {', '.join(fields)}", "send these")
    types: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    for name, field in fields.items():
        if name not in data:
            if field.default is dataclasses.MISSING:
                raise UsageError(f"{what} lacks {name}", "send it")
            continue
        value = data[name]
        fits = isinstance(value, types[str(field.type)]) and not isinstance(value, bool)
        small = len(value) <= MAX_TEXT if isinstance(value, str) else abs(value) < 10**15 if fits else False
        if not fits or not small:
            raise UsageError(f"{name} in {what} is of the wrong type or too large", "send what to_json gives")
    return dict(data)


def facts_from_json(data: object) -> HostFacts:
    """What a host told. Raises UsageError."""
    return HostFacts(**_checked(data, HostFacts, "what a host tells"))


def command_from_json(data: object) -> HostCommand:
    """A command. Raises UsageError for one without a take's absolute path, or into nothing that is known."""
    command = HostCommand(**_checked(data, HostCommand, "a command for a host"))
    checked_path(command.take, "take")
    if command.into not in INTO:
        raise UsageError(f"into is {command.into[:40]}", f"use one of {', '.join(INTO)}")
    return command


def answer_from_json(data: object) -> HostAnswer:
    """An answer. Raises UsageError."""
    return HostAnswer(**_checked(data, HostAnswer, "an answer of a host"))


def view_from_json(data: dict[str, Any]) -> HostView:
    """What the service told of a host."""
    answers = tuple(answer_from_json(answer) for answer in data["answers"])
    return HostView(str(data["session"]), facts_from_json(data["facts"]), float(data["age_s"]), answers)
