# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives: the form that makes one of a shot, or all about the one that is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from mapreel.ui.state.shot import ShotKind
from mapreel.ui.views.archive_encode import EncodePart
from mapreel.ui.views.archive_open import OpenPart
from mapreel.ui.views.binding import follow
from mapreel.ui.views.chart_library import preload

if TYPE_CHECKING:
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.studio import Studio


class ArchiveView(QWidget):
    """Which of both is shown hangs on the current shot."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._errands = studio.errands
        self.encode, self.opened = EncodePart(studio), OpenPart(studio)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.encode)
        self.stack.addWidget(self.opened)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.stack)
        follow(studio.shots, "current", self._turn_to)

    def _turn_to(self, shot: ShotState | None) -> None:
        is_archive = shot is not None and shot.kind is ShotKind.ARCHIVE
        if is_archive:
            preload(self._errands)
        self.stack.setCurrentWidget(self.opened if is_archive else self.encode)
