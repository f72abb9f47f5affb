# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the label doctor: which problems there are, what a finding says, and the report of a shot."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mapreel.core.contract.frames import FoundSequence, FrameRange
from mapreel.core.media.doctor_colours import Box, Colours
from mapreel.core.media.palettes import Palette


class Problem(StrEnum):
    """What can be wrong with label maps, the worst first."""

    DAMAGED = "damaged"
    GAP = "gap"
    MIXED_SIZES = "mixed-sizes"
    MIXED_CHANNELS = "mixed-channels"
    MIXED_DEPTHS = "mixed-depths"
    SCALED_IDS = "scaled-ids"
    LOSSY = "lossy"
    SOFT_EDGES = "soft-edges"
    RESIZED_SMOOTH = "resized-smooth"
    RESIZED_NEAREST = "resized-nearest"
    UNKNOWN_ID = "unknown-id"
    UNKNOWN_COLOUR = "unknown-colour"
    TOO_MANY_IDS = "too-many-ids"
    GREY_AS_COLOUR = "grey-as-colour"
    COLOUR_PICTURE = "colour-picture"
    SINGLE_CLASS = "single-class"
    CLASS_POP = "class-pop"
    REGION_POP = "region-pop"
    SPECKS = "specks"


@dataclass(frozen=True)
class Words:
    """counts: what its number counts. serious: a render of these maps shows it. mends: what `repair` does."""

    says: str
    counts: str
    serious: bool
    mends: str


WORDS: dict[Problem, Words] = {
    Problem.DAMAGED: Words("cannot be read", "frames", True, "replaced as --missing says"),
    Problem.GAP: Words("not on disk", "frames", True, "filled as --missing says"),
    Problem.MIXED_SIZES: Words("of another size than most", "frames", True, ""),
    Problem.MIXED_CHANNELS: Words("with other channels than most", "frames", True, ""),
    Problem.MIXED_DEPTHS: Words("of another bit depth than most", "frames", False, ""),
    Problem.SCALED_IDS: Words("ids multiplied by {note}, as when 8 bits are saved as 16", "frames", True, "divided"),
    Problem.LOSSY: Words(
        "packed as JPEG, or once were: the ids are no longer exact",
        "frames",
        True,
        "noise voted anew; lost detail does not come back",
    ),
    Problem.SOFT_EDGES: Words("anti-aliased edges: values that are no class", "pixels", True, "voted anew"),
    Problem.RESIZED_SMOOTH: Words("blurred, or made larger with a smoothing filter", "pixels", True, "voted anew"),
    Problem.RESIZED_NEAREST: Words("made larger by repeating pixels, from {note}", "frames", False, ""),
    Problem.UNKNOWN_ID: Words("ids that the palette does not have ({note})", "pixels", True, "thin ones voted anew"),
    Problem.UNKNOWN_COLOUR: Words("surfaces of unknown colours", "pixels", True, ""),
    Problem.TOO_MANY_IDS: Words("more than 256 ids in a frame, as instance maps have", "ids", True, ""),
    Problem.GREY_AS_COLOUR: Words("grey ids saved with more channels ({note})", "frames", True, "one channel kept"),
    Problem.COLOUR_PICTURE: Words("colours, not ids; name their palette with --palette", "frames", True, ""),
    Problem.SINGLE_CLASS: Words("empty: one class everywhere", "frames", True, "short runs filled from both sides"),
    Problem.CLASS_POP: Words("a class that comes or goes for a few frames", "regions", True, "filled from both sides"),
    Problem.REGION_POP: Words(
        "a region that comes or goes for a few frames", "regions", True, "filled from both sides"
    ),
    Problem.SPECKS: Words("single pixels that flicker", "pixels", True, "voted anew"),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a problem is worst: a frame, how much of it is there, boxes (x, y, width, height) and a word about it."""

    frame: int
    count: int
    boxes: tuple[Box, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem over the whole shot. count counts `counts`; places: the worst ones first."""

    problem: Problem
    count: int
    counts: str
    frames: tuple[int, ...]
    serious: bool
    says: str
    mends: str
    classes: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()

    def sentence(self, names: dict[int, str] | None = None) -> str:
        """`frames 3-5: a region that comes or goes for a few frames (6 regions; car)`."""
        told = str(FrameRange.from_numbers(self.frames))
        told = told if len(told) <= 80 else told[:80].rsplit(",", 1)[0] + " …"
        count = "" if self.counts == "frames" else counted_as(self.count, self.counts)
        listed = ", ".join((names or {}).get(label, f"id {label}") for label in self.classes[:6])
        inside = "; ".join(part for part in (count, listed) if part)
        return f"{'frame' if len(self.frames) == 1 else 'frames'} {told}: {self.says}" + (
            f" ({inside})" if inside else ""
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it; frame numbers as ranges."""
        return {
            "problem": self.problem.value,
            "count": self.count,
            "counts": self.counts,
            "frames": str(FrameRange.from_numbers(self.frames)),
            "frames_count": len(self.frames),
            "serious": self.serious,
            "says": self.says,
            "repair": self.mends,
            "classes": list(self.classes),
            "worst": [
                {"frame": p.frame, "count": p.count, "boxes": [list(b) for b in p.boxes[:8]]} for p in self.places
            ],
        }


def counted_as(count: int, units: str) -> str:
    """`1 region`, `2 regions`."""
    return f"{count} {units.removesuffix('s') if count == 1 else units}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the doctor found. numbers: the frames on disk that were looked at; planned: those that should be there."""

    source: str
    numbers: tuple[int, ...]
    planned: tuple[int, ...]
    size: tuple[int, int] | None
    findings: tuple[Finding, ...]
    palette: Palette | None = None
    colours: Colours = field(default_factory=lambda: Colours(None), repr=False)
    seconds: float = 0.0
    found: FoundSequence | None = field(default=None, repr=False)
    """The files; `source` says them to people, and cannot always be read back: names may hold # and @."""

    @property
    def names(self) -> dict[int, str]:
        """Names of the palette's classes by id."""
        return {entry.id: entry.name for entry in self.palette.classes} if self.palette else {}

    @property
    def counts(self) -> dict[str, int]:
        """Problem -> its count; what is not there is not listed."""
        return {finding.problem.value: finding.count for finding in self.findings}

    def find(self, problem: Problem | str) -> Finding | None:
        """The finding of this problem, when there is one."""
        return next((finding for finding in self.findings if finding.problem == problem), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it; bounded in size however long the shot."""
        return {
            "source": self.source,
            "frames": str(FrameRange.from_numbers(self.planned)),
            "looked_at": len(self.numbers),
            "size": [self.size[1], self.size[0]] if self.size else None,
            "palette": self.palette.name if self.palette else None,
            "clean": not self.findings,
            "findings": [finding.to_dict() for finding in self.findings],
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(len(self.numbers) / self.seconds, 2) if self.seconds > 0 else None,
        }
