# SPDX-License-Identifier: Apache-2.0
"""Frame ranges and file-name patterns of image sequences, read and printed back in the artist's own spelling.

One `#` is one digit. Ranges are inclusive: `1001-1100`, `1001-1100x2`, `1001,1005,1010-1020`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import EmptySequenceError, InputError, MissingInputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FRAMES = 1_000_000  # one job; a typing error such as 1-1000000000 must not eat the memory
_PART = re.compile(r"(-?[0-9]{1,9})(?:-(-?[0-9]{1,9})(?:x([0-9]{1,9}))?)?")
_RANGE = r"-?[0-9]+(?:--?[0-9]+(?:x[0-9]+)?)?(?:,-?[0-9]+(?:--?[0-9]+(?:x[0-9]+)?)?)*"
_NUKE = re.compile(rf"(.*\S)\s+({_RANGE})", re.DOTALL)
_DIGITS = r"1[0-2]|[0-9]"  # OpenPose numbers its files with twelve
_PLACE = re.compile(
    rf"(?P<rv>{_RANGE})(?P<rvpad>#+|@+)|(?P<hash>#+)|(?P<at>@+)|%(?P<c>0?(?:{_DIGITS})?)d|\$F(?P<f>{_DIGITS})?"
)
_NUMBERED = re.compile(r"(.*?)([0-9]+)(\.[A-Za-z][A-Za-z0-9]*)", re.DOTALL)
_STRAY = re.compile(r".*[^\W\d_](0|[1-9][0-9]{0,2})", re.DOTALL)  # a letter, then a number that is not padded
IMAGE_SUFFIXES = frozenset({".png", ".exr", ".jpg", ".jpeg", ".tif", ".tiff", ".dpx", ".tga", ".bmp", ".hdr", ".webp"})


class MissingFrames(str, Enum):
    """What happens to a frame that is planned and not there (the words of OpenTimelineIO)."""

    ERROR = "error"
    HOLD = "hold"
    BLACK = "black"


def _steps(part: str, text: str) -> range:
    match = _PART.fullmatch(part.strip())
    if match is None:
        remedy = "write it as 1001-1100, 1001-1100x2 or 1001,1005,1010-1020"
        raise UsageError(f"“{text}” is not a frame range", remedy)
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    step = int(match[3]) if match[3] else 1
    if step == 0:
        raise UsageError(f"the frame range “{text}” has a step of 0", "use a step of 1 or more, as in 1001-1100x2")
    return range(first, last + 1, step) if last >= first else range(first, last - 1, -step)


def _too_many(text: str, count: int) -> UsageError:
    remedy = f"one job takes at most {MAX_FRAMES:,}: check the range or split the job"
    return UsageError(f"the frame range “{text}” has {count:,} frames", remedy)


def _piece(first: int, last: int, step: int) -> str:
    if first == last:
        return str(first)
    return f"{first}-{last}" if abs(step) == 1 else f"{first}-{last}x{abs(step)}"


def _pieces(numbers: tuple[int, ...]) -> Iterator[str]:
    at = 0
    while at < len(numbers):
        end = at + 1
        step = numbers[end] - numbers[at] if end < len(numbers) else 1
        while end < len(numbers) and numbers[end] - numbers[end - 1] == step:
            end += 1
        if end - at == 2 and abs(step) != 1:  # a pair such as 1001,1050 is no range
            end = at + 1
        yield _piece(numbers[at], numbers[end - 1], step)
        at = end


@dataclass(frozen=True)
class FrameRange:
    """Frame numbers in the order they were given, none twice."""

    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> FrameRange:
        """Read `1001-1100x2,1200`. Raises UsageError for anything else and for more than MAX_FRAMES frames."""
        if ":" in text:
            raise UsageError(f"“:” in the frame range “{text}” means different things", "write the step as x, 1-100x2")
        spans = [_steps(part, text) for part in text.split(",")]
        count = sum(len(span) for span in spans)
        if count > MAX_FRAMES:
            raise _too_many(text, count)
        return cls(tuple(dict.fromkeys(number for span in spans for number in span)))

    @classmethod
    def from_numbers(cls, numbers: Iterable[int]) -> FrameRange:
        return cls(tuple(dict.fromkeys(numbers)))

    @cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(self.numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __contains__(self, number: object) -> bool:
        return number in self._known

    def __str__(self) -> str:
        return ",".join(_pieces(self.numbers))


def counted(numbers: list[int]) -> str:
    """`frame 7 is` or `3 frames (7-9) are`: how a sentence about frames begins."""
    listed = str(FrameRange.from_numbers(sorted(numbers)))
    if len(listed) > 200:
        listed = listed[:200].rsplit(",", 1)[0] + " …"
    return f"frame {listed} is" if len(numbers) == 1 else f"{len(numbers)} frames ({listed}) are"


def frame_name(frame: int, digits: int) -> str:
    """A frame number as file names have it: `digits` digits, or more when it needs them; the sign comes first."""
    return f"{'-' if frame < 0 else ''}{abs(frame):0{digits}d}"


def _split(path: str) -> tuple[str, str]:
    """Folder (with its last slash, as spelled) and name; a Path would drop what the artist wrote."""
    at = max(path.rfind(slash) for slash in (os.sep, os.altsep or os.sep)) + 1
    return path[:at], path[at:]


def _digits(match: re.Match[str]) -> int:
    for name in ("rvpad", "hash", "at"):
        if match[name]:
            return len(match[name])
    spelled = (match["c"] or match["f"] or "").lstrip("0")
    return int(spelled or "1")


@dataclass(frozen=True)
class SequencePattern:
    """A file name with a place for the frame number. `digits` is the least number of them; 9999 rolls over to 10000."""

    head: str
    digits: int
    tail: str
    frames: FrameRange | None = None
    text: str = field(default="", compare=False)
    place: str = field(default="", compare=False)  # how the artist wrote it: ####, %04d, $F4, @@@@; with RV's range {}#
    apart: bool = field(default=False, compare=False)  # Nuke's range, after a blank

    @classmethod
    def parse(cls, text: str) -> SequencePattern:
        """Read `name.####.exr`, `%04d`, `$F4`, `@@@@`, Nuke's `name.####.exr 1001-1100`, RV's `name.1001-1100#.exr`."""
        nuke = _NUKE.fullmatch(text)
        path, frames = (nuke[1], nuke[2]) if nuke and _PLACE.search(_split(nuke[1])[1]) else (text, None)
        folder, name = _split(path)
        places = list(_PLACE.finditer(name))
        if len(places) != 1:
            count = "no place" if not places else f"{len(places)} places"
            remedy = "write it once, in the file name, as in name.####.exr"
            raise UsageError(f"“{text}” has {count} for the frame number", remedy)
        place = places[0]
        spelled = "{}" + place["rvpad"] if place["rv"] else place[0]
        frames = place["rv"] or frames
        head = folder + name[: place.start()]
        numbers = FrameRange.parse(frames) if frames else None
        return cls(head, _digits(place), name[place.end() :], numbers, text, spelled, nuke is not None and path != text)

    @classmethod
    def looks_like(cls, text: str) -> bool:
        """True when the last part of the path has a place for a frame number."""
        nuke = _NUKE.fullmatch(text)
        return _PLACE.search(_split(nuke[1] if nuke else text)[1]) is not None

    @property
    def folder(self) -> Path:
        return Path(_split(self.head)[0])

    def path(self, frame: int) -> Path:
        return Path(f"{self.head}{frame_name(frame, self.digits)}{self.tail}")

    def number(self, name: str) -> int | None:
        """The frame number in a file name (without folder), None when the name is not of this sequence."""
        head = _split(self.head)[1]
        if not (name.startswith(head) and name.endswith(self.tail)):
            return None
        digits = name[len(head) : len(name) - len(self.tail)]
        body = digits.removeprefix("-")
        if not re.fullmatch(r"0*[0-9]{1,9}", body) or len(body) < self.digits:
            return None
        if len(body) > self.digits and body[0] == "0":  # 00012 is another padding than ####
            return None
        return int(digits)

    def format(self) -> str:
        """The pattern as the artist wrote it."""
        return self.text or f"{self.head}{'#' * self.digits}{self.tail}"

    def spelled(self, frames: FrameRange | None = None, *, head: str | None = None, tail: str | None = None) -> str:
        """Another sequence in the artist's own style: other frames, another name, the same way of writing both.

        Ranges are written where the artist wrote one; who gave a folder or a file reads #### without a range.
        """
        place = self.place or "#" * self.digits
        if place.startswith("{}"):
            place = f"{frames or ''}{place[2:]}"
        name = f"{self.head if head is None else head}{place}{self.tail if tail is None else tail}"
        return f"{name} {frames}" if self.apart and frames is not None else name

    def __str__(self) -> str:
        return self.format()


@dataclass(frozen=True)
class FoundSequence:
    """A sequence on disk: its pattern and the frame numbers that are there, ascending."""

    pattern: SequencePattern
    numbers: tuple[int, ...]


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and not entry.is_dir()]
    except FileNotFoundError as exc:
        raise MissingInputError(f"the folder {folder} does not exist", "check its name", file=str(folder)) from exc
    except OSError as exc:
        raise InputError(f"the folder {folder} cannot be read ({exc.strerror})", file=str(folder)) from exc


def _padding(spelled: list[str], example: str) -> int:
    """The digits of one sequence; two paddings side by side (1, 0001) are an error that names both."""
    padded = {len(number) for number in spelled if len(number) > 1 and number[0] == "0"}
    widths = padded | {min(len(number) for number in spelled)}
    if len(widths) > 1 and (len(padded) > 1 or min(widths) < max(padded)):
        both = " and ".join(example.replace("\0", "#" * width) for width in sorted(widths)[:2])
        raise InputError(f"two paddings lie side by side: {both}", "move one away or give the pattern of the other")
    return padded.pop() if padded else widths.pop()


def _groups(folder: Path) -> dict[tuple[str, str], list[str]]:
    groups: dict[tuple[str, str], list[str]] = {}
    for name in _names(folder):
        match = _NUMBERED.fullmatch(name)
        if match and match[3].lower() in IMAGE_SUFFIXES and len(match[2]) <= 9:
            groups.setdefault((match[1], match[3]), []).append(match[2])
    return groups


def _from_group(folder: Path, head: str, tail: str, spelled: list[str]) -> FoundSequence:
    digits = _padding(spelled, str(folder / f"{head}\0{tail}"))
    pattern = SequencePattern(str(folder / "_")[:-1] + head, digits, tail)
    return FoundSequence(pattern, tuple(sorted(int(number) for number in spelled)))


def _without_strays(groups: dict[tuple[str, str], list[str]]) -> dict[tuple[str, str], list[str]]:
    """Without single pictures beside the only sequence whose number is part of a word: colours16.png, preview2.jpg."""
    sequences = {key: spelled for key, spelled in groups.items() if len(spelled) > 1}
    strays = [key for key, spelled in groups.items() if len(spelled) == 1 and _STRAY.fullmatch(f"{key[0]}{spelled[0]}")]
    return sequences if len(sequences) == 1 and len(sequences) + len(strays) == len(groups) else groups


def _in_folder(folder: Path) -> FoundSequence:
    groups = _without_strays(_groups(folder))
    if not groups:
        remedy = "give a folder with numbered images such as name.0001.png"
        raise EmptySequenceError(f"the folder {folder} holds no image sequence", remedy, file=str(folder))
    if len(groups) > 1:
        both = " and ".join(f"{head}#{tail}" for head, tail in sorted(groups)[:2])
        remedy = "give the pattern of the one you mean, as in name.####.png"
        raise InputError(f"the folder {folder} holds {len(groups)} sequences: {both}", remedy, file=str(folder))
    ((head, tail), spelled) = groups.popitem()
    return _from_group(folder, head, tail, spelled)


def _from_file(path: Path) -> FoundSequence:
    match = _NUMBERED.fullmatch(path.name)
    if match is None:
        raise InputError(f"the name of {path} holds no frame number", "give a folder or a pattern", file=str(path))
    return _from_group(path.parent, match[1], match[3], _groups(path.parent).get((match[1], match[3]), [match[2]]))


def _from_pattern(pattern: SequencePattern) -> FoundSequence:
    names = _names(pattern.folder)
    numbers = _numbers(pattern, names)
    if not numbers and pattern.place == "{}#":  # RV's own # is four digits
        pattern = replace(pattern, digits=4)
        numbers = _numbers(pattern, names)
    if not numbers:
        what = f"no file matches {pattern.format()}"
        raise EmptySequenceError(what, _near_miss(pattern, names), file=pattern.format())
    return FoundSequence(pattern, tuple(numbers))


def _numbers(pattern: SequencePattern, names: list[str]) -> list[int]:
    found = (pattern.number(name) for name in names)
    return sorted(n for n in found if n is not None and (pattern.frames is None or n in pattern.frames))


def _near_miss(pattern: SequencePattern, names: list[str]) -> str:
    """What to do about a pattern that matches nothing: another padding or range of the same name may be there."""
    head = _split(pattern.head)[1]
    middles = (name[len(head) : len(name) - len(pattern.tail)] for name in names if name.startswith(head))
    there = sorted(
        (
            middle
            for middle in middles
            if re.fullmatch(r"[0-9]{1,9}", middle) and f"{head}{middle}{pattern.tail}" in names
        ),
        key=int,
    )
    if not there:
        return "check the pattern: one # is one digit"
    if pattern.frames is not None and pattern.number(f"{head}{there[0]}{pattern.tail}") is not None:
        return f"the frames there are {FrameRange.from_numbers(int(number) for number in there)}"
    return f"the files there have {len(there[0])} digits: {head}{'#' * len(there[0])}{pattern.tail}"


def find_sequence(source: str | Path) -> FoundSequence:
    """The sequence that `source` (a folder, a pattern, or one file of a sequence) means. Dot files are not seen.

    Raises MissingInputError, EmptySequenceError, InputError (two sequences or two paddings in one folder).
    """
    path = Path(source)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return _from_file(path)
    if SequencePattern.looks_like(str(source)):
        return _from_pattern(SequencePattern.parse(str(source)))
    raise MissingInputError(f"{source} does not exist", "check the name", file=str(source))
