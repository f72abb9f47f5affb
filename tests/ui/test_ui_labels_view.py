# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels view with clicks and keys on a real shot."""

from __future__ import annotations

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import QColorDialog, QFileDialog, QLineEdit

from mapreel.core.media.palettes import load_palette
from mapreel.ui.state.palette_model import Column
from mapreel.ui.views.labels_rules import RuleDialog
from mapreel.ui.views.labels_view import LabelsView
from tests.ui.conftest import LIMIT_MS


@pytest.fixture
def view(opened, qtbot):
    editor = opened.palette_editor
    qtbot.waitUntil(lambda: editor.document.name == "street", timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: any(row.pixels for row in editor.rows), timeout=LIMIT_MS)
    made = LabelsView(opened)
    qtbot.addWidget(made)
    made.resize(360, 700)
    made.show()
    return made


def test_a_name_is_edited_in_the_table(view, opened, qtbot):
    view.table.choose(1)
    view.table.edit(view.table.currentIndex())
    field = view.table.findChild(QLineEdit)
    field.selectAll()
    qtbot.keyClicks(field, "lane")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: opened.palette_editor.document.entry(1).name == "lane", timeout=LIMIT_MS)
    qtbot.mouseClick(view.undo_button, Qt.MouseButton.LeftButton)
    assert opened.palette_editor.document.entry(1).name == "road"
    qtbot.mouseClick(view.redo_button, Qt.MouseButton.LeftButton)
    assert opened.palette_editor.document.entry(1).name == "lane"


def test_undo_and_redo_have_keys_and_reasons(view, opened, qtbot):
    assert not view.undo_button.isEnabled()
    assert "nothing" in view.undo_button.toolTip()
    opened.palette_editor.rename(1, "lane")
    assert "rename a class" in view.undo_button.toolTip()
    view.activateWindow()
    qtbot.waitUntil(view.isActiveWindow, timeout=LIMIT_MS)
    view.table.setFocus()
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    for modifier, name in ((control, "road"), (control | shift, "lane")):
        qtbot.keyClick(view.table, Qt.Key.Key_Z, modifier)
        qtbot.waitUntil(lambda name=name: opened.palette_editor.document.entry(1).name == name, timeout=LIMIT_MS)


def test_a_colour_is_chosen_or_written(view, opened, qtbot, monkeypatch):
    editor = opened.palette_editor
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor(7, 8, 9))
    view.table.choose(0)
    qtbot.keyClick(view.table, Qt.Key.Key_Space)
    assert editor.document.entry(0).color == (7, 8, 9)
    assert view.form.hex_field.text() == "#070809"
    view.form.hex_field.setText("#zz")
    view.form.hex_field.editingFinished.emit()
    assert view.trouble.isVisible()
    assert "is no colour" in view.trouble.text()
    view.form.hex_field.setText("#fff")
    view.form.hex_field.editingFinished.emit()
    assert editor.document.entry(0).color == (255, 255, 255)
    assert not view.trouble.isVisible()


def test_classes_are_merged_and_removed(view, opened, qtbot):
    editor, selection = opened.palette_editor, view.table.selectionModel()
    assert "two classes" in view.merge_button.toolTip()
    for place in (2, 3):
        flags = selection.SelectionFlag.Select | selection.SelectionFlag.Rows
        selection.select(view.table.model().index(place, Column.NAME), flags)
    view._merges.aboutToShow.emit()
    texts = [action.text() for action in view._merges.actions()]
    assert texts == ["All become marking", "All become sidewalk"]
    view._merges.actions()[1].trigger()
    assert opened.shots.current.classes == (("marking", "sidewalk"),)
    view.table.choose(11)
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    assert 11 not in {entry.id for entry in editor.document.classes}


def test_an_added_class_is_ready_to_be_named(view, opened, qtbot):
    qtbot.mouseClick(view.add_button, Qt.MouseButton.LeftButton)
    assert opened.palette_editor.document.entry(12).name == "class 12"
    assert view.table.state() is view.table.State.EditingState


def test_saving_asks_once_and_then_writes_over_the_own_file(view, opened, qtbot, monkeypatch, tmp_path):
    asked = []

    def ask(*_):
        asked.append(1)
        return str(tmp_path / "own"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    opened.palette_editor.recolor(0, (1, 2, 3))
    qtbot.mouseClick(view.save_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: opened.shots.current.palette == str(tmp_path / "own.json"), timeout=LIMIT_MS)
    opened.palette_editor.recolor(0, (3, 2, 1))
    qtbot.mouseClick(view.save_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not opened.palette_editor.unsaved, timeout=LIMIT_MS)
    assert asked == [1]
    assert load_palette(tmp_path / "own.json").classes[0].color == (3, 2, 1)


def test_a_rule_for_many_names_is_added_and_taken_away(view, opened, qtbot):
    dialog = RuleDialog(opened.palette_editor, view)
    qtbot.addWidget(dialog)
    dialog.pattern.setText("tree*")
    dialog.target.setCurrentText("shrubbery")
    dialog._make()
    assert "no class of the model" in dialog.trouble.text()
    dialog.target.setCurrentText("vegetation")
    dialog._make()
    assert opened.shots.current.classes == (("tree*", "vegetation"),)
    view.rules.list.setCurrentRow(0)
    qtbot.mouseClick(view.rules.remove_button, Qt.MouseButton.LeftButton)
    assert opened.shots.current.classes == ()


def test_what_it_becomes_is_chosen_from_the_models_classes(view, opened):
    view.table.choose(10)
    place = view.form.becomes.findText("vegetation")
    view.form.becomes.activated.emit(place)
    assert opened.shots.current.classes == (("person", "vegetation"),)
    assert "vegetation" in view.table.model().index(10, Column.BECOMES).data()


def test_without_maps_every_button_says_why(studio, qtbot):
    view = LabelsView(studio)
    qtbot.addWidget(view)
    for button in (view.preset_button, view.save_button, view.add_button, view.rules.add_button):
        assert not button.isEnabled()
        assert "label maps" in button.toolTip()


def test_patterns_are_drawn_on_the_swatches(view, opened):
    view.resize(220, 700)
    assert view.table.isColumnHidden(Column.BECOMES)
    before = view.grab().toImage()
    opened.preferences.patterns = True
    assert view.patterns_button.isChecked()
    assert view.grab().toImage() != before
