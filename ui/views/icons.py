# SPDX-License-Identifier: GPL-3.0-or-later
"""Icons out of SVG files, in the colours of the scheme: `currentColor` in the file is the text colour."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import QByteArray, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPalette, QPixmap
from PyQt6.QtSvg import QSvgRenderer
from PyQt6.QtWidgets import QApplication

ICONS = Path(__file__).resolve().parents[2] / "resources" / "icons"


class _Engine(QIconEngine):
    """Draws one file in the size and colours that are asked for, at any scale of the screen."""

    def __init__(self, name: str, color: QColor | None = None) -> None:
        super().__init__()
        self._name, self._color = name, color
        self._text = (ICONS / f"{name}.svg").read_text(encoding="utf-8")

    def paint(self, painter: QPainter | None, rect: object, mode: QIcon.Mode, _state: QIcon.State) -> None:
        palette = QApplication.palette()
        group = QPalette.ColorGroup.Disabled if mode is QIcon.Mode.Disabled else QPalette.ColorGroup.Normal
        color = self._color or palette.color(group, QPalette.ColorRole.ButtonText)
        svg = QSvgRenderer(QByteArray(self._text.replace("currentColor", color.name()).encode()))
        svg.render(painter, QRectF(rect))  # type: ignore[call-overload]

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        picture = QPixmap(size)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        self.paint(painter, picture.rect(), mode, state)
        painter.end()
        return picture

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._color)


def icon(name: str, color: QColor | None = None) -> QIcon:
    """The icon of this name in resources/icons. Raises FileNotFoundError for one that is not there."""
    return QIcon(_Engine(name, color))
