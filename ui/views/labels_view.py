# SPDX-License-Identifier: GPL-3.0-or-later
"""The palette of the current shot: names, colours, what each class becomes, who tells them apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import (
    QColorDialog,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from mapreel.ui.state.palette_model import PaletteModel
from mapreel.ui.text import tr, trn
from mapreel.ui.views.binding import allow, bind_check, faded, follow, tool
from mapreel.ui.views.form_rows import Scrolled
from mapreel.ui.views.labels_class import ClassForm
from mapreel.ui.views.labels_notes import LabelsNotes
from mapreel.ui.views.labels_rules import RulesPart
from mapreel.ui.views.labels_table import ClassTable
from mapreel.ui.views.sentences import Trouble

if TYPE_CHECKING:
    from PyQt6.QtGui import QResizeEvent

    from mapreel.ui.state.palette_document import PaletteDocument
    from mapreel.ui.state.studio import Studio


class LabelsView(QWidget):
    """Table, the chosen class, rules, notes. Everything goes through the editor, which can undo it."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._studio, self._editor = studio, studio.palette_editor
        self.table = ClassTable(PaletteModel(self._editor), studio.preferences)
        self.form = ClassForm(self._editor, self.color_class)
        self.rules = RulesPart(self._editor)
        self._make_tools()
        self._lay_out()
        selection = self.table.selectionModel()
        assert selection is not None
        selection.selectionChanged.connect(lambda *_: self._show_choice())
        self.table.wants_color.connect(self.color_class)
        self.table.wants_removal.connect(self.remove_classes)
        follow(self._editor, "document", self._show)
        follow(self._editor, "origin", lambda _: self._show_origin())
        follow(self._editor, "rows", lambda _: self._show_choice())
        follow(self._editor, "undo_text", lambda text: self._step(self.undo_button, tr("Undo"), text))
        follow(self._editor, "redo_text", lambda text: self._step(self.redo_button, tr("Redo"), text))

    def _make_tools(self) -> None:
        self.name_field = QLineEdit()
        self.name_field.setMinimumWidth(60)
        self.name_field.setToolTip(tr("Name of the palette"))
        self.name_field.setAccessibleName(tr("Name of the palette"))
        self.name_field.setProperty("says", tr("Name of the palette"))
        self.name_field.editingFinished.connect(self._title)
        self.preset_button = tool("labels", tr("Take a palette: a preset or your own file"))
        self._presets = QMenu(self)
        self._presets.aboutToShow.connect(self._fill_presets)
        self.preset_button.setMenu(self._presets)
        self.preset_button.setPopupMode(self.preset_button.ToolButtonPopupMode.InstantPopup)
        self.save_button = tool(
            "save", tr("Save the palette; drafts and renders then use it"), self.save, keys="Ctrl+S"
        )
        self.undo_button = tool("undo", tr("Undo"), self._editor.undo, keys="Ctrl+Z")
        self.redo_button = tool("redo", tr("Redo"), self._editor.redo, keys="Ctrl+Shift+Z")
        self.add_button = tool("add", tr("Add a class"), self.add_class)
        self.remove_button = tool("remove", tr("Remove the chosen classes from the palette"), self.remove_classes)
        self.merge_button = tool("merge", tr("Merge the chosen classes into one"))
        self._merges = QMenu(self)
        self._merges.aboutToShow.connect(self._fill_merges)
        self.merge_button.setMenu(self._merges)
        self.merge_button.setPopupMode(self.merge_button.ToolButtonPopupMode.InstantPopup)
        self.patterns_button = tool(
            "hatch", tr("Hatch the classes, for those who tell colours apart badly"), checkable=True
        )
        bind_check(self._studio.preferences, "patterns", self.patterns_button)

    def _lay_out(self) -> None:
        top, below = QHBoxLayout(), QHBoxLayout()
        for row in (top, below):
            row.setSpacing(2)
        top.addWidget(self.name_field, 1)
        for button in (self.preset_button, self.save_button, self.undo_button, self.redo_button):
            top.addWidget(button)
        for button in (self.add_button, self.remove_button, self.merge_button):
            below.addWidget(button)
        below.addStretch(1)
        below.addWidget(self.patterns_button)
        self._origin = faded()
        self.notes = LabelsNotes(self._editor)
        self.trouble = Trouble()
        follow(self._editor, "trouble", self.trouble.say)
        upper, lower = QWidget(), QWidget()
        for part, widgets in ((upper, (self.table,)), (lower, (self.form, self.rules, self.notes))):
            column = QVBoxLayout(part)
            column.setContentsMargins(0, 0, 0, 0)
            for widget in widgets:
                column.addWidget(widget)
            if part is upper:
                column.addLayout(below)
                column.addWidget(self.trouble)
                column.addWidget(self.notes.unknown)
            else:
                column.addStretch(1)
        self.table.setMinimumHeight(self.fontMetrics().height() * 6)
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(upper)
        self.split.addWidget(Scrolled(lower))
        self.split.setStretchFactor(0, 1)
        self.split.splitterMoved.connect(self._hold)
        self._lower, self._held = lower, False
        whole = QVBoxLayout(self)
        whole.setContentsMargins(8, 8, 8, 8)
        whole.addLayout(top)
        whole.addWidget(self._origin)
        whole.addWidget(self.split, 1)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """The table gets what class, rules and notes leave, at least half, until the artist divides it."""
        super().resizeEvent(event)
        if not self._held:
            whole, wide = self.split.height(), self.split.width()
            needed = max(self._lower.heightForWidth(wide), self._lower.sizeHint().height())
            below = min(needed, whole // 2)
            self.split.setSizes([whole - below, below])

    def _hold(self) -> None:
        self._held = True

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _show(self, document: PaletteDocument) -> None:
        reason = "" if document.classes else tr("Open a shot with label maps first.")
        if self.name_field.text() != document.name:
            self.name_field.setText(document.name)
        for widget in (self.name_field, self.preset_button, self.save_button, self.add_button):
            allow(widget, reason)
        self._show_origin()
        self._show_choice()

    def _show_origin(self) -> None:
        origin, count = self._editor.origin, len(self._editor.document.classes)
        classes = trn("{count} class", "{count} classes", count)
        if not count:
            text = tr("The classes of a shot with label maps stand here.")
        elif origin is None:
            text = f"{classes} · {tr('not saved yet')}"
        elif origin == "":
            text = f"{classes} · {tr('as the model has them')}"
        else:
            text = f"{classes} · {Path(origin).name}"
        self._origin.setText(text)
        self._origin.setToolTip(origin or "")

    def _show_choice(self) -> None:
        rows = self.table.chosen()
        own = [row for row in rows if row.color is not None]
        none = tr("Choose a class first.")
        allow(self.remove_button, "" if own else none)
        allow(self.merge_button, "" if len(own) > 1 else tr("Choose two classes or more first (Ctrl+click)."))
        self.form.show_row(rows[0] if len(rows) == 1 else None)

    def _step(self, button: QWidget, word: str, text: str | None) -> None:
        allow(button, tr("There is nothing to do.") if text is None else "")
        if text:
            button.setToolTip(f"{word}: {text}")

    def _fill_presets(self) -> None:
        self._presets.clear()
        from mapreel.ui.state.palette_files import preset_names

        for name in preset_names():
            action = self._presets.addAction(name)
            assert action is not None
            action.triggered.connect(lambda _=False, name=name: self._editor.load(name))
        self._presets.addSeparator()
        action = self._presets.addAction(tr("Load a file …"))
        assert action is not None
        action.triggered.connect(lambda _=False: self.load_file())
        action = self._presets.addAction(tr("Save as …"))
        assert action is not None
        action.triggered.connect(lambda _=False: self.save_as())

    def _fill_merges(self) -> None:
        self._merges.clear()
        rows = [row for row in self.table.chosen() if row.color is not None and row.id is not None]
        labels = frozenset(row.id for row in rows if row.id is not None)
        for row in rows:
            action = self._merges.addAction(tr("All become {name}", name=row.name.replace("&", "&&")))
            assert action is not None
            action.triggered.connect(lambda _=False, label=row.id: self._editor.merge(labels, label))

    # -- what the artist does --------------------------------------------------------------------------------------

    def _title(self) -> None:
        name = self._editor.document.name
        if self._editor.document.classes and self.name_field.text() != name:
            self._editor.title(self.name_field.text())
            self.name_field.setText(self._editor.document.name)

    def add_class(self) -> None:
        """One more class, chosen and ready to be named."""
        before = {entry.id for entry in self._editor.document.classes}
        if self._editor.add():
            new = next(entry.id for entry in self._editor.document.classes if entry.id not in before)
            self.table.choose(new)
            self.table.edit(self.table.currentIndex())

    def remove_classes(self) -> None:
        """The chosen classes go."""
        labels = frozenset(row.id for row in self.table.chosen() if row.color is not None and row.id is not None)
        if labels:
            self._editor.remove(labels)

    def color_class(self, label: int) -> None:
        """Ask for a colour."""
        entry = self._editor.document.entry(label)
        chosen = QColorDialog.getColor(QColor(*entry.color), self, tr("Colour of {name}", name=entry.name))
        if chosen.isValid():
            self._editor.recolor(label, (chosen.red(), chosen.green(), chosen.blue()))

    def load_file(self) -> None:
        """Ask for a palette file and take it."""
        path, _ = QFileDialog.getOpenFileName(self, tr("Load a palette"), str(self._folder()), _kinds())
        if path:
            self._editor.load(path)

    def save(self) -> None:
        """Write over the artist's own file; ask for a place where there is none."""
        own = self._editor.own_file
        if own is None:
            self.save_as()
        else:
            self._editor.save(own)

    def save_as(self) -> None:
        """Ask where the palette shall lie."""
        name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in self._editor.document.name)
        wanted = str(self._folder() / f"{name}.json")
        path, _ = QFileDialog.getSaveFileName(self, tr("Save the palette"), wanted, _kinds())
        if path:
            self._editor.save(path if path.lower().endswith(".json") else f"{path}.json")

    def _folder(self) -> Path:
        own = self._editor.own_file
        if own is not None:
            return own.parent
        shot = self._studio.shots.current
        return Path(shot.source).parent if shot is not None else Path.home()


def _kinds() -> str:
    return f"{tr('Palettes')} (*.json)"
