# SPDX-License-Identifier: GPL-3.0-or-later
"""What a map file holds that could be read as maps, and which of it is read when nobody says: for people to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import DamagedFileError, FileTooLargeError, InputError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.media.colorcoded import fitting_palettes, packed_colors
from mapreel.core.media.cryptomatte import cryptomattes, names_of
from mapreel.core.media.exrlayers import ExrLayout, exr_layout
from mapreel.core.media.files import kind_of, read_file, read_head
from mapreel.core.media.images import read_picture
from mapreel.core.media.indexpass import index_layers, of_pair
from mapreel.core.media.labels import INSTANCE_FLAG, MapReading, read_coded
from mapreel.core.media.mapheaders import map_header
from mapreel.core.media.motion import MotionSource, find_motion
from mapreel.core.media.pngfile import PngColor, parse_png
from mapreel.core.media.readers import read_apart
from mapreel.core.media.tiffids import Photometric, read_tiff

if TYPE_CHECKING:
    from mapreel.core.contract.frames import SequencePattern

_HEAD_BYTES = 64


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """One thing in a file that can be read as a map. kind: cryptomatte, index, motion, ids, indexed, colours."""

    name: str
    kind: str
    detail: str


@read_apart
def map_layers(path: Path, frame: int | None = None) -> list[LayerFacts]:
    """All that can be read as a map. Raises what the readers raise."""
    kind = kind_of(read_head(path, _HEAD_BYTES, frame))
    if kind == "exr":
        return _exr(exr_layout(path, frame), path, frame)
    if kind == "png":
        header = parse_png(read_file(path, frame), path, frame).header
        if header.color in (PngColor.GREY, PngColor.INDEXED):
            what = "indexed" if header.color is PngColor.INDEXED else "ids"
            return [LayerFacts(name="", kind=what, detail=f"{header.bit_depth} bits")]
        return [_colours(path, frame)]
    if kind == "tiff":
        pixels, tiff = read_tiff(path, frame)
        if tiff.samples == 1:
            what = "indexed" if tiff.photometric == Photometric.PALETTE else "ids"
            return [LayerFacts(name="", kind=what, detail=f"{tiff.bits} bits")]
        fitting = fitting_palettes(packed_colors(pixels, path, frame))
        return [LayerFacts(name="", kind="colours", detail=_fits(fitting))]
    return []


def _colours(path: Path, frame: int | None) -> LayerFacts:
    fitting = fitting_palettes(packed_colors(read_picture(path, frame=frame), path, frame))
    return LayerFacts(name="", kind="colours", detail=_fits(fitting))


def _fits(fitting: list[str]) -> str:
    return f"all of them are in {', '.join(fitting)}" if fitting else "of no palette that comes with Mapreel"


def _exr(layout: ExrLayout, path: Path, frame: int | None) -> list[LayerFacts]:
    found = []
    for matte in cryptomattes(layout, path, frame):
        names = names_of(matte, path, frame)
        detail = f"{len(matte.pairs)} ranks, {len(names)} names" + ("" if names else " (no manifest)")
        found.append(LayerFacts(name=matte.name, kind="cryptomatte", detail=detail))
    for name, channels in index_layers(layout).items():
        found.append(LayerFacts(name=name, kind="index", detail=f"{channels[0].name}, {channels[0].kind}"))
    try:
        motion = find_motion(layout, path, frame)
    except InputError:
        return found
    name = motion.x.layer
    return [*found, LayerFacts(name=name, kind="motion", detail=f"{motion.x.name}, {motion.y.name}: {motion.why}")]


@dataclass(frozen=True)
class EntryFacts:
    """One kind of pixel in a map: its name, its id where the map counts, its pixels."""

    name: str
    id: int | None
    pixels: int


@read_apart
def map_entries(path: Path, frame: int | None, reading: MapReading) -> tuple[list[EntryFacts], bool]:
    """What a map shows, most first, and whether its ids are what it says (and not names). Raises as `read_coded`."""
    coded = read_coded(path, frame, reading)
    found = [EntryFacts(coded.entry(code).name, coded.entry(code).id, n) for code, n in coded.present().items()]
    return sorted(found, key=lambda entry: -entry.pixels), coded.certain


LOOKED_AT = 5
"""Frames of a sequence that a survey reads: the first, the last, and some evenly between."""


@dataclass
class Survey:
    """What some frames of a sequence hold. unlike: frames with other layers or another size than the first; unreadable:
    frames and why. why_not: why nothing can be told of their pixels."""

    size: tuple[int, int] | None = None  # height, width
    layers: list[LayerFacts] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    entries: dict[tuple[str, int | None], int] = field(default_factory=dict)
    unlike: dict[int, str] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    why_not: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it; entries of all frames that were read together, most first."""
        found = sorted(self.entries.items(), key=lambda item: -item[1])
        told: dict[str, Any] = {
            "size": [self.size[1], self.size[0]] if self.size else None,
            "layers": [{"name": fact.name, "kind": fact.kind, "detail": fact.detail} for fact in self.layers],
            "read": str(FrameRange.from_numbers(self.read)) if self.read else "",
            "entries": [{"name": name, "id": number, "pixels": n} for (name, number), n in found],
            "unlike": {str(number): why for number, why in self.unlike.items()},
            "unreadable": {str(number): why for number, why in self.unreadable.items()},
        }
        return {**told, "why_not": self.why_not} if self.why_not else told


