# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist dropped on the window: a folder, a sequence, a movie, an archive or an edit. Reads files, so not for
the Qt thread."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import DamagedFileError, EmptySequenceError, InputError, MissingInputError
from mapreel.core.contract.frames import find_sequence
from mapreel.ui.state.messages import sentence
from mapreel.ui.state.shot import FoundShot, ShotKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import opentimelineio as otio

    from mapreel.core.contract.frames import FoundSequence

LABELS = ("label", "labels", "seg", "segmentation", "semantic", "maps", "ids")
INSTANCES = ("instance", "instances")
MOTION = ("motion", "vector", "vectors", "flow")
TRUTH = ("color", "colour", "beauty", "rgb", "truth", "plate", "images")
MOST_FLAT = 96
"""Colours of a map, at most: a photograph has thousands, and few maps have so many classes in one frame."""
MOST_GAPS = 10_000


def discover(path: str) -> tuple[FoundShot, ...]:
    """The shots that a path means: one, or those of an edit (.otio).

    An archive comes with its file alone: only the worker can look into it. Raises InputError.
    """
    place = Path(path)
    if place.suffix.lower() == ".otio":
        return tuple(_edit(place))
    return (_one(place),)


def _one(place: Path) -> FoundShot:
    if place.suffix.lower() == ".nirv":
        if not place.is_file():
            raise MissingInputError(f"{place} does not exist", "check the name", file=str(place))
        return FoundShot(
            kind=ShotKind.ARCHIVE, name=place.stem, source=str(place), numbers=(), size=(0, 0), archive=str(place)
        )
    from mapreel.core.media.sequence import is_movie

    if is_movie(place):
        return _movie(place)
    if place.is_dir():
        parts = _parts(place)
        if parts.get("labels") or parts.get("truth"):
            return _folder(place, parts)
    return _sequence(place)


def _parts(folder: Path) -> dict[str, Path]:
    """Folders inside `folder` by what they hold, where their names say so and they hold a sequence."""
    found = {}
    for name, words in (("labels", LABELS), ("instances", INSTANCES), ("motion", MOTION), ("truth", TRUTH)):
        for word in words:
            if (folder / word).is_dir() and _has_frames(folder / word):
                found[name] = folder / word
                break
    return found


def _has_frames(folder: Path) -> bool:
    try:
        find_sequence(folder)
    except InputError:
        return False
    return True


def _folder(place: Path, parts: dict[str, Path]) -> FoundShot:
    main = parts.get("labels") or parts["truth"]
    given = {name: str(path) for name, path in parts.items()}
    return _shot(find_sequence(main), ShotKind.MAPS if "labels" in parts else ShotKind.FOOTAGE, place, **given)


def _sequence(place: Path) -> FoundShot:
    found = find_sequence(place)
    source = _spelled(found, place)
    first = found.pattern.path(found.numbers[0])
    if not _is_map(first, found.numbers[0]):
        return _shot(found, ShotKind.FOOTAGE, place, truth=source)
    folder = found.pattern.folder
    beside = _parts(folder.parent) if folder.name.lower() in LABELS else {}
    given = {name: str(path) for name, path in beside.items() if name != "labels"}
    named = folder.parent if beside else place
    return _shot(found, ShotKind.MAPS, named, labels=source, **(given or _inside(first, found.numbers[0], source)))


def _spelled(found: FoundSequence, place: Path) -> str:
    """A folder as it was given, one file of a sequence as the pattern of all."""
    return str(place) if place.is_dir() else found.pattern.format()


def _shot(found: FoundSequence, kind: ShotKind, place: Path, **sources: Any) -> FoundShot:
    from mapreel.core.media.images import picture_size

    height, width = picture_size(found.pattern.path(found.numbers[0]), frame=found.numbers[0])
    labels = sources.get("labels", "")
    return FoundShot(
        kind=kind,
        name=_name(place),
        source=str(place),
        numbers=found.numbers,
        size=(width, height),
        gaps=_gaps(found.numbers),
        glance=_glance(labels) if labels else "",
        **sources,
    )


def _name(place: Path) -> str:
    stem = place.name if place.is_dir() else place.stem.rstrip("0123456789#%$F._-") or place.parent.name
    return f"{place.parent.name}/{stem}" if stem.lower() in (*LABELS, *TRUTH) else stem


def _glance(labels: str) -> str:
    from mapreel.core.media.doctor import glance

    return sentence(glance(labels).partition("; ")[0])  # what to do about it, the panel's own doctor offers


