# SPDX-License-Identifier: GPL-3.0-or-later
"""The line of the wipe: which side is whose, how it is drawn, where it can be taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF

if TYPE_CHECKING:
    from collections.abc import Callable

_FAR = 100_000.0
_KNOB, _HANDLE, _REACH = 5.0, 8.0, 90.0  # points
_TAKE = 14.0


class Part(Enum):
    """What of the line is under the mouse."""

    NONE = "none"
    HANDLE = "handle"
    KNOB = "knob"


@dataclass(frozen=True)
class WipeLine:
    """A line through a point of the picture, turned clockwise from upright by degrees."""

    rect: QRectF
    at: tuple[float, float]
    angle: float

    @property
    def middle(self) -> QPointF:
        """The point on the line where it is moved."""
        return QPointF(
            self.rect.left() + self.at[0] * self.rect.width(), self.rect.top() + self.at[1] * self.rect.height()
        )

    @property
    def along(self) -> QPointF:
        """One point's length along the line, upwards when it is upright."""
        turn = math.radians(self.angle)
        return QPointF(math.sin(turn), -math.cos(turn))

    @property
    def knob(self) -> QPointF:
        """The point on the line where it is turned."""
        return self.middle + self.along * _REACH

    def part_at(self, point: QPointF) -> Part:
        """What can be taken here."""
        for part, place in ((Part.KNOB, self.knob), (Part.HANDLE, self.middle)):
            away = point - place
            if math.hypot(away.x(), away.y()) <= _TAKE:
                return part
        away = point - self.middle
        aside = away.x() * self.along.y() - away.y() * self.along.x()
        return Part.HANDLE if abs(aside) <= _KNOB else Part.NONE

    def moved(self, point: QPointF) -> tuple[float, float]:
        """The line's point when the mouse drags it here, inside the picture."""
        x = (point.x() - self.rect.left()) / max(1.0, self.rect.width())
        y = (point.y() - self.rect.top()) / max(1.0, self.rect.height())
        return min(1.0, max(0.0, x)), min(1.0, max(0.0, y))

    def turned(self, point: QPointF) -> float:
        """The angle when the mouse drags the knob here; whole steps of 5 degrees."""
        away = point - self.middle
        return float(round(math.degrees(math.atan2(away.x(), -away.y())) / 5) * 5 % 360)

    def draw(self, painter: QPainter, first: Callable[[], None], second: Callable[[], None]) -> None:
        """Draws A on the left of the line, B on its right, then the line."""
        for draw, side in ((first, -1.0), (second, 1.0)):
            painter.save()
            self._clip(painter, side)
            draw()
            painter.restore()
        self._draw_line(painter)

    def _clip(self, painter: QPainter, side: float) -> None:
        if self.angle == 0.0:
            x = self.middle.x()
            left = QRectF(x - _FAR, -_FAR, _FAR, 2 * _FAR) if side < 0 else QRectF(x, -_FAR, _FAR, 2 * _FAR)
            painter.setClipRect(left, Qt.ClipOperation.IntersectClip)
            return
        along, across = self.along * _FAR, QPointF(-self.along.y(), self.along.x()) * _FAR * side
        ends = self.middle + along, self.middle - along
        path = QPainterPath()
        path.addPolygon(QPolygonF([ends[0], ends[1], ends[1] + across, ends[0] + across]))
        painter.setClipPath(path, Qt.ClipOperation.IntersectClip)

    def _draw_line(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for color, width in ((QColor(0, 0, 0, 120), 3.0), (QColor(255, 255, 255, 210), 1.2)):
            painter.setPen(QPen(color, width))
            painter.drawLine(self.middle - self.along * _FAR, self.middle + self.along * _FAR)
        painter.setPen(QPen(QColor(0, 0, 0, 160), 1.0))
        painter.setBrush(QColor(255, 255, 255, 230))
        painter.drawEllipse(self.middle, _HANDLE, _HANDLE)
        painter.drawEllipse(self.knob, _KNOB, _KNOB)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
