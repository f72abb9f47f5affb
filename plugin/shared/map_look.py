# SPDX-License-Identifier: Apache-2.0
"""What is known of a sequence of label maps before anything is rendered: its frames, gaps, size, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import MapreelError
from mapreel.core.contract.frames import FrameRange, find_sequence
from mapreel.core.contract.requests import InspectRequest

if TYPE_CHECKING:
    from mapreel.plugin.shared.link import Link, LinkedJob

FIRST_FRAMES = 24  # that are examined without being asked: a long shot must not hold up a render


@dataclass
class MapLook:
    """Changed by `pump` of the link only. frames, gaps: as the contract writes ranges; size: width, height."""

    source: str
    palette: str = ""
    count: int = 0
    frames: str = ""
    gaps: str = ""
    size: tuple[int, int] | None = None
    checked: int = 0
    findings: tuple[str, ...] = ()
    error: str = ""
    is_over: bool = False

    @property
    def lines(self) -> list[str]:
        """For a person, one thing a line."""
        found = [f"{self.count} frames: {self.frames}"] if self.count else []
        found += [f"missing: {self.gaps}"] if self.gaps else []
        found += [f"{self.size[0]} x {self.size[1]} pixels"] if self.size else []
        if self.error:
            return [*found, self.error]
        if not self.is_over:
            return [*found, "checking …"]
        return [*found, f"{self.checked} frames checked" + ("" if self.findings else ": nothing wrong"), *self.findings]


def gaps_of(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Frames that the sequence's own step leads over and that are not there. numbers: ascending."""
    steps = [after - before for before, after in zip(numbers, numbers[1:])]  # noqa: B905, RUF007 - Python 3.9 too
    if not steps:
        return ()
    there = set(numbers)
    return tuple(number for number in range(numbers[0], numbers[-1], min(steps)) if number not in there)


def palette_beside(source: str, otherwise: str) -> str:
    """The palette that was written with the maps (`palette.json` in their folder), else another."""
    path = Path(source)
    beside = (path if path.is_dir() else path.parent) / "palette.json"
    return str(beside) if beside.is_file() else otherwise


def inspect_request(source: str, palette: str, numbers: tuple[int, ...]) -> InspectRequest:
    """The label doctor's look at these frames. Raises UsageError."""
    span = f"{numbers[0]}-{numbers[-1]}" if not gaps_of(numbers) else str(FrameRange.from_numbers(numbers))
    return InspectRequest(source=source, palette=palette or None, frames=span)


def look(link: Link, source: str, palette: str, *, every_frame: bool = False) -> MapLook:
    """Begin to look, in threads; comes back at once, and what is found comes with the link's `pump`."""
    known = MapLook(source)

    def found(answer: tuple[str, tuple[int, ...]] | MapreelError) -> None:
        if isinstance(answer, MapreelError):
            known.error, known.is_over = str(answer), True
            return
        known.palette, numbers = answer
        known.count, known.frames = len(numbers), str(FrameRange.from_numbers(numbers))
        known.gaps = str(FrameRange.from_numbers(gaps_of(numbers)))
        chosen = numbers if every_frame else numbers[:FIRST_FRAMES]
        link.submit(inspect_request(source, known.palette, chosen), lambda job: take_over(known, job))

    link.apart(lambda: (palette_beside(source, palette), find_sequence(source).numbers), found)
    return known


def take_over(known: MapLook, job: LinkedJob) -> None:
    """Put what the label doctor says into what is known."""
    known.is_over = True
    known.error = job.error or ("" if job.state == "finished" else f"the check of the maps is {job.state}")
    size = job.result.get("size")
    known.size = (int(size[0]), int(size[1])) if size else None
    known.checked = int(job.result.get("looked_at", 0))
    known.findings = tuple(str(line) for line in job.result.get("lines", ()))
