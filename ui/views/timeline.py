# SPDX-License-Identifier: GPL-3.0-or-later
"""The scrub bar: all frames of the shot, in and out points, what is in memory, gaps, key frames, references, drafts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING

from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from PyQt6.QtGui import QColor, QPainter, QPalette, QPen, QPixmap, QPolygonF
from PyQt6.QtWidgets import QSizePolicy, QWidget

from mapreel.ui.state.shot import Layer
from mapreel.ui.text import tr
from mapreel.ui.views.binding import follow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PyQt6.QtGui import QMouseEvent, QPaintEvent

    from mapreel.ui.state.studio import Studio

_STEPS = (1, 2, 5, 10, 20, 24, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000)
_TINT_MS = 150
_TAKE = 6.0  # points around an in or out point where it can be dragged
_HEAD = 5.0
_KEYS_APART, _NEAR = 3.0, 4.0  # points


class Timeline(QWidget):
    """What stands still is drawn once into a picture; moving the playhead draws that and a line."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frames, self._viewer, self._playback = studio.frames, studio.viewer, studio.playback
        self._keys = studio.key_frames
        self._still: QPixmap | None = None
        self._drag = ""
        self._inside = QPalette.ColorRole.Light
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Timeline"))
        self._says = tr("Drag to scrub; drag the brackets to cut. I and O set them here.")
        self.setToolTip(self._says)
        self._tint = QTimer(self)
        self._tint.setSingleShot(True)
        self._tint.setInterval(_TINT_MS)
        self._tint.timeout.connect(self._renew)
        self._playback.range_changed.connect(self._renew)
        self._keys.numbers_changed.connect(self._renew)
        self._frames.came.connect(self._later)
        self._frames.forgotten.connect(self._later)
        follow(self._playback, "frame", self._moved)
        for state, name in ((self._playback, "shot"), (self._viewer, "layer_a"), (self._viewer, "layer_b")):
            getattr(state, f"{name}_changed").connect(self._renew)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(320, round(self.fontMetrics().height() * 2.5))

    # -- numbers and places ----------------------------------------------------------------------------------------

    def place_of(self, number: int) -> float:
        """The middle of a frame number's column, in points."""
        first, count = self._extent()
        return (number - first + 0.5) / count * self.width()

    def number_at(self, x: float) -> int:
        """The frame number at a point."""
        first, count = self._extent()
        return first + min(count - 1, max(0, int(x / max(1, self.width()) * count)))

    def _extent(self) -> tuple[int, int]:
        """First number, and how many there are to the last, gaps counted."""
        numbers = self._playback.numbers
        return (numbers[0], numbers[-1] - numbers[0] + 1) if numbers else (0, 1)

    # -- what changes ----------------------------------------------------------------------------------------------

    def _later(self, *_: object) -> None:
        if not self._tint.isActive():
            self._tint.start()

    def _renew(self, _: object = None) -> None:
        self._still = None
        self.update()

    def _moved(self, number: int) -> None:
        self.setAccessibleDescription(tr("Frame {number}", number=number))
        self.update()

    def resizeEvent(self, _: object) -> None:  # noqa: N802 - Qt's name
        self._renew()

    def changeEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)  # type: ignore[arg-type]
        self._renew()

    # -- painting --------------------------------------------------------------------------------------------------

    def paintEvent(self, _: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        if self._still is None:
            self._still = self._draw_still()
        painter.drawPixmap(0, 0, self._still)
        if self._playback.numbers:
            self._draw_head(painter)
        if self.hasFocus():
            painter.setPen(self.palette().color(QPalette.ColorRole.Highlight))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))

    def _draw_head(self, painter: QPainter) -> None:
        accent = self.palette().color(QPalette.ColorRole.Highlight)
        x = round(self.place_of(self._playback.frame)) + 0.5
        wide = max(1.5, self.width() / self._extent()[1])
        soft = QColor(accent)
        soft.setAlpha(90)
        painter.fillRect(QRectF(x - wide / 2, self._band().top(), wide, self._band().height()), soft)
        painter.fillRect(QRectF(x - 0.75, 0, 1.5, self.height()), accent)
        text, metrics = str(self._playback.frame), self.fontMetrics()
        width = metrics.horizontalAdvance(text) + 2 * _HEAD
        left = min(max(0.0, x - width / 2), self.width() - width)
        sign = QRectF(left, 0, width, metrics.height())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(accent)
        painter.drawRoundedRect(sign, 3, 3)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(self.palette().color(QPalette.ColorRole.HighlightedText))
        painter.drawText(sign, int(Qt.AlignmentFlag.AlignCenter), text)

    def _band(self) -> QRectF:
        """The strip of frames, below the numbers."""
        top = self.fontMetrics().height() + 2
        return QRectF(0, top, self.width(), self.height() - top - 3)

    def _draw_still(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(self.palette().color(QPalette.ColorRole.Window))
        painter = QPainter(picture)
        band = self._band()
        dark = self.palette().color(QPalette.ColorRole.Window).lightness() < 128
        outside, self._inside = (QPalette.ColorRole.Base, QPalette.ColorRole.Light)
        if not dark:
            outside, self._inside = QPalette.ColorRole.Mid, QPalette.ColorRole.Base
        painter.fillRect(band, self.palette().color(outside))
        if self._playback.numbers:
            self._draw_cut(painter, band)
            self._draw_memory(painter, band)
            self._draw_gaps(painter, band)
            self._draw_keys(painter, band)
            self._draw_marks(painter, band)
            self._draw_numbers(painter, band)
            self._draw_brackets(painter, band)
        painter.end()
        return picture

    def _columns(self, band: QRectF, spans: Iterable[tuple[int, int]]) -> Iterable[QRectF]:
        """Rectangles over spans of numbers, first and last."""
        first, count = self._extent()
        for start, end in spans:
            left, right = ((place - first) / count * self.width() for place in (start, end + 1))
            yield QRectF(left, band.top(), max(1.0, right - left), band.height())

    def _draw_cut(self, painter: QPainter, band: QRectF) -> None:
        shot = self._playback.shot
        assert shot is not None
        for rect in self._columns(band, [(shot.cut_in, shot.cut_out)]):
            painter.fillRect(rect, self.palette().color(self._inside))

    def _draw_memory(self, painter: QPainter, band: QRectF) -> None:
        """A line under the frames that are in memory: A below, B above it."""
        shot, tint = self._playback.shot, self.palette().color(QPalette.ColorRole.Link)
        assert shot is not None
        layers = dict.fromkeys(
            (self._viewer.layer_a, self._viewer.layer_b) if self._viewer.two else (self._viewer.layer_a,)
        )
        for row, layer in enumerate(layers):
            line = QRectF(0, band.bottom() - 3 * (row + 1), band.width(), 2)
            for rect in self._columns(line, _spans(sorted(self._frames.numbers(shot, layer)))):
                painter.fillRect(rect, tint)

    def _draw_gaps(self, painter: QPainter, band: QRectF) -> None:
        """Hatched where the shot has no frame."""
        shot = self._playback.shot
        assert shot is not None
        warning = QColor(200, 80, 60, 150)
        for rect in self._columns(band, _spans(shot.gaps)):
            painter.fillRect(rect, QColor(200, 80, 60, 60))
            painter.fillRect(rect, Qt.BrushStyle.BDiagPattern)
            painter.fillRect(QRectF(rect.left(), rect.top(), rect.width(), 2), warning)

    def _draw_keys(self, painter: QPainter, band: QRectF) -> None:
        """Short strokes from the top for key frames of the take; those of a dense shot that have room."""
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.WindowText), 1))
        drawn = -10.0
        for number in self._keys.numbers:
            if (x := self.place_of(number)) - drawn >= _KEYS_APART:
                painter.drawLine(QPointF(x, band.top() + 1), QPointF(x, band.top() + band.height() * 0.35))
                drawn = x

    def told_at(self, x: float) -> str:
        """What the mark at a point is; what the timeline is for where there is none."""
        shot = self._playback.shot
        for number, file in shot.references if shot is not None else ():
            if abs(self.place_of(number) - x) <= _NEAR:
                return tr("Reference picture of frame {number}: {file}", number=number, file=PurePath(file).name)
        near = min(self._keys.numbers, key=lambda number: abs(self.place_of(number) - x), default=None)
        if near is not None and abs(self.place_of(near) - x) <= _NEAR:
            return tr("Key frame {number}: the network painted it.", number=near)
        return self._says

    def _draw_marks(self, painter: QPainter, band: QRectF) -> None:
        """Dots for drafts, diamonds for reference frames."""
        shot = self._playback.shot
        assert shot is not None
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().color(QPalette.ColorRole.PlaceholderText))
        y = band.top() + band.height() * 0.4
        drawn = -10.0
        for number in sorted(self._frames.numbers(shot, Layer.DRAFT)):
            if (x := self.place_of(number)) - drawn >= 3:
                painter.drawEllipse(QPointF(x, y), 1.8, 1.8)
                drawn = x
        painter.setBrush(self.palette().color(QPalette.ColorRole.Highlight))
        for number, _ in shot.references:
            x = self.place_of(number)
            painter.drawPolygon(QPolygonF([QPointF(x - 4, y), QPointF(x, y - 4), QPointF(x + 4, y), QPointF(x, y + 4)]))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _draw_numbers(self, painter: QPainter, band: QRectF) -> None:
        first, count = self._extent()
        metrics = self.fontMetrics()
        wide = metrics.horizontalAdvance(str(first + count)) + 14
        step = next((step for step in _STEPS if step / count * self.width() >= wide), _STEPS[-1])
        painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
        for number in range(first + (-first) % step, first + count, step):
            x = self.place_of(number)
            text = str(number)
            width = metrics.horizontalAdvance(text)
            left = min(max(0.0, x - width / 2), self.width() - width)
            painter.drawText(QPointF(left, metrics.ascent()), text)
            painter.drawLine(QPointF(x, band.top() - 2), QPointF(x, band.top()))

    def _draw_brackets(self, painter: QPainter, band: QRectF) -> None:
        shot = self._playback.shot
        assert shot is not None
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        for number, side in ((shot.cut_in, 1), (shot.cut_out, -1)):
            x = round(self._edge(number, side)) + 0.5 * side
            for start, end in (
                (QPointF(x, band.top()), QPointF(x, band.bottom())),
                (QPointF(x, band.top()), QPointF(x + 4 * side, band.top())),
                (QPointF(x, band.bottom()), QPointF(x + 4 * side, band.bottom())),
            ):
                painter.drawLine(start, end)

    def _edge(self, number: int, side: int) -> float:
        """Where the column of a number begins (1) or ends (-1)."""
        return self.place_of(number) - side * self.width() / self._extent()[1] / 2

    # -- the mouse -------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is not None and event.button() == Qt.MouseButton.LeftButton and self._playback.numbers:
            self._drag = self._part_at(event.position()) or "head"
            self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is None or not self._playback.numbers:
            return
        number = self.number_at(event.position().x())
        if self._drag == "head":
            self._playback.pause()
            self._playback.go(number)
        elif self._drag == "in":
            self._playback.set_in(number)
        elif self._drag == "out":
            self._playback.set_out(number)
        else:
            over = self._part_at(event.position())
            self.setCursor(Qt.CursorShape.SizeHorCursor if over else Qt.CursorShape.ArrowCursor)
            self.setToolTip(self.told_at(event.position().x()))

    def mouseReleaseEvent(self, _: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        self._drag = ""

    def _part_at(self, point: QPointF) -> str:
        """`in` or `out` near one of the brackets, below the numbers."""
        shot = self._playback.shot
        if shot is None or point.y() < self._band().center().y():
            return ""
        for name, number, side in (("in", shot.cut_in, 1), ("out", shot.cut_out, -1)):
            if abs(self._edge(number, side) - point.x()) <= _TAKE:
                return name
        return ""


def _spans(numbers: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Ascending numbers as spans, first and last of each."""
    ordered = list(numbers)
    if not ordered:
        return
    start = ordered[0]
    for before, after in pairwise(ordered):
        if after != before + 1:
            yield start, before
            start = after
    yield start, ordered[-1]
