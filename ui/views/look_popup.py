# SPDX-License-Identifier: GPL-3.0-or-later
"""How the picture is looked at: display and view, exposure, gamma, labels over it, gain of a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QSlider,
    QWidget,
)

from mapreel.ui.text import significant, tr
from mapreel.ui.views.binding import allow, bind_check, describe, follow, tool

if TYPE_CHECKING:
    from mapreel.ui.state.observable import Observable
    from mapreel.ui.state.preferences import Preferences
    from mapreel.ui.state.viewer import ViewerState

_SLIDER_PX = 130


class LookPopup(QFrame):
    """Bound to the viewer; opens under its button, closes with Esc or a click beside it."""

    def __init__(self, viewer: ViewerState, preferences: Preferences, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("card")
        self._viewer = viewer
        self.display, self.view = QComboBox(), QComboBox()
        for box in (self.display, self.view):
            box.setMinimumContentsLength(18)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        describe(self.display, tr("Display that the picture is made for, by OpenColorIO"))
        describe(self.view, tr("View of that display"))
        self.view.setPlaceholderText("-")
        self.display.activated.connect(self._choose_display)
        self.view.activated.connect(self._choose_view)
        self.overlay = QSlider(Qt.Orientation.Horizontal)
        self.overlay.setRange(0, 100)
        describe(self.overlay, tr("How much the labels cover the picture"))
        follow(viewer, "overlay", lambda value: self.overlay.setValue(round(value * 100)))
        self.overlay.valueChanged.connect(lambda value: setattr(viewer, "overlay", value / 100))
        self.patterns = QCheckBox(tr("Patterns on classes"))
        describe(self.patterns, tr("Hatch each class as well, for those who tell colours apart badly"))
        bind_check(preferences, "patterns", self.patterns)
        self.exposure = _numbers(viewer, "exposure", tr("Exposure in stops"), (-12.0, 12.0, 0.25), 0.0)
        self.gamma = _numbers(viewer, "gamma", tr("Gamma of the screen picture"), (0.2, 5.0, 0.05), 1.0)
        self.gain = _numbers(viewer, "gain", tr("What a difference is multiplied with"), (1.0, 64.0, 1.0), 4.0)
        self._lay_out()
        for name in ("displays", "display", "view"):
            follow(viewer, name, self._show)

    def open_under(self, button: QWidget) -> None:
        """Open below a button, inside the screen."""
        self.adjustSize()
        corner = button.mapToGlobal(QPoint(button.width() - self.width(), button.height() + 2))
        screen = button.screen()
        if screen is not None:
            room = screen.availableGeometry()
            corner.setX(max(room.left(), min(corner.x(), room.right() - self.width())))
            corner.setY(max(room.top(), min(corner.y(), room.bottom() - self.height())))
        self.move(corner)
        self.show()
        self.display.setFocus()

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(12, 10, 12, 10)
        form.addRow(tr("Display"), self.display)
        form.addRow(tr("View"), self.view)
        form.addRow(tr("Exposure"), self.exposure)
        form.addRow(tr("Gamma"), self.gamma)
        form.addRow(tr("Labels over it"), self.overlay)
        form.addRow("", self.patterns)
        form.addRow(tr("Difference"), self.gain)

    def _show(self, _: object = None) -> None:
        """The displays there are; plain sRGB stands first, and has no views."""
        viewer = self._viewer
        views = dict(viewer.displays).get(viewer.display, ())
        _fill(self.display, [(tr("Plain sRGB"), ""), *((name, name) for name, _ in viewer.displays)], viewer.display)
        _fill(self.view, [(name, name) for name in views], viewer.view)
        allow(self.view, "" if views else tr("Plain sRGB has one view."))

    def _choose_display(self, place: int) -> None:
        display = self.display.itemData(place)
        views = dict(self._viewer.displays).get(display, ())
        self._viewer.choose_view(display, views[0] if views else "")

    def _choose_view(self, place: int) -> None:
        self._viewer.choose_view(self._viewer.display, self.view.itemData(place))


def _fill(box: QComboBox, choices: list[tuple[str, str]], value: str) -> None:
    if [box.itemData(place) for place in range(box.count())] != [data for _, data in choices]:
        box.clear()
        for text, data in choices:
            box.addItem(text, data)
    box.setCurrentIndex(next((place for place, (_, data) in enumerate(choices) if data == value), -1))


def _numbers(viewer: Observable, name: str, says: str, reach: tuple[float, float, float], usual: float) -> QWidget:
    """A slider, a number and a button that brings back the usual value, all of one property."""
    least, most, step = reach
    holder, slider, number = QWidget(), QSlider(Qt.Orientation.Horizontal), QDoubleSpinBox()
    slider.setRange(round(least / step), round(most / step))
    slider.setMinimumWidth(_SLIDER_PX)
    number.setRange(least, most)
    number.setSingleStep(step)
    number.setDecimals(2)
    number.setFixedWidth(number.fontMetrics().horizontalAdvance("-12.00") + 40)
    describe(slider, says)
    describe(number, says)
    back = tool("undo", tr("Back to {value}", value=significant(usual)), lambda: setattr(viewer, name, usual))

    def show(value: float) -> None:
        for field, shown in ((slider, round(value / step)), (number, value)):
            field.blockSignals(True)
            field.setValue(shown)  # type: ignore[arg-type]
            field.blockSignals(False)

    follow(viewer, name, show)
    slider.valueChanged.connect(lambda value: setattr(viewer, name, value * step))
    number.valueChanged.connect(lambda value: setattr(viewer, name, value))
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(slider, 1)
    row.addWidget(number)
    row.addWidget(back)
    return holder
