# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of several parts: sample sheets of a training, what the label doctor marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QPixmap, QResizeEvent
from PyQt6.QtWidgets import QDialog, QLabel, QSizePolicy, QVBoxLayout

from mapreel.ui.views.binding import describe
from mapreel.ui.views.form_rows import Scrolled

if TYPE_CHECKING:
    from PyQt6.QtGui import QImage


class SheetView(QLabel):
    """A picture as wide as there is room; a double click shows it in its own size."""

    def __init__(self, says: str, title: str) -> None:
        """says: what a pointer is told; title: of the window that shows it in its own size."""
        super().__init__()
        self._whole: QPixmap | None = None
        self._title = title
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        describe(self, says)

    def show_picture(self, picture: QImage | None) -> None:
        """Another sheet, or none."""
        self._whole = QPixmap.fromImage(picture) if picture is not None else None
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        if event is not None and event.size().width() != event.oldSize().width():
            self._fit()

    def mouseDoubleClickEvent(self, _: object) -> None:  # noqa: N802 - Qt's name
        if self._whole is None:
            return
        window = QDialog(self)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.setWindowTitle(self._title)
        label = QLabel()
        label.setPixmap(self._whole)
        QVBoxLayout(window).addWidget(Scrolled(label))
        window.resize(min(1600, self._whole.width() + 40), min(1000, self._whole.height() + 40))
        window.show()

    def _fit(self) -> None:
        self.setVisible(self._whole is not None)
        if self._whole is None or self.width() < 2:
            return
        ratio = self.devicePixelRatioF()
        width = max(1, round(self.width() * ratio))
        shown = self._whole.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)
        shown.setDevicePixelRatio(ratio)
        self.setPixmap(shown)
        self.setFixedHeight(round(shown.height() / ratio))

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(100, self.height())