def survey(pattern: SequencePattern, numbers: list[int], reading: MapReading) -> Survey:
    """Look at some of the frames. Never raises InputError: what is wrong is told."""
    found = Survey()
    last = len(numbers) - 1
    for number in [numbers[place] for place in sorted({last * step // (LOOKED_AT - 1) for step in range(LOOKED_AT)})]:
        path = pattern.path(number)
        try:
            _survey_layers(found, path, number)
        except InputError as error:
            found.unreadable[number] = str(error)
            continue
        try:
            entries, _ = map_entries(path, number, reading)
        except (DamagedFileError, FileTooLargeError) as error:
            found.unreadable[number] = str(error)
        except InputError as error:
            found.why_not = found.why_not or str(error)
        else:
            found.read.append(number)
            for entry in entries:
                key = (entry.name, entry.id)
                found.entries[key] = found.entries.get(key, 0) + entry.pixels
    return found


def _survey_layers(found: Survey, path: Path, number: int) -> None:
    size, _ = map_header(path, number)
    layers = map_layers(path, number)
    if found.size is None:
        found.size, found.layers = size, layers
    elif size != found.size:
        found.unlike[number] = f"{size[1]}x{size[0]} pixels"
    elif (here := _kinds(layers)) != _kinds(found.layers):
        found.unlike[number] = ", ".join(" ".join(filter(None, pair)) for pair in here) or "nothing that can be read"


def _kinds(layers: list[LayerFacts]) -> list[tuple[str, str]]:
    return [(fact.kind, fact.name) for fact in layers]


@read_apart
def motion_source(path: Path, frame: int | None, told: str | None) -> MotionSource:
    """Which channels are motion and how they are read. Raises as `find_motion`."""
    return find_motion(exr_layout(path, frame), path, frame, told)


@read_apart
def told_choice(path: Path, frame: int | None, reading: MapReading) -> str:
    """One sentence on what of an EXR is read where nobody said which; nothing where there was no choice to make."""
    if reading.layer is not None or kind_of(read_head(path, _HEAD_BYTES, frame)) != "exr":
        return ""
    maps = [fact for fact in map_layers(path, frame) if fact.kind in ("cryptomatte", "index")]
    if len(maps) == 1:
        return f"read from {maps[0].name or maps[0].detail} ({maps[0].kind}), the only one there"
    if any(fact.kind == "cryptomatte" for fact in maps):
        return ""
    instances = reading.flag == INSTANCE_FLAG
    paired = of_pair(index_layers(exr_layout(path, frame)), instances=instances)
    told = "its objects are the instances" if instances else "its materials are the classes"
    return f"read from {paired} (index): {told}; {reading.flag} names another" if paired is not None else ""


def told_motion(path: Path, frame: int | None, layout: str | None) -> str:
    """One sentence on how motion is read where its names say something else than ours."""
    source = motion_source(path, frame, layout)
    plain = source.axes == "x,y" and layout is None
    return "" if plain else f"read from {source.x.name} and {source.y.name} as {source.axes} ({source.why})"
