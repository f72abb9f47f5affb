# SPDX-License-Identifier: GPL-3.0-or-later
"""How the job of a form goes: bar, time left, the steps that can be taken, how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.job_texts import state_label, time_left
from mapreel.ui.state.jobs import Step
from mapreel.ui.state.messages import spoken
from mapreel.ui.text import tr
from mapreel.ui.views.binding import describe, faded, follow, tool
from mapreel.ui.views.job_delegate import state_icon

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.job_watch import JobWatch
    from mapreel.ui.state.studio import Studio

_SIGN_PX = 16


class JobFace(QFrame):
    """How a job goes, on a card: its sign, name, buttons, bar, and a line of words. Hidden while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self._sign, self.title, self.told = QLabel(), QLabel(), faded()
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(6)

    def lay_out(self, *buttons: QWidget) -> None:
        """The buttons stand at the right of the name."""
        top = QHBoxLayout()
        top.setSpacing(2)
        top.addWidget(self._sign)
        top.addSpacing(4)
        top.addWidget(self.title, 1)
        for button in buttons:
            top.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 4, 6)
        column.setSpacing(3)
        column.addLayout(top)
        column.addWidget(self.bar)
        column.addWidget(self.told)

    def show_job(self, view: JobView, unnamed: str, words: str) -> None:
        """unnamed: what a job without a take is called."""
        self.title.setText(Path(view.take).name if view.take else unnamed)
        self.title.setToolTip(view.take or "")
        self._sign.setPixmap(state_icon(view.state).pixmap(QSize(_SIGN_PX, _SIGN_PX)))
        self._sign.setToolTip(state_label(view.state))
        done = view.progress
        begun = done is not None and done.total > 0
        self.bar.setVisible(not view.state.is_over)
        self.bar.setRange(0, done.total if begun and done is not None else 0)
        self.bar.setValue(done.done if done is not None else 0)
        self.told.setText(words)


class JobCard(JobFace):
    """title: what the job is called; it may give the end of a job in words (`told`)."""

    def __init__(
        self,
        studio: Studio,
        watch: JobWatch,
        title: str,
        *,
        told: Callable[[JobView], str] | None = None,
        look: Callable[[JobView], object] | None = None,
        look_says: str = "",
        pausable: bool = False,
    ) -> None:
        super().__init__()
        self._studio, self._watch, self._title, self._told, self._look = studio, watch, title, told, look
        describe(self.bar, tr("Progress of {what}", what=title))
        self._pausable = pausable
        self.pause_button = tool("pause", tr("Pause; what is done is kept"), lambda: watch.step(Step.PAUSE))
        self.resume_button = tool("play", tr("Go on"), lambda: watch.step(Step.RESUME))
        self.cancel_button = tool("stop", tr("Cancel; what is done is kept"), lambda: watch.step(Step.CANCEL))
        self.retry_button = tool("retry", tr("Try again; what is done is kept"), lambda: watch.step(Step.RETRY))
        self.look_button = tool("look", look_says or tr("Look at it"), self._open)
        self.log_button = tool("log", tr("What happened: attempts, errors, details"), self._log)
        self.close_button = tool("close", tr("Put this away"), watch.put_away)
        buttons = (self.look_button, self.pause_button, self.resume_button, self.retry_button)
        self.lay_out(*buttons, self.log_button, self.cancel_button, self.close_button)
        follow(watch, "view", self._show)

    def _show(self, view: JobView | None) -> None:
        self.setVisible(view is not None)
        if view is None:
            return
        self.show_job(view, self._title, self._words(view))
        self._show_steps(view)

    def _show_steps(self, view: JobView) -> None:
        over = view.state.is_over
        self.pause_button.setVisible(self._pausable and self._watch.can(Step.PAUSE))
        self.resume_button.setVisible(self._watch.can(Step.RESUME))
        self.retry_button.setVisible(self._watch.can(Step.RETRY))
        self.cancel_button.setVisible(not over)
        self.close_button.setVisible(over)
        self.look_button.setVisible(self._look is not None and view.state is JobState.FINISHED)

    def _words(self, view: JobView) -> str:
        if view.error is not None and view.state is not JobState.FINISHED:
            return spoken(view.error)
        if view.state is JobState.FINISHED and self._told is not None:
            return self._told(view)
        done = view.progress
        counted = f"{done.done} / {done.total}" if done is not None and done.total and not view.state.is_over else ""
        return " · ".join(part for part in (state_label(view.state), counted, time_left(view)) if part)

    def _open(self) -> None:
        if self._look is not None and self._watch.view is not None:
            self._look(self._watch.view)

    def _log(self) -> None:
        from mapreel.ui.views.job_log import JobLog

        if self._watch.view is not None:
            JobLog(self._studio.jobs, self._watch.view.id, self).show()
