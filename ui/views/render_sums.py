# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render will take: time and space as the service knows them from earlier ones, and what the disk has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QVBoxLayout, QWidget

from mapreel.ui.state.job_texts import about, size_text
from mapreel.ui.text import tr
from mapreel.ui.views.binding import faded, follow
from mapreel.ui.views.render_parts import Problem, modest

if TYPE_CHECKING:
    from mapreel.core.contract.estimate import Estimate
    from mapreel.ui.state.studio import Studio


class Sums(QWidget):
    """One quiet line, and a warning when the disk will not do."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._form = studio.render_form
        self.told, self.full = modest(faded()), Problem()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.told)
        column.addWidget(self.full)
        for name in ("estimate", "free", "problems"):
            follow(self._form, name, self._show)

    def _show(self, _: object = None) -> None:
        if self._form.shot is None or self._form.problems:
            text, warning = "", ""
        else:
            text, warning = words(self._form.estimate, self._form.free)
        self.told.setText(text)
        self.told.setVisible(bool(text))
        self.full.say(warning)


def words(estimate: Estimate | None, free: int | None) -> tuple[str, str]:
    """The line and the warning."""
    size = estimate.size_bytes if estimate is not None else None
    parts = []
    if estimate is not None and estimate.seconds is not None:
        parts.append(about(estimate.seconds))
    elif estimate is not None:
        parts.append(tr("no render of this kind has been made here yet"))
    if size is not None:
        parts.append(tr("about {size}", size=size_text(size)))
    if free is not None:
        parts.append(tr("{size} free", size=size_text(free)))
    short = size is not None and free is not None and size > free
    warning = tr("The disk will be full before the render ends; choose another folder.") if short else ""
    text = " · ".join(parts)
    return text[:1].upper() + text[1:], warning
