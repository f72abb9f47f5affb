# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes of an archive: start timecode, provenance, tags, names of the labels and the render recipe; all optional."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import ArchiveError, UsageError
from mapreel.core.contract.strict_json import parse_json
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.container import Container
from mapreel.core.nirvana.writer import OtherChunk

if TYPE_CHECKING:
    from mapreel.core.contract.strict_json import JSON

MAX_TEXT_BYTES = 1 << 20  # of the provenance, of all tags, of all names
MAX_RECIPE_BYTES = 1 << 24
MAX_TAGS = 1000
MAX_CLASSES = 65536
_TIMECODE = struct.Struct("<BBBBH")  # hours, minutes, seconds, 1 = drop frame, frames
_WRITTEN = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})([:;])(\d{2,3})")


@dataclass(frozen=True, kw_only=True)
class Timecode:
    """Of the first picture, as SMPTE 12M counts: hours, minutes, seconds, frames."""

    hours: int
    minutes: int
    seconds: int
    frames: int
    drop: bool = False

    def __post_init__(self) -> None:
        sound = self.hours < 24 and self.minutes < 60 and self.seconds < 60 and self.frames < 1000
        if not sound or min(self.hours, self.minutes, self.seconds, self.frames) < 0:
            raise UsageError(f"{self} is no timecode", "write it as HH:MM:SS:FF")

    @classmethod
    def parse(cls, text: str) -> Timecode:
        """`01:00:00:00`, or `01:00:00;00` for drop frame. Raises UsageError."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise UsageError(f"“{text[:40]}” is no timecode", "write it as HH:MM:SS:FF, or HH:MM:SS;FF for drop frame")
        hours, minutes, seconds, mark, frames = match.groups()
        return cls(hours=int(hours), minutes=int(minutes), seconds=int(seconds), frames=int(frames), drop=mark == ";")

    def later(self, pictures: int, fps: Fraction) -> Timecode:
        """The timecode so many pictures later; drop frame leaves out two numbers (four at 60) of most minutes."""
        rate = max(1, round(fps))
        left_out = rate // 15 if self.drop else 0
        minute, ten = 60 * rate - left_out, 600 * rate - 9 * left_out
        minutes = 60 * self.hours + self.minutes
        count = (minutes * 60 + self.seconds) * rate + self.frames - left_out * (minutes - minutes // 10) + pictures
        tens, rest = divmod(count % (144 * ten), ten)
        passed = 0 if rest < 60 * rate else 1 + (rest - 60 * rate) // minute
        number = (tens * 600 * rate) + rest + left_out * passed
        seconds, frames = divmod(number, rate)
        return Timecode(
            hours=seconds // 3600, minutes=seconds // 60 % 60, seconds=seconds % 60, frames=frames, drop=self.drop
        )

    def __str__(self) -> str:
        mark = ";" if self.drop else ":"
        return f"{self.hours:02d}:{self.minutes:02d}:{self.seconds:02d}{mark}{self.frames:02d}"


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What an archive carries besides pictures and maps.

    provenance: tool, version, source, and date where it was asked for. recipe: how the shot was rendered, for this
    Mapreel to render it again. classes: label id -> name.
    """

    timecode: Timecode | None = None
    provenance: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    recipe: JSON = None
    classes: dict[int, str] = field(default_factory=dict)

    def chunks(self) -> tuple[OtherChunk, ...]:
        """Raises UsageError for what is too large to be kept."""
        found: list[OtherChunk] = []
        if self.timecode is not None:
            code = self.timecode
            packed = _TIMECODE.pack(code.hours, code.minutes, code.seconds, code.drop, code.frames)
            found.append((bits.TIMECODE, 0, packed))
        if self.provenance:
            found.append((bits.PROVENANCE, 0, _packed(dict(self.provenance), MAX_TEXT_BYTES, "provenance")))
        if len(self.tags) > MAX_TAGS:
            raise UsageError(f"{len(self.tags)} tags are too many", f"give at most {MAX_TAGS}")
        if self.tags:
            found.append((bits.TAGS, 0, _packed(dict(self.tags), MAX_TEXT_BYTES, "tags")))
        if self.recipe is not None:
            found.append((bits.RECIPE, 0, _packed(self.recipe, MAX_RECIPE_BYTES, "recipe")))
        if self.classes:
            named: JSON = {str(number): name for number, name in sorted(self.classes.items())}
            found.append((bits.CLASSES, 0, _packed(named, MAX_TEXT_BYTES, "names of labels")))
        return tuple(found)


def read_notes(container: Container, faults: list[str] | None = None) -> Notes:
    """The notes of an archive; one that is damaged is left out, with a sentence in `faults`."""
    told = [] if faults is None else faults
    reader = _Reader(container, told)
    names = reader.texts(bits.CLASSES, MAX_CLASSES)
    return Notes(
        timecode=reader.timecode(),
        provenance=reader.texts(bits.PROVENANCE, MAX_TAGS),
        tags=reader.texts(bits.TAGS, MAX_TAGS),
        recipe=reader.json(bits.RECIPE, MAX_RECIPE_BYTES),
        classes={int(number): name for number, name in names.items() if re.fullmatch(r"\d{1,10}", number)},
    )


class _Reader:
    def __init__(self, container: Container, faults: list[str]) -> None:
        self._container = container
        self._faults = faults

    def _payload(self, kind: bytes, most: int) -> bytes | None:
        chunk = self._container.others.get((kind, 0))
        if chunk is None:
            return None
        try:
            if chunk.size > most:
                raise bits.damaged(chunk.name, f"{chunk.size} bytes")
            return self._container.payload(chunk)
        except ArchiveError as error:
            self._faults.append(str(error))
            return None

    def _damaged(self, kind: bytes, why: str) -> None:
        self._faults.append(str(bits.damaged(bits.chunk_name(kind, 0), why)))

    def json(self, kind: bytes, most: int) -> JSON:
        payload = self._payload(kind, most)
        if payload is None:
            return None
        try:
            return parse_json(payload)
        except UsageError as error:
            self._damaged(kind, error.what)
            return None

    def texts(self, kind: bytes, most: int) -> dict[str, str]:
        found = self.json(kind, MAX_TEXT_BYTES)
        if found is None:
            return {}
        if not isinstance(found, dict) or len(found) > most:
            self._damaged(kind, "no list of names")
            return {}
        texts = {name: text for name, text in found.items() if isinstance(text, str)}
        if len(texts) != len(found):
            self._damaged(kind, "something that is no text")
        return texts

    def timecode(self) -> Timecode | None:
        payload = self._payload(bits.TIMECODE, _TIMECODE.size)
        if payload is None:
            return None
        try:
            hours, minutes, seconds, drop, frames = _TIMECODE.unpack(payload)
            return Timecode(hours=hours, minutes=minutes, seconds=seconds, frames=frames, drop=drop == 1)
        except (struct.error, UsageError):
            self._damaged(bits.TIMECODE, "it is no timecode")
            return None


def _packed(value: JSON, most: int, what: str) -> bytes:
    data = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    if len(data) > most:
        raise UsageError(f"the {what} take {len(data)} bytes", f"an archive keeps at most {most}")
    parse_json(data)  # what a reader would refuse is not written
    return data
