# SPDX-License-Identifier: GPL-3.0-or-later
"""A training as it goes: its job, its losses, its sample sheets; keeping it as a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from mapreel.core.contract.errors import UsageError
from mapreel.ui.state.job_texts import span
from mapreel.ui.state.messages import spoken
from mapreel.ui.state.train_choice import check_name
from mapreel.ui.state.train_form import LICENCES
from mapreel.ui.text import significant, tr
from mapreel.ui.views.binding import allow, describe, faded, follow, heading, tool
from mapreel.ui.views.form_rows import Scrolled, follow_all
from mapreel.ui.views.job_card import JobCard
from mapreel.ui.views.sentences import Trouble
from mapreel.ui.views.sheet_view import SheetView
from mapreel.ui.views.train_chart import TrainChart

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.studio import Studio


class WatchPart(QWidget):
    """Job, chart, samples, and the button that keeps a model."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio, self._training = studio, studio.train_form.training
        training = self._training
        self.card = JobCard(studio, training.watch, tr("Training"), told=train_words, pausable=True)
        self.place, self.told = faded(), faded()
        self.chart = TrainChart(training)
        self.sheet = SheetView(tr("Samples of the training; double click for their own size"), tr("Samples"))
        self.earlier = tool("previous", tr("The samples before"), lambda: self._step(-1))
        self.later = tool("next", tr("The samples after"), lambda: self._step(1))
        self.which = faded()
        self.keep_button = QPushButton(tr("Keep as a model …"))
        describe(self.keep_button, tr("Make a model of what is learnt by now; the training goes on"))
        self.keep_button.clicked.connect(lambda _=False: self.keep())
        self.keeping = faded(tr("The model is being written …"))
        self._lay_out()
        follow_all(training, ("folder", "step", "pace_s", "checkpoint_step"), self._show_facts)
        follow_all(training, ("samples", "sample"), self._show_which)
        follow(training, "picture", self.sheet.show_picture)
        follow_all(training, ("folder", "keeping", "step", "checkpoint_step"), self._judge)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(heading(tr("Samples")), 1)
        row.addWidget(self.which)
        row.addWidget(self.earlier)
        row.addWidget(self.later)
        self.which.setWordWrap(False)
        self.legend = faded(tr("Maps, truth and result, side by side"))
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(self.card)
        column.addWidget(self.place)
        column.addWidget(self.told)
        column.addWidget(heading(tr("Losses")))
        column.addWidget(self.chart)
        column.addLayout(row)
        column.addWidget(self.sheet)
        column.addWidget(self.legend)
        column.addStretch(1)
        below = QVBoxLayout()
        below.setContentsMargins(8, 4, 8, 8)
        below.addWidget(self.keeping)
        below.addWidget(self.keep_button)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(Scrolled(inside), 1)
        whole.addLayout(below)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _show_facts(self) -> None:
        training = self._training
        self.place.setText(Path(training.folder).name if training.folder else tr("No training yet."))
        self.place.setToolTip(training.folder)
        told = []
        if training.step:
            told.append(tr("Step {number}", number=training.step))
        if training.pace_s:
            told.append(tr("{pace} s a step", pace=significant(training.pace_s, 2)))
        if training.checkpoint_step > 0:
            told.append(tr("checkpoint at step {number}", number=training.checkpoint_step))
        self.told.setText(" · ".join(told))
        self.told.setVisible(bool(told))

    def _show_which(self) -> None:
        samples, place = self._training.samples, self._training.sample
        shown = samples[place] if 0 <= place < len(samples) else ""
        number = Path(shown).stem.removeprefix("step_").lstrip("0") if shown else ""
        self.which.setText(tr("Step {number}", number=number) if number else "")
        none = tr("The first samples come with the first checkpoint.")
        allow(self.earlier, "" if place > 0 else tr("There are none before.") if samples else none)
        allow(self.later, "" if 0 <= place < len(samples) - 1 else tr("There are none after.") if samples else none)
        self.legend.setText(tr("Maps, truth and result, side by side") if samples else none)

    def _judge(self) -> None:
        allow(self.keep_button, self._training.why_not_kept())
        self.keeping.setVisible(self._training.keeping)

    def _step(self, by: int) -> None:
        self._training.sample += by

    def keep(self) -> None:
        """Ask for name, licence and place, then keep it."""
        KeepDialog(self._studio, self).exec()


class KeepDialog(QDialog):
    """Name, licence and folder of a model."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._studio, form = studio, studio.train_form
        self.setWindowTitle(tr("Keep as a model"))
        self.name, self.licence, self.trouble = QLineEdit(form.name), QComboBox(), Trouble()
        describe(self.name, tr("Name of the model"))
        self.licence.setEditable(True)
        self.licence.addItems(LICENCES)
        self.licence.setCurrentText(form.licence)
        describe(self.licence, tr("Licence of the model, kept inside it"))
        self.folder = QLineEdit(studio.preferences.kept("models_folder") or str(Path.home() / "Mapreel" / "models"))
        describe(self.folder, tr("Folder of your models"))
        rows = QFormLayout()
        rows.addRow(tr("Name"), self.name)
        rows.addRow(tr("Licence"), self.licence)
        rows.addRow(tr("Folder"), self.folder)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._keep)
        buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addLayout(rows)
        whole.addWidget(faded(tr("A training that runs pauses for this, then goes on.")))
        whole.addWidget(self.trouble)
        whole.addWidget(buttons)
        self.resize(420, 0)

    def _keep(self) -> None:
        name, folder = self.name.text().strip(), self.folder.text().strip()
        try:
            check_name(name)
            if not Path(folder).is_absolute():
                raise UsageError("the folder is no whole path", "choose a folder")
        except UsageError as error:
            self.trouble.say(spoken(error))
            return
        self._studio.preferences.keep("models_folder", folder)
        self._studio.train_form.training.keep(folder, name, self.licence.currentText().strip())
        self.accept()


def train_words(view: JobView) -> str:
    """What a training came to."""
    result = view.result or {}
    seconds = result.get("seconds")
    told = [tr("Finished at step {number}", number=result.get("steps", "?"))]
    return " · ".join([*told, *([span(float(seconds))] if isinstance(seconds, (int, float)) else [])])
