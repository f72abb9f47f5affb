# SPDX-License-Identifier: GPL-3.0-or-later
"""The edits of one shot's palette, one after the other, and which of its states a file holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PyQt6.QtGui import QUndoCommand, QUndoStack

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.ui.state.palette_document import PaletteDocument
    from mapreel.ui.state.shot import ShotState


class Change(QUndoCommand):
    """From one document to another."""

    def __init__(self, show: Callable[[PaletteDocument], None], old: PaletteDocument, new: PaletteDocument, text: str):
        super().__init__(text)
        self._show, self._old, self._new = show, old, new

    def redo(self) -> None:
        self._show(self._new)

    def undo(self) -> None:
        self._show(self._old)


class Session:
    """What is edited for one shot. kept: the documents that shot.palette can name, and how it names them."""

    def __init__(self, shot: ShotState) -> None:
        self.shot = shot
        self.document: PaletteDocument | None = None
        self.stack = QUndoStack()
        self.kept: dict[PaletteDocument, str] = {}

    def origin(self, document: PaletteDocument) -> str | None:
        """What shot.palette says for these classes; None: no file holds them."""
        return self.kept.get(_content(document))

    def keep(self, document: PaletteDocument, origin: str) -> None:
        """A file, or a palette of ours, holds these classes now; what it held before it holds no more."""
        self.kept = {content: other for content, other in self.kept.items() if other != origin}
        self.kept[_content(document)] = origin


def _content(document: PaletteDocument) -> PaletteDocument:
    return replace(document, rules=())
