# SPDX-License-Identifier: GPL-3.0-or-later
"""A training as it goes: its losses and sample sheets read from its folder, its job, and keeping it as a model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QTimer, pyqtSignal
from PyQt6.QtGui import QImage

from mapreel.core.contract.errors import MapreelError, UsageError
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import TrainRequest, request_from_json
from mapreel.ui.state.job_watch import JobWatch
from mapreel.ui.state.jobs import Step
from mapreel.ui.state.messages import Message, told
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.train_keep import keep_model
from mapreel.ui.state.train_look import FolderState, LogTail, folder_state
from mapreel.ui.text import tr

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.jobs import Jobs
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.models import Models
    from mapreel.ui.state.preferences import Preferences

EVERY_MS = 1000
PACE_STEPS = 200
"""The time of a step is the mean of so many."""
NOT_TERMS = frozenset({"step", "seconds"})
MOST_WAITS = 240
"""Looks for the checkpoint of a training that was paused, half a second apart."""
_LANE = "training"


class Training(Observable):
    """Watches one training; logged tells that curves have grown, begun_anew that they were thrown away first."""

    folder = Property("")
    """Where the training lies; empty: none is watched."""
    folder_changed = pyqtSignal(object)
    terms = Property[tuple[str, ...]](())
    """Names of the curves."""
    terms_changed = pyqtSignal(object)
    step = Property(0)
    step_changed = pyqtSignal(object)
    pace_s = Property(0.0)
    """Seconds a step, of the last ones; 0 while nobody knows."""
    pace_s_changed = pyqtSignal(object)
    samples = Property[tuple[str, ...]](())
    """Sample sheets, oldest first."""
    samples_changed = pyqtSignal(object)
    sample = Property(-1)
    """The one that is looked at."""
    sample_changed = pyqtSignal(object)
    picture = Property[QImage | None](None)
    picture_changed = pyqtSignal(object)
    checkpoint_step = Property(-1)
    """Steps that the checkpoint has; -1: there is none."""
    checkpoint_step_changed = pyqtSignal(object)
    keeping = Property(False)
    """Whether it is being kept as a model."""
    keeping_changed = pyqtSignal(object)
    kept = pyqtSignal(object)
    """The folder of a model that was kept."""
    logged = pyqtSignal()

    def __init__(
        self, jobs: Jobs, models: Models, errands: Errands, preferences: Preferences, messages: Messages
    ) -> None:
        super().__init__()
        self._jobs, self._models, self._errands = jobs, models, errands
        self._preferences, self._messages = preferences, messages
        self.watch = JobWatch(jobs, messages, "train")
        self._exporting = JobWatch(jobs, messages, "keep")
        self._curves: dict[str, tuple[list[float], list[float]]] = {}
        self._seconds: list[float] = []
        self._tail: LogTail | None = None
        self._reading = False
        self._wanted: tuple[str, str, str] | None = None  # folder, name and licence of what is to be kept
        self._goes_on, self._waits = False, 0
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.look)
        self.watch.view_changed.connect(self._hear)
        self._exporting.ended.connect(self._exported)
        self.sample_changed.connect(lambda _: self._show_sample())
        jobs.came.connect(self._find)

    def curve(self, term: str) -> tuple[list[float], list[float]]:
        """Steps and values of a curve."""
        return self._curves.get(term, ([], []))

    def start(self, request: TrainRequest) -> None:
        """Queue a training and watch it."""
        self._forget()
        self.watch.start(request)

    def put_away(self) -> None:
        """Watch none any more; a job goes on."""
        self.watch.put_away()
        self._forget()
        self.folder = ""

    def open(self, folder: str) -> None:
        """Look at a training that lies on disk, whether or not a job belongs to it."""
        if folder != self.folder:
            self._forget()
            self.folder = folder
            self._tail = LogTail(Path(folder) / "log.jsonl")
        self.look()

    def look(self) -> None:
        """Read what is new, now; asked every second while a job works."""
        if self._tail is None or self._reading:
            return
        self._reading = True
        tail, folder = self._tail, self.folder

        def done(found: tuple[list[dict[str, float]], bool, FolderState]) -> None:
            self._reading = False
            if tail is self._tail:
                self._take(*found)

        def failed(error: MapreelError) -> None:
            self._reading = False
            self._messages.say(told(error, key="training"))

        self._errands.ask(lambda: (*tail.read(), folder_state(folder)), done, failed, lane=_LANE)

    # -- keeping -----------------------------------------------------------------------------------------------------

    def why_not_kept(self) -> str:
        """Why it cannot be kept as a model now; empty: it can."""
        if not self.folder:
            return tr("No training is open.")
        if self.keeping:
            return tr("It is being kept.")
        if self.step < 1 and self.checkpoint_step < 1:
            return tr("It has made no step yet.")
        return ""

    def keep(self, models: str, name: str, licence: str) -> None:
        """Keep what is learnt as a model in the folder `models`; a running training pauses for that and goes on.

        `kept` tells when it is there; what goes wrong is said.
        """
        if self.why_not_kept():
            return
        self.keeping, self._wanted, self._waits = True, (models, name, licence), 0
        view = self.watch.view
        self._goes_on = view is not None and view.state in (JobState.RUNNING, JobState.QUEUED)
        if self._goes_on:
            self.watch.step(Step.PAUSE)  # a checkpoint is written; then the model can be made of it
        elif view is not None and view.state is JobState.FINISHED:
            self._copy()
        else:
            self._export()

    def _export(self) -> None:
        """A training that goes on to where it stands writes its model."""
        try:
            request = self._request()
        except MapreelError as error:
            self._not_kept(error)
            return
        self._exporting.start(request)

    def _request(self) -> TrainRequest:
        view = self.watch.view
        known = self._jobs.request(view.id) if view is not None else None
        kept = self._preferences.kept("trainings", {}).get(self.folder)
        asked = request_from_json(known) if known is not None else None
        if isinstance(asked, TrainRequest):
            request = asked
        elif isinstance(kept, dict):
            request = TrainRequest(
                data=tuple(kept["data"]), out=self.folder, steps=1, palette=kept.get("palette") or None
            )
        else:
            raise UsageError("the shots of this training are not known", "go on with it for a step, then keep it")
        steps = max(1, self.checkpoint_step, 0 if self.checkpoint_step > 0 else self.step)
        name, licence = (self._wanted or ("", "", ""))[1:]
        return replace(request, out=self.folder, steps=steps, resume=True, name=name, licence=licence)

    def _exported(self, view: JobView) -> None:
        self.look()  # a sample sheet was drawn along with the model
        if self._goes_on:
            self.watch.step(Step.RESUME)
        if view.state is JobState.FINISHED:
            self._copy()
        else:
            self._not_kept(view.error or UsageError("the model was not written", "look at the job's log"))

    def _copy(self) -> None:
        assert self._wanted is not None
        work = partial(keep_model, self.folder, *self._wanted)
        self._errands.ask(work, self._copied, self._not_kept, lane=_LANE)

    def _copied(self, place: str) -> None:
        self.keeping, self._wanted, self._goes_on = False, None, False
        self._models.add(place)
        self._messages.say(Message(tr("The model {name} is kept.", name=Path(place).name), place, key="keep"))
        self.kept.emit(place)

    def _not_kept(self, error: MapreelError) -> None:
        self.keeping, self._wanted, self._goes_on = False, None, False
        self._messages.say(told(error, key="keep"))

    # -- news --------------------------------------------------------------------------------------------------------

    def _find(self, views: tuple[JobView, ...]) -> None:
        """A training that was begun before the panel was opened is watched, too."""
        if self.watch.busy or self.folder:
            return
        for view in views:
            if view.type == "train" and not view.state.is_over and view.take:
                self._jobs.learn(view.id)
                self.watch.follow(view)
                return

    def _hear(self, view: JobView | None) -> None:
        if view is None:
            self._timer.stop()
            return
        if view.take and view.take != self.folder:
            self.open(view.take)
        if view.state is JobState.RUNNING:
            self._timer.start()
        else:
            self._timer.stop()
            self.look()
        if self.keeping and self._goes_on and view.state is JobState.PAUSED and not self._exporting.busy:
            self._await_checkpoint()

    def _await_checkpoint(self) -> None:
        """Paused is written at once, the checkpoint some seconds later: the export waits for its turn in the queue."""
        self._errands.ask(partial(folder_state, self.folder), self._checkpoint_there, self._not_kept, lane=_LANE)

    def _checkpoint_there(self, state: FolderState) -> None:
        if not self.keeping or self._exporting.busy:
            return
        if state.checkpoint_step >= max(1, self.step):
            self.checkpoint_step = state.checkpoint_step
            self._export()
        elif self._waits >= MOST_WAITS:
            self._not_kept(UsageError("the paused training wrote no checkpoint", "look at the job's log"))
        else:
            self._waits += 1
            QTimer.singleShot(EVERY_MS // 2, self._again)

    def _again(self) -> None:
        if self.keeping and self._goes_on and not self._exporting.busy:
            self.look()
            self._await_checkpoint()

    def _forget(self) -> None:
        self._curves, self._seconds, self._tail = {}, [], None
        self.terms, self.samples, self.sample, self.picture = (), (), -1, None
        self.step, self.pace_s, self.checkpoint_step = 0, 0.0, -1
        self.logged.emit()

    def _take(self, entries: list[dict[str, float]], anew: bool, state: FolderState) -> None:
        if anew:
            self._curves, self._seconds = {}, []
        for entry in entries:
            self._add(entry)
        self.checkpoint_step = state.checkpoint_step
        if entries or anew:
            self.terms = tuple(self._curves)
            self.step = int(max((steps[-1] for steps, _ in self._curves.values() if steps), default=0))
            recent = self._seconds[-PACE_STEPS:]
            self.pace_s = sum(recent) / len(recent) if recent else 0.0
            self.logged.emit()
        if state.samples != self.samples:
            newest = self.sample in (-1, len(self.samples) - 1)
            self.samples = state.samples
            self.sample = len(state.samples) - 1 if newest else min(self.sample, len(state.samples) - 1)
            self._show_sample()

    def _add(self, entry: dict[str, float]) -> None:
        step = entry["step"]
        if "seconds" in entry:
            self._seconds.append(entry["seconds"])
        for name, value in entry.items():
            if name in NOT_TERMS:
                continue
            steps, values = self._curves.setdefault(name, ([], []))
            while steps and steps[-1] >= step:  # done again after a kill
                steps.pop()
                values.pop()
            steps.append(step)
            values.append(value)

    def _show_sample(self) -> None:
        if not 0 <= self.sample < len(self.samples):
            return
        path = self.samples[self.sample]
        self._errands.ask(partial(_read_sheet, path), self._have_picture, lane="training picture", newest=True)

    def _have_picture(self, picture: Any) -> None:
        self.picture = picture


def _read_sheet(path: str) -> QImage | None:
    """A sample sheet that a training of ours wrote; None where it is gone."""
    picture = QImage(path)
    return None if picture.isNull() else picture
