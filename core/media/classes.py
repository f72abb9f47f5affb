# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings what maps hold (ids, colours of a palette, names of objects) to the ids of named classes.

A rule is a pattern and a class: `car*=vehicle`, `7=road`, `10-19=building`, `*=terrain`. Patterns are those of the
shell (`*`, `?`, `[ab]`), capitals count, and the first rule that fits wins. They are compared with the name in the map
and, where it has an id, with that. What is no object is called `nothing`, and only that word takes it.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import DamagedFileError, UnknownLabelError, UsageError
from mapreel.core.media.files import picture_name, read_file

FORMAT = "mapreel-classes"
VERSION = 1
NOTHING = "nothing"
"""The name of pixels where no object is, in maps that know objects by name."""
UNKNOWN = 0xFFFFFFFF
"""What an entry becomes that no rule and no name brings anywhere; such pixels are an error."""
_SPAN = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_SHOWN = 5


@dataclass(frozen=True)
class Entry:
    """One kind of pixel in a map: its name, and its id where the map counts."""

    name: str
    id: int | None = None


EMPTY = Entry(NOTHING)
"""No object at all; only a rule that says `nothing` takes it, no `*` does."""


@dataclass(frozen=True)
class ClassRules:
    """Rules in their order, and the classes that they lead to.

    rules: pattern and class. ids: class names -> ids of who reads the maps, None where nobody has classes of their own:
    then a palette's ids and plain numbers stay, and class names must be numbers.
    """

    rules: tuple[tuple[str, str], ...] = ()
    ids: Mapping[str, int] | None = None
    whose: str = "the model"
    _known: dict[Entry, int] = field(default_factory=dict, compare=False, repr=False)

    def target(self, entry: Entry, *, certain: bool) -> int:
        """The id that an entry becomes, UNKNOWN for none.

        certain: its own id counts where no rule fits and its name is no class, as in maps of plain ids; so it does
        where nobody has classes of their own. Raises UsageError for a rule that leads to no class.
        """
        if entry not in self._known:
            self._known[entry] = self._target(entry, certain)
        return self._known[entry]

    def _target(self, entry: Entry, certain: bool) -> int:
        for fits, target in self._compiled:
            if fits(entry):
                return target
        if self.ids is not None and entry.name in self.ids:
            return self.ids[entry.name]
        own = entry.id is not None and (certain or self.ids is None)
        return entry.id if own and entry.id is not None else UNKNOWN

    @cached_property
    def _compiled(self) -> list[tuple[_Pattern, int]]:
        return [(_Pattern(pattern), self._id_of(target)) for pattern, target in self.rules]

    def _id_of(self, word: str) -> int:
        if self.ids is not None and word in self.ids:
            return self.ids[word]
        if word.isascii() and word.isdecimal() and int(word) < 65536:
            return int(word)
        known = ", ".join(list(self.ids or ())[:40])
        raise UsageError(
            f"“{word[:100]}” is no class of {self.whose}", f"choose one of {known}" if known else "give a number"
        )


class _Pattern:
    """A shell pattern, or a span of ids."""

    def __init__(self, text: str) -> None:
        self._text = text
        span = _SPAN.fullmatch(text)
        self._span = range(int(span[1]), int(span[2]) + 1) if span else None
        self._fits = re.compile(fnmatch.translate(text)).match

    def __call__(self, entry: Entry) -> bool:
        if entry == EMPTY:
            return self._text == NOTHING
        if entry.id is not None and (
            (self._span is not None and entry.id in self._span) or self._fits(str(entry.id)) is not None
        ):
            return True
        return self._fits(entry.name) is not None