def _gaps(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Numbers that are missing; of a shot on every n-th frame, n apart."""
    if len(numbers) < 3:
        return ()
    step = min(after - before for before, after in pairwise(numbers))
    there = set(numbers)
    missing: list[int] = []
    for number in range(numbers[0], numbers[-1], step):
        if number not in there:
            missing.append(number)
        if len(missing) >= MOST_GAPS:
            break
    return tuple(missing)


def _is_map(path: Path, frame: int) -> bool:
    """Whether a picture is a map of classes: ids, indices, mattes, or few flat colours."""
    from mapreel.core.media.mapfacts import map_layers

    facts = map_layers(path, frame)
    kinds = {fact.kind for fact in facts}
    if kinds & {"cryptomatte", "index", "indexed"}:
        return True
    return bool(kinds & {"ids", "colours"}) and _is_flat(path, frame)


def _is_flat(path: Path, frame: int) -> bool:
    import numpy as np

    from mapreel.core.media.images import read_picture

    pixels = read_picture(path, frame=frame)
    flat = pixels.reshape(-1, pixels.shape[-1]) if pixels.ndim == 3 else pixels.reshape(-1, 1)
    return len(np.unique(flat[:: max(1, len(flat) // 200_000)], axis=0)) <= MOST_FLAT


def _inside(path: Path, frame: int, source: str) -> dict[str, str]:
    """Instances and motion that lie in the same EXR as the labels."""
    from mapreel.core.media.mapfacts import map_layers

    if path.suffix.lower() != ".exr":
        return {}
    facts = map_layers(path, frame)
    found = {"motion": source} if any(fact.kind == "motion" for fact in facts) else {}
    several = sum(fact.kind in ("index", "cryptomatte") for fact in facts) > 1
    return {**found, "instances": source} if several else found


def _movie(place: Path) -> FoundShot:
    import numpy as np

    from mapreel.core.media.movies import movie_info, read_movie

    info = movie_info(place)
    frames = read_movie(place)
    first = next(frames, None)
    if first is None:
        raise EmptySequenceError(f"the movie {place} holds no frame", "check the file", file=str(place))
    is_map = len(np.unique(first.reshape(-1, 3), axis=0)) <= MOST_FLAT
    kind = ShotKind.MAPS if is_map else ShotKind.FOOTAGE
    sources: dict[str, Any] = {"labels" if is_map else "truth": str(place)}
    numbers = tuple(range(1, info.frames + 1))
    size = (info.width, info.height)
    fps = float(info.fps) if info.fps else None
    return FoundShot(kind=kind, name=place.stem, source=str(place), numbers=numbers, size=size, fps=fps, **sources)


# -- edits -------------------------------------------------------------------------------------------------------------


def _edit(place: Path) -> Iterator[FoundShot]:
    """The shots of a timeline: each clip's media, cut as the edit cuts it. Media that are not there are left out."""
    import opentimelineio as otio

    try:
        timeline = otio.adapters.read_from_file(str(place), adapter_name="otio_json")
    except FileNotFoundError as exc:
        raise MissingInputError(f"{place} does not exist", "check the name", file=str(place)) from exc
    except Exception as exc:
        what = f"the edit {place.name} cannot be read"
        raise DamagedFileError(what, "export it again as .otio", detail=str(exc), file=str(place)) from exc
    clips = list(timeline.find_clips()) if isinstance(timeline, otio.schema.Timeline) else []
    count = 0
    for clip in clips:
        if (shot := _clip(clip, place.parent)) is not None:
            count += 1
            yield shot
    if not count:
        what = f"none of the {len(clips)} clips of {place.name} has media on this machine"
        raise EmptySequenceError(what, "relink the edit, then export it again", file=str(place))


def _clip(clip: otio.schema.Clip, folder: Path) -> FoundShot | None:
    import opentimelineio as otio

    media = clip.media_reference
    if isinstance(media, otio.schema.ImageSequenceReference):
        padding = "#" * max(1, media.frame_zero_padding)
        target = f"{media.target_url_base.rstrip('/')}/{media.name_prefix}{padding}{media.name_suffix}"
    elif isinstance(media, otio.schema.ExternalReference):
        target = media.target_url
    else:
        return None
    try:
        found = _one(_local(target, folder))
    except InputError:
        return None
    return _cut(found, clip, media)


def _local(url: str, folder: Path) -> Path:
    """The path that a file: address or a path (relative to the edit) means."""
    from urllib.parse import unquote, urlparse
    from urllib.request import url2pathname

    parts = urlparse(url)
    path = Path(url2pathname(parts.path) if parts.scheme == "file" else unquote(url))
    return path if path.is_absolute() else folder / path


def _cut(found: FoundShot, clip: otio.schema.Clip, media: otio.core.MediaReference) -> FoundShot:
    from dataclasses import replace

    import opentimelineio as otio

    name = clip.name or found.name
    used = clip.source_range
    if used is None or not found.numbers:
        return replace(found, name=name)
    fps = used.start_time.rate
    if isinstance(media, otio.schema.ImageSequenceReference) and media.available_range is not None:
        offset = round((used.start_time - media.available_range.start_time).to_seconds() * fps)
        first = found.numbers[0] + offset
    elif found.fps is not None or not found.numbers:
        first = found.numbers[0] + round(used.start_time.to_seconds() * fps)
    else:
        first = used.start_time.to_frames()
    last = first + round(used.duration.to_seconds() * fps) - 1
    inside = max(first, found.numbers[0]), min(last, found.numbers[-1])
    cut = inside if inside[0] <= inside[1] else None
    return replace(found, name=name, fps=found.fps or fps, cut=cut)
