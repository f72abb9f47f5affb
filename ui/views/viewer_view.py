# SPDX-License-Identifier: GPL-3.0-or-later
"""The viewer: tools, picture, what lies under the mouse, timeline, transport; all of it by keyboard as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QBoxLayout, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from mapreel.ui.state.viewer_plan import Mode
from mapreel.ui.text import figure, significant, tr
from mapreel.ui.views.binding import follow
from mapreel.ui.views.canvas import Canvas
from mapreel.ui.views.layer_names import layer_name
from mapreel.ui.views.timeline import Timeline
from mapreel.ui.views.transport import Transport
from mapreel.ui.views.viewer_tools import ViewerTools

if TYPE_CHECKING:
    from collections.abc import Callable

    from PyQt6.QtGui import QKeyEvent

    from mapreel.ui.state.readout import ReadOut
    from mapreel.ui.state.studio import Studio

_FAR = 10
_KEYS = Qt.Key
_SHIFT = Qt.KeyboardModifier.ShiftModifier


class ViewerView(QWidget):
    """Everything about looking."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._playback, self._key_frames = studio.viewer, studio.playback, studio.key_frames
        self._home: tuple[QWidget, int] | None = None
        self.canvas = Canvas(self._viewer)
        self.tools = ViewerTools(studio, self.canvas)
        self.timeline = Timeline(studio)
        self.transport = Transport(self._playback, studio.key_frames)
        self.reads, self.measure = QLabel(), QLabel()
        self._lay_out()
        self.setFocusProxy(self.canvas)
        self._plain, self._shifted = self._keys()
        self.tools.full.clicked.connect(self.toggle_full_screen)
        follow(self._viewer, "read_out", self._show_read_out)
        for state, name in ((self._viewer, "shown"), (self._viewer, "trouble")):
            follow(state, name, self._show_measure)
        self._viewer.start()

    def _lay_out(self) -> None:
        for label in (self.reads, self.measure):
            label.setObjectName("faded")
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.reads.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.reads.setAccessibleName(tr("Pixel under the mouse"))
        line = QHBoxLayout()
        line.setContentsMargins(8, 2, 8, 2)
        line.addWidget(self.reads, 1)
        line.addWidget(self.measure)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.tools)
        column.addWidget(self.canvas, 1)
        column.addLayout(line)
        column.addWidget(self.timeline)
        column.addWidget(self.transport)

    # -- words -------------------------------------------------------------------------------------------------------

    def _show_read_out(self, found: ReadOut | None) -> None:
        text = read_out_text(found) if found is not None else " "
        fitting = self.reads.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, self.reads.width())
        self.reads.setText(fitting)
        self.reads.setToolTip(text.strip())
        self.reads.setAccessibleDescription(text.strip())

    def _show_measure(self, _: object = None) -> None:
        shown = self._viewer.shown
        measure = shown.measure if shown is not None else None
        text = self._viewer.trouble
        if shown is not None and measure is not None and shown.mode is Mode.DIFFERENCE:
            text = tr("Difference {steps} of 255", steps=figure(measure, 2))
        elif shown is not None and measure is not None and shown.mode is Mode.FLICKER:
            text = tr("Flicker {steps} of 255", steps=figure(measure, 2))
        self.measure.setText(text)

    # -- keys --------------------------------------------------------------------------------------------------------

    def _keys(self) -> tuple[dict[int, Callable[[], object]], dict[int, Callable[[], object]]]:
        """What keys do while the viewer or a part of it has the focus, without and with Shift."""
        playback, viewer = self._playback, self._viewer
        plain: dict[int, Callable[[], object]] = {
            _KEYS.Key_Left: lambda: playback.step(-1),
            _KEYS.Key_Right: lambda: playback.step(1),
            _KEYS.Key_Home: playback.to_first,
            _KEYS.Key_End: playback.to_last,
            _KEYS.Key_PageUp: lambda: self._key_frames.step(-1),
            _KEYS.Key_PageDown: lambda: self._key_frames.step(1),
            _KEYS.Key_Space: playback.toggle,
            _KEYS.Key_J: lambda: playback.shuttle(-1),
            _KEYS.Key_K: playback.pause,
            _KEYS.Key_L: lambda: playback.shuttle(1),
            _KEYS.Key_I: playback.set_in,
            _KEYS.Key_O: playback.set_out,
            _KEYS.Key_F: lambda: setattr(viewer, "fit", True),
            _KEYS.Key_1: lambda: self.canvas.set_zoom(1.0),
            _KEYS.Key_2: lambda: self.canvas.set_zoom(2.0),
            _KEYS.Key_Plus: lambda: self.canvas.zoom_by(1.25),
            _KEYS.Key_Equal: lambda: self.canvas.zoom_by(1.25),
            _KEYS.Key_Minus: lambda: self.canvas.zoom_by(0.8),
            _KEYS.Key_S: lambda: self._set_mode(Mode.SINGLE),
            _KEYS.Key_W: lambda: self._set_mode(Mode.WIPE),
            _KEYS.Key_B: lambda: self._set_mode(Mode.SIDE),
            _KEYS.Key_D: lambda: self._set_mode(Mode.DIFFERENCE),
            _KEYS.Key_H: lambda: self._set_mode(Mode.FLICKER),
            _KEYS.Key_X: viewer.swap,
            _KEYS.Key_V: self.tools.open_look,
            _KEYS.Key_Up: lambda: viewer.next_layer(-1),
            _KEYS.Key_Down: lambda: viewer.next_layer(1),
            _KEYS.Key_Comma: lambda: self._move_wipe(-0.05),
            _KEYS.Key_Period: lambda: self._move_wipe(0.05),
            _KEYS.Key_BracketLeft: lambda: self._turn_wipe(-15),
            _KEYS.Key_BracketRight: lambda: self._turn_wipe(15),
            _KEYS.Key_F11: self.toggle_full_screen,
        }
        shifted: dict[int, Callable[[], object]] = {
            _KEYS.Key_Left: lambda: playback.step(-_FAR),
            _KEYS.Key_Right: lambda: playback.step(_FAR),
            _KEYS.Key_L: lambda: setattr(playback, "looping", not playback.looping),
            _KEYS.Key_H: lambda: setattr(playback, "with_handles", not playback.with_handles),
            _KEYS.Key_Plus: plain[_KEYS.Key_Plus],
            _KEYS.Key_X: playback.clear_range,
        }
        return plain, shifted

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is None:
            return
        if event.key() == _KEYS.Key_Escape and self.is_full_screen:
            self.toggle_full_screen()
            return
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        known = self._shifted if modifiers == _SHIFT else self._plain
        act = known.get(event.key()) if modifiers in (_SHIFT, Qt.KeyboardModifier.NoModifier) else None
        if act is None or (self._playback.shot is None and event.key() != _KEYS.Key_F11):
            super().keyPressEvent(event)
            return
        act()

    def _set_mode(self, mode: Mode) -> None:
        self._viewer.mode = mode

    def _move_wipe(self, by: float) -> None:
        x, y = self._viewer.wipe_at
        self._viewer.wipe_at = (min(1.0, max(0.0, round(x + by, 4))), y)

    def _turn_wipe(self, by: float) -> None:
        self._viewer.wipe_angle = (self._viewer.wipe_angle + by) % 360

    # -- full screen -------------------------------------------------------------------------------------------------

    @property
    def is_full_screen(self) -> bool:
        """Whether the viewer has the whole screen."""
        return self._home is not None

    def toggle_full_screen(self, _: object = None) -> None:
        """Give the viewer the whole screen, or put it back."""
        if self._home is None:
            place, screen = self.parentWidget(), self.screen()
            layout = place.layout() if place is not None else None
            if place is None or screen is None or not isinstance(layout, QBoxLayout):
                return
            self._home = (place, layout.indexOf(self))
            self.setParent(None, Qt.WindowType.Window)
            self.setWindowTitle("Mapreel")
            self.setGeometry(screen.geometry())  # where no window manager does it
            self.showFullScreen()
        else:
            place, number = self._home
            self._home = None
            layout = place.layout()
            assert isinstance(layout, QBoxLayout)
            self.setParent(place, Qt.WindowType.Widget)
            layout.insertWidget(number, self)
            self.showNormal()
        self.canvas.setFocus()

    def closeEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        if self._home is not None:
            self.toggle_full_screen()
            event.ignore()  # type: ignore[attr-defined]


def read_out_text(found: ReadOut) -> str:
    """One line: place, colours, class, instance, motion."""
    parts = [f"x {found.x}  y {found.y}"]
    for layer, value in found.colors:
        whole = all(part.is_integer() for part in value)
        numbers = "  ".join(figure(part, 0) if whole else significant(part, 4) for part in value)
        parts.append(f"{layer_name(layer)}  {numbers}")
    if found.class_id is not None:
        parts.append(tr("class {name} ({id})", name=found.class_name or tr("unknown"), id=found.class_id))
    if found.instance is not None:
        parts.append(tr("instance {id}", id=found.instance))
    if found.motion is not None:
        parts.append(tr("motion {x}, {y} px", x=figure(found.motion[0], 2), y=figure(found.motion[1], 2)))
    return "   ·   ".join(parts)
