# SPDX-License-Identifier: GPL-3.0-or-later
"""The label doctor's window: what is wrong and where, what mending changes, and the button that applies it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QImage
from PyQt6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QListWidget,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mapreel.ui.state.label_doctor import Visit, problem_label
from mapreel.ui.text import tr, trn
from mapreel.ui.views.binding import allow, describe, faded, follow, heading, primary
from mapreel.ui.views.form_rows import Scrolled
from mapreel.ui.views.sheet_view import SheetView

if TYPE_CHECKING:
    from mapreel.ui.state.label_doctor import LabelDoctor

_SIZE_PX = (860, 640)


class DoctorDialog(QDialog):
    """Stays open beside the window; closing it stops nothing."""

    def __init__(self, doctor: LabelDoctor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._doctor = doctor
        self.setWindowTitle(tr("Label doctor: {name}", name=doctor.shot.name))
        self.resize(*_SIZE_PX)
        self._says = heading("")
        self._lines = QListWidget()
        self._lines.setWordWrap(True)
        self._lines.setAccessibleName(tr("What was found"))
        self._table = QTableWidget(0, 3)
        self._table.setHorizontalHeaderLabels([tr("Problem"), tr("Before"), tr("After")])
        self._table.setAccessibleName(tr("Counts before and after mending"))
        self._table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        header, side = self._table.horizontalHeader(), self._table.verticalHeader()
        if header is not None and side is not None:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            side.hide()
        where = tr("Where in the pictures")
        self._picture = SheetView(where, where)
        self._bar = QProgressBar()
        self._bar.setRange(0, 1000)
        self._bar.setAccessibleName(tr("How far the doctor is"))
        self._where = faded()
        self.examine_button = QPushButton(tr("&Examine all frames"))
        describe(self.examine_button, tr("Look at every map of the shot"))
        self.mend_button = QPushButton(tr("&Mend into copies"))
        describe(self.mend_button, tr("Write mended copies into a new folder; the maps themselves stay as they are"))
        self.use_button = primary(tr("&Use the mended maps"), tr("Let the shot read the mended copies from now on"))
        self.cancel_button = QPushButton(tr("Cancel"))
        describe(self.cancel_button, tr("Stop what the doctor does"))
        self._lay_out()
        self.examine_button.clicked.connect(doctor.examine)
        self.mend_button.clicked.connect(doctor.mend)
        self.use_button.clicked.connect(doctor.use_copies)
        self.cancel_button.clicked.connect(doctor.cancel)
        for name, show in (
            ("lines", self._show_lines),
            ("counts", self._show_counts),
            ("picture", self._show_picture),
            ("share", self._show_share),
            ("copies", self._show_copies),
            ("visit", self._show_visit),
        ):
            follow(doctor, name, show)

    def _lay_out(self) -> None:
        scroll = Scrolled(self._picture)
        buttons = QHBoxLayout()
        for button in (self.examine_button, self.mend_button):
            buttons.addWidget(button)
        buttons.addStretch(1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.use_button)
        found = QHBoxLayout()
        found.addWidget(self._lines, 3)
        found.addWidget(self._table, 2)
        whole = QVBoxLayout(self)
        whole.addWidget(self._says)
        whole.addLayout(found, 2)
        whole.addWidget(scroll, 3)
        whole.addWidget(self._where)
        whole.addWidget(self._bar)
        whole.addLayout(buttons)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _show_lines(self, lines: tuple[str, ...]) -> None:
        self._lines.clear()
        self._lines.addItems(lines)
        self._show_visit(self._doctor.visit)

    def _show_counts(self, counts: tuple[tuple[str, int, int | None], ...]) -> None:
        self._table.setRowCount(len(counts))
        for row, (problem, before, after) in enumerate(counts):
            for column, text in enumerate((problem_label(problem), str(before), "" if after is None else str(after))):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self._table.setItem(row, column, item)
        self._table.setVisible(bool(counts))

    def _show_picture(self, path: str) -> None:
        self._picture.show_picture(QImage(path) if path else None)

    def _show_share(self, share: float) -> None:
        self._bar.setValue(round(share * 1000))

    def _show_copies(self, folder: str) -> None:
        self._where.setText(tr("The copies lie in {folder}.", folder=folder) if folder else "")
        self._where.setVisible(bool(folder))

    def _show_visit(self, visit: Visit) -> None:
        count = len(self._doctor.lines)
        said = {
            Visit.NEW: self._doctor.shot.glance or tr("No frame was examined yet."),
            Visit.EXAMINING: tr("Looking at every map …"),
            Visit.EXAMINED: trn("{count} kind of problem was found.", "{count} kinds of problems were found.", count)
            if count
            else tr("Nothing is wrong with these maps."),
            Visit.MENDING: tr("Writing mended copies …"),
            Visit.MENDED: tr("This is what mending changes. The shot still reads the maps as they were."),
            Visit.USED: tr("The shot reads the mended copies now."),
        }
        busy = visit in (Visit.EXAMINING, Visit.MENDING)
        self._says.setText(said[visit])
        self._bar.setVisible(busy)
        self.cancel_button.setVisible(busy)
        why = {"busy": tr("The doctor is at work."), "clean": tr("Nothing to mend was found yet."), "": ""}
        allow(self.examine_button, why["busy"] if busy else "")
        allow(self.mend_button, why[self._doctor.can_mend])
        allow(self.use_button, "" if visit is Visit.MENDED else tr("Mend the maps first."))
