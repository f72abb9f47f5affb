# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a training: shots, what is in them, how long, name, licence, where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mapreel.ui.state.job_texts import about
from mapreel.ui.state.train_choice import MOST_STEPS
from mapreel.ui.state.train_form import LICENCES
from mapreel.ui.text import significant, tr, trn
from mapreel.ui.views.binding import (
    allow,
    bind_choice,
    bind_number,
    bind_text,
    describe,
    faded,
    follow,
    primary,
    tool,
)
from mapreel.ui.views.form_rows import PathField, Rows, Scrolled, follow_all, narrow
from mapreel.ui.views.sentences import Trouble
from mapreel.ui.views.train_shares import ShareBars

if TYPE_CHECKING:
    from mapreel.ui.state.studio import Studio
    from mapreel.ui.state.train_look import DataFacts

_MOST_MINUTES = 60 * 24 * 14


class SetupPart(QWidget):
    """Everything is bound to the form; one big button."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio, self._form = studio, studio.train_form
        self.rows = Rows()
        self._make_data()
        self._make_length()
        self._make_name()
        self.button = primary(tr("Start training"), tr("Begin to learn from these shots"), self._form.start)
        self.sums = faded()
        self._lay_out()
        follow(self._form, "problems", lambda told: self.rows.say(told, quiet=self._quiet()))
        follow(self._form, "reason", lambda reason: allow(self.button, reason))
        follow(self._form, "warnings", lambda told: self.warnings.say("\n".join(told)))
        names = ("steps", "by_time", "minutes", "pace_s", "pace_known", "data")
        follow_all(self._form, names, self._show_sums)
        follow(self._form, "resume", self._show_resume)

    def _make_data(self) -> None:
        form = self._form
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Shots to learn from"))
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setFixedHeight(self.fontMetrics().height() * 4 + 16)
        self.list.itemSelectionChanged.connect(self._judge)
        self.current_button = tool("maps", tr("Learn from the current shot, too"), self._add_current)
        self.add_button = tool("add", tr("Add a folder that holds label/ and color/"), self.add_folder)
        self.file_button = tool("folder", tr("Add a prepared data set"), self.add_file)
        self.prepare_button = tool("strip", tr("Prepare landmarks, sketches or poses to learn from"), self.prepare)
        self.remove_button = tool("remove", tr("Take the chosen shot off the list; its files stay"), self._remove)
        buttons = QHBoxLayout()
        buttons.setSpacing(2)
        ways = (self.add_button, self.current_button, self.file_button, self.prepare_button, self.remove_button)
        for button in ways:
            buttons.addWidget(button)
        buttons.addStretch(1)
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        self.told, self.warnings, self.shares = faded(), Trouble("warning"), ShareBars()
        column.addWidget(self.list)
        column.addLayout(buttons)
        for widget in (self.told, self.shares, self.warnings):
            column.addWidget(widget)
        self.rows.addRow(holder)
        self.rows.trouble("data")
        self.palette_box = narrow(QComboBox())
        describe(self.palette_box, tr("Names and ids of the classes that are learnt"))
        self._fill_palettes()
        self.rows.field(tr("Classes"), self.palette_box)
        follow_all(form, ("data", "facts", "looking", "shares"), self._show_data)
        follow(form, "shares", self.shares.show_shares)
        self._studio.shots.current_changed.connect(lambda _: self._judge())

    def _fill_palettes(self) -> None:
        from mapreel.ui.state.palette_files import shipped_folder

        names = sorted(path.stem for path in shipped_folder().glob("*.json"))
        choices = [(tr("the ids that are found"), ""), *((name, name) for name in names)]
        bind_choice(self._form, "palette", self.palette_box, choices)
        self._form.palette_changed.connect(self._show_palette)
        self._show_palette(self._form.palette)

    def _show_palette(self, palette: str) -> None:
        if palette and self.palette_box.findData(palette) < 0:
            self.palette_box.addItem(Path(palette).name, palette)
        self.palette_box.setCurrentIndex(self.palette_box.findData(palette))

    def _make_length(self) -> None:
        form = self._form
        self.mode = narrow(QComboBox())
        self.mode.setMinimumContentsLength(5)
        describe(self.mode, tr("Train for a number of steps, or for a time"))
        bind_choice(form, "by_time", self.mode, ((tr("steps"), False), (tr("minutes"), True)))
        self.steps, self.minutes = QSpinBox(), QSpinBox()
        for field, most, step in ((self.steps, MOST_STEPS, 500), (self.minutes, _MOST_MINUTES, 15)):
            field.setRange(1, most)
            field.setSingleStep(step)
            field.setKeyboardTracking(False)
            field.setMinimumWidth(64)
            field.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        describe(self.steps, tr("Steps in all, those before included"))
        describe(self.minutes, tr("Time that the training may take"))
        bind_number(form, "steps", self.steps)
        bind_number(form, "minutes", self.minutes)
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.steps, self.minutes):
            row.addWidget(widget, 1)
        row.addWidget(self.mode, 1)
        self.rows.field(tr("Length"), holder)
        follow(form, "by_time", self._show_mode)

    def _show_mode(self, timed: bool) -> None:
        self.steps.setVisible(not timed)
        self.minutes.setVisible(timed)

    def _make_name(self) -> None:
        form = self._form
        self.name, self.licence = QLineEdit(), narrow(QComboBox())
        describe(self.name, tr("Name of the model"))
        bind_text(form, "name", self.name)
        self.licence.setEditable(True)
        self.licence.addItems(LICENCES)
        describe(self.licence, tr("Licence of the model, kept inside it"))
        follow(form, "licence", self.licence.setCurrentText)
        self.licence.currentTextChanged.connect(lambda text: setattr(form, "licence", text))
        self.folder = PathField(form, "folder", tr("Folder of the training: checkpoint, log, samples, model"))
        self.resume_button = tool("retry", tr("Go on with an earlier training"), self.open_training)
        self.anew_button = tool("close", tr("Begin anew instead"), form.begin_anew)
        self.resumed = faded()
        self.rows.field(tr("Name"), self.name, "name")
        self.rows.field(tr("Licence"), self.licence)
        self.rows.field(tr("Folder"), self.folder, "folder", "rest")
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.resume_button)
        row.addWidget(self.resumed, 1)
        row.addWidget(self.anew_button)
        self.rows.addRow(row)

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 8, 8, 8)
        column.addLayout(self.rows)
        column.addStretch(1)
        below = QVBoxLayout()
        below.setContentsMargins(8, 4, 8, 8)
        below.setSpacing(8)
        below.addWidget(self.sums)
        below.addWidget(self.button)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(Scrolled(inside), 1)
        whole.addLayout(below)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _quiet(self) -> frozenset[str]:
        """An empty form accuses nobody."""
        return frozenset() if self._form.data else frozenset({"name", "folder", "rest"})

    def _show_data(self) -> None:
        chosen = self._chosen()
        by_path = {fact.path: fact for fact in self._form.facts}
        self.list.clear()
        for path in self._form.data:
            item = QListWidgetItem(_line(path, by_path.get(path)))
            item.setData(Qt.ItemDataRole.UserRole, path)
            item.setToolTip(path)
            self.list.addItem(item)
            item.setSelected(path == chosen)
        sound = [fact for fact in self._form.facts if not fact.trouble and fact.frames]
        frames = sum(fact.frames for fact in sound)
        if self._form.looking:
            self.told.setText(tr("The shots are being looked at …"))
        elif sound:
            classes = trn("{count} class", "{count} classes", len(self._form.shares))
            self.told.setText(f"{trn('{count} frame', '{count} frames', frames)} · {classes}")
        else:
            self.told.setText("" if self._form.data else tr("A shot to learn from is a folder with label/ and color/."))
        self._judge()

    def _show_sums(self) -> None:
        choice = self._form.choice()
        told = [trn("{count} step", "{count} steps", choice.planned_steps)]
        if self._form.pace_known:
            how = tr("at {pace} s a step, as in the last training", pace=significant(choice.pace_s, 2))
            told += [about(choice.seconds), how]
        else:
            told.append(tr("the first steps will tell how long they take"))
        self.sums.setText(" · ".join(told))

    def _show_resume(self, resume: bool) -> None:
        self.resumed.setText(tr("Goes on with the training in this folder.") if resume else "")
        self.anew_button.setVisible(resume)
        self.button.setText(tr("Go on training") if resume else tr("Start training"))

    def _judge(self) -> None:
        folder = self._form.current_folder()
        taken = tr("It is on the list.") if folder in self._form.data else ""
        none = tr("The current shot has no folders label and color side by side.")
        allow(self.current_button, taken if folder else none)
        allow(self.remove_button, "" if self._chosen() else tr("Choose a shot of the list first."))

    def _chosen(self) -> str:
        items = self.list.selectedItems()
        return str(items[0].data(Qt.ItemDataRole.UserRole)) if items else ""

    # -- what the artist does --------------------------------------------------------------------------------------

    def _add_current(self) -> None:
        self._form.add_data(self._form.current_folder())

    def add_folder(self) -> None:
        """Ask for a folder."""
        folder = QFileDialog.getExistingDirectory(self, tr("A shot to learn from"), self._start())
        if folder:
            self._form.add_data(folder)

    def add_file(self) -> None:
        """Ask for a prepared data set."""
        kinds = f"{tr('Prepared data sets')} (*.safetensors)"
        file, _ = QFileDialog.getOpenFileName(self, tr("A prepared data set"), self._start(), kinds)
        if file:
            self._form.add_data(file)

    def prepare(self) -> None:
        """Make a data set; it is on the list then."""
        from mapreel.ui.views.train_prepare import PrepareDialog

        PrepareDialog(self._studio, self).exec()

    def open_training(self) -> None:
        """Ask for the folder of an earlier training."""
        folder = QFileDialog.getExistingDirectory(self, tr("The folder of a training"), self._start())
        if folder:
            self._form.open_training(folder)

    def _remove(self) -> None:
        self._form.remove_data(self._chosen())

    def _start(self) -> str:
        return str(Path(self._form.data[-1]).parent) if self._form.data else str(Path.home())


def _line(path: str, facts: DataFacts | None) -> str:
    name = Path(path).name
    if facts is None or facts.trouble or not facts.frames:
        return name
    frames = trn("{count} frame", "{count} frames", facts.frames)
    return f"{name} · {frames} · {facts.size[0]} x {facts.size[1]}"
