# SPDX-License-Identifier: GPL-3.0-or-later
"""What is worth knowing of a palette: classes that the model lacks or waits for, classes that look alike."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QVBoxLayout, QWidget

from mapreel.ui.state.palette_rows import Standing
from mapreel.ui.text import tr, trn
from mapreel.ui.views.binding import faded
from mapreel.ui.views.sentences import Trouble

if TYPE_CHECKING:
    from mapreel.ui.state.colour_sight import AlikePair
    from mapreel.ui.state.palette_editor import PaletteEditor

_SHOWN = 3
_LISTED = 40


class LabelsNotes(QWidget):
    """Short lines; all of it stands in their tooltips. unknown is shown elsewhere: nearer to the table."""

    def __init__(self, editor: PaletteEditor) -> None:
        super().__init__()
        self._editor = editor
        self.unknown, self.lacking, self.alike, self.coloured = Trouble("warning"), faded(), faded(), faded()
        self.coloured.setText(tr("These maps tell classes by colour: another colour here reads other classes."))
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(2)
        for line in (self.coloured, self.lacking, self.alike):
            whole.addWidget(line)
        for name in ("rows", "lacking", "coloured", "model"):
            getattr(editor, f"{name}_changed").connect(lambda _: self._show())
        for name in ("alike", "alike_count"):
            getattr(editor, f"{name}_changed").connect(lambda _: self._show_alike())
        self._show()

    def _show(self) -> None:
        editor = self._editor
        strange = [
            row.name for row in editor.rows if row.standing is Standing.UNKNOWN and (row.pixels or not row.color)
        ]
        words = trn(
            "The model {model} never saw {names}, which this frame shows.",
            "The model {model} never saw {count} classes that this frame shows: {names}.",
            len(strange),
            model=editor.model.name,
            names=_some(strange),
        )
        self.unknown.say(words if strange else "")
        self.unknown.setToolTip(", ".join(strange[:_LISTED]))
        lacking = editor.lacking if editor.model.ids else ()
        self.lacking.setVisible(bool(lacking))
        self.lacking.setText(tr("The model also knows {names}.", names=_some(list(lacking))))
        self.lacking.setToolTip(", ".join(lacking[:_LISTED]))
        self.coloured.setVisible(editor.coloured and bool(editor.rows))
        self._show_alike()

    def _show_alike(self) -> None:
        names = {entry.id: entry.name for entry in self._editor.document.classes}
        here = {row.id for row in self._editor.rows if row.pixels}
        known = self._editor.alike
        all_here: list[AlikePair] = []
        some_here: list[AlikePair] = []
        for pair in known if here else ():
            (all_here if pair.first in here and pair.second in here else some_here).append(pair)
        ordered = chain(all_here, some_here) if here else known
        pairs = list(islice((pair for pair in ordered if pair.first in names and pair.second in names), _LISTED))
        who = {
            "usual": tr("everybody"),
            "deuteranopia": tr("who sees no green (deuteranopia)"),
            "protanopia": tr("who sees no red (protanopia)"),
        }
        told = [f"{names[pair.first]} / {names[pair.second]}: {who[pair.sight.value]}" for pair in pairs]
        count = self._editor.alike_count
        self.alike.setVisible(bool(pairs))
        first = f"{names[pairs[0].first]} / {names[pairs[0].second]}" if pairs else ""
        self.alike.setText(
            trn(
                "Alike to some eyes: {pair}. Patterns tell them apart.",
                "{count} pairs are alike to some eyes, such as {pair}. Patterns tell them apart.",
                count,
                pair=first,
            )
        )
        self.alike.setToolTip("\n".join(told))


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (trn(" and {count} more", " and {count} more", more) if more > 0 else "")
