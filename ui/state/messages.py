# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel has to say: what happened, what to do, and the detail to copy. One stands in front at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.errors import one_line
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.text import retold

if TYPE_CHECKING:
    from mapreel.core.contract.errors import MapreelError

MOST = 50
_EAST = re.compile("[\u3000-\u9fff]")  # Japanese signs: such a sentence ends with its own full stop


class Weight(StrEnum):
    """How grave a message is."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Message:
    """what: one sentence; remedy: what to do; detail: for whoever helps. key: a newer one with it replaces this one."""

    what: str
    remedy: str = ""
    detail: str = ""
    weight: Weight = Weight.NOTE
    key: str = ""

    @property
    def text(self) -> str:
        """All of it, to copy."""
        return "\n".join(part for part in (self.what, self.remedy, self.detail) if part)


def sentence(words: str) -> str:
    """What the core says, in the language of the panel, with a capital letter and a full stop.

    What nobody has translated stays English.
    """
    plain = one_line(words).strip().rstrip(".。")
    said = retold(plain).rstrip(".。") if plain else ""
    if said == plain:
        said = said[:1].upper() + said[1:]
        return said and said + ("。" if _EAST.match(said[-1]) else ".")
    return said + ("。" if _EAST.search(said) else ".")


def spoken(error: MapreelError) -> str:
    """What happened and what to do."""
    return f"{sentence(error.what)} {sentence(error.remedy)}".strip().replace("。 ", "。")


def told(error: MapreelError, *, key: str = "", weight: Weight = Weight.ERROR) -> Message:
    """An error as a message."""
    facts = [error.code, *([error.file] if error.file else []), *([error.detail] if error.detail else [])]
    return Message(sentence(error.what), sentence(error.remedy), "\n".join(facts), weight, key)


class Messages(Observable):
    """The messages that nobody has put away yet, oldest first."""

    standing = Property[tuple[Message, ...]](())
    standing_changed = pyqtSignal(object)

    def say(self, message: Message) -> None:
        """Put a message in front."""
        kept = [old for old in self.standing if old != message and (not message.key or old.key != message.key)]
        self.standing = (*kept, message)[-MOST:]

    def say_error(self, error: MapreelError, *, key: str = "") -> None:
        """Put an error in front."""
        self.say(told(error, key=key))

    def put_away(self, message: Message) -> None:
        """The artist has read it."""
        self.standing = tuple(old for old in self.standing if old != message)

    def settle(self, key: str) -> None:
        """What was wrong under this key is right again."""
        self.standing = tuple(old for old in self.standing if old.key != key)
