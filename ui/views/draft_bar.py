# SPDX-License-Identifier: GPL-3.0-or-later
"""One line under the viewer: whether drafts are made, how good the one that is shown is, what a wait is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QWidget

from mapreel.ui.text import figure, tr
from mapreel.ui.views.binding import bind_check, follow, tool

if TYPE_CHECKING:
    from mapreel.ui.state.drafts import Drafts

_BUSY_PX = 80


class DraftBar(QWidget):
    """Bound to the drafts; costs nothing while they rest."""

    def __init__(self, drafts: Drafts, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._drafts = drafts
        self.toggle = tool("pencil", tr("Draft the frame under the playhead"), checkable=True, keys="Ctrl+Shift+D")
        bind_check(drafts, "enabled", self.toggle)
        self._says = QLabel()
        self._says.setObjectName("faded")
        self._busy = QProgressBar()
        self._busy.setRange(0, 0)
        self._busy.setFixedWidth(_BUSY_PX)
        self._busy.setTextVisible(False)
        self._busy.setAccessibleName(tr("A draft is being made"))
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 8, 2)
        row.addWidget(self.toggle)
        row.addWidget(self._says, 1)
        row.addWidget(self._busy)
        for name in ("enabled", "sentence", "rank", "latency_ms"):
            follow(drafts, name, self._show)

    def _show(self, _: object = None) -> None:
        self._busy.setVisible(bool(self._drafts.sentence))
        text = self._text()
        self._says.setText(text)
        self._says.setToolTip(text)

    def _text(self) -> str:
        drafts = self._drafts
        if not drafts.enabled:
            return tr("Drafts are off.")
        if drafts.sentence == "starting":
            return tr("Starting the worker …")
        if drafts.sentence == "loading":
            usual = drafts.usual_s
            if usual is None:
                return tr("Loading the model {model} for the first time …", model=drafts.model)
            return tr("Loading the model {model}, about {seconds} s …", model=drafts.model, seconds=figure(usual, 0))
        if drafts.sentence:
            return tr("Drawing …")
        looks = {1: tr("First look"), 2: tr("Draft"), 3: tr("Fast quality")}
        shown = looks.get(drafts.rank, "")
        if drafts.latency_ms and shown:
            return tr("{look}, the last first look came after {ms} ms", look=shown, ms=figure(drafts.latency_ms, 0))
        return shown
