# SPDX-License-Identifier: GPL-3.0-or-later
"""Edges, palettes and contact sheets of maps, and the words for files that cannot be opened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.errors import (
    DamagedFileError,
    InputError,
    MissingInputError,
    UnsupportedFileError,
)
from mapreel.core.media.files import read_file
from mapreel.core.media.labels import instance_edges, read_label_map
from mapreel.core.media.palettes import (
    UNKNOWN_COLOR,
    colorize,
    load_palette,
    palette_names,
)
from mapreel.core.media.sheets import BACKGROUND, contact_sheet

STREET = ["sky", "road", "marking", "sidewalk", "building", "window"]
STREET += ["car", "vegetation", "pole", "sign", "person", "terrain"]


def test_edges_are_where_a_four_neighbour_differs():
    ids = np.zeros((5, 6), np.uint16)
    ids[2, 3] = 9
    expected = np.zeros((5, 6), bool)
    expected[2, 2:5] = expected[1:4, 3] = True
    assert np.array_equal(instance_edges(ids), expected)
    assert not instance_edges(np.full((4, 4), 7, np.uint16)).any()


def test_edges_tell_ids_apart_that_differ_by_256():
    ids = np.array([[1, 257]], np.uint16)
    assert instance_edges(ids).all()


def test_edges_of_random_ids_against_the_definition():
    ids = np.random.default_rng(2).integers(0, 3, (17, 23)).astype(np.uint16)
    height, width = ids.shape
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            differs = any(0 <= b < height and 0 <= a < width and ids[b, a] != ids[y, x] for b, a in around)
            assert instance_edges(ids)[y, x] == differs


def test_the_street_palette_has_the_twelve_classes_in_distinct_colours():
    palette = load_palette("street")
    assert [entry.name for entry in palette.classes] == STREET
    assert [entry.id for entry in palette.classes] == list(range(12))
    assert "street" in palette_names()
    colors = np.array([entry.color for entry in palette.classes], float)
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=2)[~np.eye(12, dtype=bool)]
    assert apart.min() > 40  # of 441: no two classes can be mistaken on a screen


def test_colorize_paints_classes_and_marks_what_it_does_not_know():
    palette = load_palette("street")
    painted = colorize(np.array([[0, 11], [12, 65535]], np.uint16), palette)
    assert painted.dtype == np.uint8
    assert tuple(painted[0, 0]) == palette.classes[0].color
    assert tuple(painted[0, 1]) == palette.classes[11].color
    assert tuple(painted[1, 0]) == tuple(painted[1, 1]) == UNKNOWN_COLOR


def write_palette(folder: Path, **changes) -> Path:
    content = {"format": "mapreel-palette", "version": 1, "name": "mine"}
    content["classes"] = [{"id": 3, "name": "wall", "color": [1, 2, 3]}, {"id": 1, "name": "floor", "color": [4, 5, 6]}]
    path = folder / "mine.json"
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def test_a_palette_of_ones_own_with_holes_in_its_ids(tmp_path):
    palette = load_palette(write_palette(tmp_path))
    assert (palette.name, [entry.id for entry in palette.classes]) == ("mine", [1, 3])
    assert tuple(colorize(np.array([[2]], np.uint16), palette)[0, 0]) == UNKNOWN_COLOR


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"format": "gimp"}, UnsupportedFileError, "no Mapreel palette"),
        ({"version": 2}, UnsupportedFileError, "version 2"),
        ({"classes": []}, DamagedFileError, "list of classes"),
        ({"classes": [7]}, DamagedFileError, "no object"),
        ({"classes": [{"id": True, "name": "a", "color": [0, 0, 0]}]}, DamagedFileError, "id True"),
        ({"classes": [{"id": 70000, "name": "a", "color": [0, 0, 0]}]}, DamagedFileError, "id 70000"),
        ({"classes": [{"id": 1, "name": "", "color": [0, 0, 0]}]}, DamagedFileError, "no name"),
        ({"classes": [{"id": 1, "name": "a", "color": [0, 256, 0]}]}, DamagedFileError, "no colour"),
        ({"classes": [{"id": 1, "name": "a", "color": [0, 0, 0]}] * 2}, DamagedFileError, "id 1 twice"),
    ],
)
def test_palettes_that_break_a_rule(tmp_path, changes, kind, said):
    with pytest.raises(kind, match=said):
        load_palette(write_palette(tmp_path, **changes))


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "\0", "nul"])
def test_a_palette_that_is_no_json(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DamagedFileError, match="no JSON"):
        load_palette(path)


def test_a_palette_that_is_not_there_lists_those_that_are():
    with pytest.raises(MissingInputError, match="street"):
        load_palette("boulevard")


def test_a_contact_sheet_keeps_rows_columns_and_pixels():
    red, blue = np.full((4, 6, 3), (255, 0, 0), np.uint8), np.full((2, 6, 3), (0, 0, 255), np.uint8)
    sheet = contact_sheet([[red, blue], [blue]], gap_px=1)
    assert sheet.shape == (1 + 4 + 1 + 2 + 1, 1 + 6 + 1 + 6 + 1, 3)
    assert np.array_equal(sheet[1:5, 1:7], red)
    assert np.array_equal(sheet[1:3, 8:14], blue)
    assert np.array_equal(sheet[6:8, 1:7], blue)
    assert (sheet[6:8, 8:14] == BACKGROUND).all()


def test_a_contact_sheet_makes_wide_pictures_smaller():
    wide = np.full((40, 100, 3), 77, np.uint8)
    assert contact_sheet([[wide]], cell_width_px=50, gap_px=0).shape == (20, 50, 3)
    assert (contact_sheet([[wide]], cell_width_px=50, gap_px=0) == 77).all()
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([[], []])
    with pytest.raises(ValueError, match="float"):
        contact_sheet([[wide.astype(float)]])


@pytest.mark.parametrize("name", ["missing.png", "folder.png"])
def test_paths_that_are_no_file(tmp_path, name):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=name) as caught:
        read_label_map(tmp_path / name, frame=12)
    assert "frame 12" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"), [(PermissionError(13, "denied"), "may not be read"), (OSError(5, "I/O error"), "disk")]
)
def test_a_disk_that_refuses(tmp_path, monkeypatch, error, said):
    (tmp_path / "0001.png").write_bytes(b"x")

    def refuse(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("os.open", refuse)  # root may read everything, so a real mode of 0 proves nothing here
    with pytest.raises(InputError, match=said) as caught:
        read_file(tmp_path / "0001.png", frame=1)
    assert "0001.png" in str(caught.value)
