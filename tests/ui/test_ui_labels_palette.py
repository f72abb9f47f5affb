# SPDX-License-Identifier: GPL-3.0-or-later
"""The palette editor on real label maps: edits, undo, rules that a reader obeys, files, counts, sight."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import OutputExistsError, UsageError
from mapreel.core.contract.maps import MapOptions
from mapreel.core.media.classes import ClassRules
from mapreel.core.media.labels import label_reading, read_label_map
from mapreel.core.media.palettes import load_palette, palette_names
from mapreel.ui.state.colour_sight import Sight, alike_pairs, simulated
from mapreel.ui.state.palette_document import ClassEntry, PaletteDocument, parse_color
from mapreel.ui.state.palette_files import read_document, shipped_folder, write_document
from mapreel.ui.state.palette_rows import ModelClasses, Standing
from mapreel.ui.state.patterns import TILE_PX, hatch, tile
from tests.ui.conftest import LIMIT_MS, write_labels

TWO = PaletteDocument(name="two", classes=(ClassEntry(0, "sky", (1, 2, 3)), ClassEntry(4, "road", (9, 9, 9))))


# -- the document ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: d.renamed(4, "sky"), "“sky” is the name of another class"),
        (lambda d: d.renamed(4, "  "), "the name is empty"),
        (lambda d: d.added("fog", 4), "the id 4 is “road” already"),
        (lambda d: d.added("fog", 65536), "the id is 65536"),
        (lambda d: d.removed(frozenset({0, 4})), "a palette needs a class"),
        (lambda d: d.recolored(7, (0, 0, 0)), "no class with the id 7"),
        (lambda _: parse_color("#12345"), "is no colour"),
        (lambda _: parse_color("1, 2, 256"), "is no colour"),
    ],
)
def test_what_cannot_be_is_refused(edit, words):
    with pytest.raises(UsageError, match=words):
        edit(TWO)


def test_colours_are_read_as_people_write_them():
    assert parse_color(" #0aF ") == (0, 170, 255)
    assert parse_color("102030") == (16, 32, 48)
    assert parse_color("1, 2,255") == (1, 2, 255)


def test_a_new_class_takes_the_lowest_free_id():
    grown = TWO.added()
    assert [entry.id for entry in grown.classes] == [0, 1, 4]
    assert grown.entry(1).name == "class 1"
    assert grown.entry(1).color not in {(1, 2, 3), (9, 9, 9)}


def test_rules_follow_a_name_and_go_with_it():
    ruled = TWO.becoming("road", "terrain").becoming("car[*]", "vehicle")
    assert ruled.renamed(4, "street").rules == (("car[*]", "vehicle"), ("street", "terrain"))
    assert ruled.removed(frozenset({4})).rules == (("car[*]", "vehicle"),)


def test_merging_takes_along_what_became_one_of_them():
    ruled = TWO.added("lane", 5).becoming("kerb", "road")
    merged = ruled.merged(frozenset({4, 5, 0}), 0, "sky")
    assert set(merged.rules) == {("road", "sky"), ("lane", "sky"), ("kerb", "sky")}


@pytest.mark.parametrize("name", palette_names())
def test_every_shipped_palette_is_written_as_it_was_read(name, tmp_path):
    document = read_document(name)
    write_document(document, tmp_path / "copy.json")
    ours, theirs = load_palette(tmp_path / "copy.json"), load_palette(name)
    assert (ours.classes, ours.name, ours.source, ours.note) == (
        theirs.classes,
        theirs.name,
        theirs.source,
        theirs.note,
    )


def test_a_shipped_palette_is_never_written_over(tmp_path):
    for path in (shipped_folder() / "street.json", shipped_folder() / "new.json"):
        with pytest.raises(OutputExistsError, match="comes with Mapreel"):
            write_document(TWO, path)
    if hasattr(os, "symlink"):
        (tmp_path / "link").symlink_to(shipped_folder(), target_is_directory=True)
        with pytest.raises(OutputExistsError):
            write_document(TWO, tmp_path / "link" / "street.json")
    assert not (shipped_folder() / "new.json").exists()


# -- patterns and sight ------------------------------------------------------------------------------------------------


def test_the_most_classes_that_we_ship_have_a_pattern_each():
    patterns = [
        tile(place).tobytes() for place in range(max(len(load_palette(name).classes) for name in palette_names()))
    ]
    assert len(set(patterns)) == len(patterns)


def test_hatching_keeps_the_colour_and_stays_in_place():
    palette = load_palette("street")
    ids = np.full((48, 64), 6, np.uint8)
    ids[:, 32:] = 200  # no class
    painted = hatch(ids, palette)
    assert painted.shape == (48, 64, 3)
    assert painted.dtype == np.uint8
    assert (painted[:, 32:] == (255, 0, 255)).all()
    assert {tuple(color) for color in painted[:, :32].reshape(-1, 3).tolist()} >= {(28, 60, 200)}
    assert len(np.unique(painted[:, :32].reshape(-1, 3), axis=0)) == 2
    assert (painted[:TILE_PX, :TILE_PX] == painted[TILE_PX : 2 * TILE_PX, TILE_PX : 2 * TILE_PX]).all()


def test_ids_with_gaps_are_hatched():
    palette = load_palette("cityscapes")
    ids = np.array([[entry.id for entry in palette.classes] + [65535]], np.uint16).repeat(16, 0)
    assert (hatch(ids, palette)[:, -1] == (255, 0, 255)).all()


def test_red_and_green_of_one_lightness_are_one_to_who_sees_no_green():
    pair = (
        ClassEntry(1, "fire", (200, 90, 40)),
        ClassEntry(2, "grass", (130, 130, 30)),
        ClassEntry(3, "sea", (0, 60, 255)),
    )
    assert {(p.first, p.second, p.sight) for p in alike_pairs(pair)} == {(1, 2, Sight.NO_GREEN)}


def test_grey_is_grey_to_everybody():
    greys = np.array([[0, 0, 0], [128, 128, 128], [255, 255, 255]], np.uint8)
    for sight in Sight:
        assert np.abs(simulated(greys, sight).astype(int) - greys).max() <= 1


# -- the editor on a shot ----------------------------------------------------------------------------------------------


@pytest.fixture
def editor(opened, qtbot):
    editor = opened.palette_editor
    qtbot.waitUntil(lambda: any(row.pixels for row in editor.rows), timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: editor.model.name == "street", timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: editor.document.name == "street", timeout=LIMIT_MS)
    return editor


def row(editor, name):
    return next(row for row in editor.rows if row.name == name)


def test_a_shot_without_palette_starts_from_the_models_classes(editor):
    assert [entry.name for entry in editor.document.classes][:2] == ["sky", "road"]
    assert editor.origin == ""
    assert not editor.unsaved
    assert sum(one.pixels for one in editor.rows) == 64 * 32
    assert {one.standing for one in editor.rows} == {Standing.KNOWN}


def test_every_edit_is_undone_and_made_again(editor, opened):
    start = editor.document
    shot = opened.shots.current
    edits = (
        lambda: editor.rename(1, "lane"),
        lambda: editor.recolor(1, "#ff8800"),
        lambda: editor.add("fog"),
        lambda: editor.remove(frozenset({11})),
        lambda: editor.merge(frozenset({2, 3}), 3),
        lambda: editor.remap("car*", "car"),
        lambda: editor.title("mine"),
    )
    seen = [start]
    for edit in edits:
        assert edit()
        assert editor.document != seen[-1]
        seen.append(editor.document)
    assert editor.unsaved
    for document in reversed(seen[:-1]):
        editor.undo()
        assert editor.document == document
        assert shot.classes == document.rules
    assert (editor.undo_text, editor.origin) == (None, "")
    for document in seen[1:]:
        editor.redo()
        assert editor.document == document
    assert editor.redo_text is None
    assert shot.classes == seen[-1].rules


def test_a_refused_edit_says_why_and_changes_nothing(editor):
    before = editor.document
    assert not editor.rename(1, "sky")
    assert editor.trouble == "“sky” is the name of another class. Choose another name, or merge the two."
    assert editor.document == before
    assert editor.rename(1, "lane")
    assert editor.trouble == ""


def test_rules_of_a_merge_are_what_a_reader_of_maps_obeys(editor, opened, qtbot, tmp_path):
    shot = opened.shots.current
    version = shot.maps_version
    editor.merge(frozenset({1, 2}), 1)
    assert shot.classes == (("marking", "road"),)
    assert shot.maps_version > version
    assert row(editor, "marking").becomes == "road"
    editor.save(tmp_path / "own.json")
    qtbot.waitUntil(lambda: shot.palette == str(tmp_path / "own.json"), timeout=LIMIT_MS)
    options = MapOptions(palette=shot.palette, classes=shot.classes)
    reading = label_reading(options, ClassRules(shot.classes, dict(editor.model.ids), "the model street"))
    path = next((tmp_path / "shot" / "label").glob("*1001.png"))
    assert set(np.unique(read_label_map(path, frame=1001, reading=reading))) == {0, 1, 3, 4}


def test_what_is_saved_counts_for_the_shot_and_drafts_follow(editor, opened, qtbot, tmp_path):
    shot, path = opened.shots.current, tmp_path / "own.json"
    editor.recolor(0, (1, 2, 3))
    assert shot.palette == ""
    editor.save(path)
    qtbot.waitUntil(lambda: not editor.unsaved, timeout=LIMIT_MS)
    assert shot.palette == str(path)
    assert load_palette(path).classes[0].color == (1, 2, 3)
    version = shot.maps_version
    editor.recolor(0, (4, 5, 6))
    assert editor.own_file == path
    editor.save(path)
    qtbot.waitUntil(lambda: not editor.unsaved, timeout=LIMIT_MS)
    assert shot.maps_version > version  # the name is the same, what it names is not
    editor.undo()
    assert editor.unsaved  # the file holds the later colour
    assert json.loads(path.read_text())["classes"][0]["color"] == [4, 5, 6]


def test_a_preset_counts_at_once_and_is_undone(editor, opened, qtbot):
    shot = opened.shots.current
    editor.load("cityscapes")
    qtbot.waitUntil(lambda: shot.palette == "cityscapes", timeout=LIMIT_MS)
    assert row(editor, "unlabeled").standing is Standing.UNKNOWN
    assert "sky" not in editor.lacking
    assert "marking" in editor.lacking
    editor.undo()
    assert shot.palette == ""
    assert editor.document.name == "street"


def test_what_maps_show_beyond_the_palette_can_be_remapped(editor, qtbot):
    editor.load("street")  # from now on it is the palette that says what is in the maps
    qtbot.waitUntil(lambda: editor.origin == "street", timeout=LIMIT_MS)
    editor.remove(frozenset({4}))
    stray = next(one for one in editor.rows if one.color is None)
    assert (stray.id, stray.standing) == (4, Standing.UNKNOWN)
    editor.remap(stray.pattern, "building")
    stray = next(one for one in editor.rows if one.color is None)
    assert (stray.becomes, stray.standing) == ("building", Standing.KNOWN)
    assert not editor.remap("x", "unicorn")
    assert editor.trouble.startswith("“unicorn” is no class of the model street.")


def test_pixels_are_those_of_the_frame_under_the_playhead(editor, opened, qtbot):
    ids = np.zeros((32, 64), np.uint8)
    place = opened.shots.current.numbers[-1]
    folder = opened.shots.current.labels
    cv2.imwrite(str(next(Path(folder).glob(f"*{place}.png"))), ids)
    opened.playback.frame = place
    qtbot.waitUntil(lambda: row(editor, "sky").pixels == 64 * 32, timeout=LIMIT_MS)
    assert row(editor, "road").pixels == 0


def test_a_model_of_other_classes_marks_what_it_never_saw(editor):
    editor.model = ModelClasses("alley", (("sky", 0), ("brick", 40)))
    assert row(editor, "sky").standing is Standing.KNOWN
    assert row(editor, "road").standing is Standing.UNKNOWN
    assert editor.lacking == ("brick",)
    editor.remap("road", "brick")
    assert (row(editor, "road").standing, row(editor, "road").becomes) == (Standing.KNOWN, "brick")
    assert editor.lacking == ()


def test_each_shot_has_edits_of_its_own(editor, opened, qtbot, tmp_path):
    first = opened.shots.current
    editor.rename(1, "lane")
    write_labels(tmp_path / "other" / "label", range(1, 4))
    opened.shots.open_paths([str(tmp_path / "other" / "label")])
    qtbot.waitUntil(lambda: opened.shots.current is not first, timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: bool(editor.document.classes), timeout=LIMIT_MS)
    assert editor.undo_text is None
    assert row(editor, "road")
    opened.shots.current = first
    assert editor.document.entry(1).name == "lane"
    assert editor.undo_text is not None


def test_coloured_maps_are_counted_with_the_colours_of_the_palette(studio, qtbot, tmp_path):
    colors = np.zeros((20, 30, 3), np.uint8)
    colors[:, :10] = (28, 60, 200)[::-1]
    colors[:, 10:] = (110, 76, 130)[::-1]
    (tmp_path / "maps" / "label").mkdir(parents=True)
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / "maps" / "label" / f"{number:04d}.png"), colors)
    studio.shots.open_paths([str(tmp_path / "maps" / "label")])
    editor = studio.palette_editor
    qtbot.waitUntil(lambda: any(one.pixels for one in editor.rows), timeout=LIMIT_MS)
    assert editor.coloured
    assert {one.name: one.pixels for one in editor.rows if one.pixels} == {"car": 200, "road": 400}
    editor.recolor(6, (1, 1, 1))
    qtbot.waitUntil(lambda: "no colour" in editor.trouble or "palette" in editor.trouble, timeout=LIMIT_MS)
