# SPDX-License-Identifier: GPL-3.0-or-later
"""One shot as the panel has it open: its maps and pictures on disk, its range, and what the label doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.frames import FrameRange
from mapreel.ui.state.observable import Observable, Property


class ShotKind(StrEnum):
    """What was opened."""

    MAPS = "maps"  # label maps, with or without pictures beside them
    FOOTAGE = "footage"  # pictures alone: to archive, or to train on when maps come
    ARCHIVE = "archive"  # a .nirv file


class Layer(StrEnum):
    """What of a shot can be looked at. Instances and motion are read out, labels are painted."""

    LABELS = "labels"
    INSTANCES = "instances"
    MOTION = "motion"
    TRUTH = "truth"  # true pictures of the shot (beauty, plate)
    RESULT = "result"  # a take of ours
    DRAFT = "draft"  # frames that were drafted while somebody looks
    ARCHIVE = "archive"  # frames out of a .nirv


@dataclass(frozen=True, kw_only=True)
class FoundShot:
    """What was found at a path that the artist gave. Paths as INPUT and MAPS of the command line take them.

    numbers: frame numbers that are there. size: width, height in pixels. gaps: numbers missing between first and last.
    fps: where the file tells, else None. glance: one sentence about what looks wrong, or nothing.
    """

    kind: ShotKind
    name: str
    source: str
    numbers: tuple[int, ...]
    size: tuple[int, int]
    labels: str = ""
    instances: str = ""
    motion: str = ""
    truth: str = ""
    archive: str = ""
    palette: str = ""
    fps: float | None = None
    gaps: tuple[int, ...] = ()
    glance: str = ""
    cut: tuple[int, int] | None = None  # in and out, where an edit named them


class ShotState(Observable):
    """An open shot. The sources are paths or patterns; empty where there is none."""

    labels = Property("")
    labels_changed = pyqtSignal(object)
    instances = Property("")
    instances_changed = pyqtSignal(object)
    motion = Property("")
    motion_changed = pyqtSignal(object)
    truth = Property("")
    truth_changed = pyqtSignal(object)
    result = Property("")
    """The take that is looked at: a folder or a movie."""
    result_changed = pyqtSignal(object)
    takes = Property[tuple[str, ...]](())
    """Takes of this shot that are known, the newest last."""
    takes_changed = pyqtSignal(object)
    archive = Property("")
    archive_changed = pyqtSignal(object)
    palette = Property("")
    """Name or file of the palette; empty: the model's own."""
    palette_changed = pyqtSignal(object)
    classes = Property[tuple[tuple[str, str], ...]](())
    """Patterns of names in the maps and the class each becomes; see MapOptions."""
    classes_changed = pyqtSignal(object)
    references = Property[tuple[tuple[int, str], ...]](())
    """True pictures of the shot that the render starts from: frame number and file."""
    references_changed = pyqtSignal(object)
    fps = Property(24.0)
    fps_changed = pyqtSignal(object)
    cut_in = Property(0)
    """First frame of the cut range."""
    cut_in_changed = pyqtSignal(object)
    cut_out = Property(0)
    """Last frame of the cut range."""
    cut_out_changed = pyqtSignal(object)
    glance = Property("")
    """One sentence about what looks wrong with the maps; empty: nothing was seen."""
    glance_changed = pyqtSignal(object)
    findings = Property[tuple[str, ...] | None](None)
    """What the label doctor found in all frames; None: it was not asked yet."""
    findings_changed = pyqtSignal(object)
    maps_version = Property(0)
    """Counts up when the maps on disk were changed by us or by somebody else."""
    maps_version_changed = pyqtSignal(object)

    def __init__(self, found: FoundShot) -> None:
        super().__init__()
        self.kind = found.kind
        self.name = found.name
        self.source = found.source
        self.numbers = found.numbers
        self.size = found.size
        self.gaps = found.gaps
        for name in ("labels", "instances", "motion", "truth", "archive", "palette", "glance"):
            setattr(self, name, getattr(found, name))
        self.fps = found.fps or 24.0
        self.cut_in, self.cut_out = found.cut or (self.first, self.last)

    @property
    def first(self) -> int:
        """First frame number that is there."""
        return self.numbers[0] if self.numbers else 0

    @property
    def last(self) -> int:
        """Last frame number that is there."""
        return self.numbers[-1] if self.numbers else 0

    @property
    def cut_range(self) -> str:
        """The cut range as --frames takes it."""
        first, last = self.cut_in, self.cut_out
        return str(FrameRange(tuple(number for number in self.numbers if first <= number <= last)))

    def layers(self) -> tuple[Layer, ...]:
        """What there is to look at now."""
        given = {
            Layer.LABELS: self.labels,
            Layer.INSTANCES: self.instances,
            Layer.MOTION: self.motion,
            Layer.TRUTH: self.truth,
            Layer.RESULT: self.result,
            Layer.ARCHIVE: self.archive,
        }
        return tuple(layer for layer, source in given.items() if source)

    def add_take(self, take: str) -> None:
        """A take was written; it is looked at from now on."""
        self.takes = (*(old for old in self.takes if old != take), take)
        self.result = take
