# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog that makes a data set out of landmarks, drawings, poses or maps, to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from mapreel.ui.state.preparing import SUFFIX
from mapreel.ui.text import tr
from mapreel.ui.views.binding import bind_choice, describe, faded, follow
from mapreel.ui.views.form_rows import PathField, Rows, follow_all, narrow
from mapreel.ui.views.sentences import Trouble

if TYPE_CHECKING:
    from mapreel.ui.state.studio import Studio


class PrepareDialog(QDialog):
    """Stays while it works; what it made stands on the list of the training."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = studio.preparing
        self.setWindowTitle(tr("Prepare a data set"))
        self.task = narrow(QComboBox())
        describe(self.task, tr("What is learnt from"))
        kinds = (
            (tr("As the files say"), ""),
            (tr("Label maps"), "city"),
            (tr("Faces: landmarks or drawings"), "face"),
            (tr("Bodies: poses or drawings"), "pose"),
        )
        bind_choice(self._state, "task", self.task, kinds)
        self.maps = PathField(
            self._state, "maps", tr("Landmarks (.npy), OpenPose files, drawings or maps: any of them"), folder=False
        )
        self.pictures = PathField(self._state, "pictures", tr("The true frames: one of them, or a movie"), folder=False)
        self.out = PathField(self._state, "out", tr("The data set that is written"), folder=False)
        self.out.button.clicked.disconnect()
        self.out.button.clicked.connect(lambda _=False: self._ask_out())
        self.bar, self.trouble = QProgressBar(), Trouble()
        self.bar.setAccessibleName(tr("Progress of the data set"))
        self.button = QPushButton(tr("Prepare"))
        describe(self.button, tr("Read all frames once and pack them"))
        self.button.clicked.connect(lambda _=False: self._state.start())
        self._lay_out()
        follow(self._state, "trouble", self.trouble.say)
        follow_all(self._state, ("running", "done", "total"), self._show)
        self._state.prepared.connect(self._made)
        self._list = studio.train_form.add_data

    def _lay_out(self) -> None:
        rows = Rows()
        rows.field(tr("Kind"), self.task)
        rows.field(tr("Learnt from"), self.maps)
        rows.field(tr("True frames"), self.pictures)
        rows.field(tr("Data set"), self.out)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.buttons.addButton(self.button, QDialogButtonBox.ButtonRole.ActionRole)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(
            faded(tr("Landmarks, sketches and poses are packed with their true frames before a training."))
        )
        column.addLayout(rows)
        column.addWidget(self.trouble)
        column.addWidget(self.bar)
        column.addWidget(self.buttons)
        self.resize(460, 0)

    def _ask_out(self) -> None:
        says, kinds = tr("The data set that is written"), f"{tr('Prepared data sets')} (*{SUFFIX})"
        file, _ = QFileDialog.getSaveFileName(self, says, self._state.out or str(Path.home()), kinds)
        if file:
            self._state.out = file if file.endswith(SUFFIX) else f"{file}{SUFFIX}"

    def _show(self) -> None:
        running = self._state.running
        self.bar.setVisible(running)
        self.bar.setRange(0, self._state.total)
        self.bar.setValue(self._state.done)
        for widget in (self.task, self.maps, self.pictures, self.out, self.button):
            widget.setEnabled(not running)

    def _made(self, file: str) -> None:
        self._list(file)
        self.accept()

    def reject(self) -> None:
        """Stop what is being made; nothing is written then."""
        self._state.stop()
        super().reject()
