# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks a take against the JSON that lies with it: planned = written, every hash, every frame read to its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mapreel.core.contract.errors import InputError, MapreelError, MissingInputError, UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.takes import is_file_take
from mapreel.core.media.files import MAX_FILE_BYTES, picture_name
from mapreel.core.media.movies import read_movie_frames
from mapreel.core.media.proof import prove_picture
from mapreel.core.media.sidecars import file_sha256

SIDECAR = "mapreel.json"
FORMATS = ("mapreel-take", "mapreel-decoded")
MAX_SIDECAR_BYTES = MAX_FILE_BYTES >> 2
_PICTURES = (".png", ".tif", ".exr")


@dataclass
class TakeVerdict:
    """Outcome of a check. faults: one sentence each; frames: the numbers that cannot be trusted."""

    take: Path
    planned: int = 0
    good: int = 0
    unproven: int = 0  # written by a version that noted no hashes: whole, but nobody knows whether as it was written
    faults: list[str] = field(default_factory=list)
    frames: set[int] = field(default_factory=set)

    def fault(self, number: int | None, sentence: str) -> None:
        self.faults.append(sentence)
        if number is not None:
            self.frames.add(number)


def check_take(take: Path, before: Callable[[int, int], None] = lambda _done, _total: None) -> TakeVerdict:
    """Check a folder of frames or a movie. before: called with frames done and planned.

    Raises MissingInputError and UsageError where there is no take or nobody knows what it should hold.
    """
    if not take.exists():
        raise MissingInputError(f"the take {take} is not there", "check the name", file=str(take))
    story = _story(take)
    verdict = TakeVerdict(take)
    if is_file_take(take):
        _check_movie(verdict, story, before)
    else:
        _check_frames(verdict, story, before)
    return verdict


def _story(take: Path) -> dict[str, Any]:
    path = take.with_name(f"{take.name}.json") if is_file_take(take) else take / SIDECAR
    if not path.is_file():
        raise UsageError(
            f"{path.name} is not with the take {take}, so nobody knows what it should hold",
            "give a folder or movie that Mapreel has written",
            file=str(path),
        )
    try:
        if path.stat().st_size > MAX_SIDECAR_BYTES:
            raise ValueError("too large")
        story: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if story["format"] not in FORMATS or story["version"] != 1:
            raise ValueError("another format")
        FrameRange.parse(story["frames"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UsageError) as exc:
        raise InputError(
            f"{path} cannot be read", "bring the file back or render again", detail=str(exc), file=str(path)
        ) from exc
    return story


def _check_frames(verdict: TakeVerdict, story: dict[str, Any], before: Callable[[int, int], None]) -> None:
    planned = FrameRange.parse(story["frames"]).numbers
    entries = _entries(story)
    verdict.planned = len(planned)
    places = _places(verdict.take, planned, entries)
    for done, number in enumerate(planned):
        before(done, len(planned))
        fault = _fault(places.get(number), entries.get(number), number)
        if fault:
            verdict.fault(number, fault)
        else:
            verdict.good += 1
            verdict.unproven += number not in entries
    known = {path.name for path in places.values()}
    for path in sorted(verdict.take.iterdir()):
        if path.suffix.lower() in _PICTURES and not path.name.startswith(".") and path.name not in known:
            verdict.fault(None, f"{path.name} is in the folder, but no frame of this take")
    if story.get("finished") is False:
        verdict.fault(None, "the take says that it is not finished")
    before(len(planned), len(planned))


def _entries(story: dict[str, Any]) -> dict[int, dict[str, Any]]:
    found = story.get("written", {})
    if not isinstance(found, dict):
        return {}
    return {
        int(number): entry
        for number, entry in found.items()
        if number.lstrip("-").isdigit() and isinstance(entry, dict) and isinstance(entry.get("sha256"), str)
    }


def _places(take: Path, planned: tuple[int, ...], entries: dict[int, dict[str, Any]]) -> dict[int, Path]:
    """Where each frame lies: as noted (a plain name in this very folder), else by its number."""
    places = {}
    for number, entry in entries.items():
        name = entry.get("file")
        if isinstance(name, str) and name == Path(name).name:
            places[number] = take / name
    missing = set(planned) - set(places)
    for path in take.iterdir() if missing else ():
        if path.suffix.lower() in _PICTURES and path.stem.lstrip("-").isdigit() and int(path.stem) in missing:
            places[int(path.stem)] = path
    return places


def _fault(path: Path | None, entry: dict[str, Any] | None, number: int) -> str:
    """What is wrong with one frame, in a sentence; an empty string for a good one."""
    if path is None or not path.is_file():
        return f"frame {number} is not there"
    try:
        if entry is not None and file_sha256(path) != entry["sha256"]:
            return f"{picture_name(path, number)} is not what was written (its sha-256 differs)"
        prove_picture(path, frame=number)
    except MapreelError as error:
        return error.what
    return ""


def _check_movie(verdict: TakeVerdict, story: dict[str, Any], before: Callable[[int, int], None]) -> None:
    take, planned = verdict.take, FrameRange.parse(story["frames"]).numbers
    noted = story.get("movie")
    entry: dict[str, Any] = noted if isinstance(noted, dict) else {}
    verdict.planned = len(planned)
    if "sha256" not in entry:
        verdict.unproven = len(planned)
    elif file_sha256(take) != entry["sha256"]:
        verdict.fault(None, f"{take.name} is not what was written (its sha-256 differs)")
    try:
        for frame in read_movie_frames(take):
            before(frame.index, len(planned))
            verdict.good += 1
    except MapreelError as error:
        verdict.fault(None, error.what)
    for number in planned[verdict.good :]:
        verdict.fault(number, f"frame {number} is not in the movie")
    if verdict.good > len(planned):
        verdict.fault(None, f"{take.name} holds {verdict.good} frames, {len(planned)} were planned")
