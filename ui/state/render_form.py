# SPDX-License-Identifier: GPL-3.0-or-later
"""What is chosen for the next render of the current shot, what is wrong with it, what it will take, and how it goes."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QTimer, pyqtSignal

from mapreel.core.contract.errors import MapreelError, UsageError
from mapreel.core.contract.estimate import Estimate
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import Quality
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.state.jobs import Step
from mapreel.ui.state.messages import Message, Weight, sentence, told
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.render_choice import (
    FORMATS,
    MOST_HANDLES,
    Range,
    RenderChoice,
    colour_spaces,
    default_output,
    frame_file,
    free_bytes,
    next_name,
    problems,
    studio_config,
    with_handles,
)
from mapreel.ui.state.render_extras import RenderExtras
from mapreel.ui.state.shot import ShotKind
from mapreel.ui.text import tr

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.bridge import ServiceBridge
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.jobs import Jobs
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.models import ModelFacts, Models
    from mapreel.ui.state.preferences import Preferences
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots

LOOK_MS = 250  # after the last change, before the disk and the service are asked
LANE, IN_THE_WAY = "render form", "in the way of the render"
MOST_OUTPUTS = 100


class RenderForm(Observable):
    """One form for all shots; what belongs to a shot (references, rate, output) is kept with the shot."""

    model = Property("street")
    model_changed = pyqtSignal(object)
    quality = Property(Quality.FULL)
    quality_changed = pyqtSignal(object)
    range = Property(Range.CUT)
    range_changed = pyqtSignal(object)
    handles = Property(0)
    """Frames before and after the cut range."""
    handles_changed = pyqtSignal(object)
    own_range = Property("")
    """As typed: 1001-1100x2,1200."""
    own_range_changed = pyqtSignal(object)
    folder = Property("")
    folder_changed = pyqtSignal(object)
    name = Property("beauty")
    """Of the take, without version and ending."""
    name_changed = pyqtSignal(object)
    format = Property("png8")
    """One of FORMATS."""
    format_changed = pyqtSignal(object)
    colour_space = Property("")
    """Empty: sRGB, of EXR scene-linear."""
    colour_space_changed = pyqtSignal(object)
    missing = Property(MissingFrames.ERROR)
    missing_changed = pyqtSignal(object)
    spaces = Property[tuple[str, ...]](())
    """Colour spaces that there are; none until somebody asks for them."""
    spaces_changed = pyqtSignal(object)
    problems = Property[tuple[tuple[str, str], ...]](())
    """Field and sentence; see render_choice.problems."""
    problems_changed = pyqtSignal(object)
    reason = Property("")
    """Why no render can be started; empty: it can."""
    reason_changed = pyqtSignal(object)
    take = Property("")
    """The name of the take that would be written now."""
    take_changed = pyqtSignal(object)
    free = Property[int | None](None)
    """Bytes that are free where the take will lie."""
    free_changed = pyqtSignal(object)
    estimate = Property[Estimate | None](None)
    """What the service thinks that the render takes; None: it was not asked, or did not answer."""
    estimate_changed = pyqtSignal(object)
    submitting = Property(False)
    submitting_changed = pyqtSignal(object)
    job = Property[Any](None)
    """JobView of the last render that was asked for here."""
    job_changed = pyqtSignal(object)
    choice_changed = pyqtSignal()
    """Anything that the request is made of has changed."""

    def __init__(
        self,
        shots: Shots,
        models: Models,
        jobs: Jobs,
        bridge: ServiceBridge,
        errands: Errands,
        preferences: Preferences,
        messages: Messages,
    ) -> None:
        super().__init__()
        self._shots, self._models, self._jobs, self._bridge = shots, models, jobs, bridge
        self._errands, self._preferences, self._messages = errands, preferences, messages
        self._shot: ShotState | None = None
        self._ocio = studio_config()
        self.extras = RenderExtras(preferences)
        self._blocked = ""
        self._look = QTimer(self)
        self._look.setSingleShot(True)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self._look_around)
        self._remember = preferences.kept("render", {})
        self.apply(self._remember)
        fields = ("model", "quality", "range", "handles", "own_range", "folder", "name", "format", "colour_space")
        for field in (*fields, "missing"):
            getattr(self, f"{field}_changed").connect(self._changed)
        for signal in (self.folder_changed, self.name_changed):
            signal.connect(self._keep_output)
        shots.current_changed.connect(self._follow)
        models.known_changed.connect(self._changed)
        models.added.connect(self._choose_model)
        bridge.state_changed.connect(self._changed)
        self.extras.changed.connect(self._changed)
        self.submitting_changed.connect(self._judge)
        jobs.changed.connect(self._hear)
        jobs.finished.connect(lambda _: self._look.start())
        self._follow(shots.current)

    # -- the choice ----------------------------------------------------------------------------------------------------

    @property
    def shot(self) -> ShotState | None:
        """The shot that would be rendered."""
        return self._shot

    @property
    def model_facts(self) -> ModelFacts | None:
        """Of the chosen model."""
        return self._models.facts(self.model)

    def choice(self) -> RenderChoice:
        """Everything as it is chosen now."""
        shot = self._shot
        own: dict[str, Any] = {}
        if shot is not None:
            own = {name: getattr(shot, name) for name in ("labels", "instances", "motion", "palette", "classes")}
            own |= {"references": shot.references, "numbers": shot.numbers, "fps": shot.fps}
        return RenderChoice(
            model=self.model,
            quality=self.quality,
            frames=self.frames(),
            folder=self.folder,
            name=self.name,
            format=self.format,
            colour_space=self.colour_space,
            ocio=self._ocio,
            missing=self.missing,
            **own,
        )

    def frames(self) -> str:
        """The range as --frames takes it; empty: every frame."""
        shot = self._shot
        if self.range is Range.OWN:
            return self.own_range.strip()
        if shot is None or self.range is Range.ALL:
            return ""
        return with_handles(shot.numbers, shot.cut_in, shot.cut_out, self.handles)

    def settings(self) -> dict[str, Any]:
        """What a preset keeps: nothing that belongs to one shot."""
        return {
            "model": self.model,
            "quality": self.quality.value,
            "range": self.range.value,
            "handles": self.handles,
            "format": self.format,
            "colour_space": self.colour_space,
            "missing": self.missing.value,
        }

    def apply(self, settings: Any) -> None:
        """Take over what a preset keeps; what cannot be understood stays as it is."""
        told = settings if isinstance(settings, dict) else {}
        kinds: dict[str, type[StrEnum] | type[Quality] | type[MissingFrames]]
        kinds = {"quality": Quality, "range": Range, "missing": MissingFrames}
        for name, kind in kinds.items():
            if told.get(name) in {member.value for member in kind}:
                setattr(self, name, kind(told[name]))
        if told.get("format") in FORMATS:
            self.format = str(told["format"])
        for name in ("model", "colour_space"):
            if isinstance(told.get(name), str):
                setattr(self, name, told[name])
        handles = told.get("handles")
        if isinstance(handles, int) and not isinstance(handles, bool):
            self.handles = min(max(0, handles), MOST_HANDLES)

    def ask_spaces(self) -> None:
        """Read the names of the colour spaces, once."""
        if not self.spaces:
            say = partial(self._say, "spaces")
            self._errands.ask(
                lambda: colour_spaces(self._ocio), lambda found: setattr(self, "spaces", found), say, lane="spaces"
            )

    # -- references ----------------------------------------------------------------------------------------------------

    def add_reference(self, frame: int, file: str) -> None:
        """A true picture of a frame, in place of the one that it had."""
        if self._shot is not None:
            others = (pair for pair in self._shot.references if pair[0] != frame)
            self._shot.references = tuple(sorted((*others, (frame, file))))

    def remove_reference(self, frame: int) -> None:
        """Start from no picture of this frame."""
        if self._shot is not None:
            self._shot.references = tuple(pair for pair in self._shot.references if pair[0] != frame)

    def use_truth(self, frame: int) -> None:
        """Take the shot's own true picture of a frame."""
        shot = self._shot
        if shot is None or not shot.truth:
            return

        def found(file: str) -> None:
            if self._shot is shot:
                self.add_reference(frame, file)

        self._errands.ask(partial(frame_file, shot.truth, frame), found, partial(self._say, "reference"), lane=LANE)

    # -- the render ----------------------------------------------------------------------------------------------------

    def submit(self) -> None:
        """Start the render, or say what is in its way."""
        if self.reason:
            nothing = tr("Nothing is rendered.")
            self._messages.say(Message(nothing, self.reason, weight=Weight.WARNING, key=IN_THE_WAY))
            return
        try:
            request = self.extras.added_to(self.choice())
        except UsageError as error:
            self._say("render", error)
            return
        self._preferences.keep("render", self.settings())
        self.submitting = True
        self._jobs.submit(request, self._stored, self._refused)

    def cancel(self) -> None:
        """Stop the render that is shown; its frames are kept."""
        if self.job is not None:
            self._jobs.take_step(Step.CANCEL, [self.job.id])

    def put_away(self) -> None:
        """The artist has seen how the render ended."""
        self.job = None

    def _stored(self, view: JobView) -> None:
        self.submitting = False
        self.job = view
        self._messages.settle("render")
        self._look.start()

    def _refused(self, error: MapreelError) -> None:
        self.submitting = False
        self._say("render", error)

    def _hear(self, view: JobView) -> None:
        if self.job is not None and view.id == self.job.id:
            self.job = view

    # -- what follows from the choice ----------------------------------------------------------------------------------

    def _follow(self, shot: ShotState | None) -> None:
        if self._shot is not None:
            for signal in _signals(self._shot):
                signal.disconnect(self._changed)
        self._shot = shot
        if shot is not None:
            for signal in _signals(shot):
                signal.connect(self._changed)
            kept = self._preferences.kept("outputs", {}).get(shot.source)
            good = isinstance(kept, list) and len(kept) == 2 and all(isinstance(part, str) for part in kept)
            folder, name = kept if good else default_output(shot.source)
            self._shot = None  # so that nothing is kept for a shot while only half of it is here
            self.folder, self.name = folder, name
            self._shot = shot
        self.estimate = None
        self._changed()

    def _choose_model(self, model: ModelFacts) -> None:
        self.model = model.place

    def _keep_output(self, _: object = None) -> None:
        if self._shot is None:
            return
        kept = dict(self._preferences.kept("outputs", {}))
        kept.pop(self._shot.source, None)
        kept[self._shot.source] = [self.folder, self.name]
        self._preferences.keep("outputs", dict(list(kept.items())[-MOST_OUTPUTS:]))

    def _changed(self, _: object = None) -> None:
        model = self.model_facts
        if model is not None and self.quality not in model.qualities:
            self.quality = model.qualities[0]  # comes here again
            return
        self._judge()
        self.choice_changed.emit()
        self._look.start()

    def _judge(self, _: object = None) -> None:
        choice = self.choice()
        found = {**problems(choice, self.model_facts), **self.extras.problems(choice)} if self._shot else {}
        shown = {field: sentence(str(error)) for field, error in found.items()}
        if self._blocked and "out" not in found:
            shown["out"] = sentence(self._blocked)
        self.problems = tuple(shown.items())
        self.reason = self._reason()
        if not self.reason:
            self._messages.settle(IN_THE_WAY)

    def _reason(self) -> str:
        shot = self._shot
        if shot is None:
            return tr("Open a shot first.")
        if shot.kind is not ShotKind.MAPS or not shot.labels:
            return tr("This shot has no label maps; open them first.")
        if self.model_facts is None:
            return tr("Choose a model first.")
        if self.problems:
            return self.problems[0][1]
        if self._bridge.state is ServiceState.STARTING:
            return tr("The service is starting …")
        if self._bridge.state is ServiceState.GONE:
            return tr("The service is gone; it is started again by itself.")
        return tr("The render is being queued …") if self.submitting else ""

    def _look_around(self) -> None:
        """Ask the disk which take it would be and how much is free, and the service what it would take."""
        choice = self.choice()
        if not choice.folder or not choice.name or "out" in problems(choice, None):
            self.take, self.free = "", None
            return

        def looked(found: tuple[str, str, int | None]) -> None:
            self.take, self._blocked, self.free = found
            self._judge()

        def look() -> tuple[str, str, int | None]:
            return (*next_name(choice.out), free_bytes(choice.folder))

        self._errands.ask(look, looked, None, lane=f"{LANE} disk", newest=True)
        self._estimate(choice)

    def _estimate(self, choice: RenderChoice) -> None:
        try:
            request = self.extras.added_to(choice)
        except UsageError:
            self.estimate = None
            return
        if self._bridge.state is not ServiceState.HERE:
            return
        self._bridge.ask(
            lambda client: client.estimate(request),
            self._estimated,
            lambda _: self._estimated(None),
            lane="estimate",
            newest=True,
        )

    def _estimated(self, estimate: Estimate | None) -> None:
        self.estimate = estimate

    def _say(self, key: str, error: MapreelError) -> None:
        self._messages.say(told(error, key=key))


def _signals(shot: ShotState) -> tuple[Any, ...]:
    names = ("labels", "instances", "motion", "palette", "classes", "references", "fps", "cut_in", "cut_out")
    return tuple(getattr(shot, f"{name}_changed") for name in (*names, "maps_version"))
