# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of each class beside its name and colour: its pixels, what it becomes, whether the model knows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import UsageError
from mapreel.ui.state.palette_document import as_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapreel.core.media.classes import ClassRules
    from mapreel.ui.state.palette_document import Color, PaletteDocument


class Standing(StrEnum):
    """How a class stands with the model."""

    KNOWN = "known"
    UNKNOWN = "unknown"  # the model never saw it: a frame that shows it is refused
    OPEN = "open"  # no model is chosen


@dataclass(frozen=True)
class FoundClass:
    """What the map of one frame shows. id: None where maps know names only."""

    name: str
    id: int | None
    pixels: int


@dataclass(frozen=True)
class ModelClasses:
    """A model's classes: names -> ids."""

    name: str = ""
    ids: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """A class of the palette, or (color None) something in the map that the palette does not have.

    pixels: in the frame that was counted, None while nobody counted. becomes: what the model takes it for; empty where
    that is its own name. pattern: what a rule for it alone would say. place: of its hatching.
    """

    id: int | None
    name: str
    color: Color | None
    pixels: int | None
    share: float
    becomes: str
    standing: Standing
    pattern: str
    place: int


def class_rows(
    document: PaletteDocument, found: tuple[FoundClass, ...] | None, model: ModelClasses, *, plain_ids: bool
) -> tuple[tuple[ClassRow, ...], tuple[str, ...]]:
    """The classes of the palette, then what else the map shows; and the classes of the model that nothing becomes.

    plain_ids: maps are read without a palette, so that an id stands for itself. Loads the readers of maps.
    """
    from mapreel.core.media.classes import ClassRules, Entry

    known_ids = dict(model.ids)
    ids = known_ids or {entry.name: entry.id for entry in document.classes}
    names = {label: name for name, label in ids.items()}
    rules = ClassRules(document.rules, ids, f"the model {model.name}")
    counts = {one.id if one.id is not None else one.name: one.pixels for one in found or ()}
    total = sum(counts.values()) or 1
    rows, reached = [], set()

    def row(label: int | None, name: str, color: Color | None, place: int, pattern: str) -> ClassRow:
        pixels = None if found is None else counts.pop(label if label in counts else name, 0)
        entry = Entry(name, label)
        becomes, standing = _becomes(rules, entry, names, certain=plain_ids, judged=bool(known_ids))
        reached.add(becomes or name)
        share = (pixels or 0) / total
        return ClassRow(
            id=label,
            name=name,
            color=color,
            pixels=pixels,
            share=share,
            becomes=becomes,
            standing=standing,
            pattern=pattern,
            place=place,
        )

    for place, entry in enumerate(document.classes):
        rows.append(row(entry.id, entry.name, entry.color, place, as_pattern(entry.name)))
    known = {entry.id for entry in document.classes}
    for one in found or ():
        if one.id not in known and one.id not in {other.id for other in rows if other.id is not None}:
            pattern = str(one.id) if one.id is not None else as_pattern(one.name)
            name = one.name if one.id is None else str(one.id)  # what counts has a name from the palette alone
            rows.append(row(one.id, name, None, -1, pattern))
    lacking = tuple(name for name, _ in model.ids if name not in reached)
    return tuple(rows), lacking


def recolored(rows: tuple[ClassRow, ...], old: PaletteDocument, new: PaletteDocument) -> tuple[ClassRow, ...] | None:
    """The rows where an edit changed colours alone; None where it changed more."""
    apart = [(now.id, now.color) for was, now in zip(old.classes, new.classes, strict=False) if was != now]
    if replace(old, classes=()) != replace(new, classes=()) or len(old.classes) != len(new.classes):
        return None
    if any((was.id, was.name) != (now.id, now.name) for was, now in zip(old.classes, new.classes, strict=True)):
        return None
    colors = dict(apart)
    return tuple(
        replace(row, color=colors[row.id]) if row.color is not None and row.id in colors else row for row in rows
    )


def _becomes(
    rules: ClassRules, entry: object, names: Mapping[int, str], *, certain: bool, judged: bool
) -> tuple[str, Standing]:
    """What an entry becomes (empty: itself) and whether the model knows that.

    names: of the model's classes (judged) or of the palette's own, by id.
    """
    from mapreel.core.media.classes import UNKNOWN, Entry

    assert isinstance(entry, Entry)
    try:
        target = rules.target(entry, certain=certain)
    except UsageError:  # a rule leads to no class
        return "?", Standing.UNKNOWN
    if target == UNKNOWN:
        return "", Standing.UNKNOWN if judged else Standing.OPEN
    reached = names.get(target, str(target))
    becomes = "" if reached in (entry.name, str(entry.id)) else reached
    if not judged:
        return becomes, Standing.OPEN
    return becomes, Standing.KNOWN if target in names else Standing.UNKNOWN
