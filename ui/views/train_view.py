# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: the form that begins one, and the page on which it is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QStackedWidget, QTabBar, QVBoxLayout, QWidget

from mapreel.ui.text import tr
from mapreel.ui.views.binding import follow
from mapreel.ui.views.chart_library import preload
from mapreel.ui.views.train_setup import SetupPart

if TYPE_CHECKING:
    from mapreel.ui.state.studio import Studio
    from mapreel.ui.views.train_watch import WatchPart


class TrainView(QWidget):
    """Turns to the training when one is begun."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._studio = studio
        self.setup = SetupPart(studio)
        self.watch: WatchPart | None = None
        self.tabs, self.stack = QTabBar(), QStackedWidget()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setAccessibleName(tr("Training"))
        for title, says in (
            (tr("Set up"), tr("Choose shots and begin a training")),
            (tr("Progress"), tr("Watch the training")),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(title), says)
        self._later = QWidget()
        self.stack.addWidget(self.setup)
        self.stack.addWidget(self._later)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.tabs)
        column.addWidget(self.stack, 1)
        self.tabs.currentChanged.connect(self._turn)
        preload(studio.errands)
        follow(studio.train_form.training, "folder", lambda folder: self.tabs.setCurrentIndex(1) if folder else None)

    def _turn(self, place: int) -> None:
        if place == 1 and self.watch is None:
            from mapreel.ui.views.train_watch import WatchPart  # loads pyqtgraph, which takes a while

            self.watch = WatchPart(self._studio)
            self.stack.insertWidget(1, self.watch)
            self.stack.removeWidget(self._later)
        self.stack.setCurrentIndex(place)
