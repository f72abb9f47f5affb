# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a form: a label, its field, and below it the sentence of what is wrong there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QEvent, QObject, Qt
from PyQt6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from mapreel.ui.text import tr
from mapreel.ui.views.binding import bind_text, describe, follow, tool
from mapreel.ui.views.icons import icon
from mapreel.ui.views.sentences import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.ui.state.observable import Observable

_NARROW = 8  # letters that a box may shrink to


class Rows(QFormLayout):
    """A form that stays legible at 220 pixels: where label and field do not fit, the field goes below."""

    def __init__(self) -> None:
        super().__init__()
        self.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self.setFormAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setHorizontalSpacing(10)
        self.setVerticalSpacing(7)
        self._troubles: dict[str, Trouble] = {}

    def field(self, label: str, widget: QWidget, *names: str) -> QLabel:
        """One row. names: of the problems that are said below it."""
        words = QLabel(label)
        words.setBuddy(widget)
        words.setMinimumHeight(widget.sizeHint().height())  # stands beside the middle of its field
        self.addRow(words, widget)
        self.trouble(*names)
        return words

    def trouble(self, *names: str) -> None:
        """Room for the sentences of these fields."""
        for name in names:
            self._troubles[name] = Trouble()
            self.addRow(self._troubles[name])

    def say(self, problems: tuple[tuple[str, str], ...], *, quiet: frozenset[str] = frozenset()) -> None:
        """Show each problem at its field; quiet: fields of which nothing is said here."""
        told = dict(problems)
        for name, label in self._troubles.items():
            label.say("" if name in quiet else told.get(name, ""))


class PathField(QWidget):
    """A path to write or to choose. folder: whether it is one."""

    def __init__(self, state: Observable, name: str, says: str, *, kinds: str = "", folder: bool = True) -> None:
        super().__init__()
        self._state, self._name, self._says, self._kinds, self._folder = state, name, says, kinds, folder
        self.text = QLineEdit()
        self.text.setMinimumWidth(60)
        describe(self.text, says)
        bind_text(state, name, self.text)
        follow(state, name, lambda path: self.text.setToolTip(f"{says}\n{path}" if path else says))
        self.button = tool("folder", says, self.ask)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.text, 1)
        row.addWidget(self.button)
        self.setFocusProxy(self.text)

    def ask(self) -> None:
        """Ask for the path."""
        now = getattr(self._state, self._name)
        start = now or str(Path.home())
        if self._folder:
            chosen = QFileDialog.getExistingDirectory(self, self._says, start)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, self._says, start, self._kinds)
        if chosen:
            setattr(self._state, self._name, chosen)


def narrow(box: QComboBox) -> QComboBox:
    """Let a box be narrower than its longest entry; the list still shows it whole."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(_NARROW)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


class Scrolled(QScrollArea):
    """A column that scrolls up and down, never sideways.

    Forms in it count their heights anew when anything in it changes: Qt keeps old ones of lines that wrap, and other
    fields would shrink for them.
    """

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidget(inside)
        inside.installEventFilter(self)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        if event is not None and event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            for form in self.findChildren(QFormLayout):
                form.invalidate()
        return super().eventFilter(watched, event)


class Folded(QWidget):
    """Fields that few need, behind a line that opens them."""

    def __init__(self, title: str, says: str, inside: QWidget) -> None:
        super().__init__()
        self.button = tool("next", says, lambda: self.turn(opened=self._inside.isHidden()))
        self.button.setText(title)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._inside = inside
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(inside)
        self.turn(opened=False)

    def turn(self, *, opened: bool) -> None:
        """Open or close it."""
        self._inside.setVisible(opened)
        self.button.setIcon(icon("unfolded" if opened else "next"))
        self.button.setAccessibleDescription(tr("open") if opened else tr("closed"))


def follow_all(state: Observable, names: tuple[str, ...], show: Callable[[], Any]) -> None:
    """Show something that hangs on several properties, now and whenever one changes."""
    for name in names:
        getattr(state, f"{name}_changed").connect(show)  # a method of a widget: the tie ends with it
    show()
