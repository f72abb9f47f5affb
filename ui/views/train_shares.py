# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the pixels each class has, as bars."""

from __future__ import annotations

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPalette
from PyQt6.QtWidgets import QSizePolicy, QWidget

from mapreel.ui.text import percent, significant, tr, trn

_SHOWN = 6
_BAR = 0.42  # of the width


class ShareBars(QWidget):
    """The largest classes; all of them in the tooltip."""

    def __init__(self) -> None:
        super().__init__()
        self._shares: tuple[tuple[str, float], ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Classes and their part of the pixels"))

    def show_shares(self, shares: tuple[tuple[str, float], ...]) -> None:
        """Names and parts of 1, the largest first."""
        self._shares = shares
        lines = [f"{name}: {significant(share * 100, 2)} %" for name, share in shares[:60]]
        counted = tr("Counted on up to 12 frames of each shot.")
        self.setToolTip("\n".join([*lines, counted]) if shares else "")
        self.setAccessibleDescription(", ".join(lines[:20]))
        self.setVisible(bool(shares))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        rows = min(len(self._shares), _SHOWN) + (len(self._shares) > _SHOWN)
        return QSize(120, rows * (self.fontMetrics().height() + 3))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return self.sizeHint()

    def paintEvent(self, _: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        quiet = self.palette().color(QPalette.ColorRole.PlaceholderText)
        high, letters = self.fontMetrics().height() + 3, self.fontMetrics()
        largest = max((share for _, share in self._shares), default=1.0) or 1.0
        number = letters.horizontalAdvance("<0.1 %") + 6
        left = self.width() * (1 - _BAR) - number
        bar = QColor(quiet)
        bar.setAlpha(120)
        for row, (name, share) in enumerate(self._shares[:_SHOWN]):
            top = row * high
            painter.setPen(text)
            shown = letters.elidedText(name, Qt.TextElideMode.ElideRight, int(left) - 6)
            painter.drawText(QRectF(0, top, left, high), int(Qt.AlignmentFlag.AlignVCenter), shown)
            painter.setPen(quiet)
            place = QRectF(left, top, number, high)
            flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight)
            painter.drawText(place, flags, percent(share * 100))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(bar)
            width = max(1.0, (self.width() * _BAR - 8) * share / largest)
            painter.drawRoundedRect(QRectF(left + number + 8, top + 4, width, high - 8), 2, 2)
        if len(self._shares) > _SHOWN:
            painter.setPen(quiet)
            more = len(self._shares) - _SHOWN
            words = trn("{count} more class", "{count} more classes", more)
            painter.drawText(QRectF(0, _SHOWN * high, self.width(), high), int(Qt.AlignmentFlag.AlignVCenter), words)
