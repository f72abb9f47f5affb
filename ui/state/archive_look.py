# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to archive, and what an open archive says of itself. Reads the disk or asks the worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapreel.core.contract.client import ServiceClient

SIDECAR = "mapreel.json"


@dataclass(frozen=True)
class SourceFacts:
    """Pictures that can be archived. size: width, height in pixels."""

    source: str
    numbers: tuple[int, ...]
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class GroupFacts:
    """One frame group of an archive."""

    numbers: tuple[int, ...]
    size_bytes: int
    stands_alone: bool = False

    def bits_per_pixel(self, size: tuple[int, int]) -> float:
        """What it costs in an archive of this width and height."""
        return 8 * self.size_bytes / max(1, len(self.numbers) * size[0] * size[1])


@dataclass(frozen=True, kw_only=True)
class ArchiveFacts:
    """An archive, from its header and notes. told: all of it by name, for people."""

    profile: str = ""
    frames: int = 0
    numbers: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)
    file_bytes: int = 0
    bits_per_pixel: float = 0.0
    depth: str = ""
    alpha: bool = False
    colour_space: str = ""
    maps: int = 0
    provenance: tuple[tuple[str, str], ...] = ()
    faults: tuple[str, ...] = ()
    groups: tuple[GroupFacts, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def group_of(self, frame: int) -> int:
        """The group that a frame is in, -1 for none."""
        return next((place for place, group in enumerate(self.groups) if frame in group.numbers), -1)


def source_facts(source: str) -> SourceFacts:
    """Numbers and size of a sequence or movie. Raises InputError."""
    from mapreel.core.contract.frames import find_sequence
    from mapreel.core.media.images import picture_size
    from mapreel.core.media.movies import movie_info
    from mapreel.core.media.sequence import is_movie

    if is_movie(source):
        info = movie_info(Path(source))
        return SourceFacts(source, tuple(range(1, info.frames + 1)), (info.width, info.height))
    found = find_sequence(source)
    height, width = picture_size(found.pattern.path(found.numbers[0]), frame=found.numbers[0])
    return SourceFacts(source, found.numbers, (width, height))


def recipe_of(source: str) -> str:
    """The JSON beside a take of ours that says how it was made; empty where there is none."""
    place = Path(source)
    if place.is_dir():
        path = place / SIDECAR
    else:
        path = place.with_name(f"{place.name}.json") if place.is_file() else place.parent / SIDECAR
    return str(path) if path.is_file() else ""


def read_facts(archive: str, client: ServiceClient) -> ArchiveFacts:
    """What the worker tells of an archive. Raises what the archive is refused with."""
    from mapreel.core.contract.requests import PeekRequest

    return facts_of(client.peek(PeekRequest(archive=archive, frame=None)).facts["archive"])


def facts_of(told: Mapping[str, Any]) -> ArchiveFacts:
    """The facts out of what the worker told."""
    from mapreel.core.contract.frames import FrameRange

    numbers = tuple(FrameRange.parse(told["frames"]))
    groups, place = [], 0
    for _, frames, weight, alone in told.get("groups") or ():
        own, place = numbers[place : place + int(frames)], place + int(frames)
        groups.append(GroupFacts(numbers=own, size_bytes=int(weight), stands_alone=bool(alone)))
    provenance = told.get("provenance") or {}
    return ArchiveFacts(
        profile=str(told.get("profile", "")),
        frames=len(numbers),
        numbers=numbers,
        size=(int(told["width"]), int(told["height"])),
        file_bytes=int(told.get("file_bytes", 0)),
        bits_per_pixel=float(told.get("bits_per_pixel", 0.0)),
        depth=str(told.get("depth", "")),
        alpha=bool(told.get("alpha", False)),
        colour_space=str(told.get("colour_space", "")),
        maps=int(told.get("label_maps", 0)),
        provenance=tuple((str(name), str(text)) for name, text in provenance.items()),
        faults=tuple(map(str, told.get("faults") or ())),
        groups=tuple(groups),
        told=told,
    )
