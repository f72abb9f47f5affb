# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of the render view: a sentence about a field, the reference pictures, and how the render goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.job_texts import span, state_label, time_left
from mapreel.ui.state.messages import sentence, spoken
from mapreel.ui.text import tr, trn
from mapreel.ui.views.binding import allow, describe, faded, follow, tool
from mapreel.ui.views.icons import icon
from mapreel.ui.views.job_card import JobFace
from mapreel.ui.views.job_log import JobLog
from mapreel.ui.views.theme import sign_color

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.render_form import RenderForm
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.studio import Studio

_SIGN_PX = 16
_PICTURES = "*.png *.exr *.tif *.tiff *.jpg *.jpeg *.dpx *.webp"


class Problem(QWidget):
    """One sentence about a field, with a sign; takes no room while all is well."""

    def __init__(self, sign: str = "warning") -> None:
        super().__init__()
        self._kind = sign
        self._sign, self.label = QLabel(), modest(faded())
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 2)
        row.setSpacing(5)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.label, 1)
        self.say("")

    def say(self, text: str) -> None:
        """Show a sentence, or nothing."""
        self.label.setText(text.replace("/", "/\u200b"))  # a long path may be broken after each of its parts
        self.setVisible(bool(text))
        app = QApplication.instance()
        if text and isinstance(app, QApplication):
            picture = icon(self._kind, sign_color(app, self._kind)).pixmap(QSize(_SIGN_PX, _SIGN_PX))
            self._sign.setPixmap(picture)


def modest(label: QLabel) -> QLabel:
    """Let a label be as narrow as its view is, however long its longest word."""
    label.setMinimumWidth(1)
    return label


class References(QWidget):
    """The true pictures that the render starts from: frame number and file."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio, self._form = studio, studio.render_form
        self._shot: ShotState | None = None
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Reference pictures"))
        self.list.setMaximumHeight(self.fontMetrics().height() * 4)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._none = modest(faded(tr("None: the model picks its own look.")))
        self.add_button = tool("add", tr("Add a true picture for a frame"), self.add)
        self.truth_button = tool("picture", tr("Use the true picture of the frame under the playhead"), self.use_truth)
        self.remove_button = tool("remove", tr("Take the chosen picture off the list"), self.remove)
        buttons = QHBoxLayout()
        buttons.setSpacing(2)
        for button in (self.add_button, self.truth_button, self.remove_button):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.list, self._none):
            column.addWidget(widget)
        column.addLayout(buttons)
        self.list.currentRowChanged.connect(self._judge)
        follow(studio.shots, "current", self._follow)

    def add(self) -> None:
        """Ask for a picture and for the frame that it shows."""
        shot = self._studio.shots.current
        if shot is None:
            return
        start = str(Path(shot.truth or shot.source))
        file, _ = QFileDialog.getOpenFileName(
            self, tr("A true picture of the shot"), start, f"{tr('Pictures')} ({_PICTURES})"
        )
        if file:
            asked = tr("Which frame does it show?")
            first, last = shot.first, shot.last
            frame, good = QInputDialog.getInt(
                self, tr("Reference picture"), asked, self.frame() or first, min(0, first), last
            )
            if good:
                self._form.add_reference(frame, file)

    def use_truth(self) -> None:
        """The shot's own picture of the frame that is looked at."""
        self._form.use_truth(self.frame())

    def remove(self) -> None:
        """Forget the chosen one."""
        item = self.list.currentItem()
        if item is not None:
            self._form.remove_reference(item.data(Qt.ItemDataRole.UserRole))

    def frame(self) -> int:
        """The frame under the playhead, else the first one."""
        playback = getattr(self._studio, "playback", None)
        shot = self._studio.shots.current
        return int(playback.frame) if playback is not None else shot.first if shot is not None else 0

    def _follow(self, shot: ShotState | None) -> None:
        if self._shot is not None:
            self._shot.references_changed.disconnect(self._show)
            self._shot.truth_changed.disconnect(self._judge)
        self._shot = shot
        if shot is not None:
            shot.references_changed.connect(self._show)
            shot.truth_changed.connect(self._judge)
        self._show(shot.references if shot is not None else ())

    def _show(self, references: tuple[tuple[int, str], ...]) -> None:
        self.list.clear()
        for frame, file in references:
            item = QListWidgetItem(f"{frame}  {Path(file).name}")
            item.setData(Qt.ItemDataRole.UserRole, frame)
            item.setToolTip(file)
            self.list.addItem(item)
        self.list.setVisible(bool(references))
        self._none.setVisible(not references)
        if references:
            self.list.setCurrentRow(0)
        self._judge()

    def _judge(self, _: object = None) -> None:
        none = tr("No shot is open.") if self._shot is None else ""
        truth = "" if self._shot is not None and self._shot.truth else tr("The shot has no true pictures.")
        allow(self.add_button, none)
        allow(self.truth_button, none or truth)
        allow(self.remove_button, none or ("" if self.list.currentItem() else tr("No picture is chosen.")))


class RenderProgress(JobFace):
    """How the last render goes: bar, frames, time left; how it ended."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio, self._form = studio, studio.render_form
        modest(self.told)
        self.cancel_button = tool("stop", tr("Cancel; finished frames are kept"), self._form.cancel)
        self.look_button = tool("look", tr("Look at the take"), self._look)
        self.log_button = tool("log", tr("What happened: attempts, errors, details"), self._log)
        self.close_button = tool("close", tr("Put this away"), self._form.put_away)
        self.lay_out(self.look_button, self.log_button, self.cancel_button, self.close_button)
        describe(self.bar, tr("Progress of the render"))
        follow(self._form, "job", self._show)

    def _show(self, view: JobView | None) -> None:
        self.setVisible(view is not None)
        if view is None:
            return
        self.show_job(view, view.id, told_of(view))
        self.cancel_button.setVisible(not view.state.is_over)
        self.close_button.setVisible(view.state.is_over)
        self.look_button.setVisible(view.state is JobState.FINISHED)

    def _look(self) -> None:
        if self._form.job is not None:
            self._studio.takes.show(self._form.job)

    def _log(self) -> None:
        if self._form.job is not None:
            JobLog(self._studio.jobs, self._form.job.id, self).show()


def told_of(view: JobView) -> str:
    """One line or two about a render."""
    if view.state is JobState.FINISHED:
        frames = int((view.result or {}).get("frames", 0))
        seconds = float((view.result or {}).get("seconds", 0.0))
        notes = [sentence(str(note)) for note in (view.result or {}).get("notes", [])]
        said = trn("{count} frame in {time}", "{count} frames in {time}", frames, time=span(seconds))
        return "\n".join([said, *notes])
    if view.error is not None and view.state.is_over:
        return spoken(view.error)
    if view.state is not JobState.RUNNING or view.progress is None:
        return {
            JobState.QUEUED: tr("Waiting for its turn"),
            JobState.RUNNING: tr("Loading the model and the maps …"),
        }.get(view.state, state_label(view.state))
    done = tr("{done} of {total} frames", done=view.progress.done, total=view.progress.total)
    left = time_left(view)
    return f"{done} · {tr('{time} left', time=left)}" if left else done


def asks(form: RenderForm, field: str, show: Callable[[str], None]) -> None:
    """Tell the sentence about one field now and whenever it changes."""

    def hear(problems: tuple[tuple[str, str], ...]) -> None:
        show(dict(problems).get(field, ""))

    follow(form, "problems", hear)
