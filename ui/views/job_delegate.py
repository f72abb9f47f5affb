# SPDX-License-Identifier: GPL-3.0-or-later
"""Paints two cells of a job: its state with a sign, its progress as a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPalette
from PyQt6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.job_model import VIEW_ROLE, Column
from mapreel.ui.views.icons import icon
from mapreel.ui.views.theme import sign_color

if TYPE_CHECKING:
    from PyQt6.QtCore import QModelIndex
    from PyQt6.QtGui import QIcon

_SIGNS = {
    JobState.QUEUED: ("clock", ""),
    JobState.RUNNING: ("play", "note"),
    JobState.PAUSED: ("pause", "warning"),
    JobState.FINISHED: ("good", "good"),
    JobState.FAILED: ("error", "error"),
    JobState.CANCELLED: ("stop", ""),
    JobState.QUARANTINED: ("error", "error"),
}
_BAR_PX = 4.0
_GAP_PX = 6


def state_icon(state: JobState, color: QColor | None = None) -> QIcon:
    """The sign of a state, in the colour that it has on this ground."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    name, sign = _SIGNS[state]
    return icon(name, color or (sign_color(app, sign) if sign else None))


class JobDelegate(QStyledItemDelegate):
    """For every column of the table of jobs."""

    def initStyleOption(self, option: QStyleOptionViewItem | None, index: QModelIndex) -> None:  # noqa: N802 - Qt's name
        super().initStyleOption(option, index)
        view = index.data(VIEW_ROLE)
        if option is None or view is None:
            return
        option.features &= ~QStyleOptionViewItem.ViewItemFeature.HasDecoration
        if index.column() == Column.STATE:
            chosen = bool(option.state & QStyle.StateFlag.State_Selected)
            color = option.palette.color(QPalette.ColorRole.HighlightedText) if chosen else None
            option.features |= QStyleOptionViewItem.ViewItemFeature.HasDecoration
            option.icon = state_icon(view.state, color)
            side = option.fontMetrics.height()
            option.decorationSize = QSize(side, side)
        if index.column() == Column.WHAT:
            option.textElideMode = Qt.TextElideMode.ElideMiddle

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        view = index.data(VIEW_ROLE)
        if painter is None or index.column() != Column.PROGRESS or view is None or view.progress is None:
            super().paint(painter, option, index)
            return
        opted = QStyleOptionViewItem(option)
        self.initStyleOption(opted, index)
        text, opted.text = opted.text, ""
        style = QApplication.style()
        assert style is not None
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, opted, painter, opted.widget)
        self._bar(painter, opted, text or "", view.progress.done / max(1, view.progress.total), view.state)

    def _bar(self, painter: QPainter, option: QStyleOptionViewItem, text: str, share: float, state: JobState) -> None:
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        roles = QPalette.ColorRole
        ink = option.palette.color(roles.HighlightedText if chosen else roles.Text)
        fill = ink if chosen else option.palette.color(roles.Accent if not state.is_over else roles.PlaceholderText)
        inside = QRectF(option.rect).adjusted(_GAP_PX, 0, -_GAP_PX, 0)
        metrics = option.fontMetrics
        words = max(metrics.horizontalAdvance("0000 / 0000"), metrics.horizontalAdvance(text))
        bar = QRectF(inside.left(), inside.center().y() - _BAR_PX / 2, inside.width() - words - _GAP_PX, _BAR_PX)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if bar.width() > 8:
            ground = QColor(ink) if chosen else option.palette.color(roles.Mid)
            ground.setAlphaF(0.35 if chosen else 1.0)
            painter.setBrush(ground)
            painter.drawRoundedRect(bar, _BAR_PX / 2, _BAR_PX / 2)
            bar.setWidth(bar.width() * min(1.0, max(0.0, share)))
            painter.setBrush(fill)
            painter.drawRoundedRect(bar, _BAR_PX / 2, _BAR_PX / 2)
        painter.setPen(ink)
        painter.drawText(inside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()
