# SPDX-License-Identifier: GPL-3.0-or-later
"""A palette of 183 classes: an edit tells only the rows that it changed, and what is chosen stays so."""

from __future__ import annotations

import pytest

from mapreel.ui.state.palette_files import alike, read_document
from mapreel.ui.state.palette_model import PaletteModel
from mapreel.ui.views.labels_view import LabelsView

LIMIT_MS = 60_000


@pytest.fixture
def editor(opened, qtbot):
    """The editor with the palette of COCO-Stuff."""
    opened.drafts.enabled = False
    opened.palette_editor.load("coco-stuff")
    qtbot.waitUntil(lambda: len(opened.palette_editor.rows) > 180, timeout=LIMIT_MS)
    return opened.palette_editor


@pytest.fixture
def heard(editor):
    """What the model tells its views."""
    model, told = PaletteModel(editor), []
    model.dataChanged.connect(lambda first, last: told.append(("changed", first.row(), last.row())))
    model.rowsInserted.connect(lambda _, first, last: told.append(("inserted", first, last)))
    model.rowsRemoved.connect(lambda _, first, last: told.append(("removed", first, last)))
    model.modelReset.connect(lambda: told.append(("reset",)))
    yield told
    assert [model.row(place) for place in range(model.rowCount())] == list(editor.rows)


def test_one_class_is_one_row(editor, heard):
    place = next(place for place, row in enumerate(editor.rows) if row.id == 7)
    editor.recolor(7, (1, 2, 3))
    assert editor.rows[place].color == (1, 2, 3)
    assert heard == [("changed", place, place)]
    editor.rename(7, "seven")
    editor.undo()
    assert heard[1:] == [("changed", place, place)] * 2


def test_classes_that_come_and_go_reset_nothing(editor, heard):
    count, entry = len(editor.rows), editor.document.classes[20]
    editor.remove(frozenset({entry.id}))
    assert ("removed", 20, 20) in heard
    editor.add("again", entry.id)
    assert ("inserted", 20, 20) in heard
    assert len(editor.rows) == count
    assert ("reset",) not in heard
    ends = frozenset({editor.document.classes[3].id, editor.document.classes[90].id})
    editor.remove(ends)
    assert heard[-1] == ("reset",)


def test_the_rows_of_an_edited_colour_are_those_that_are_made_anew(editor):
    editor.recolor(7, "#010203")
    fast = editor.rows
    editor.rename(7, "another")
    editor.undo()
    assert editor.rows == fast


def test_what_is_chosen_stays_chosen(editor, opened, qtbot):
    view = LabelsView(opened)
    qtbot.addWidget(view)
    view.show()
    view.table.choose(100)
    editor.remove(frozenset({editor.document.classes[0].id}))
    assert [row.id for row in view.table.chosen()] == [100]
    editor.add()
    assert [row.id for row in view.table.chosen()] == [100]


def test_pairs_are_counted_once_and_the_nearest_is_named(editor, opened, qtbot):
    pairs, count = alike(read_document("coco-stuff").classes)
    assert 0 < count < len(pairs)
    qtbot.waitUntil(lambda: editor.alike_count == count, timeout=LIMIT_MS)
    view = LabelsView(opened)
    qtbot.addWidget(view)
    assert f"{count} pairs" in view.notes.alike.text()
