# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns maps of any kind into label maps: PNG with ids, and a palette beside them that says what the ids mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import FrameRange, MissingFrames, SequencePattern, find_sequence
from mapreel.core.contract.maps import MapOptions
from mapreel.core.contract.takes import write_atomically
from mapreel.core.media.classes import NOTHING, ClassRules
from mapreel.core.media.labels import label_reading
from mapreel.core.media.mapfacts import map_entries
from mapreel.core.media.palettes import FORMAT, MAX_CLASSES, VERSION, Palette, PaletteClass, colorize, load_palette
from mapreel.core.media.sequence import MapKind, ShotSequence, open_maps
from mapreel.core.media.writers import write_png

PALETTE_FILE = "palette.json"
Report = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ConvertPlan:
    """to: NAME or file of the palette whose ids the result has; None: numbers, or a palette of its own.

    colours: paint the result in colours in place of ids. instances: every object its own number, no classes.
    """

    source: str
    options: MapOptions = field(default_factory=MapOptions)
    to: str | None = None
    frames: FrameRange | None = None
    missing: MissingFrames = MissingFrames.ERROR
    colours: bool = False
    instances: bool = False

    def __post_init__(self) -> None:
        if self.instances and (self.to or self.colours or self.options.classes):
            raise UsageError("instance maps have no classes", "leave out --to, --classes and --colours")


@dataclass(frozen=True)
class Conversion:
    """A plan that is open: which palette the result has, and its maps, opened and tried."""

    plan: ConvertPlan
    palette: Palette | None
    maps: ShotSequence
    deep: bool  # 16 bits

    def write(self, folder: Path, report: Report) -> dict[str, Any]:
        """All frames into a folder that is there; what was written, for people and machines. Raises OutputError."""
        source = find_sequence(self.plan.source).pattern
        target = SequencePattern(
            str(folder / "_")[:-1] + _stem(source), source.digits, ".png", place=source.place, apart=source.apart
        )
        pixels: dict[int, int] = {}
        for done, number in enumerate(self.maps.numbers, start=1):
            ids = self.maps.read(number)
            for label, count in enumerate(np.bincount(ids.reshape(-1)).tolist()):
                if count:
                    pixels[label] = pixels.get(label, 0) + count
            write_png(target.path(number), self._shown(ids))
            report(done, len(self.maps.numbers))
        if self.palette is not None:
            write_palette(folder / PALETTE_FILE, self.palette)
        frames = FrameRange.from_numbers(self.maps.numbers)
        names = self.palette.names if self.palette is not None else {}
        return {
            "maps": target.spelled(frames),
            "frames": str(frames),
            "size": [self.maps.size[1], self.maps.size[0]],
            "bits": 24 if self.plan.colours else 16 if self.deep else 8,
            "palette": str(folder / PALETTE_FILE) if self.palette is not None else None,
            "ids": [{"id": i, "name": names.get(i, ""), "pixels": pixels[i]} for i in sorted(pixels)],
        }

    def _shown(self, ids: NDArray[np.uint16]) -> NDArray[Any]:
        if self.plan.colours and self.palette is not None:
            return colorize(ids, self.palette)
        return ids if self.deep else ids.astype(np.uint8)


def _stem(source: SequencePattern) -> str:
    return Path(source.head + "_").name[:-1]


def open_conversion(plan: ConvertPlan) -> Conversion:
    """Look at everything before anything is written. Raises as `open_maps`, UsageError for paint without colours."""
    kind = MapKind.INSTANCE if plan.instances else MapKind.LABEL
    palette, rules = (None, None) if plan.instances else _target(plan)
    if plan.colours and palette is None:
        raise UsageError("nothing says which colours these ids have", "name them with --to PALETTE or --palette")
    maps = open_maps(plan.source, kind, plan.frames, plan.missing, plan.options, rules)
    deep = palette.classes[-1].id > 255 if palette is not None else _largest(maps) > 255
    return Conversion(plan, palette, maps, deep)


def _target(plan: ConvertPlan) -> tuple[Palette | None, ClassRules]:
    """Whose classes the result has, and the rules that lead there."""
    if plan.to is not None:
        palette = load_palette(plan.to)
        return palette, ClassRules(plan.options.classes, palette.ids, f"the palette {palette.name}")
    named = [target for _, target in plan.options.classes if not target.isdecimal()]
    if named:
        palette = own_palette(list(dict.fromkeys(named)))
        return palette, ClassRules(plan.options.classes, palette.ids, "your own classes")
    if plan.options.palette is not None:
        palette = load_palette(plan.options.palette)
        return (None if plan.options.classes else palette), ClassRules(plan.options.classes)
    names = [] if plan.options.classes else _names(plan)
    if not names:
        return None, ClassRules(plan.options.classes)
    palette = own_palette(names)
    return palette, ClassRules((), palette.ids, "your own classes")


def _names(plan: ConvertPlan) -> list[str]:
    """Names in all frames where the maps know names (Cryptomatte), sorted; none for maps of ids."""
    reading = label_reading(plan.options)
    found = find_sequence(plan.source)
    wanted = set(plan.frames or found.numbers)
    names: set[str] = set()
    for number in found.numbers:
        if number in wanted:
            entries, certain = map_entries(found.pattern.path(number), number, reading)
            if certain:
                return []
            names |= {entry.name for entry in entries}
    return sorted(names - {NOTHING})


def own_palette(names: list[str]) -> Palette:
    """A palette of these classes from 1 on, 0 for nothing, coloured by the rule of PASCAL VOC.

    Raises UsageError for more than ids.
    """
    kept = [name for name in names if name != NOTHING]
    if len(kept) >= MAX_CLASSES:
        raise UsageError(f"{len(kept)} names are more classes than there are ids", "bring them together with --classes")
    classes = [PaletteClass(id=i, name=name, color=_voc(i)) for i, name in enumerate([NOTHING, *kept])]
    return Palette(name="own", classes=tuple(classes))


def _voc(index: int) -> tuple[int, int, int]:
    """The colour of a class as PASCAL VOC counts them: its bits spread over red, green and blue, highest first."""
    color = [0, 0, 0]
    for place in range(7, -1, -1):
        for channel in range(3):
            color[channel] |= (index >> channel & 1) << place
        index >>= 3
    return color[0], color[1], color[2]


def _largest(maps: ShotSequence) -> int:
    return max(int(maps.read(number).max()) for number in maps.numbers)


def write_palette(path: Path, palette: Palette) -> None:
    """A palette as a JSON file, as `load_palette` reads it. Raises OutputError."""
    classes = [{"id": entry.id, "name": entry.name, "color": list(entry.color)} for entry in palette.classes]
    told = {"source": palette.source, "note": palette.note}
    head = {"format": FORMAT, "version": VERSION, "name": palette.name, **{k: v for k, v in told.items() if v}}
    text = json.dumps({**head, "classes": classes}, indent=1, ensure_ascii=False)
    write_atomically(path, text.encode())
