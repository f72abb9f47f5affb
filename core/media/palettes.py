# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and display colours of label classes, from JSON, and label maps painted with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import DamagedFileError, MissingInputError, UnsupportedFileError
from mapreel.core.media.files import read_file

FORMAT = "mapreel-palette"
VERSION = 1
MAX_CLASSES = 65536  # ids are 16 bit
UNKNOWN_COLOR = (255, 0, 255)  # magenta: nothing in a palette should look like a mistake
_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "palettes"


@dataclass(frozen=True, kw_only=True)
class PaletteClass:
    """One class: its id in label maps, its name, its display colour (sRGB, 0..255)."""

    id: int
    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Classes in ascending order of id; ids need not be consecutive."""

    name: str
    classes: tuple[PaletteClass, ...]
    source: str = ""
    note: str = ""

    @cached_property
    def ids(self) -> dict[str, int]:
        """Ids by class name; of a name that occurs twice the lowest."""
        return {entry.name: entry.id for entry in reversed(self.classes)}

    @cached_property
    def names(self) -> dict[int, str]:
        """Names by id."""
        return {entry.id: entry.name for entry in self.classes}

    @cached_property
    def by_color(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Colours as 0xRRGGBB in ascending order, and the id of each; where classes share one, the lowest id."""
        found: dict[int, int] = {}
        for entry in self.classes:
            red, green, blue = entry.color
            found.setdefault(red << 16 | green << 8 | blue, entry.id)
        colors = sorted(found)
        return np.array(colors, np.uint32), np.array([found[color] for color in colors], np.uint32)

    @property
    def shared_colors(self) -> list[tuple[str, ...]]:
        """Names of classes that share a colour, the one it is read as first."""
        found: dict[tuple[int, int, int], list[str]] = {}
        for entry in self.classes:
            found.setdefault(entry.color, []).append(entry.name)
        return [tuple(names) for names in found.values() if len(names) > 1]

    @cached_property
    def lookup(self) -> NDArray[np.uint8]:
        """Colour of every id, [N, 3] uint8, magenta where no class is; the last row is for all ids beyond."""
        table = np.empty((self.classes[-1].id + 2, 3), np.uint8)
        table[:] = UNKNOWN_COLOR
        for entry in self.classes:
            table[entry.id] = entry.color
        return table


def palette_names() -> tuple[str, ...]:
    """The palettes that come with Mapreel, by name."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def load_palette(name_or_file: str | Path) -> Palette:
    """A palette that comes with Mapreel by its name, or the user's own from a JSON file.

    Raises MissingInputError (neither), UnsupportedFileError (not our format, or newer), DamagedFileError (breaks a
    rule: ids 0..65535 once each, a name each, three colours 0..255).
    """
    text = str(name_or_file)
    path = _FOLDER / f"{text}.json" if text in palette_names() else Path(text)
    if not path.is_file():
        known = ", ".join(palette_names())
        raise MissingInputError(f"there is no palette {text}", f"choose one of {known} or give a JSON file", file=text)
    try:
        content = json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(
            f"the palette {text} is no JSON", "mend it in a text editor", detail=str(error), file=str(path)
        ) from error
    return _parse(content, text, path)


def colorize(label_map: NDArray[np.integer], palette: Palette) -> NDArray[np.uint8]:
    """The map [H, W] painted in class colours, [H, W, 3] uint8 sRGB; unknown ids are magenta."""
    table = palette.lookup
    return table[np.minimum(label_map.astype(np.int64), len(table) - 1)]


def _parse(content: Any, name: str, path: Path) -> Palette:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UnsupportedFileError(
            f"{name} is no Mapreel palette", f'give a JSON file that says "format": "{FORMAT}"', file=str(path)
        )
    if content.get("version") != VERSION:
        raise UnsupportedFileError(
            f"the palette {name} has the version {content.get('version')}, this Mapreel knows {VERSION}",
            "install a newer Mapreel",
            file=str(path),
        )
    entries = content.get("classes")
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_CLASSES:
        raise _broken(name, path, "needs a list of classes")
    classes = tuple(sorted((_parse_class(entry, name, path) for entry in entries), key=lambda entry: entry.id))
    for before, after in pairwise(classes):
        if before.id == after.id:
            raise _broken(name, path, f"has the id {before.id} twice")
    title, source, note = (content.get(key) for key in ("name", "source", "note"))
    return Palette(
        name=title if isinstance(title, str) and title else path.stem,
        classes=classes,
        source=source if isinstance(source, str) else "",
        note=note if isinstance(note, str) else "",
    )


def _parse_class(entry: Any, name: str, path: Path) -> PaletteClass:
    if not isinstance(entry, dict):
        raise _broken(name, path, "has a class that is no object")
    label, title, color = entry.get("id"), entry.get("name"), entry.get("color")
    if type(label) is not int or not 0 <= label < MAX_CLASSES:
        raise _broken(name, path, f"has the id {label!r}, which is no whole number from 0 to {MAX_CLASSES - 1}")
    if not isinstance(title, str) or not title:
        raise _broken(name, path, f"has no name for the id {label}")
    if not isinstance(color, list) or len(color) != 3 or any(type(c) is not int or not 0 <= c <= 255 for c in color):
        raise _broken(name, path, f"has no colour of three numbers from 0 to 255 for the id {label}")
    return PaletteClass(id=label, name=title, color=(color[0], color[1], color[2]))


def _broken(name: str, path: Path, how: str) -> DamagedFileError:
    return DamagedFileError(f"the palette {name} {how}", "mend it in a text editor", file=str(path))
