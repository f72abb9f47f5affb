# SPDX-License-Identifier: GPL-3.0-or-later
"""Palettes and maps as the palette editor reads and writes them; all of it is for a thread of errands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import InputError, OutputExistsError, UsageError
from mapreel.core.contract.takes import write_atomically
from mapreel.ui.state.palette_document import ClassEntry, PaletteDocument, distant_color
from mapreel.ui.state.palette_rows import FoundClass

if TYPE_CHECKING:
    from mapreel.core.media.palettes import Palette
    from mapreel.ui.state.colour_sight import AlikePair
    from mapreel.ui.state.palette_document import Rule
    from mapreel.ui.state.palette_rows import ModelClasses


def preset_names() -> tuple[str, ...]:
    """The palettes that come with Mapreel."""
    from mapreel.core.media.palettes import palette_names

    return palette_names()


def read_document(name_or_file: str, rules: tuple[Rule, ...] = ()) -> PaletteDocument:
    """A shipped palette or a file. Raises InputError."""
    from mapreel.core.media.palettes import load_palette

    palette = load_palette(name_or_file)
    classes = tuple(ClassEntry(entry.id, entry.name, entry.color) for entry in palette.classes)
    return PaletteDocument(name=palette.name, classes=classes, rules=rules, source=palette.source, note=palette.note)


def first_document(
    palette: str, rules: tuple[Rule, ...], model: ModelClasses, labels: str, frame: int
) -> PaletteDocument:
    """What is edited when a shot is looked at first: its palette, else the model's own, else what the maps show."""
    if palette:
        return read_document(palette, rules)
    if model.name in preset_names():
        return read_document(model.name, rules)
    if model.ids:
        named = {label: name for name, label in model.ids}
    else:
        try:
            found = count_classes(labels, frame, None)
        except InputError:  # nothing can be told of coloured maps without a palette
            found = ()
        named = {
            one.id: one.name if one.name != str(one.id) else f"class {one.id}" for one in found if one.id is not None
        }
    classes = tuple(ClassEntry(label, named[label], distant_color(n)) for n, label in enumerate(sorted(named)))
    return PaletteDocument(
        name=model.name or "palette", classes=classes or (ClassEntry(0, "class 0", distant_color(0)),), rules=rules
    )


def as_palette(document: PaletteDocument) -> Palette:
    """The palette that the document would be saved as."""
    from mapreel.core.media.palettes import Palette, PaletteClass

    classes = tuple(PaletteClass(id=entry.id, name=entry.name, color=entry.color) for entry in document.classes)
    return Palette(name=document.name, classes=classes, source=document.source, note=document.note)


def count_classes(labels: str, frame: int, document: PaletteDocument | None) -> tuple[FoundClass, ...]:
    """What the label map of one frame shows, most first. document: what colours and ids mean; None: ids alone.

    Raises InputError.
    """
    from mapreel.core.contract.frames import find_sequence
    from mapreel.core.media.labels import MapReading
    from mapreel.core.media.mapfacts import map_entries
    from mapreel.core.media.sequence import is_movie

    palette = as_palette(document) if document is not None else None
    reading = MapReading(palette=palette)
    if is_movie(labels):
        return _counted_movie(labels, frame, reading.palette)
    path = find_sequence(labels).pattern.path(frame)
    entries, _ = map_entries(path, frame, reading)
    return tuple(FoundClass(entry.name, entry.id, entry.pixels) for entry in entries)


def _counted_movie(labels: str, frame: int, palette: Palette | None) -> tuple[FoundClass, ...]:
    import numpy as np

    from mapreel.core.media.labels import MapReading, label_of_samples
    from mapreel.core.media.movies import read_movie_frames

    path = Path(labels)
    samples = next((one.pixels for one in read_movie_frames(path, stored=True) if one.index == frame - 1), None)
    if samples is None:
        return ()
    ids, counts = np.unique(label_of_samples(samples, path, frame, MapReading(palette=palette)), return_counts=True)
    names = palette.names if palette is not None else {}
    found = zip(ids.tolist(), counts.tolist(), strict=True)
    rows = [FoundClass(names.get(label, str(label)), label, count) for label, count in found]
    return tuple(sorted(rows, key=lambda one: -one.pixels))


def are_coloured(labels: str, frame: int) -> bool:
    """Whether the maps say their classes by colours, so that another colour is another meaning."""
    from mapreel.core.contract.frames import find_sequence
    from mapreel.core.media.mapfacts import map_layers
    from mapreel.core.media.sequence import is_movie

    if is_movie(labels):
        return True
    path = find_sequence(labels).pattern.path(frame)
    return any(fact.kind == "colours" for fact in map_layers(path, frame))


def write_document(document: PaletteDocument, path: Path) -> None:
    """Write a palette file, whole or not at all. Raises UsageError (one that comes with Mapreel), OutputError."""
    if shipped_folder() in path.resolve().parents:
        what = f"{path.name} comes with Mapreel and is not written over"
        raise OutputExistsError(what, "save under another name, beside your shot", file=str(path))
    if path.suffix.lower() != ".json":
        raise UsageError(f"{path.name} has another ending", "call it name.json", file=str(path))
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} is not there", "choose another", file=str(path))
    write_atomically(path, document.to_json().encode())


def shipped_folder() -> Path:
    """Where the palettes lie that come with Mapreel."""
    return Path(__file__).resolve().parents[2] / "resources" / "palettes"


def alike(classes: tuple[ClassEntry, ...]) -> tuple[tuple[AlikePair, ...], int]:
    """Pairs of classes that somebody takes for one, the closest first, and how many that are, each counted once."""
    from mapreel.ui.state.colour_sight import alike_pairs

    pairs = alike_pairs(classes)
    return pairs, len({(pair.first, pair.second) for pair in pairs})
