# SPDX-License-Identifier: GPL-3.0-or-later
"""The chosen class: its colour as a picture and as text, and what it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize
from PyQt6.QtGui import QColor, QIcon, QPixmap
from PyQt6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from mapreel.ui.state.palette_document import hex_color
from mapreel.ui.text import tr
from mapreel.ui.views.binding import allow, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.ui.state.palette_editor import PaletteEditor
    from mapreel.ui.state.palette_rows import ClassRow

_SWATCH_PX = 20


class ClassForm(QWidget):
    """Fields of one row of the table; off while none or several are chosen."""

    def __init__(self, editor: PaletteEditor, color_class: Callable[[int], None]) -> None:
        super().__init__()
        self._editor, self._color_class = editor, color_class
        self._row: ClassRow | None = None
        self.swatch = QToolButton()
        self.swatch.setIconSize(QSize(_SWATCH_PX, _SWATCH_PX))
        describe(self.swatch, tr("Choose the colour"))
        self.swatch.clicked.connect(lambda _=False: self._ask_color())
        self.hex_field = QLineEdit()
        self.hex_field.setMaximumWidth(self.fontMetrics().horizontalAdvance("x") * 12 + 16)
        self.hex_field.setPlaceholderText("#rrggbb")
        describe(self.hex_field, tr("Colour as #rrggbb or as three numbers"))
        self.hex_field.editingFinished.connect(self._take_hex)
        self.becomes = QComboBox()
        self.becomes.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.becomes.setMinimumWidth(80)
        describe(self.becomes, tr("The class of the model that it is rendered as"))
        self.becomes.activated.connect(self._take_target)
        self._lay_out()
        self.show_row(None)

    def _lay_out(self) -> None:
        colors, targets = QHBoxLayout(), QHBoxLayout()
        colors.addWidget(self.swatch)
        colors.addWidget(self.hex_field)
        colors.addStretch(1)
        label = QLabel(tr("Becomes"))
        label.setBuddy(self.becomes)
        targets.addWidget(label)
        targets.addWidget(self.becomes, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addLayout(colors)
        whole.addLayout(targets)

    def show_row(self, row: ClassRow | None) -> None:
        """Show a class of the palette, or something else that the maps show."""
        self._row = row
        reason = "" if row is not None else tr("Choose one class first.")
        colored = reason if row is None or row.color is not None else tr("The palette does not have it: add a class.")
        allow(self.swatch, colored)
        allow(self.hex_field, colored)
        allow(self.becomes, reason)
        color = row.color if row is not None else None
        picture = QPixmap(_SWATCH_PX, _SWATCH_PX)
        picture.fill(QColor(*color) if color is not None else QColor(0, 0, 0, 0))
        self.swatch.setIcon(QIcon(picture))
        if not self.hex_field.hasFocus() or color is None or self.hex_field.text() != hex_color(color):
            self.hex_field.setText(hex_color(color) if color is not None else "")
        self._fill_targets(row)

    def _fill_targets(self, row: ClassRow | None) -> None:
        self.becomes.clear()
        if row is None:
            return
        self.becomes.addItem(tr("what its name says"), "")
        editor = self._editor
        targets = [name for name, _ in editor.model.ids]
        if not targets:
            targets = [editor.target_of(entry.id) for entry in editor.document.classes if entry.id != row.id]
        for name in dict.fromkeys(targets):
            self.becomes.addItem(name, name)
        place = self.becomes.findData(row.becomes)
        self.becomes.setCurrentIndex(place if place >= 0 else -1)

    def _ask_color(self) -> None:
        if self._row is not None and self._row.id is not None:
            self._color_class(self._row.id)

    def _take_hex(self) -> None:
        row = self._row
        if row is None or row.id is None or row.color is None or self.hex_field.text() == hex_color(row.color):
            return
        self._editor.recolor(row.id, self.hex_field.text())

    def _take_target(self, place: int) -> None:
        if self._row is not None:
            self._editor.remap(self._row.pattern, str(self.becomes.itemData(place)))
