# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences of the core in another language: each is found among templates (`{path} does not exist`) and said anew.

The core speaks English, in logs, on the wire and on the command line; here, at the panel's border, its sentences get
the language of whoever reads them. What is filled in may be a sentence of the core itself; what nobody has translated
stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

JOINTS = ("{what}; {remedy}", "{one} and {other}")
"""Templates of how two sentences, and two parts of one, are joined."""
PLACE = re.compile(r"\{(\w*)\}")
_LETTER = re.compile(r"[A-Za-z]")
_WEAK = 8  # letters: with fewer of its own, a template fits sentences that it does not mean
_WORDS = re.compile(r"[A-Za-z]{2} [A-Za-z]")
_DEEPEST = 3
_NESTED = 0.8  # of what is known inside a place: the same letters count more in the sentence itself
_PART = 1.0  # what one more part costs
_MOST_PARTS = 8
_EDGE = re.compile(r"(?=[ ,(])")


Said = tuple[str, float]
"""A sentence told anew, and how many of its letters were known."""


@dataclass(frozen=True)
class _Template:
    """groups: names of the places; those that stand side by side are one group."""

    said: str
    groups: tuple[tuple[str, ...], ...]
    pattern: re.Pattern[str]
    letters: int


class Retelling:
    """All templates of a language. Looking for one costs some tens of microseconds."""

    def __init__(self, templates: dict[str, str]) -> None:
        """templates: English to translated, with the same places."""
        self._templates = templates
        self._best = lru_cache(maxsize=1024)(self._look)

    def tell(self, sentence: str) -> str | None:
        """The sentence in the other language, or None when nobody has translated it."""
        found = self._best(sentence.strip().rstrip("."), 0)
        return found[0] if found is not None else None

    @cached_property
    def _plain(self) -> dict[str, Said]:
        return {text: (said, _letters(text)) for text, said in self._templates.items() if not PLACE.search(text)}

    @cached_property
    def _by_piece(self) -> list[tuple[str, list[_Template]]]:
        """Templates by their longest piece: nearly all are passed over by looking for that."""
        found: dict[str, list[_Template]] = {}
        for text, said in self._templates.items():
            if PLACE.search(text) and text not in JOINTS:
                piece = max(PLACE.split(text)[::2], key=len)
                found.setdefault(piece, []).append(_compiled(text, said))
        return list(found.items())

    def _look(self, text: str, depth: int) -> Said | None:
        """Of all ways to tell it, the one that knows most of its letters."""
        if text in self._plain:
            return self._plain[text]
        ways = [self._run(text, depth), self._parted(text, "; ", JOINTS[0] if depth == 0 else JOINTS[1], depth)]
        if depth > 0:
            ways.append(self._parted(text, " and ", JOINTS[1], depth))
        return _best_of(ways)

    def _run(self, text: str, depth: int) -> Said | None:
        """A sentence that is not cut at joints."""
        if text in self._plain:
            return self._plain[text]
        return _best_of([self._fill(one, values, depth) for one, values in self._matches(text)])

    def _matches(self, text: str) -> Iterator[tuple[_Template, tuple[str, ...]]]:
        for piece, templates in self._by_piece:
            if piece in text:
                for template in templates:
                    if (match := template.pattern.fullmatch(text)) is not None:
                        yield template, match.groups()

    def _fill(self, template: _Template, values: tuple[str, ...], depth: int) -> Said | None:
        filled: dict[str, str] = {}
        known = float(template.letters)
        for names, value in zip(template.groups, values, strict=True):
            told = self._value(value, depth, several=len(names) > 1)
            if told is None and template.letters < _WEAK and _WORDS.search(value.replace(", ", ",")):
                return None
            filled |= {**dict.fromkeys(names, ""), names[0]: value if told is None else told[0]}
            known += 0.0 if told is None else _NESTED * told[1]
        return PLACE.sub(lambda place: filled[place[1]], template.said), known

    def _value(self, value: str, depth: int, *, several: bool) -> Said | None:
        """What is filled in, where that is a sentence, too."""
        if depth >= _DEEPEST or (" " not in value.strip() and value not in self._plain):
            return None
        told = self._best(value.strip().rstrip("."), depth + 1)
        return self._with_tail(value, depth) if told is None and several else told

    def _with_tail(self, value: str, depth: int) -> Said | None:
        """`3, 4 and 2 more`: two places side by side, of which the second is a sentence."""
        for edge in _EDGE.finditer(value):
            told = self._best(value[edge.start() :].strip(), depth + 1)
            if told is not None:
                head = self._best(value[: edge.start()], depth + 1) or (value[: edge.start()], 0.0)
                apart = " " if head[0][-1:].isalnum() and told[0][:1].isalnum() else ""
                return f"{head[0]}{apart}{told[0]}", head[1] + told[1]
        return None

    def _parted(self, text: str, joint: str, name: str, depth: int) -> Said | None:
        """Cut into parts at joints so that most is known; parts that nobody knows stay as they are."""
        parts = text.split(joint)
        if not 1 < len(parts) <= _MOST_PARTS:
            return None
        best: list[tuple[list[str], float]] = [([], 0.0)]
        for last in range(1, len(parts) + 1):
            ways = []
            for first in range(last):
                run = joint.join(parts[first:last])
                said = self._run(run, depth) if last - first < len(parts) else None
                piece, known = said if said is not None else (run, -_PART * (last - first))
                ways.append(([*best[first][0], piece], best[first][1] + known - _PART))
            best.append(max(ways, key=lambda way: way[1]))
        told, known = best[-1]
        between = PLACE.split(self._templates.get(name, name))[2]
        return (between.join(told), known) if known > 0 else None


def _best_of(ways: list[Said | None]) -> Said | None:
    return max((way for way in ways if way is not None), key=lambda way: way[1], default=None)


def _letters(text: str) -> int:
    return len(_LETTER.findall("".join(PLACE.split(text)[::2])))


def _compiled(text: str, said: str) -> _Template:
    groups: list[tuple[str, ...]] = []
    pattern, after_place = "", False
    for number, part in enumerate(PLACE.split(text)):
        if number % 2:
            groups = [*groups[:-1], (*groups[-1], part)] if after_place else [*groups, (part,)]
            pattern += "" if after_place else "(.+?)"
            after_place = True
        elif part:
            pattern += re.escape(part)
            after_place = False
    return _Template(said, tuple(groups), re.compile(pattern), _letters(text))
