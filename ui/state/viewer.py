# SPDX-License-Identifier: GPL-3.0-or-later
"""What the viewer shows of the frame under the playhead, and how."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer, pyqtSignal

from mapreel.ui.state.darkroom import LIMIT_BYTES, Class, Darkroom, Print, Setting
from mapreel.ui.state.messages import sentence
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.readout import ReadOut, read_out
from mapreel.ui.state.shot import Layer
from mapreel.ui.state.viewer_plan import TWO, Mode, Plan, Shown, first_pair, layers_of
from mapreel.ui.state.viewer_screen import Screen

if TYPE_CHECKING:
    from mapreel.core.contract.errors import MapreelError
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.frames import FrameKey, FrameStore
    from mapreel.ui.state.palette_document import PaletteDocument
    from mapreel.ui.state.palette_editor import PaletteEditor
    from mapreel.ui.state.playback import Playback
    from mapreel.ui.state.preferences import Preferences
    from mapreel.ui.state.shot import ShotState

RESTED_MS = 150
"""After so long without a move the exact colours are worked out, where quick ones were shown."""
LOOK_AGAIN_MS = 600
"""Frames that are still being rendered are looked for this often."""
_AHEAD, _AHEAD_RESTING, _DEVELOPED_AHEAD = 48, 8, 16
_AHEAD_SHARE = 3  # of the memory
DEFAULT_PALETTE = "street"


class ViewerState(Observable):
    """Bound to the playhead: asks for the frames that are needed now and next, and shows each as soon as it is here."""

    mode = Property(Mode.SINGLE)
    mode_changed = pyqtSignal(object)
    layers = Property[tuple[Layer, ...]](())
    """What there is to look at."""
    layers_changed = pyqtSignal(object)
    layer_a = Property(Layer.LABELS)
    layer_a_changed = pyqtSignal(object)
    layer_b = Property(Layer.LABELS)
    layer_b_changed = pyqtSignal(object)
    wipe_at = Property((0.5, 0.5))
    """A point of the wipe's line, in parts of the picture's width and height."""
    wipe_at_changed = pyqtSignal(object)
    wipe_angle = Property(0.0)
    """Degrees, clockwise; 0: the line stands upright, A left of it."""
    wipe_angle_changed = pyqtSignal(object)
    fit = Property(True)
    """Whether the picture always fills the viewer."""
    fit_changed = pyqtSignal(object)
    zoom = Property(1.0)
    """Screen pixels for a pixel of the picture, while it is not fitted."""
    zoom_changed = pyqtSignal(object)
    centre = Property((0.5, 0.5))
    """The point of the picture in the middle of the viewer, in parts of its width and height."""
    centre_changed = pyqtSignal(object)
    target = Property[tuple[int, int] | None](None)
    """Screen pixels that the picture takes; the viewer's view says so."""
    target_changed = pyqtSignal(object)
    scale = Property(1.0)
    """Screen pixels for a point."""
    scale_changed = pyqtSignal(object)
    display = Property("")
    """Display and view of OpenColorIO; empty: plain sRGB."""
    display_changed = pyqtSignal(object)
    view = Property("")
    view_changed = pyqtSignal(object)
    displays = Property[tuple[tuple[str, tuple[str, ...]], ...]](())
    """The displays that can be chosen, and the views of each."""
    displays_changed = pyqtSignal(object)
    exposure = Property(0.0)
    """Stops."""
    exposure_changed = pyqtSignal(object)
    gamma = Property(1.0)
    gamma_changed = pyqtSignal(object)
    gain = Property(4.0)
    """What a difference is multiplied with."""
    gain_changed = pyqtSignal(object)
    overlay = Property(0.0)
    """Opacity of the labels over a picture."""
    overlay_changed = pyqtSignal(object)
    classes = Property[tuple[Class, ...]](())
    """Id, name and colour of the classes in the label maps."""
    classes_changed = pyqtSignal(object)
    shown = Property[Shown | None](None)
    shown_changed = pyqtSignal(object)
    trouble = Property("")
    """Why the chosen view cannot be shown; plain sRGB is, meanwhile."""
    trouble_changed = pyqtSignal(object)
    pointer = Property[tuple[int, int] | None](None)
    """The pixel of the picture under the mouse."""
    pointer_changed = pyqtSignal(object)
    read_out = Property[ReadOut | None](None)
    read_out_changed = pyqtSignal(object)

    def __init__(self, frames: FrameStore, playback: Playback, errands: Errands, preferences: Preferences) -> None:
        super().__init__()
        self._frames, self._playback, self._errands, self._preferences = frames, playback, errands, preferences
        self._darkroom = Darkroom(self)
        self._screen = Screen(frames, playback, self._darkroom)
        self._shot: ShotState | None = None
        self._resting = True
        self.config = os.environ.get("OCIO") or None
        self._soon, self._rested, self._again = QTimer(self), QTimer(self), QTimer(self)
        for timer, wait_ms, act in (
            (self._soon, 0, self._refresh),
            (self._rested, RESTED_MS, self._rest),
            (self._again, LOOK_AGAIN_MS, self._refresh),
        ):
            timer.setSingleShot(True)
            timer.setInterval(wait_ms)
            timer.timeout.connect(act)
        self._listen()
        self._take(playback.shot)

    def _listen(self) -> None:
        for name in ("mode", "layer_a", "layer_b", "target", "scale", "gain"):
            getattr(self, f"{name}_changed").connect(self._change)
        for name in ("display", "view", "exposure", "gamma"):
            getattr(self, f"{name}_changed").connect(self._adjust)
        for signal in (self.overlay_changed, self.classes_changed, self._preferences.patterns_changed):
            signal.connect(self._change)
        self._playback.frame_changed.connect(self._move)
        self._playback.playing_changed.connect(self._change)
        self._playback.shot_changed.connect(self._take)
        self._frames.came.connect(self._heard)
        self._frames.failed.connect(self._heard)
        self._frames.forgotten.connect(self._heard)
        self._darkroom.came.connect(self._developed)
        self._darkroom.failed.connect(self._not_developed)
        self.pointer_changed.connect(self._read_out)
        for name in ("display", "view"):
            getattr(self, f"{name}_changed").connect(self._remember)

    # -- what the artist does ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Find out which displays there are; the last choice counts again."""
        from mapreel.ui.state.viewer_colours import known_displays

        self._errands.ask(partial(known_displays, self.config), self._know_displays, self._no_displays, lane="viewer")

    def swap(self) -> None:
        """A becomes B and B becomes A."""
        self.layer_a, self.layer_b = self.layer_b, self.layer_a

    def choose_view(self, display: str, view: str) -> None:
        """Look through a view of a display; both empty: plain sRGB."""
        self.trouble = ""
        self.display, self.view = display, view

    def next_layer(self, step: int = 1) -> None:
        """Look at the next of the layers."""
        if self.layers:
            place = self.layers.index(self.layer_a) if self.layer_a in self.layers else -1
            self.layer_a = self.layers[(place + step) % len(self.layers)]

    @property
    def rests(self) -> bool:
        """Whether nothing is left to be made of what is in memory."""
        return not self._soon.isActive() and self._darkroom.idle

    @property
    def two(self) -> bool:
        """Whether B is looked at as well."""
        return self.mode in TWO

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        size = self._shot.size if self._shot is not None else (0, 0)
        return size if all(size) else (16, 9)

    def plan(self) -> Plan | None:
        """How a number is shown now; None while no shot is open."""
        if self._shot is None:
            return None
        setting = Setting(
            display=self.display if not self.trouble else "",
            view=self.view if not self.trouble else "",
            exposure=self.exposure,
            gamma=self.gamma,
            config=self.config,
            gain=self.gain,
            overlay=self.overlay,
            patterns=self._preferences.patterns,
            scale=self.scale,
            classes=self.classes,
        )
        exact = self._resting and not self._playback.playing
        return Plan(self._shot, self.mode, self.layer_a, self.layer_b, setting, self.target, exact)

    def note_painted(self, shown: Shown) -> None:
        """The view has drawn this; what was never drawn counts as dropped."""
        if all(shown.panes):
            self._playback.count_shown(shown.number)

    def follow_palette(self, editor: PaletteEditor) -> None:
        """Paint the labels as the palette that is edited has them, saved or not."""
        editor.document_changed.connect(self._edited)

    def close(self) -> None:
        """End the thread."""
        self._darkroom.close()

    # -- the shot and its layers ---------------------------------------------------------------------------------------

    def _take(self, shot: ShotState | None) -> None:
        if self._shot is not None:
            for name in ("labels", "instances", "motion", "truth", "result", "archive", "palette"):
                getattr(self._shot, f"{name}_changed").disconnect(self._relayer)
        self._shot = shot
        self.shown = None
        if shot is None:
            self.layers = ()
            return
        for name in ("labels", "instances", "motion", "truth", "result", "archive", "palette"):
            getattr(shot, f"{name}_changed").connect(self._relayer)
        self._result = shot.result
        self.layers = layers_of(shot)
        self.layer_a, self.layer_b = first_pair(self.layers)
        self._load_palette()
        self._change()

    def _relayer(self, _: object = None) -> None:
        """A source of the shot has changed; a new take is looked at."""
        assert self._shot is not None
        self.layers = layers_of(self._shot)
        if self._shot.result and self._shot.result != self._result:
            self.layer_a = Layer.RESULT
        self._result = self._shot.result
        if self.layer_a not in self.layers and self.layers:
            self.layer_a = self.layers[0]
        self._load_palette()
        self._change()

    def _load_palette(self) -> None:
        from mapreel.ui.state.viewer_colours import classes_of

        shot = self._shot
        wanted = (shot.palette if shot is not None else "") or DEFAULT_PALETTE
        self._errands.ask(
            partial(classes_of, wanted), partial(setattr, self, "classes"), lane="viewer palette", newest=True
        )

    def _edited(self, palette: PaletteDocument) -> None:
        if palette.classes:
            self.classes = tuple((entry.id, entry.name, entry.color) for entry in palette.classes)

    def _know_displays(self, displays: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
        self.displays = displays
        kept = self._preferences.kept("viewer", {})
        display, view = kept.get("display", ""), kept.get("view", "")
        if view in dict(displays).get(display, ()):
            self.choose_view(display, view)

    def _no_displays(self, error: MapreelError) -> None:
        self.trouble = sentence(error.what)

    def _remember(self, _: object = None) -> None:
        self._preferences.keep("viewer", {"display": self.display, "view": self.view})

    # -- from the playhead to the screen -------------------------------------------------------------------------------

    def _change(self, _: object = None) -> None:
        """Something else is wanted; all that changes in one go is asked for once."""
        if not self._soon.isActive():
            self._soon.start()

    def _adjust(self, _: object = None) -> None:
        """Colours are quick while they are turned, exact when they rest."""
        self._resting = False
        self._rested.start()
        self._change()

    def _move(self, _: object = None) -> None:
        self._resting = False
        self._rested.start()
        plan = self.plan()
        if plan is not None:
            self._show(plan)  # first of all; what is needed next is asked for after it is painted
        self._change()

    def _rest(self) -> None:
        self._resting = True
        self._change()

    def _heard(self, shot: object, *_: object) -> None:
        if shot is self._shot:
            self._change()

    def _refresh(self) -> None:
        """Ask for what is needed now and next, and show what is here."""
        plan = self.plan()
        if plan is None:
            self._frames.want(())
            return
        screen, ahead = self._screen, self._ahead()
        here = self._playback.frame
        self._frames.want((*screen.needs(plan, (here, *ahead)), *self._read_layers()))
        late = screen.late(plan, self.shown)
        self._darkroom.want(screen.prints(plan, (*late, here, *ahead[: self._room_for_prints(plan)])))
        self._show(plan)
        self._read_out()

    def _ahead(self) -> tuple[int, ...]:
        """Numbers that come next, as many as a part of the memory holds."""
        if self._shot is None:
            return ()
        width, height = self._shot.size
        room = self._frames.limit_bytes // _AHEAD_SHARE // max(1, 3 * width * height * (2 if self.mode in TWO else 1))
        most = _AHEAD if self._playback.playing else _AHEAD_RESTING
        return self._playback.ahead(max(1, min(most, room)))

    def _room_for_prints(self, plan: Plan) -> int:
        """Frames that are made ready for the screen ahead of the playhead: at rest the next ones at most, and none the
        slow way; while it plays as many as fill half of the room, the rest is for what was shown."""
        if not self._playback.playing:
            return 0 if plan.exact and plan.setting.display else 2
        width, height = self.target or self.size
        panes = 2 if self.mode in (Mode.WIPE, Mode.SIDE) else 1
        return max(1, min(_DEVELOPED_AHEAD, LIMIT_BYTES // 2 // (4 * width * height * panes)))

    def _show(self, plan: Plan) -> None:
        found = self._screen.best(plan, self.shown)
        if found is None:
            return
        if not all(found.panes):
            self._again.start()
        if self.shown is None or not self.shown.same(found):
            self.shown = found

    def _developed(self, _: Print) -> None:
        plan = self.plan()
        if plan is not None:
            self._show(plan)

    def _not_developed(self, _: Print, error: MapreelError) -> None:
        """A view that cannot be shown: plain sRGB, and why."""
        self.trouble = sentence(error.what)
        self._change()

    # -- what lies under the mouse -------------------------------------------------------------------------------------

    def _read_layers(self) -> list[FrameKey]:
        """Maps that are read for the mouse alone, while nothing plays."""
        if self._shot is None or self.pointer is None or self._playback.playing:
            return []
        sources = ((Layer.LABELS, self._shot.labels), (Layer.INSTANCES, self._shot.instances))
        return [(self._shot, layer, self._playback.frame) for layer, source in sources if source]

    def _read_out(self, _: object = None) -> None:
        if self._shot is None or self.pointer is None:
            self.read_out = None
            return
        missing = [key for key in self._read_layers() if not self._frames.has(*key) and self._frames.why(*key) is None]
        if missing and self.sender() is self:
            self._change()
        shown = (self.layer_a, self.layer_b) if self.mode in TWO else (self.layer_a,)
        number = self.shown.number if self.shown is not None else self._playback.frame
        self.read_out = read_out(self._frames, self._shot, number, self.pointer, shown, self.classes)
