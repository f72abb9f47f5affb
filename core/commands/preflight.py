# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at what a request names before it is queued, so that a slip costs no take, no service and no wait.

Names and headers only; pixels are read, and checked again, by the job.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import (
    GapError,
    InputError,
    MissingInputError,
    ModelError,
    ModelMismatchError,
    OutputError,
    UsageError,
)
from mapreel.core.contract.frames import (
    IMAGE_SUFFIXES,
    FrameRange,
    MissingFrames,
    SequencePattern,
    counted,
    find_sequence,
)
from mapreel.core.contract.takes import is_file_take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapreel.core.contract.requests import DecodeRequest, EncodeRequest, RenderRequest, VerifyRequest
    from mapreel.core.media.classes import ClassRules
    from mapreel.core.vid2vid.config import GeneratorConfig
    from mapreel.core.vid2vid.paper_config import PaperConfig

HEADERS = 2000  # a shot; of a longer sequence the job itself reads the headers
LARGEST_HEADER_BYTES = 1 << 20  # classes, config and story of a model are some kilobytes
_OTHER_MOVIES = frozenset({".avi", ".webm", ".gif", ".mpg", ".mpeg", ".wmv", ".mxf"})


def check_render(request: RenderRequest) -> None:
    """Raises UsageError (not supported, a reference that is not in the shot), InputError (maps or references missing,
    gappy, of another size), ModelError, OutputError."""
    from mapreel.core.media.sequence import is_movie
    from mapreel.core.vid2vid.conditions import open_source, source_numbers
    from mapreel.core.vid2vid.models import find_model
    from mapreel.core.vid2vid.reference import References
    from mapreel.core.vid2vid.supported import refuse_other_network, refuse_unsupported

    _check_out(request.out)
    refuse_unsupported(request)
    refuse_other_network(request)
    frames = FrameRange.parse(request.frames) if request.frames else None
    config = _config(find_model(request.model))
    there = source_numbers(config, request.labels)
    if len(there) <= HEADERS and len(frames or ()) <= HEADERS:
        labels = open_source(config, request.labels, frames, request.missing, request, _rules(request), {})
        if request.missing is MissingFrames.ERROR:  # else the shot has frames that are not on disk
            numbers = sorted({*labels.numbers, *there})
            References(request.reference, tuple(numbers), request.labels).check_sizes(labels.size)
    for source in (request.instances, request.motion):
        if source is not None and not is_movie(source):
            find_sequence(source)
    if request.instances is not None and not is_movie(request.instances) and not is_movie(request.labels):
        planned = frames.numbers if frames is not None else tuple(range(min(there), max(there) + 1))
        if request.missing is MissingFrames.ERROR:
            _check_gaps(request.instances, planned)


def _check_gaps(source: str, planned: tuple[int, ...]) -> None:
    """Raises GapError where planned frames are not among the files; looks at names only."""
    found = find_sequence(source)
    gaps = sorted(set(planned) - set(found.numbers))
    if gaps:
        raise GapError(
            f"{counted(gaps)} missing from {found.pattern.format()}",
            "render what is missing or leave it out with --frames",
            file=str(found.pattern.path(gaps[0])),
            frame=gaps[0],
        )


def check_palette(request: RenderRequest) -> None:
    """Compare the maps' palette with the model's classes. Classes are taken by their names, or as --classes says.

    A few that the model lacks may be in no frame: the job says so where they are. Raises ModelMismatchError where it
    knows none of them, UsageError for a rule that leads to no class of the model, InputError.
    """
    from mapreel.core.media.classes import UNKNOWN, Entry
    from mapreel.core.media.palettes import load_palette

    rules = _rules(request)
    if rules is None:
        return
    for pattern, _ in request.classes:
        rules.target(Entry(pattern), certain=False)  # every rule has to lead somewhere
    if request.palette is None:
        return
    palette = load_palette(request.palette)
    if any(rules.target(Entry(entry.name, entry.id), certain=False) != UNKNOWN for entry in palette.classes):
        return
    known, entry = {label: name for name, label in (rules.ids or {}).items()}, palette.classes[0]
    other = f"“{known[entry.id]}”" if entry.id in known else "nothing"
    said = f"“{entry.name}” in the palette {palette.name} and {other} in the model {request.model}"
    raise ModelMismatchError(
        f"the label id {entry.id} is {said}, and no other class has a name that the model knows",
        f"use a model that was trained on these classes, or say what they are with --classes '{entry.name}=CLASS'",
    )