@dataclass(frozen=True)
class Coded:
    """A map before its entries are classes: [H, W] codes and what each code stands for.

    certain: see ClassRules.target.
    """

    codes: NDArray[np.unsignedinteger]
    entries: Mapping[int, Entry]
    certain: bool = False

    def present(self) -> dict[int, int]:
        """Codes in this map and their pixels."""
        if self.codes.dtype.itemsize <= 2:  # counting is faster than sorting
            counts = np.bincount(self.codes.reshape(-1))
            return {int(code): int(counts[code]) for code in np.flatnonzero(counts)}
        found, counts = np.unique(self.codes, return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))

    def entry(self, code: int) -> Entry:
        """What a code stands for; a code without a name is its own."""
        try:
            return self.entries[code]
        except KeyError:
            return Entry(str(code), code)


def apply_rules(coded: Coded, rules: ClassRules, path: Path, frame: int | None) -> NDArray[np.uint16]:
    """The map [H, W] with every entry brought to its class.

    Raises UnknownLabelError with names and pixels of what leads nowhere.
    """
    present = coded.present()
    codes = np.array(sorted(present), np.int64)
    targets = np.array([rules.target(coded.entry(int(c)), certain=coded.certain) for c in codes], np.int64)
    lost = [int(c) for c in codes[targets == UNKNOWN]]
    if lost:
        raise _lost({coded.entry(c).name: present[c] for c in lost}, rules, path, frame)
    if len(codes) and codes[-1] < 1 << 17:  # looking up is faster than searching
        table = np.zeros(int(codes[-1]) + 1, np.uint16)
        table[codes] = targets
        return np.asarray(table[coded.codes])
    return np.asarray(targets.astype(np.uint16)[np.searchsorted(codes, coded.codes)])


def _lost(found: dict[str, int], rules: ClassRules, path: Path, frame: int | None) -> UnknownLabelError:
    listed = sorted(found.items(), key=lambda item: -item[1])
    shown = ", ".join(f"“{name}” ({count} pixels)" for name, count in listed[:_SHOWN])
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    known = ", ".join(list(rules.ids or ())[:40])
    rest = "" if list(found) == [NOTHING] else ", or '*=CLASS' for all that is left"
    return UnknownLabelError(
        f"{picture_name(path, frame)} holds {shown}{more}, and nothing says which class of {rules.whose} that is",
        f"say so with --classes '{listed[0][0]}=CLASS'{rest}" + (f" (classes: {known})" if known else ""),
        file=str(path),
        frame=frame,
    )


def parse_rules(words: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """`PATTERN=CLASS` words, each of them or a JSON file of them, as rules in their order.

    A name may hold `=`: the last one counts. A file is `{"car*": "vehicle", "7": 3}`, or that under "classes" beside
    `"format": "mapreel-classes", "version": 1`. Raises UsageError, DamagedFileError.
    """
    found: list[tuple[str, str]] = []
    for word in words:
        pattern, equals, target = word.rpartition("=")
        if word.lower().endswith(".json") and Path(word).is_file():
            found += _from_file(Path(word))
        elif equals and pattern and target.strip():
            found.append((pattern, target.strip()))
        else:
            raise UsageError(
                f"--classes is “{word[:100]}”", "write PATTERN=CLASS, as in 'car*=vehicle', or name a JSON file"
            )
    return tuple(found)


def _from_file(path: Path) -> list[tuple[str, str]]:
    try:
        content = json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(
            f"the classes {path} are no JSON", "mend them in a text editor", detail=str(error), file=str(path)
        ) from error
    if isinstance(content, dict) and content.get("format") == FORMAT:
        if content.get("version") != VERSION:
            raise DamagedFileError(
                f"the classes {path} have the version {content.get('version')}, this Mapreel knows {VERSION}",
                "install a newer Mapreel",
                file=str(path),
            )
        content = content.get("classes")
    sound = isinstance(content, dict) and all(
        pattern and (type(target) is int or (isinstance(target, str) and target)) for pattern, target in content.items()
    )
    if not sound:
        raise DamagedFileError(
            f"the classes {path} are no list of patterns and classes",
            'write {"car*": "vehicle", "7": 3}',
            file=str(path),
        )
    return [(pattern, str(target)) for pattern, target in content.items()]
