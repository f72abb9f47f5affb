# SPDX-License-Identifier: GPL-3.0-or-later
"""What is chosen for a training: shots, classes, how long, name, licence, where; and what is seen in the shots."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer, pyqtSignal

from mapreel.core.contract.errors import MapreelError
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.train_choice import GUESSED_STEP_S, TrainChoice, train_problems, train_request, warnings
from mapreel.ui.state.train_look import (
    COLOR,
    LABEL,
    PACKED_SUFFIX,
    DataFacts,
    class_names,
    data_facts,
    folder_state,
)
from mapreel.ui.state.training import Training
from mapreel.ui.text import tr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapreel.ui.state.bridge import ServiceBridge
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.jobs import Jobs
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.models import Models
    from mapreel.ui.state.preferences import Preferences
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots
    from mapreel.ui.state.train_look import FolderState

LOOK_MS = 250
MORE_STEPS = 1000
MOST_REMEMBERED = 50
LICENCES = ("", "CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0", "proprietary")
"""Licences that are offered; any other can be written."""
_KEPT = ("steps", "minutes", "by_time", "licence")


class TrainForm(Observable):
    """One form; the training that was begun last is watched by `training`."""

    data = Property[tuple[str, ...]](())
    """Folders with label/ and color/, or prepared data sets."""
    data_changed = pyqtSignal(object)
    palette = Property("")
    """Names of the classes; empty: the ids that are found."""
    palette_changed = pyqtSignal(object)
    steps = Property(2000)
    steps_changed = pyqtSignal(object)
    by_time = Property(False)
    by_time_changed = pyqtSignal(object)
    minutes = Property(60)
    minutes_changed = pyqtSignal(object)
    name = Property("")
    name_changed = pyqtSignal(object)
    licence = Property("")
    licence_changed = pyqtSignal(object)
    folder = Property("")
    folder_changed = pyqtSignal(object)
    resume = Property(False)
    """Go on with the training that lies in the folder."""
    resume_changed = pyqtSignal(object)
    facts = Property[tuple[DataFacts, ...]](())
    facts_changed = pyqtSignal(object)
    looking = Property(False)
    """Whether the shots are being looked at."""
    looking_changed = pyqtSignal(object)
    shares = Property[tuple[tuple[str, float], ...]](())
    """Classes of all shots and their part of the pixels that were counted, most first."""
    shares_changed = pyqtSignal(object)
    warnings = Property[tuple[str, ...]](())
    warnings_changed = pyqtSignal(object)
    problems = Property[tuple[tuple[str, str], ...]](())
    problems_changed = pyqtSignal(object)
    reason = Property("")
    """Why no training can be begun now."""
    reason_changed = pyqtSignal(object)
    pace_s = Property(GUESSED_STEP_S)
    """Seconds a step took in the last training here."""
    pace_s_changed = pyqtSignal(object)
    pace_known = Property(False)
    pace_known_changed = pyqtSignal(object)

    def __init__(
        self,
        shots: Shots,
        jobs: Jobs,
        models: Models,
        bridge: ServiceBridge,
        errands: Errands,
        preferences: Preferences,
        messages: Messages,
    ) -> None:
        super().__init__()
        self._shots, self._bridge, self._errands = shots, bridge, errands
        self._preferences, self._messages = preferences, messages
        self.training = Training(jobs, models, errands, preferences, messages)
        self._names: Mapping[int, str] = {}
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(LOOK_MS)
        self._later.timeout.connect(self._look)
        self._recall()
        for field in ("steps", "by_time", "minutes", "name", "licence", "folder", "resume", "pace_s"):
            getattr(self, f"{field}_changed").connect(self._judge)
        for field in ("data", "palette"):
            getattr(self, f"{field}_changed").connect(self._look_again)
        bridge.state_changed.connect(self._judge)
        self.training.pace_s_changed.connect(self._learn_pace)
        self.training.watch.sending_changed.connect(self._judge)
        self.training.watch.view_changed.connect(self._judge)
        shots.current_changed.connect(self._turn_to)
        self._turn_to(shots.current)

    def choice(self) -> TrainChoice:
        """What would be trained."""
        return TrainChoice(
            data=self.data,
            steps=self.steps,
            minutes=self.minutes if self.by_time else 0,
            pace_s=self.pace_s,
            name=self.name,
            licence=self.licence,
            palette=self.palette,
            folder=self.folder,
            resume=self.resume,
        )

    # -- what is done ----------------------------------------------------------------------------------------------

    def add_data(self, path: str) -> None:
        """One more shot to learn from."""
        if path and path not in self.data:
            self.data = (*self.data, path)
            if not self.folder:
                self._place(Path(path))

    def remove_data(self, path: str) -> None:
        """Learn from one shot less."""
        self.data = tuple(other for other in self.data if other != path)

    def start(self) -> None:
        """Queue the training."""
        try:
            request = train_request(self.choice())
        except MapreelError as error:
            self._messages.say_error(error, key="train")
            return
        kept = dict(self._preferences.kept("trainings", {}))
        kept[self.folder] = {
            "data": list(self.data),
            "palette": self.palette,
            "name": self.name,
            "licence": self.licence,
        }
        self._preferences.keep("trainings", dict(list(kept.items())[-MOST_REMEMBERED:]))
        self.training.start(request)

    def open_training(self, folder: str) -> None:
        """Take up an earlier training, to look at it and to go on with it."""

        def came(state: FolderState) -> None:
            if state.checkpoint_step < 0:
                from mapreel.core.contract.errors import MissingInputError

                what = f"there is no training in {folder}"
                self._messages.say_error(
                    MissingInputError(what, "choose the folder that a training wrote"), key="train"
                )
                return
            self._take_up(folder, state)

        self._errands.ask(partial(folder_state, folder), came, self._messages.say_error, lane="train look")

    def _take_up(self, folder: str, state: FolderState) -> None:
        kept = self._preferences.kept("trainings", {}).get(folder, {})
        self.folder, self.resume = folder, True
        if kept.get("data"):
            self.data = tuple(map(str, kept["data"]))
            self.palette = str(kept.get("palette") or "")
        self.name = str(kept.get("name") or Path(folder).name)
        self.licence = str(kept.get("licence") or self.licence)
        self.by_time = False
        self.steps = max(self.steps, state.checkpoint_step + MORE_STEPS)
        if not self.training.watch.busy:
            self.training.put_away()
            self.training.open(folder)

    def begin_anew(self) -> None:
        """Do not go on with an earlier training any more."""
        self.resume, self.folder = False, ""
        if self.data:
            self._place(Path(self.data[0]))

    # -- the current shot ------------------------------------------------------------------------------------------

    def _turn_to(self, shot: ShotState | None) -> None:
        """The first shot fills the form; later ones are added by hand, for a training may want several."""
        found = shot_folder(shot)
        if found and not self.data:
            self.palette = shot.palette if shot is not None else ""
            self.data = (found,)
            self._place(Path(found))
        self._judge()

    def current_folder(self) -> str:
        """The folder of the current shot, where a training can take it; else empty."""
        return shot_folder(self._shots.current)

    def _place(self, data: Path) -> None:
        self.name = self.name or (data.stem if data.suffix.lower() == PACKED_SUFFIX else data.name)
        self.folder = str(data.parent / f"{self.name}_training")

    # -- what comes of it --------------------------------------------------------------------------------------------

    def _look_again(self, _: object = None) -> None:
        self.looking = bool(self.data)
        self._judge()
        self._later.start()

    def _look(self) -> None:
        data, palette = self.data, self.palette

        def look() -> tuple[tuple[DataFacts, ...], Mapping[int, str]]:
            return tuple(data_facts(path, palette) for path in data), class_names(palette)

        self._errands.ask(look, self._have_facts, self._no_facts, lane="train look", newest=True)

    def _have_facts(self, told: tuple[tuple[DataFacts, ...], Mapping[int, str]]) -> None:
        self.facts, self._names = told
        self.looking = False
        totals: dict[int, float] = {}
        for fact in self.facts:
            for label, share in fact.shares:
                totals[label] = totals.get(label, 0.0) + share * fact.frames
        whole = sum(totals.values()) or 1.0
        ranked = sorted(totals.items(), key=lambda item: -item[1])
        self.shares = tuple((self._names.get(label, str(label)), part / whole) for label, part in ranked)
        self._judge()

    def _no_facts(self, error: MapreelError) -> None:
        self.looking = False
        self._messages.say_error(error, key="train")

    def _judge(self, _: object = None) -> None:
        choice = self.choice()
        self.problems = tuple(train_problems(choice).items())
        self.warnings = warnings(choice, self.facts)
        self.reason = self._reason()
        self._preferences.keep("train", {field: getattr(self, field) for field in _KEPT})

    def _reason(self) -> str:
        if self.problems:
            return self.problems[0][1]
        if self._bridge.state is ServiceState.GONE:
            return tr("The service does not answer.")
        if self.training.watch.busy:
            return tr("A training runs or waits already.")
        broken = next((fact for fact in self.facts if fact.trouble), None)
        return f"{broken.name}: {broken.trouble}" if broken is not None else ""

    def _learn_pace(self, pace_s: float) -> None:
        if pace_s > 0:
            self.pace_s, self.pace_known = round(pace_s, 3), True
            self._preferences.keep("train_pace", self.pace_s)

    def _recall(self) -> None:
        pace = self._preferences.kept("train_pace")
        if isinstance(pace, (int, float)) and pace > 0:
            self.pace_s, self.pace_known = float(pace), True
        kept = self._preferences.kept("train", {})
        for field in _KEPT:
            value = kept.get(field) if isinstance(kept, dict) else None
            if type(value) is type(getattr(self, field)):
                setattr(self, field, value)


def shot_folder(shot: ShotState | None) -> str:
    """The folder that holds label/ and color/ of a shot; empty where they do not lie so."""
    if shot is None or not shot.labels or not shot.truth:
        return ""
    labels, truth = (_folder(source) for source in (shot.labels, shot.truth))
    beside = labels.parent == truth.parent and (labels.name, truth.name) == (LABEL, COLOR)
    return str(labels.parent) if beside else ""


def _folder(source: str) -> Path:
    """Of a folder itself, of a pattern the folder that it is in."""
    path = Path(source)
    return path.parent if path.suffix else path
