# SPDX-License-Identifier: GPL-3.0-or-later
"""All about one job: what went wrong in three parts, every attempt, what was asked for."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.job_model import moment
from mapreel.ui.state.job_texts import attempt_label, job_label, job_title, span, state_label
from mapreel.ui.state.messages import sentence
from mapreel.ui.text import retold, tr
from mapreel.ui.views.binding import describe, faded, heading
from mapreel.ui.views.job_delegate import state_icon

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.jobs import Jobs

_SIZE = (620, 460)
_SIGN_PX = 22


class JobLog(QDialog):
    """Stays open beside the window and follows its job."""

    def __init__(self, jobs: Jobs, job: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*_SIZE)
        self._jobs, self._job = jobs, job
        self._view: JobView | None = None
        self._closed = False
        self.finished.connect(self._forget)
        self._sign, self._title, self._state = QLabel(), heading(""), faded()
        self._what, self._remedy = QLabel(), faded()
        for label in (self._title, self._what, self._remedy):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setWordWrap(True)
        self.attempts = QTreeWidget()
        self.attempts.setHeaderLabels([tr("Attempt"), tr("Ended"), tr("Since"), tr("Took"), tr("Why")])
        self.attempts.setRootIsDecorated(False)
        self.attempts.setAccessibleName(tr("Attempts"))
        self.detail = QPlainTextEdit()
        self.detail.setReadOnly(True)
        self.detail.setAccessibleName(tr("Details"))
        self._lay_out()
        jobs.changed.connect(self._hear)
        self._ask()

    @property
    def text(self) -> str:
        """All of it, to copy."""
        lines = [self._title.text(), self._state.text(), self._what.text(), self._remedy.text()]
        for row in range(self.attempts.topLevelItemCount()):
            item = self.attempts.topLevelItem(row)
            if item is not None:
                lines.append("  ".join(item.text(column) for column in range(5)).strip())
        return "\n".join([*filter(None, lines), "", self.detail.toPlainText()]).strip()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(10)
        words = QVBoxLayout()
        words.setSpacing(2)
        for label in (self._title, self._state, self._what, self._remedy):
            words.addWidget(label)
        top.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(words, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = QPushButton(tr("Copy all"))
        describe(copy, tr("Copy everything that is told here"), keys="Ctrl+Shift+C")
        copy.clicked.connect(self._copy)
        buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.close)
        column = QVBoxLayout(self)
        column.addLayout(top)
        column.addWidget(self.attempts, 2)
        column.addWidget(faded(tr("Details for whoever helps")))
        column.addWidget(self.detail, 3)
        column.addWidget(buttons)

    def _hear(self, view: JobView) -> None:
        if view.id == self._job and (self._view is None or self._view.state is not view.state):
            self._ask()

    def _ask(self) -> None:
        self._jobs.details(self._job, self._show)

    def _forget(self) -> None:
        self._closed = True

    def _show(self, view: JobView) -> None:
        if self._closed:  # the answer came too late
            return
        self._view = view
        request = view.data.get("request") or {}
        title = f"{job_label(view)}: {job_title(view, request)}"
        self.setWindowTitle(title)
        self._title.setText(title)
        self._sign.setPixmap(state_icon(view.state).pixmap(QSize(_SIGN_PX, _SIGN_PX)))
        asked = tr("Asked for: {when}", when=moment(float(view.data.get("created_s", 0.0))))
        self._state.setText(f"{state_label(view.state)} · {asked} · {view.id}")
        error = view.error if view.state is not JobState.FINISHED else None
        self._what.setText(sentence(error.what) if error else "")
        self._remedy.setText(sentence(error.remedy) if error else "")
        for label in (self._what, self._remedy):
            label.setVisible(bool(label.text()))
        self._show_attempts(view)
        self.detail.setPlainText(self._details(view, request))

    def _show_attempts(self, view: JobView) -> None:
        self.attempts.clear()
        for one in view.data.get("tries", []):
            ended = one.get("ended_s") or time.time()
            taken = span(ended - one["started_s"])
            why = retold(one["reason"])
            told = [str(one["number"]), attempt_label(one["state"]), moment(one["started_s"]), taken, why]
            item = QTreeWidgetItem(told)
            item.setToolTip(4, why)
            self.attempts.addTopLevelItem(item)
        header = self.attempts.header()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)

    def _details(self, view: JobView, request: dict[str, object]) -> str:
        parts = []
        if view.error is not None:
            told = [view.error.code, view.error.file or "", view.error.detail]
            parts.append("\n".join(filter(None, told)))
        parts += [f"{one['number']}: {one['detail']}" for one in view.data.get("tries", []) if one.get("detail")]
        if view.result is not None:
            parts.append(json.dumps(view.result, indent=1, ensure_ascii=False))
        parts.append(json.dumps(request, indent=1, ensure_ascii=False))
        return "\n\n".join(parts)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text)
