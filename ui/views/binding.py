# SPDX-License-Identifier: GPL-3.0-or-later
"""Ties between properties of the state and widgets, both ways, and the small makers that every view uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PyQt6 import sip
from PyQt6.QtGui import QKeySequence
from PyQt6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QWidget,
)

from mapreel.ui.views.icons import icon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mapreel.ui.state.observable import Observable


def follow(state: Observable, name: str, show: Callable[[Any], None]) -> None:
    """Show a property now and whenever it changes. `show` may be a bound method of a widget: it ends with it."""
    getattr(state, f"{name}_changed").connect(show)
    show(getattr(state, name))


def _while_there(widget: QWidget, show: Callable[[Any], object]) -> Callable[[Any], None]:
    """`show`, but not for a widget that Qt has taken down: only methods of widgets end with them by themselves."""

    def shown(value: Any) -> None:
        if not sip.isdeleted(widget):
            show(value)

    return shown


def bind_text(state: Observable, name: str, field: QLineEdit) -> None:
    """A line of text; taken over when the field is left or Enter is pressed."""
    follow(state, name, _while_there(field, lambda value: field.setText(value) if field.text() != value else None))
    field.editingFinished.connect(lambda: setattr(state, name, field.text()))


def bind_number(state: Observable, name: str, field: QSpinBox | QDoubleSpinBox) -> None:
    """A number."""
    follow(state, name, _while_there(field, lambda value: field.setValue(value) if field.value() != value else None))
    field.valueChanged.connect(lambda value: setattr(state, name, value))


def bind_check(state: Observable, name: str, field: QCheckBox | QAbstractButton) -> None:
    """Yes or no."""
    follow(state, name, field.setChecked)
    field.toggled.connect(lambda value: setattr(state, name, value))


def bind_choice(state: Observable, name: str, field: QComboBox, choices: Iterable[tuple[str, Any]]) -> None:
    """One of several: (text, value). A value that is not among them shows nothing."""
    for text, value in choices:
        field.addItem(text, value)

    def show(value: Any) -> None:
        places = [place for place in range(field.count()) if field.itemData(place) == value]
        field.setCurrentIndex(places[0] if places else -1)

    follow(state, name, _while_there(field, show))
    field.activated.connect(lambda place: setattr(state, name, field.itemData(place)))


def tool(
    name: str, says: str, act: Callable[[], object] | None = None, *, keys: str = "", checkable: bool = False
) -> QToolButton:
    """A button with an icon: `says` is its tooltip and its accessible name, `keys` a shortcut."""
    button = QToolButton()
    button.setIcon(icon(name))
    button.setCheckable(checkable)
    describe(button, says, keys=keys)
    if act is not None:
        button.clicked.connect(lambda _=False: act())
    return button


def describe(widget: QWidget, says: str, *, keys: str = "", bound: bool = True) -> None:
    """Tooltip, accessible name and shortcut of a control. bound: no menu has the shortcut already."""
    shown = f"{says} ({QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)})" if keys else says
    widget.setToolTip(shown)
    widget.setAccessibleName(says)
    if keys and bound and isinstance(widget, QAbstractButton):
        widget.setShortcut(QKeySequence(keys))
    widget.setProperty("says", shown)


def allow(widget: QWidget, reason: str = "") -> None:
    """Enable a control, or disable it for a reason that its tooltip then gives."""
    widget.setEnabled(not reason)
    says = widget.property("says") or widget.toolTip()
    widget.setToolTip(f"{says}\n{reason}" if reason else says)
    widget.setAccessibleDescription(reason)


def heading(text: str) -> QLabel:
    """A title inside a view."""
    label = QLabel(text)
    label.setObjectName("heading")
    return label


def faded(text: str = "") -> QLabel:
    """A quiet line that wraps."""
    label = QLabel(text)
    label.setObjectName("faded")
    label.setWordWrap(True)
    return label


def primary(text: str, says: str, act: Callable[[], object] | None = None) -> QPushButton:
    """The one big button of a view."""
    button = QPushButton(text)
    button.setObjectName("primary")
    describe(button, says)
    if act is not None:
        button.clicked.connect(lambda _=False: act())
    return button
