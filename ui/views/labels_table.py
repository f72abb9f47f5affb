# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of classes: a swatch with the pattern of each class, its name, id, part of the frame, what it becomes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from PyQt6.QtCore import QModelIndex, QRect, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QBrush, QColor, QImage, QPainter, QPalette, QPen, QPixmap
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from mapreel.ui.state.palette_model import ROW_ROLE, Column, PaletteModel
from mapreel.ui.state.palette_rows import ClassRow, Standing
from mapreel.ui.text import tr
from mapreel.ui.views.icons import icon
from mapreel.ui.views.theme import sign_color

if TYPE_CHECKING:
    from PyQt6.QtGui import QKeyEvent, QResizeEvent

    from mapreel.ui.state.preferences import Preferences

_SIGN_PX = 14
_WIDE_CHARS, _SLIM_CHARS = 46, 40
"""Below so many characters' width, what a class becomes is told in the name's column; below the second no id is."""


class ClassDelegate(QStyledItemDelegate):
    """Draws swatches, and a sign on what the model never saw."""

    def __init__(self, preferences: Preferences, table: QTableView) -> None:
        super().__init__(table)
        self._preferences, self._table = preferences, table
        self.short = False
        """Whether the name's column also tells what a class becomes."""

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        row = index.data(ROW_ROLE)
        if painter is None or not isinstance(row, ClassRow):
            return
        super().paint(painter, option, index)
        if index.column() == Column.COLOR:
            self._swatch(painter, option.rect, row)
        elif index.column() == Column.NAME and _is_marked(row):
            side = QRect(option.rect.right() - _SIGN_PX - 4, 0, _SIGN_PX, _SIGN_PX)
            side.moveCenter(QRect(side.x(), option.rect.y(), _SIGN_PX, option.rect.height()).center())
            painter.drawPixmap(side, _warning(self._table.devicePixelRatioF()))

    def initStyleOption(self, option: QStyleOptionViewItem | None, index: QModelIndex) -> None:  # noqa: N802 - Qt's name
        super().initStyleOption(option, index)
        row = index.data(ROW_ROLE)
        if option is None or not isinstance(row, ClassRow):
            return
        if index.column() == Column.NAME and self.short and row.becomes:
            option.text = f"{row.name} → {row.becomes}"
        if index.column() == Column.NAME and _is_marked(row):
            room = option.rect.width() - _SIGN_PX - 12
            option.text = option.fontMetrics.elidedText(option.text, Qt.TextElideMode.ElideRight, room)
        if row.color is None or (row.becomes and index.column() == Column.NAME):
            option.font.setItalic(True)
        if row.pixels == 0 or index.column() in (Column.ID, Column.PIXELS):
            option.palette.setColor(QPalette.ColorRole.Text, option.palette.color(QPalette.ColorRole.PlaceholderText))

    def _swatch(self, painter: QPainter, area: QRect, row: ClassRow) -> None:
        side = min(area.width(), area.height()) - 6
        place = QRectF(0, 0, side, side)
        place.moveCenter(area.center().toPointF())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        line = painter.pen().color()
        line.setAlpha(110)
        painter.setPen(QPen(line, 1, Qt.PenStyle.DashLine if row.color is None else Qt.PenStyle.SolidLine))
        if row.color is not None:
            painter.setBrush(swatch_brush(row.color, row.place if self._preferences.patterns else 0))
        painter.drawRoundedRect(place, 3, 3)
        painter.restore()


def _is_marked(row: ClassRow) -> bool:
    return row.standing is Standing.UNKNOWN or row.color is None


def swatch_brush(color: tuple[int, int, int], place: int) -> QBrush:
    """The colour of a class with its pattern; place 0 has none."""
    if place == 0:
        return QBrush(QColor(*color))
    from mapreel.ui.state.patterns import TILE_PX, inked, tile

    picture = QImage(TILE_PX, TILE_PX, QImage.Format.Format_RGB32)
    picture.fill(QColor(*color))
    ink = QColor(*inked(color))
    for y, line in enumerate(tile(place)):
        for x, there in enumerate(line):
            if there:
                picture.setPixelColor(x, y, ink)
    return QBrush(QPixmap.fromImage(picture))


@lru_cache(maxsize=8)
def _sign(color: int, ratio: float) -> QPixmap:
    """The warning in a colour, for a screen of this scale: drawn once, not for each row."""
    return icon("warning", QColor(color)).pixmap(QSize(_SIGN_PX, _SIGN_PX), ratio)


def _warning(ratio: float) -> QPixmap:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    return _sign(sign_color(app, "warning").rgb(), ratio)


class ClassTable(QTableView):
    """Chooses classes; Delete asks to remove them, a double click on a swatch (or Space) to colour one."""

    wants_color = pyqtSignal(int)
    wants_removal = pyqtSignal()

    def __init__(self, model: PaletteModel, preferences: Preferences) -> None:
        super().__init__()
        self._classes = model
        self.setModel(model)
        self.delegate = ClassDelegate(preferences, self)
        self.setItemDelegate(self.delegate)
        self.setAccessibleName(tr("Classes of the palette"))
        self.setFrameShape(QTableView.Shape.NoFrame)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.doubleClicked.connect(self._double)
        preferences.patterns_changed.connect(lambda _: self.refresh())
        self._lay_out()

    def chosen(self) -> tuple[ClassRow, ...]:
        """The rows that are selected, from top to bottom."""
        selection = self.selectionModel()
        places = sorted({index.row() for index in selection.selectedIndexes()}) if selection is not None else []
        return tuple(row for place in places if (row := self._classes.row(place)) is not None)

    def choose(self, label: int) -> None:
        """Select a class and bring it into sight."""
        place = self._classes.place_of(label)
        if place >= 0:
            self.setCurrentIndex(self._classes.index(place, Column.NAME))

    def refresh(self) -> None:
        """Draw everything anew."""
        area = self.viewport()
        if area is not None:
            area.update()

    def _lay_out(self) -> None:
        letters = self.fontMetrics().horizontalAdvance("x")
        rows, head = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert head is not None
        rows.setVisible(False)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 9)
        head.setMinimumSectionSize(20)
        head.setHighlightSections(False)
        head.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column in Column:
            head.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
        head.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in ((Column.COLOR, 0), (Column.ID, 5), (Column.PIXELS, 8), (Column.BECOMES, 13)):
            title = str(self._classes.headerData(column, Qt.Orientation.Horizontal))
            least = self.fontMetrics().horizontalAdvance(title) + 14
            head.resizeSection(column, max(least, letters * width + 10) if width else self.fontMetrics().height() + 13)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        letters = self.width() / max(1, self.fontMetrics().horizontalAdvance("x"))
        self.delegate.short = letters < _WIDE_CHARS
        self.setColumnHidden(Column.ID, letters < _SLIM_CHARS)
        self.setColumnHidden(Column.BECOMES, self.delegate.short)

    def _double(self, index: QModelIndex) -> None:
        row = self._classes.row(index.row())
        if index.column() == Column.COLOR and row is not None and row.id is not None and row.color is not None:
            self.wants_color.emit(row.id)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        rows = self.chosen()
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.wants_removal.emit()
        elif event is not None and event.key() == Qt.Key.Key_Space and len(rows) == 1 and rows[0].id is not None:
            self.wants_color.emit(rows[0].id)
        else:
            super().keyPressEvent(event)
