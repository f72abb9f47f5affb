# SPDX-License-Identifier: GPL-3.0-or-later
"""The row over the picture: which layers, how they are compared, how it is looked at, how large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QButtonGroup, QComboBox, QHBoxLayout, QLabel, QMenu, QToolButton, QWidget

from mapreel.ui.state.viewer_plan import Mode
from mapreel.ui.text import figure, significant, tr
from mapreel.ui.views.binding import allow, describe, follow, tool
from mapreel.ui.views.flow import FlowRow
from mapreel.ui.views.layer_names import layer_name
from mapreel.ui.views.look_popup import LookPopup
from mapreel.ui.views.transport import keyed

if TYPE_CHECKING:
    from mapreel.ui.state.shot import Layer
    from mapreel.ui.state.studio import Studio
    from mapreel.ui.state.viewer import ViewerState
    from mapreel.ui.views.canvas import Canvas

_ZOOMS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class ViewerTools(QWidget):
    """Bound to the viewer's state."""

    def __init__(self, studio: Studio, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._canvas = studio.viewer, canvas
        self.layer_a = _layers(self._viewer, "layer_a", tr("Layer A"))
        self.layer_b = _layers(self._viewer, "layer_b", tr("Layer B"))
        self.swap = keyed(tool("swap", "", self._viewer.swap), tr("Swap A and B"), "X")
        self.modes = self._mode_buttons()
        self.look = keyed(tool("look", "", self._open_look), tr("Display, exposure, labels over the picture"), "V")
        self.popup = LookPopup(self._viewer, studio.preferences, self)
        self.zoom = QToolButton()
        self.zoom.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        describe(self.zoom, tr("Zoom: F fits, 1 is 100 %, the wheel zooms about the mouse"))
        self.zoom.setMenu(self._zoom_menu())
        self.zoom.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.full = keyed(tool("full", ""), tr("Full screen"), "F11")
        self._lay_out()
        follow(self._viewer, "mode", self._show_mode)
        for name in ("fit", "zoom", "target", "shown"):
            follow(self._viewer, name, self._show_zoom)
        follow(self._viewer, "layers", self._allow)

    def _mode_buttons(self) -> dict[Mode, QToolButton]:
        says = (
            (Mode.SINGLE, "single", tr("One layer"), "S"),
            (Mode.WIPE, "wipe", tr("Wipe between A and B"), "W"),
            (Mode.SIDE, "side", tr("A and B side by side"), "B"),
            (Mode.DIFFERENCE, "difference", tr("Difference of A and B"), "D"),
            (Mode.FLICKER, "flicker", tr("Flicker of A: what changes that the motion does not explain"), "H"),
        )
        group = QButtonGroup(self)
        found = {}
        for mode, picture, text, key in says:
            button = keyed(tool(picture, "", checkable=True), text, key)
            button.clicked.connect(lambda _=False, mode=mode: setattr(self._viewer, "mode", mode))
            group.addButton(button)
            found[mode] = button
        return found

    def _zoom_menu(self) -> QMenu:
        menu = QMenu(self)
        for zoom in (None, *_ZOOMS):
            action = QAction(tr("Fit") if zoom is None else f"{significant(zoom * 100)} %", menu)
            action.triggered.connect(lambda _=False, zoom=zoom: self._zoom(zoom))
            menu.addAction(action)
        return menu

    def _zoom(self, zoom: float | None) -> None:
        if zoom is None:
            self._viewer.fit = True
        else:
            self._canvas.set_zoom(zoom)

    def _open_look(self) -> None:
        self.popup.open_under(self.look)

    def open_look(self) -> None:
        """Open the controls of the picture."""
        self._open_look()

    def _lay_out(self) -> None:
        row = FlowRow(self, gap=12)
        row.setContentsMargins(8, 3, 8, 3)
        self._second = (QLabel("B"), self.layer_b, self.swap)
        groups = (
            (QLabel("A"), self.layer_a, *self._second),
            tuple(self.modes.values()),
            (self.look, self.zoom, self.full),
        )
        for group in groups:
            holder = QWidget()
            inner = QHBoxLayout(holder)
            inner.setContentsMargins(0, 0, 0, 0)
            inner.setSpacing(3)
            for part in group:
                inner.addWidget(part)
            row.addWidget(holder)

    def _show_mode(self, mode: Mode) -> None:
        self.modes[mode].setChecked(True)
        reason = "" if self._viewer.two else tr("Choose wipe, side by side or difference to look at B.")
        allow(self.layer_b, reason)
        allow(self.swap, reason)

    def _show_zoom(self, _: object = None) -> None:
        zoom = f"{figure(self._canvas.shown_zoom() * 100, 0)} %"
        self.zoom.setText(tr("Fit {zoom}", zoom=zoom) if self._viewer.fit else zoom)

    def _allow(self, layers: tuple[Layer, ...]) -> None:
        reason = "" if layers else tr("No shot is open.")
        for button in (*self.modes.values(), self.layer_a, self.look, self.zoom):
            allow(button, reason)


def _layers(viewer: ViewerState, name: str, says: str) -> QComboBox:
    """A choice among the layers that there are."""
    box = QComboBox()
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    describe(box, says)

    def fill(_: object = None) -> None:
        box.clear()
        for layer in viewer.layers:
            box.addItem(layer_name(layer), layer)
        show()

    def show(_: object = None) -> None:
        value = getattr(viewer, name)
        box.setCurrentIndex(viewer.layers.index(value) if value in viewer.layers else -1)

    follow(viewer, "layers", fill)
    follow(viewer, name, show)
    box.activated.connect(lambda place: setattr(viewer, name, viewer.layers[place]))
    return box
