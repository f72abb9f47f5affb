# SPDX-License-Identifier: GPL-3.0-or-later
"""The label doctor for one open shot: examine all maps, mend them into copies, look, and only then use the copies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.errors import InternalError, MapreelError
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import InspectRequest, RepairRequest
from mapreel.ui.state.messages import sentence, told
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.shot import Layer
from mapreel.ui.text import tr

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.core.contract.job_view import JobView
    from mapreel.core.contract.requests import Request
    from mapreel.ui.state.jobs import Jobs
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.shot import ShotState


class Visit(StrEnum):
    """Where the doctor is with a shot."""

    NEW = "new"
    EXAMINING = "examining"
    EXAMINED = "examined"
    MENDING = "mending"
    MENDED = "mended"  # copies stand beside the maps, nobody uses them yet
    USED = "used"  # the shot reads the copies now


class LabelDoctor(Observable):
    """One visit. Pictures are PNGs that show where; counts: problem -> before and after."""

    visit = Property(Visit.NEW)
    visit_changed = pyqtSignal(object)
    share = Property(0.0)
    """How much of what runs is done, 0 to 1."""
    share_changed = pyqtSignal(object)
    lines = Property[tuple[str, ...]](())
    """What was found, a sentence each."""
    lines_changed = pyqtSignal(object)
    counts = Property[tuple[tuple[str, int, int | None], ...]](())
    """Problem, how many before, how many after (None: not mended yet)."""
    counts_changed = pyqtSignal(object)
    picture = Property("")
    picture_changed = pyqtSignal(object)
    copies = Property("")
    """The folder of the mended copies."""
    copies_changed = pyqtSignal(object)

    def __init__(self, shot: ShotState, jobs: Jobs, messages: Messages, folder: Path) -> None:
        """folder: where pictures may be left; the originals are never touched."""
        super().__init__()
        self.shot = shot
        self._jobs, self._messages, self._folder = jobs, messages, folder
        self._job = ""
        self._then: Callable[[dict[str, Any]], None] = lambda _: None
        jobs.changed.connect(self._hear)

    @property
    def can_mend(self) -> str:
        """Why nothing can be mended now; empty when it can."""
        if self.visit in (Visit.EXAMINING, Visit.MENDING):
            return "busy"
        return "" if self.lines or self.shot.gaps else "clean"

    def examine(self) -> None:
        """Look at every map of the shot."""
        self._ask(
            InspectRequest(source=self.shot.labels, palette=self.shot.palette or None, picture=self._picture()),
            Visit.EXAMINING,
            self._examined,
        )

    def mend(self) -> None:
        """Write mended copies beside the maps; gaps are held from the nearest frame."""
        maps = Path(self.shot.labels)
        base = maps if maps.is_dir() else maps.parent
        request = RepairRequest(
            source=self.shot.labels,
            out=str(base.with_name(f"{base.name}_mended")),
            palette=self.shot.palette or None,
            picture=self._picture(),
            missing=MissingFrames.HOLD,
        )
        self._ask(request, Visit.MENDING, self._mended)

    def use_copies(self) -> None:
        """Let the shot read the mended copies from now on."""
        if self.copies:
            self.shot.labels = self.copies
            self.shot.glance = ""
            self.shot.findings = ()
            self.shot.maps_version += 1
            self.visit = Visit.USED

    def cancel(self) -> None:
        """Stop what runs."""
        from mapreel.ui.state.jobs import Step

        if self._job:
            self._jobs.take_step(Step.CANCEL, [self._job])

    def _picture(self) -> str:
        return str(self._folder / "doctor.png")

    def _ask(self, request: Request, visit: Visit, then: Callable[[dict[str, Any]], None]) -> None:
        before, self.visit, self.share, self._then = self.visit, visit, 0.0, then

        def failed(error: MapreelError) -> None:
            self.visit = before
            self._messages.say(told(error, key="doctor"))

        def stored(view: JobView) -> None:
            self._job = view.id
            self._hear(view)

        self._jobs.submit(request, stored, failed)

    def _hear(self, view: JobView) -> None:
        if view.id != self._job:
            return
        if view.progress is not None and view.progress.total:
            self.share = view.progress.done / view.progress.total
        if not view.state.is_over:
            return
        self._job = ""
        if view.state is JobState.FINISHED:
            self._then(view.result or {})
            return
        self.visit = Visit.EXAMINED if self.lines else Visit.NEW
        if view.state is not JobState.CANCELLED:
            lost = InternalError("the label doctor ended without a word", "try again")
            self._messages.say(told(view.error or lost, key="doctor"))

    def _examined(self, result: dict[str, Any]) -> None:
        self.lines = tuple(map(sentence, result["lines"]))
        self.counts = tuple((found["problem"], found["count"], None) for found in result["findings"])
        self.picture = result.get("picture") or ""
        self.shot.findings = self.lines
        self.shot.glance = ""
        self.visit = Visit.EXAMINED

    def _mended(self, result: dict[str, Any]) -> None:
        told_counts = result["repair"]["counts"]
        self.counts = tuple((name, both["before"], both["after"]) for name, both in told_counts.items())
        self.lines = tuple(map(sentence, result["lines"]))
        self.picture = result.get("picture") or ""
        self.copies = result["repair"]["folder"]
        self.visit = Visit.MENDED


def problem_label(problem: str) -> str:
    """A problem that the doctor counts, in some words."""
    words = {
        "damaged": tr("Cannot be read"),
        "gap": tr("Not there"),
        "mixed-sizes": tr("Other size"),
        "mixed-channels": tr("Other channels"),
        "mixed-depths": tr("Other bit depth"),
        "scaled-ids": tr("Multiplied ids"),
        "lossy": tr("JPEG noise"),
        "soft-edges": tr("Soft edges"),
        "resized-smooth": tr("Blurred"),
        "resized-nearest": tr("Repeated pixels"),
        "unknown-id": tr("Unknown ids"),
        "unknown-colour": tr("Unknown colours"),
        "too-many-ids": tr("Too many ids"),
        "grey-as-colour": tr("Grey as colour"),
        "colour-picture": tr("Colours, not ids"),
        "single-class": tr("Empty frames"),
        "class-pop": tr("Classes that pop"),
        "region-pop": tr("Regions that pop"),
        "specks": tr("Specks"),
    }
    return words.get(problem, problem)


def has_labels(shot: ShotState) -> bool:
    """Whether there is anything for the doctor."""
    return Layer.LABELS in shot.layers()