def told_of_maps(request: RenderRequest) -> Iterator[str]:
    """What is decided about the maps without being asked, a sentence each."""
    from mapreel.core.media.labels import instance_reading, label_reading
    from mapreel.core.media.landmarks import are_landmarks
    from mapreel.core.media.mapfacts import told_choice, told_motion
    from mapreel.core.media.sequence import is_movie

    if not are_landmarks(request.labels) and not is_movie(request.labels):
        path, number = _first(request.labels)
        choice = told_choice(path, number, label_reading(request))
        yield from [f"label maps: {choice}"] if choice else []
    yield from _told_palette(request)
    yield from _told_damage(request)
    if request.instances is not None and not is_movie(request.instances):
        path, number = _first(request.instances)
        choice = told_choice(path, number, instance_reading(request))
        yield from [f"instance maps: {choice}"] if choice else []
    if request.motion is not None:
        path, number = _first(request.motion)
        choice = told_motion(path, number, request.motion_layout)
        yield from [f"motion: {choice}"] if choice else []


def _told_damage(request: RenderRequest) -> list[str]:
    """What three of the label maps show to be wrong with them all; drawings have soft edges by right."""
    from mapreel.core.media.doctor import glance
    from mapreel.core.media.palettes import load_palette
    from mapreel.core.vid2vid.models import find_model

    config = _config(find_model(request.model))
    if config is None or getattr(config, "task", "city") != "city":
        return []
    palette = load_palette(request.palette) if request.palette is not None else None
    frames = FrameRange.parse(request.frames) if request.frames else None
    told = glance(request.labels, palette=palette, frames=frames)
    return [told] if told else []


def _told_palette(request: RenderRequest) -> list[str]:
    from mapreel.core.media.classes import UNKNOWN, Entry
    from mapreel.core.media.palettes import load_palette

    rules = _rules(request)
    if rules is None or rules.ids is None or request.palette is None:
        return []
    palette = load_palette(request.palette)
    moved, lost = [], []
    for entry in palette.classes:
        target = rules.target(Entry(entry.name, entry.id), certain=False)
        if target == UNKNOWN:
            lost.append(entry.name)
        elif target != entry.id:
            moved.append(f"{entry.name} {entry.id} to {target}")
    told = [f"palette {palette.name}: ids become those of the model by name: {_listed(moved)}"] if moved else []
    without = f"palette {palette.name}: no class of the model for {_listed(lost)}; a frame that shows one is refused"
    return [*told, without] if lost else told


def _listed(words: list[str]) -> str:
    return ", ".join(words[:12]) + (f" and {len(words) - 12} more" if len(words) > 12 else "")


def _first(source: str) -> tuple[Path, int]:
    found = find_sequence(source)
    return found.pattern.path(found.numbers[0]), found.numbers[0]


def _rules(request: RenderRequest) -> ClassRules | None:
    """The request's rules, leading to the classes in the model's header; None where it cannot be read."""
    from mapreel.core.media.classes import ClassRules
    from mapreel.core.vid2vid.models import find_model

    known = _classes(find_model(request.model))
    ids = {name: label for label, name in known.items()}
    return ClassRules(request.classes, ids, f"the model {request.model}") if known else None


def _config(model: Path) -> GeneratorConfig | PaperConfig | None:
    """The config in a model's header; None for one that cannot be read, as the job then says."""
    from mapreel.core.vid2vid.config import config_from_dict
    from mapreel.core.vid2vid.models import holds_teacher
    from mapreel.core.vid2vid.paper_config import paper_config_from_dict

    try:
        values = json.loads(_header(model)["config"])
        if holds_teacher(model):
            return paper_config_from_dict(values, file=str(model))
        return config_from_dict(values, file=str(model))
    except (OSError, ValueError, LookupError, TypeError, RecursionError, ModelError):
        return None


