# SPDX-License-Identifier: GPL-3.0-or-later
"""The message in front: what happened, what to do, detail to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from mapreel.ui.state.messages import Weight
from mapreel.ui.text import tr, trn
from mapreel.ui.views.binding import faded, follow, tool
from mapreel.ui.views.icons import icon
from mapreel.ui.views.theme import sign_color

if TYPE_CHECKING:
    from mapreel.ui.state.messages import Message, Messages

_SIGN = {Weight.NOTE: "note", Weight.WARNING: "warning", Weight.ERROR: "error"}
_ICON_PX = 20


class MessageBar(QFrame):
    """Shows the newest standing message; hidden while there is none."""

    def __init__(self, messages: Messages, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._messages = messages
        self._shown: Message | None = None
        self._sign = QLabel()
        self._what, self._remedy, self._more = QLabel(), faded(), faded()
        for label in (self._what, self._remedy):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setWordWrap(True)
        self._what.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        words = QVBoxLayout()
        words.setSpacing(1)
        for label in (self._what, self._remedy, self._more):
            words.addWidget(label)
        self.copy_button = tool("copy", tr("Copy the message with its details"), self._copy)
        self.close_button = tool("close", tr("Put the message away"), self._put_away)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 6, 6)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        follow(messages, "standing", self._show)

    def _show(self, standing: tuple[Message, ...]) -> None:
        self._shown = standing[-1] if standing else None
        self.setVisible(self._shown is not None)
        if self._shown is None:
            return
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        sign = _SIGN[self._shown.weight]
        self._sign.setPixmap(icon(sign, sign_color(app, sign)).pixmap(QSize(_ICON_PX, _ICON_PX)))
        self._what.setText(self._shown.what)
        self._remedy.setText(self._shown.remedy)
        self._remedy.setVisible(bool(self._shown.remedy))
        others = len(standing) - 1
        self._more.setText(trn("{count} more message", "{count} more messages", others))
        self._more.setVisible(others > 0)
        self.setAccessibleName(self._shown.what)
        self.setAccessibleDescription(self._shown.remedy)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if self._shown is not None and clipboard is not None:
            clipboard.setText(self._shown.text)

    def _put_away(self) -> None:
        if self._shown is not None:
            self._messages.put_away(self._shown)
