# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts of an archive: bytes of each group along the shot, and rate against PSNR. Loads pyqtgraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QEvent, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QPalette
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from mapreel.ui.text import tr

if TYPE_CHECKING:
    from mapreel.ui.state.archive_look import ArchiveFacts

_DOT_PX = 8


class ArchiveCharts(QWidget):
    """A click on a group asks for its first frame."""

    wants_frame = pyqtSignal(int)

    def __init__(self) -> None:
        super().__init__()
        self._facts: ArchiveFacts | None = None
        self._psnr: tuple[float | None, ...] = ()
        self._here = -1
        self.bytes = _plot(tr("kilobytes"), tr("frame"))
        self.rate = _plot("dB", tr("bits a pixel"))
        self.bytes.setAccessibleName(tr("Bytes of each group of frames along the shot"))
        self.rate.setAccessibleName(tr("Rate against PSNR of each group"))
        self.bars = pg.BarGraphItem(x=[], height=[], width=0.9)
        self.bytes.addItem(self.bars)
        self.dots = pg.ScatterPlotItem(size=_DOT_PX, hoverable=True)
        self.rate.addItem(self.dots)
        self.dots.sigClicked.connect(self._clicked_dot)
        scene = self.bytes.scene()
        scene.sigMouseClicked.connect(self._clicked_bar)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.bytes)
        column.addWidget(self.rate)
        self.rate.setVisible(False)
        self._dress()

    def show_facts(self, facts: ArchiveFacts | None) -> None:
        """The groups of an archive."""
        self._facts = facts
        self._draw()
        self.bytes.getPlotItem().getViewBox().autoRange()

    def show_psnr(self, values: tuple[float | None, ...]) -> None:
        """What was measured of each group."""
        self._psnr = values
        self.rate.setVisible(any(value is not None for value in values))
        self._draw()

    def mark(self, group: int) -> None:
        """The group under the playhead."""
        if group != self._here:
            self._here = group
            self._draw()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self._dress()

    def _draw(self) -> None:
        groups = self._facts.groups if self._facts is not None else ()
        usual, here = self._colors()
        first = [group.numbers[0] if group.numbers else 0 for group in groups]
        widths = [max(1, len(group.numbers)) * 0.92 for group in groups]
        heights = [group.size_bytes / 1000 for group in groups]
        brushes = [here if place == self._here else usual for place in range(len(groups))]
        self.bars.setOpts(x0=np.array(first) - 0.5, width=np.array(widths), height=np.array(heights), brushes=brushes)
        size = self._facts.size if self._facts is not None else (1, 1)
        spots = [
            {
                "pos": (group.bits_per_pixel(size), value),
                "brush": here if place == self._here else usual,
                "size": _DOT_PX * (1.6 if place == self._here else 1),
                "data": place,
            }
            for place, (group, value) in enumerate(zip(groups, self._psnr, strict=False))
            if value is not None
        ]
        self.dots.setData(spots)

    def _colors(self) -> tuple[QColor, QColor]:
        usual = QColor(self.palette().color(QPalette.ColorRole.PlaceholderText))
        usual.setAlpha(150)
        return usual, self.palette().color(QPalette.ColorRole.Highlight)

    def _dress(self) -> None:
        for plot in (self.bytes, self.rate):
            dress_plot(plot, self.palette())
        self.bars.setOpts(pen=None)
        self.dots.setPen(None)
        self._draw()

    def _clicked_bar(self, event: object) -> None:
        box = self.bytes.getPlotItem().getViewBox()
        at = box.mapSceneToView(event.scenePos()).x()  # type: ignore[attr-defined]
        for group in self._facts.groups if self._facts is not None else ():
            if group.numbers and group.numbers[0] - 0.5 <= at < group.numbers[0] - 0.5 + len(group.numbers):
                self.wants_frame.emit(group.numbers[0])

    def _clicked_dot(self, _: object, spots: list[pg.SpotItem], *_more: object) -> None:
        if spots and self._facts is not None:
            self.wants_frame.emit(self._facts.groups[spots[0].data()].numbers[0])


def _plot(up: str, across: str) -> pg.PlotWidget:
    plot = pg.PlotWidget()
    plot.setMinimumHeight(110)
    plot.setMaximumHeight(170)
    plot.setMenuEnabled(False)
    plot.hideButtons()
    plot.setMouseEnabled(x=True, y=False)
    plot.setLabel("left", up)
    plot.setLabel("bottom", across)
    plot.showGrid(y=True, alpha=0.15)
    plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return plot


def dress_plot(plot: pg.PlotWidget, palette: QPalette) -> None:
    """The colours of the scheme."""
    plot.setBackground(palette.color(QPalette.ColorRole.Base))
    line = palette.color(QPalette.ColorRole.PlaceholderText)
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(line)
        axis.setTextPen(line)
