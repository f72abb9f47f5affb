# SPDX-License-Identifier: Apache-2.0
"""Which class a material or an object is of: a name from a palette, stored in the .blend as a plain property."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from mapreel.core.contract.errors import UsageError

PROPERTY = "mapreel_class"


@dataclass(frozen=True)
class Palette:
    """Names and ids of classes, and the colour that each is shown in, as #rrggbb."""

    name: str
    ids: dict[str, int]
    colours: dict[str, str]


def palette_folder() -> Path:
    """Where the palettes lie: beside this file in the extension, in the resources of a checkout."""
    beside = Path(__file__).parent / "palettes"
    return beside if beside.is_dir() else Path(__file__).resolve().parents[2] / "resources" / "palettes"


def palette_names() -> list[str]:
    """The palettes that come with Mapreel."""
    return sorted(path.stem for path in palette_folder().glob("*.json"))


def load_palette(name: str) -> Palette:
    """A palette by name or from a JSON file. Raises UsageError."""
    path = Path(name) if name.endswith(".json") else palette_folder() / f"{name}.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        classes = [(str(entry["name"]), int(entry["id"]), tuple(entry["color"])) for entry in data["classes"]]
        shown = str(data["name"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        known = ", ".join(palette_names())
        raise UsageError(f"there is no palette {name} to read", f"use a JSON palette or one of {known}") from error
    colours = {label: "#{:02x}{:02x}{:02x}".format(*colour) for label, _, colour in classes}
    return Palette(shown, {label: number for label, number, _ in classes}, colours)


def class_of(thing: Any) -> str:
    """The class of a material or object, empty where it has none."""
    return str(thing.get(PROPERTY, ""))


def assign(pattern: str, label: str, palette: Palette, *, what: str = "materials") -> list[str]:
    """Make materials (or objects) whose names match a pattern such as `tree*` of one class. Gives their names.

    Capitals do not count. Raises UsageError for a class that the palette does not have; an empty one takes it away.
    """
    if label and label not in palette.ids:
        raise UsageError(f"the palette {palette.name} has no class {label}", f"use one of {', '.join(palette.ids)}")
    touched = []
    for thing in getattr(bpy.data, what):
        if fnmatch.fnmatch(thing.name.lower(), pattern.lower()):
            if label:
                thing[PROPERTY] = label
            elif PROPERTY in thing:
                del thing[PROPERTY]
            touched.append(thing.name)
    return touched


def guess(palette: Palette) -> dict[str, str]:
    """Give every material without a class the one whose name its own name holds. Gives material -> class."""
    found = {}
    for material in bpy.data.materials:
        if class_of(material):
            continue
        words = material.name.lower().replace("-", "_")
        fitting = [label for label in palette.ids if label.lower().replace(" ", "_") in words]
        if fitting:
            material[PROPERTY] = max(fitting, key=len)
            found[material.name] = str(material[PROPERTY])
    return found


def without_class(scene: Any) -> list[str]:
    """Materials in the scene that have no class, nor have the objects that wear them: they become class 0."""
    bare = set()
    for thing in scene.objects:
        if thing.type not in {"MESH", "CURVE", "SURFACE", "META", "FONT"} or class_of(thing):
            continue
        bare |= {slot.material.name for slot in thing.material_slots if slot.material and not class_of(slot.material)}
        if not any(slot.material for slot in thing.material_slots):
            bare.add(f"{thing.name} (no material)")
    return sorted(bare)
