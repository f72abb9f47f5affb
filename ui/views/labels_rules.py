# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that say of many names at once what they become: `car*` is vehicle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mapreel.ui.text import tr
from mapreel.ui.views.binding import allow, describe, faded, follow, heading, tool
from mapreel.ui.views.sentences import Trouble

if TYPE_CHECKING:
    from mapreel.ui.state.palette_document import PaletteDocument
    from mapreel.ui.state.palette_editor import PaletteEditor

_ROWS = 4


class RulesPart(QWidget):
    """The rules in their order, the first that fits counts; one can be added and taken away."""

    def __init__(self, editor: PaletteEditor) -> None:
        super().__init__()
        self._editor = editor
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Rules, the first that fits counts"))
        self.list.itemSelectionChanged.connect(self._judge)
        self.add_button = tool(
            "rule", tr("Add a rule: what the maps call so is which class of the model"), self.add_rule
        )
        self.remove_button = tool("remove", tr("Take the chosen rule away"), self._remove)
        top = QHBoxLayout()
        top.setSpacing(2)
        top.addWidget(heading(tr("Rules")), 1)
        top.addWidget(self.add_button)
        top.addWidget(self.remove_button)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(2)
        whole.addLayout(top)
        whole.addWidget(self.list)
        follow(editor, "document", self._show)

    def add_rule(self) -> None:
        """Ask for a pattern and a class."""
        RuleDialog(self._editor, self).exec()

    def _show(self, document: PaletteDocument) -> None:
        self.list.clear()
        for pattern, target in document.rules:
            item = QListWidgetItem(f"{pattern} → {target}")
            item.setData(Qt.ItemDataRole.UserRole, pattern)
            item.setToolTip(item.text())
            self.list.addItem(item)
        rows = min(_ROWS, max(1, len(document.rules)))
        self.list.setFixedHeight(rows * (self.fontMetrics().height() + 6) + 6)
        self.list.setVisible(bool(document.rules))
        allow(self.add_button, "" if document.classes else tr("Open a shot with label maps first."))
        self._judge()

    def _judge(self) -> None:
        allow(self.remove_button, "" if self.list.selectedItems() else tr("Choose a rule first."))

    def _remove(self) -> None:
        for item in self.list.selectedItems():
            self._editor.remap(str(item.data(Qt.ItemDataRole.UserRole)), "")


class RuleDialog(QDialog):
    """A pattern and a class; stays open until the rule can be made."""

    def __init__(self, editor: PaletteEditor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._editor = editor
        self.setWindowTitle(tr("Add a rule"))
        self.pattern, self.target, self.trouble = QLineEdit(), QComboBox(), Trouble()
        self.pattern.setPlaceholderText("car*")
        describe(self.pattern, tr("A name or an id in the maps; * stands for anything, 10-19 for ids"))
        describe(self.target, tr("The class of the model that it is rendered as"))
        self.target.setEditable(True)
        self.target.addItems([name for name, _ in editor.model.ids] or [str(e.id) for e in editor.document.classes])
        form = QFormLayout()
        form.addRow(tr("In the maps"), self.pattern)
        form.addRow(tr("Becomes"), self.target)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._make)
        buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addLayout(form)
        whole.addWidget(faded(tr("* stands for anything: car* is each name that begins with car. 10-19 are ids.")))
        whole.addWidget(self.trouble)
        whole.addWidget(buttons)

    def _make(self) -> None:
        target = self.target.currentText().strip()
        if not target:
            self.trouble.say(tr("Choose what it becomes."))
        elif self._editor.remap(self.pattern.text(), target):
            self.accept()
        else:
            self.trouble.say(self._editor.trouble)
