# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses over the steps: as they are, faint, and their running mean. Loads pyqtgraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QEvent, Qt
from PyQt6.QtGui import QColor, QPalette
from PyQt6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from mapreel.ui.text import significant, tr
from mapreel.ui.views.archive_chart import dress_plot
from mapreel.ui.views.binding import describe, follow, tool
from mapreel.ui.views.form_rows import narrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mapreel.ui.state.training import Training

_MEAN_STEPS = 50
_FIRST = ("total", "critic", "l1")
_SEEN = 4000
"""Points of a curve that are drawn at most."""


class TrainChart(QWidget):
    """One loss at a time, chosen by name."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self._training = training
        self.term = narrow(QComboBox())
        describe(self.term, tr("Which loss is shown"))
        self.term.currentTextChanged.connect(lambda _: self._draw())
        self.log_button = tool("flicker", tr("Logarithmic scale"), checkable=True)
        self.log_button.toggled.connect(self._scale)
        self.value = QLabel()
        self.value.setObjectName("faded")
        self.plot = pg.PlotWidget()
        self.plot.setFixedHeight(180)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setLabel("bottom", tr("step"))
        self.plot.showGrid(y=True, alpha=0.15)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setAccessibleName(tr("The chosen loss over the steps"))
        self.raw, self.mean = self.plot.plot([], []), self.plot.plot([], [])
        top = QHBoxLayout()
        top.addWidget(self.term, 1)
        top.addWidget(self.value)
        top.addWidget(self.log_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(top)
        column.addWidget(self.plot, 1)
        self._dress()
        follow(training, "terms", self._fill)
        training.logged.connect(self._draw)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self._dress()

    def _fill(self, terms: tuple[str, ...]) -> None:
        chosen = self.term.currentText()
        ordered = [*(term for term in _FIRST if term in terms), *sorted(set(terms) - set(_FIRST))]
        self.term.blockSignals(True)
        self.term.clear()
        self.term.addItems(ordered)
        self.term.setCurrentIndex(max(0, self.term.findText(chosen)) if ordered else -1)
        self.term.blockSignals(False)
        self._draw()

    def _draw(self) -> None:
        steps, values = self._training.curve(self.term.currentText())
        every = max(1, len(steps) // _SEEN)
        x, y = np.asarray(steps), np.asarray(values)
        smooth = running_mean(y, min(_MEAN_STEPS, max(1, len(y) // 5)))
        self.raw.setData(x[::every], y[::every])
        self.mean.setData(x[::every], smooth[::every])
        self.value.setText(significant(smooth[-1], 4) if len(smooth) else "")

    def _scale(self, logarithmic: bool) -> None:
        self.plot.setLogMode(x=False, y=logarithmic)

    def _dress(self) -> None:
        dress_plot(self.plot, self.palette())
        faint = QColor(self.palette().color(QPalette.ColorRole.PlaceholderText))
        faint.setAlpha(90)
        self.raw.setPen(pg.mkPen(faint, width=1))
        self.mean.setPen(pg.mkPen(self.palette().color(QPalette.ColorRole.Highlight), width=2))


def running_mean(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """The mean of each value and those before it, `length` of them where there are so many."""
    if len(values) == 0:
        return values
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - length)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))
