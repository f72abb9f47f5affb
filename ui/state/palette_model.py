# SPDX-License-Identifier: GPL-3.0-or-later
"""The classes of a palette as a Qt table: what they look like, how they are called, where they are in the frame."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QAbstractTableModel, QModelIndex, Qt

from mapreel.ui.state.palette_rows import ClassRow, Standing
from mapreel.ui.text import figure, percent, tr, trn

if TYPE_CHECKING:
    from mapreel.ui.state.palette_editor import PaletteEditor

ROW_ROLE = Qt.ItemDataRole.UserRole
_NOWHERE = QModelIndex()


class Column(IntEnum):
    """What stands where."""

    COLOR = 0
    NAME = 1
    ID = 2
    PIXELS = 3
    BECOMES = 4


class PaletteModel(QAbstractTableModel):
    """Rows as the editor tells them; an edited name goes to the editor. ROW_ROLE gives the ClassRow."""

    def __init__(self, editor: PaletteEditor) -> None:
        super().__init__(editor)
        self._editor = editor
        self._rows: tuple[ClassRow, ...] = editor.rows
        editor.rows_changed.connect(self._take)

    def row(self, place: int) -> ClassRow | None:
        """The class that stands there."""
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def place_of(self, label: int) -> int:
        """Where a class of the palette stands, -1 for nowhere."""
        places = (n for n, row in enumerate(self._rows) if row.id == label and row.color is not None)
        return next(places, -1)

    # -- what Qt asks ------------------------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        return 0 if parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        if orientation is not Qt.Orientation.Horizontal:
            return None
        short = ("", tr("Class"), tr("ID"), tr("Frame"), tr("Becomes"))[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return short
        if role == Qt.ItemDataRole.TextAlignmentRole and section in (Column.ID, Column.PIXELS):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            long = (tr("Colour"), short, tr("The number in the maps"), tr("Part of the frame under the playhead"))
            return (*long, tr("The class of the model that it is rendered as"))[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.row(index.row())
        if row is None:
            return None
        if role == ROW_ROLE:
            return row
        if role == Qt.ItemDataRole.EditRole:
            return row.name
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(row, Column(index.column()))
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return told(row)
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() in (Column.ID, Column.PIXELS):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802
        row = self.row(index.row())
        if role != Qt.ItemDataRole.EditRole or row is None or row.id is None:
            return False
        return self._editor.rename(row.id, str(value))

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        row = self.row(index.row())
        there = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if row is not None and row.color is not None and index.column() == Column.NAME:
            return there | Qt.ItemFlag.ItemIsEditable
        return there

    def _take(self, rows: tuple[ClassRow, ...]) -> None:
        """Only what changed is told, so that a view keeps what is chosen and draws no more than it must."""
        old, more = self._rows, len(rows) - len(self._rows)
        first = next((place for place, (a, b) in enumerate(zip(old, rows, strict=False)) if a.id != b.id), None)
        first = min(len(old), len(rows)) if first is None else first
        rest = [row.id for row in old[first - min(more, 0) :]]
        if [row.id for row in rows[first + max(more, 0) :]] != rest:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
            return
        if more > 0:
            self.beginInsertRows(_NOWHERE, first, first + more - 1)
            old = (*old[:first], *rows[first : first + more], *old[first:])
            self._rows = old
            self.endInsertRows()
        elif more < 0:
            self.beginRemoveRows(_NOWHERE, first, first - more - 1)
            old = (*old[:first], *old[first - more :])
            self._rows = old
            self.endRemoveRows()
        self._rows = rows
        for place, (before, now) in enumerate(zip(old, rows, strict=True)):
            if before != now:
                self.dataChanged.emit(self.index(place, 0), self.index(place, len(Column) - 1))


def _text(row: ClassRow, column: Column) -> str:
    if column is Column.NAME:
        return row.name
    if column is Column.ID:
        return "" if row.id is None else str(row.id)
    if column is Column.PIXELS:
        return shown_share(row)
    return row.becomes if column is Column.BECOMES else ""


def shown_share(row: ClassRow) -> str:
    """The part of the frame, short."""
    return percent(row.share * 100) if row.pixels else ""


def told(row: ClassRow) -> str:
    """All about a class, in lines."""
    lines = [row.name if row.id is None else f"{row.name} ({row.id})"]
    if row.pixels is not None:
        number = figure(row.pixels, 0)
        lines.append(trn("{number} pixel in this frame", "{number} pixels in this frame", row.pixels, number=number))
    if row.becomes:
        lines.append(tr("Rendered as {name}.", name=row.becomes))
    if row.color is None:
        lines.append(tr("The maps show it, but the palette does not have it."))
    if row.standing is Standing.UNKNOWN:
        lines.append(tr("The model never saw this class: a frame that shows it is refused. Choose what it becomes."))
    return "\n".join(lines)
