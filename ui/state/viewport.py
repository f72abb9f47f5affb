# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the picture lies in the viewer: from zoom and centre to rectangles, and from the mouse back to pixels."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt6.QtCore import QPointF, QRectF, QSizeF

LEAST, MOST = 0.02, 64.0
"""Screen pixels for a pixel of the picture."""
GAP = 2.0  # between two panes, in points


@dataclass(frozen=True)
class Viewport:
    """room: the viewer in points. picture: width and height in pixels. panes: 1, or 2 beside each other.

    zoom: screen pixels for a pixel of the picture; None: as large as fits. centre: the point of the picture in the
    middle of each pane, in parts of its size. ratio: screen pixels for a point.
    """

    room: QSizeF
    picture: tuple[int, int]
    panes: int = 1
    zoom: float | None = None
    centre: tuple[float, float] = (0.5, 0.5)
    ratio: float = 1.0

    def areas(self) -> tuple[QRectF, ...]:
        """The part of the viewer that each pane may fill: beside each other or above, as the picture is larger."""
        width, height = self.room.width(), self.room.height()
        if self.panes == 1:
            return (QRectF(0, 0, width, height),)
        half = QSizeF((width - GAP) / 2, height), QSizeF(width, (height - GAP) / 2)
        if self._fitting(half[0]) >= self._fitting(half[1]):
            return QRectF(QPointF(0, 0), half[0]), QRectF(QPointF(half[0].width() + GAP, 0), half[0])
        return QRectF(QPointF(0, 0), half[1]), QRectF(QPointF(0, half[1].height() + GAP), half[1])

    def scale(self) -> float:
        """Points for a pixel of the picture."""
        return self._fitting(self.areas()[0].size()) if self.zoom is None else self.zoom / self.ratio

    def rects(self) -> tuple[QRectF, ...]:
        """Where each pane's picture lies, on whole pixels of the screen; it may reach beyond its area."""
        scale = self.scale()
        across, down = self.centre if self.zoom is not None else (0.5, 0.5)
        width, height = (max(1, round(side * scale * self.ratio)) / self.ratio for side in self.picture)
        found = []
        for area in self.areas():
            left = area.center().x() - across * width
            top = area.center().y() - down * height
            found.append(QRectF(self._whole(left), self._whole(top), width, height))
        return tuple(found)

    def pixel_at(self, point: QPointF) -> tuple[int, int] | None:
        """The pixel of the picture under a point of the viewer."""
        for area, rect in zip(self.areas(), self.rects(), strict=True):
            if area.contains(point) and rect.contains(point):
                x = int((point.x() - rect.left()) / rect.width() * self.picture[0])
                y = int((point.y() - rect.top()) / rect.height() * self.picture[1])
                return min(x, self.picture[0] - 1), min(y, self.picture[1] - 1)
        return None

    def zoomed(self, factor: float, about: QPointF) -> tuple[float, tuple[float, float]]:
        """Zoom and centre that make the picture so much larger and leave what lies at a point where it is."""
        zoom = min(MOST, max(LEAST, self.scale() * self.ratio * factor))
        area, rect = self._pane_at(about)
        x = (about.x() - rect.left()) / rect.width()
        y = (about.y() - rect.top()) / rect.height()
        away = about - area.center()
        width, height = (side * zoom / self.ratio for side in self.picture)
        return zoom, (x - away.x() / width, y - away.y() / height)

    def panned(self, by: QPointF) -> tuple[float, tuple[float, float]]:
        """Zoom and centre after the picture was dragged."""
        rect, area = self.rects()[0], self.areas()[0]
        x = (area.center().x() - by.x() - rect.left()) / rect.width()
        y = (area.center().y() - by.y() - rect.top()) / rect.height()
        return self.scale() * self.ratio, (min(1.2, max(-0.2, x)), min(1.2, max(-0.2, y)))

    def _pane_at(self, point: QPointF) -> tuple[QRectF, QRectF]:
        pairs = list(zip(self.areas(), self.rects(), strict=True))
        return next((pair for pair in pairs if pair[0].contains(point)), pairs[0])

    def _fitting(self, room: QSizeF) -> float:
        width, height = self.picture
        return max(1e-3, min(room.width() / max(1, width), room.height() / max(1, height)))

    def _whole(self, points: float) -> float:
        return round(points * self.ratio) / self.ratio
