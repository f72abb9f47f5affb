# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a field, said where the field is; and lines that end in dots where they have no room."""

from __future__ import annotations

from PyQt6.QtCore import QEvent, Qt
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QApplication, QLabel, QSizePolicy

from mapreel.ui.views.theme import sign_color


class Trouble(QLabel):
    """A sentence in the colour of a sign; takes no room while there is none."""

    def __init__(self, sign: str = "error") -> None:
        super().__init__()
        self._sign = sign
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setVisible(False)

    def say(self, words: str) -> None:
        """Show a sentence, or nothing."""
        self._paint()
        self.setText(words)
        self.setAccessibleDescription(words)
        self.setVisible(bool(words))

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self._paint()

    def _paint(self) -> None:
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        sheet = f"color: {sign_color(app, self._sign).name()}"
        if self.styleSheet() != sheet:
            self.setStyleSheet(sheet)


class Line(QLabel):
    """One line that has dots where it has no room. whole: all of it."""

    def __init__(self, whole: str, mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle) -> None:
        super().__init__(whole)
        self._whole, self._mode = whole, mode
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.setText(self.fontMetrics().elidedText(self._whole, self._mode, self.width()))
