# SPDX-License-Identifier: GPL-3.0-or-later
"""A palette while it is edited: classes and rules as values, every edit a new one. Nothing here reads or shows."""

from __future__ import annotations

import colorsys
import glob
import json
from dataclasses import dataclass, replace
from itertools import chain, count

from mapreel.core.contract.errors import UsageError

FORMAT, VERSION = "mapreel-palette", 1
LARGEST_ID = 65535
MOST_CHARS = 1000
_GOLDEN = 0.618033988749895  # of a turn: new hues fall far from those before

Color = tuple[int, int, int]
Rule = tuple[str, str]


@dataclass(frozen=True)
class ClassEntry:
    """One class: its id in label maps, its name, its display colour (sRGB, 0..255)."""

    id: int
    name: str
    color: Color


@dataclass(frozen=True, kw_only=True)
class PaletteDocument:
    """What is edited. classes: ascending by id. rules: patterns of names or ids in the maps and the class of the model
    that each becomes, the first that fits counts. They belong to the shot, the rest to the file of the palette."""

    name: str = ""
    classes: tuple[ClassEntry, ...] = ()
    rules: tuple[Rule, ...] = ()
    source: str = ""
    note: str = ""

    def entry(self, label: int) -> ClassEntry:
        """The class of an id. Raises UsageError."""
        for entry in self.classes:
            if entry.id == label:
                return entry
        raise UsageError(f"the palette has no class with the id {label}", "choose another")

    # -- edits: each gives another document ------------------------------------------------------------------------

    def renamed(self, label: int, name: str) -> PaletteDocument:
        """Another name for a class; rules for its old name follow it. Raises UsageError."""
        old, new = self.entry(label), checked_name(name)
        if any(entry.name == new and entry.id != label for entry in self.classes):
            raise UsageError(f"“{new}” is the name of another class", "choose another name, or merge the two")
        rules = tuple(
            (as_pattern(new) if pattern == as_pattern(old.name) else pattern, to) for pattern, to in self.rules
        )
        return self._with(replace(old, name=new), rules)

    def recolored(self, label: int, color: Color) -> PaletteDocument:
        """Another colour for a class."""
        return self._with(replace(self.entry(label), color=color), self.rules)

    def added(self, name: str = "", label: int | None = None, color: Color | None = None) -> PaletteDocument:
        """One more class: with the lowest free id and a colour that is far from the others unless given.

        Raises UsageError."""
        taken = {entry.id for entry in self.classes}
        found = next(number for number in range(LARGEST_ID + 2) if number not in taken) if label is None else label
        if not 0 <= found <= LARGEST_ID:
            raise UsageError(f"the id is {found}", f"give a whole number from 0 to {LARGEST_ID}")
        if found in taken:
            raise UsageError(f"the id {found} is “{self.entry(found).name}” already", "choose another id")
        said = checked_name(name) if name else self._free_name(found)
        if any(entry.name == said for entry in self.classes):
            raise UsageError(f"there is a class “{said}” already", "choose another name")
        entry = ClassEntry(found, said, color or distant_color(len(self.classes)))
        return replace(self, classes=_sorted((*self.classes, entry)))

    def removed(self, labels: frozenset[int]) -> PaletteDocument:
        """Without some classes and the rules for their names. Raises UsageError when none would be left."""
        left = tuple(entry for entry in self.classes if entry.id not in labels)
        if not left:
            raise UsageError("a palette needs a class", "keep one, or choose a preset")
        gone = {as_pattern(entry.name) for entry in self.classes if entry.id in labels}
        rules = tuple(rule for rule in self.rules if rule[0] not in gone)
        return replace(self, classes=left, rules=rules)

    def becoming(self, pattern: str, target: str) -> PaletteDocument:
        """What the maps call `pattern` is the class `target` of the model; an empty target takes the rule away."""
        rules = tuple(rule for rule in self.rules if rule[0] != pattern)
        return replace(self, rules=((pattern, target), *rules) if target else rules)

    def merged(self, labels: frozenset[int], into: int, target: str) -> PaletteDocument:
        """Classes become `into`, which the model knows as `target`: maps are left as they are, rules bring them there.

        What became one of them before follows."""
        gone = {self.entry(label).name for label in labels if label != into}
        patterns = {as_pattern(name) for name in gone}
        kept = tuple((pattern, target if to in gone else to) for pattern, to in self.rules if pattern not in patterns)
        return replace(self, rules=(*((pattern, target) for pattern in sorted(patterns)), *kept))

    def titled(self, name: str) -> PaletteDocument:
        """Under another name. Raises UsageError."""
        return replace(self, name=checked_name(name))

    def to_json(self) -> str:
        """What the file of a palette holds; rules belong to the shot and are not in it."""
        rows = [
            json.dumps({"id": entry.id, "name": entry.name, "color": list(entry.color)}, ensure_ascii=False)
            for entry in self.classes
        ]
        head = {"format": FORMAT, "version": VERSION, "name": self.name}
        told = {name: text for name, text in (("source", self.source), ("note", self.note)) if text}
        lines = [
            f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}," for key, value in (head | told).items()
        ]
        body = ",\n".join(f"    {row}" for row in rows)
        return "\n".join(["{", *lines, '  "classes": [', body, "  ]", "}", ""])

    def _with(self, changed: ClassEntry, rules: tuple[Rule, ...]) -> PaletteDocument:
        classes = tuple(changed if entry.id == changed.id else entry for entry in self.classes)
        if classes == self.classes:
            return self
        return replace(self, classes=classes, rules=rules)

    def _free_name(self, label: int) -> str:
        names = {entry.name for entry in self.classes}
        wanted = f"class {label}"
        more = (f"{wanted} ({number})" for number in count(2))
        return next(name for name in chain((wanted,), more) if name not in names)


def _sorted(classes: tuple[ClassEntry, ...]) -> tuple[ClassEntry, ...]:
    return tuple(sorted(classes, key=lambda entry: entry.id))


def checked_name(text: str) -> str:
    """A name without the blanks around it. Raises UsageError."""
    name = text.strip()
    if not name:
        raise UsageError("the name is empty", "write one")
    if len(name) > MOST_CHARS:
        raise UsageError("the name is endless", f"write at most {MOST_CHARS} characters")
    return name


def as_pattern(name: str) -> str:
    """The pattern that fits this name alone."""
    return glob.escape(name)


def parse_color(text: str) -> Color:
    """#rrggbb, rrggbb, #rgb or “r, g, b”. Raises UsageError."""
    word = text.strip().removeprefix("#")
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 3 and all(part.isascii() and part.isdecimal() and int(part) < 256 for part in parts):
        return int(parts[0]), int(parts[1]), int(parts[2])
    word = "".join(letter * 2 for letter in word) if len(word) == 3 else word
    if len(word) == 6 and all(letter in "0123456789abcdefABCDEF" for letter in word):
        return int(word[:2], 16), int(word[2:4], 16), int(word[4:], 16)
    raise UsageError(f"“{text.strip()[:40]}” is no colour", "write it as #rrggbb or as three numbers from 0 to 255")


def hex_color(color: Color) -> str:
    """#rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def distant_color(place: int) -> Color:
    """The colour of the n-th class where nobody chose one: hues a golden angle apart, in turns light and dark."""
    value = (0.95, 0.7, 0.85, 0.55)[place % 4]
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN % 1.0, (0.65, 0.85)[place // 2 % 2], value)
    return round(red * 255), round(green * 255), round(blue * 255)
