# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue: what runs, waits and has run, and what can be done about it, for several jobs at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PyQt6.QtCore import QItemSelection, QItemSelectionModel, QItemSelectionRange, Qt, QTimer
from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QStackedLayout,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.job_model import Column, JobModel, Show, moment
from mapreel.ui.state.job_texts import about, span, state_label, type_label
from mapreel.ui.state.jobs import FROM, MOVABLE, Step
from mapreel.ui.state.messages import Message, Weight
from mapreel.ui.text import tr
from mapreel.ui.views.binding import allow, describe, faded, heading, tool
from mapreel.ui.views.icons import icon
from mapreel.ui.views.job_delegate import JobDelegate
from mapreel.ui.views.job_log import JobLog
from mapreel.ui.views.notify import Notifier
from mapreel.ui.views.reveal import reveal

if TYPE_CHECKING:
    from collections.abc import Callable

    from PyQt6.QtCore import QPoint

    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.studio import Studio

_TYPES = ("render", "encode", "decode", "verify", "inspect", "repair", "train")
_TICK_MS = 1000
_MOST_KEPT = 200  # jobs that stay chosen when others are shown


class JobsView(QWidget):
    """A table, the newest job on top. Every action is a button, a key and an entry of the menu."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._studio, self._jobs = studio, studio.jobs
        self.model = JobModel(studio.jobs, self)
        self.notifier = Notifier(studio, self)
        self.table = QTableView()
        self.actions_by_name: dict[str, QAction] = {}
        self._buttons: dict[str, QToolButton] = {}
        self._empty = faded(tr("No job yet. What you render, train or archive is listed here, and goes on by itself."))
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._make_actions()
        self._make_filter()
        self._dress_table()
        self._lay_out()
        self._tick = QTimer(self)  # the time that a running job has taken
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._count_on)
        self._tick.start()
        for signal in (self.model.rowsInserted, self.model.rowsRemoved, self.model.modelReset):
            signal.connect(self._look)
        studio.jobs.came.connect(self._judge)
        self._look()

    # -- making --------------------------------------------------------------------------------------------------------

    def _make_actions(self) -> None:
        steps = self._step
        self._action("open", "look", tr("Look at what the job made"), "Return", self.open_take)
        self._action("pause", "pause", tr("Pause"), "P", partial(steps, Step.PAUSE))
        self._action("resume", "play", tr("Go on with paused jobs"), "Shift+P", partial(steps, Step.RESUME))
        self._action("first", "top", tr("Do this one next"), "Ctrl+Home", partial(self._reorder, "first"))
        self._action("up", "up", tr("Earlier in the queue"), "Ctrl+Up", partial(self._reorder, "up"))
        self._action("down", "down", tr("Later in the queue"), "Ctrl+Down", partial(self._reorder, "down"))
        self._action("cancel", "stop", tr("Cancel; what is finished is kept"), "Del", partial(steps, Step.CANCEL))
        self._action("retry", "retry", tr("Try again; only what is missing is made"), "R", partial(steps, Step.RETRY))
        self._action("reveal", "folder", tr("Show in the file manager"), "Ctrl+Shift+E", self.reveal)
        self._action("log", "log", tr("What happened: attempts, errors, details"), "Ctrl+L", self.show_log)

    def _action(self, name: str, sign: str, says: str, keys: str, act: Callable[[], object]) -> None:
        action = QAction(icon(sign), says, self)
        action.setShortcut(QKeySequence(keys))
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(lambda _=False: act())
        self.table.addAction(action)
        self.actions_by_name[name] = action
        button = tool(sign, says, action.trigger)
        describe(button, says)
        shown = QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
        button.setProperty("says", f"{says} ({shown})")
        self._buttons[name] = button

    def _make_filter(self) -> None:
        self.states, self.types, self.search = QComboBox(), QComboBox(), QLineEdit()
        shows = ((tr("All"), Show.ALL), (tr("Active"), Show.OPEN), (tr("Finished"), Show.FINISHED))
        for text, show in (*shows, (tr("Failed or cancelled"), Show.TROUBLE)):
            self.states.addItem(text, show)
        self.types.addItem(tr("Every type"), "")
        for kind in _TYPES:
            self.types.addItem(type_label(kind), kind)
        describe(self.states, tr("Show jobs by their state"))
        describe(self.types, tr("Show jobs by their type"))
        describe(self.search, tr("Find jobs by shot, take or id"))
        self.search.setPlaceholderText(tr("Find"))
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(self.fontMetrics().horizontalAdvance("x") * 28)
        self.states.currentIndexChanged.connect(lambda _: self._filter(show=self.states.currentData()))
        self.types.currentIndexChanged.connect(lambda _: self._filter(kind=self.types.currentData()))
        self.search.textChanged.connect(lambda text: self._filter(text=text))

    def _dress_table(self) -> None:
        table = self.table
        table.setModel(self.model)
        table.setItemDelegate(JobDelegate(table))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.setAlternatingRowColors(True)
        table.setWordWrap(False)
        table.setFrameShape(QTableView.Shape.NoFrame)
        table.setAccessibleName(tr("Jobs"))
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._open_menu)
        table.doubleClicked.connect(lambda _: self._activate())
        rows, columns = table.verticalHeader(), table.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        columns.setHighlightSections(False)
        for header in (rows, columns):  # with that of the table, they look through all chosen rows at every paint
            header.setSelectionModel(QItemSelectionModel(self.model, header))
        columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        columns.setStyleSheet("QHeaderView::section { padding: 4px 3px; }")
        metrics = self.fontMetrics()
        letter = metrics.horizontalAdvance("x")
        for column, texts in widest(self.model).items():
            room = metrics.height() + letter if column is Column.STATE else 0
            columns.resizeSection(column, max(map(metrics.horizontalAdvance, texts)) + 2 * letter + room)
        columns.setSectionResizeMode(Column.WHAT, QHeaderView.ResizeMode.Stretch)
        columns.setMinimumSectionSize(letter * 6)
        selection = table.selectionModel()
        assert selection is not None
        selection.selectionChanged.connect(self._judge)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(4)
        top.addWidget(heading(tr("Jobs")))
        top.addSpacing(8)
        for field in (self.states, self.types, self.search):
            top.addWidget(field)
        top.addStretch(1)
        for button in self._buttons.values():
            top.addWidget(button)
        self._stack = QStackedLayout()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.table)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(8, 4, 8, 4)
        whole.setSpacing(4)
        whole.addLayout(top)
        whole.addLayout(self._stack, 1)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _look(self, *_: object) -> None:
        self._stack.setCurrentIndex(1 if self._jobs.count else 0)
        self._judge()

    def _filter(self, **wanted: object) -> None:
        chosen = self.chosen()
        self.model.show_only(**wanted)
        if len(chosen) <= _MOST_KEPT:
            self.choose([view.id for view in chosen])

    def _count_on(self) -> None:
        if self._jobs.waiting and self.table.isVisible():
            viewport = self.table.viewport()
            if viewport is not None:
                viewport.update()

    def button(self, name: str) -> QToolButton:
        """The button of an action, by its name."""
        return self._buttons[name]

    def chosen(self) -> list[JobView]:
        """The jobs that are selected, from above."""
        selection = self.table.selectionModel()
        spans = selection.selection() if selection is not None else QItemSelection()  # all may be ten thousand rows
        rows = sorted(
            {
                row
                for span in map(spans.__getitem__, range(spans.count()))
                for row in range(span.top(), span.bottom() + 1)
            }
        )
        return [view for view in map(self.model.view_at, rows) if view is not None]

    def choose(self, jobs: list[str]) -> None:
        """Select these jobs, where they are shown."""
        selection = self.table.selectionModel()
        assert selection is not None
        wanted = QItemSelection()
        for row in filter(lambda row: row >= 0, map(self.model.row_of, jobs)):
            wanted.append(QItemSelectionRange(self.model.index(row, 0)))
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        selection.select(wanted, flags)

    def _judge(self, *_: object) -> None:
        """Which actions there are for what is chosen, and why not the others."""
        chosen = self.chosen()
        none = tr("No job is chosen.") if not chosen else ""
        reasons = dict.fromkeys(self.actions_by_name, none)
        if chosen:
            states = {view.state for view in chosen}
            for step in Step:
                if not states & FROM[step]:
                    reasons[step.value] = _why_not(step)
            for name in ("first", "up", "down"):
                reasons[name] = "" if states & MOVABLE else tr("Only jobs that wait for their turn can be moved.")
            reasons["open"] = "" if self._studio.takes.can_show(chosen[0]) else tr("The job has made nothing to see.")
            reasons["reveal"] = "" if any(view.take for view in chosen) else tr("The job writes no files.")
        for name, reason in reasons.items():
            self.actions_by_name[name].setEnabled(not reason)
            allow(self._buttons[name], reason)

    def _open_menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        for number, action in enumerate(self.actions_by_name.values()):
            if number in (1, 3, 6, 8):
                menu.addSeparator()
            menu.addAction(action)
        viewport = self.table.viewport()
        if viewport is not None:
            menu.exec(viewport.mapToGlobal(place))

    # -- acting --------------------------------------------------------------------------------------------------------

    def _activate(self) -> None:
        """A double click: what there is to see, else what happened."""
        chosen = self.chosen()
        if chosen and self._studio.takes.can_show(chosen[0]):
            self.open_take()
        else:
            self.show_log()

    def _step(self, step: Step) -> None:
        self._jobs.take_step(step, [view.id for view in self.chosen()])

    def _reorder(self, where: str) -> None:
        self._jobs.move(where, [view.id for view in self.chosen()])

    def open_take(self) -> None:
        """Look at what the first chosen job made."""
        chosen = self.chosen()
        if chosen:
            self._studio.takes.show(chosen[0])

    def reveal(self) -> None:
        """Show the take of the first chosen job that has one in the file manager."""
        take = next((view.take for view in self.chosen() if view.take), None)
        if take is not None and not reveal(take):
            what = tr("The folder {folder} could not be shown.", folder=take)
            self._studio.messages.say(Message(what, tr("Look whether the disk is there."), weight=Weight.WARNING))

    def show_log(self) -> None:
        """Tell all about the first chosen job."""
        chosen = self.chosen()
        if chosen:
            JobLog(self._jobs, chosen[0].id, self).show()


def widest(model: JobModel) -> dict[Column, list[str]]:
    """The texts that a column has to have room for, with its title."""
    texts = {
        Column.TYPE: [type_label(kind) for kind in _TYPES],
        Column.STATE: [state_label(state) for state in JobState] + [tr("Waiting, no. {place}", place=88)],
        Column.PROGRESS: ["0000 / 0000" * 2],
        Column.LEFT: [about(seconds) for seconds in (1, 40, 3000, 360_000)],
        Column.STARTED: [moment(0.0)],
        Column.TOOK: [span(600.0), span(50 * 3600.0)],
    }
    titles = {column: str(model.headerData(column, Qt.Orientation.Horizontal)) for column in texts}
    return {column: [titles[column], *words] for column, words in texts.items()}


def _why_not(step: Step) -> str:
    return {
        Step.PAUSE: tr("Only jobs that run or wait can be paused."),
        Step.RESUME: tr("The job is not paused."),
        Step.CANCEL: tr("The job is over."),
        Step.RETRY: tr("Only jobs that failed or were cancelled can be tried again."),
    }[step]