def _header(model: Path) -> dict[str, str]:
    with model.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, str] = json.loads(file.read(min(length, LARGEST_HEADER_BYTES)))["__metadata__"]
    return header


def _classes(model: Path) -> dict[int, str]:
    """Ids and names in a model's header; nothing where it cannot be read, for the job then says why."""
    try:
        return {int(entry["id"]): str(entry["name"]) for entry in json.loads(_header(model)["classes"])}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def check_encode(request: EncodeRequest) -> None:
    """Raises InputError for a source that is not there, UsageError (not supported, another ending)."""
    from mapreel.core.nirvana.supported import refuse_encode

    _check_out(request.out)
    refuse_encode(request)
    if Path(request.out).suffix.lower() != ".nirv":
        raise UsageError(f"the archive {request.out} has another ending", "call it name.nirv", file=request.out)
    path = Path(request.source)
    if path.is_dir() or SequencePattern.looks_like(request.source):
        find_sequence(request.source)
    elif not path.is_file():
        raise MissingInputError(f"{request.source} does not exist", "check the name", file=request.source)
    planned: tuple[int, ...] | None = FrameRange.parse(request.frames).numbers if request.frames else None
    if path.is_dir() or SequencePattern.looks_like(request.source):
        found = find_sequence(request.source)
        spelled = found.pattern.frames
        planned = planned or (spelled.numbers if spelled else tuple(range(found.numbers[0], found.numbers[-1] + 1)))
        _check_gaps(request.source, planned)
    _check_company(request, planned)


def _check_company(request: EncodeRequest, planned: tuple[int, ...] | None) -> None:
    """What goes along with the pictures. Raises InputError, UsageError."""
    from mapreel.core.media.palettes import load_palette
    from mapreel.core.media.sequence import is_movie
    from mapreel.core.nirvana.metadata import Timecode

    for maps in (request.labels, request.instances):
        if maps is not None and not is_movie(maps):
            find_sequence(maps)
            _check_gaps(maps, planned or ())
    if request.recipe is not None and not Path(request.recipe).is_file():
        raise MissingInputError(f"the recipe {request.recipe} is not there", "check the name", file=request.recipe)
    if request.palette is not None:
        load_palette(request.palette)
    if request.timecode is not None:
        Timecode.parse(request.timecode)


def check_archive(request: DecodeRequest | VerifyRequest) -> None:
    """Raises MissingInputError when the archive is not there, UsageError for what a decode cannot do, ArchiveError."""
    from mapreel.core.contract.requests import DecodeRequest
    from mapreel.core.nirvana.supported import refuse_decode

    if not Path(request.archive).is_file():
        what = f"the archive {request.archive} " + (
            "is a folder" if Path(request.archive).is_dir() else "does not exist"
        )
        raise MissingInputError(what, "give the .nirv file", file=request.archive)
    if isinstance(request, DecodeRequest):
        refuse_decode(request)
        _check_view(request)


def _check_view(request: DecodeRequest) -> None:
    """Raises ArchiveError for a header that cannot be read, UsageError for a region or files that it does not allow."""
    from mapreel.core.nirvana.container import Container
    from mapreel.core.nirvana.convert import decode_delivery
    from mapreel.core.nirvana.views import checked_view

    with Container(request.archive) as container:
        head, held = container.header, container.numbers
    unknown = sorted(set(FrameRange.parse(request.frames).numbers) - set(held)) if request.frames else []
    if unknown:
        listed = FrameRange.from_numbers(held)
        raise InputError(f"the archive holds no frame {unknown[0]}", f"ask for some of {listed}", frame=unknown[0])
    checked_view(head.width, head.height, request.region, request.scale)
    decode_delivery(request, head.pictures).check()
    if request.plate is not None:
        find_sequence(request.plate)


def _check_out(out: str) -> None:
    """One picture or a file that is there, where the folder of the take should be, is a slip and no earlier take."""
    path = Path(out)
    if is_file_take(path):
        return
    if path.is_file():
        raise OutputError(f"{out} is a file and not a folder", "choose another output folder", file=out)
    if path.suffix.lower() in IMAGE_SUFFIXES | _OTHER_MOVIES:
        raise UsageError(
            f"{out} would be one file of a kind that is not written", "give a folder or name.mp4", file=out
        )
