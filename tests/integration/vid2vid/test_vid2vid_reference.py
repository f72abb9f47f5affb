# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference frames: they stand in the take, their look is kept, and no chunk of a shot knows more than another."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import (
    DamagedFileError,
    MissingInputError,
    MixedSizesError,
    OutputExistsError,
    UnsupportedFileError,
    UsageError,
)
from mapreel.core.contract.requests import Quality
from mapreel.core.media.colour import to_light
from mapreel.core.media.images import read_color, write_exr, write_png
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.compensation import motion_to
from mapreel.core.vid2vid.looks import GUESS
from mapreel.core.vid2vid.reference import Colours, linear_to_srgb, paint_frame, read_reference
from mapreel.core.vid2vid.reference_memory import at_reference, see_reference

ALL = np.arange(256, dtype=np.uint8)


def truths(street, *numbers):
    """True pictures of the street as a request takes them."""
    return tuple((number, str(street / "color" / f"{number}.png")) for number in numbers)


# --- the take ---------------------------------------------------------------------------------------------------


def test_a_reference_stands_in_the_take_as_it_is_and_counts_as_key(street, render, short_timeline, quality, tmp_path):
    numbers = (1001, 1007, 1019)
    render(street, "take", quality=quality, frames="1001-1020", reference=truths(street, *numbers))
    for number in numbers:
        made = read_color(tmp_path / "take" / f"{number}.png")
        assert np.array_equal(made, read_color(street / "color" / f"{number}.png"))
    assert set(numbers) <= set(json.loads((tmp_path / "take" / "mapreel.json").read_text())["keys"])


@pytest.mark.parametrize("numbers", [(1001, 1002, 1023), (1010, 1040)])
def test_chunked_equals_unchunked_with_references(street, render, short_timeline, quality, tmp_path, pictures, numbers):
    """References before, within and after the chunk: which of them a chain starts from depends on the shot alone."""
    given = truths(street, *numbers)
    render(street, "whole", quality=quality, frames="1005-1038", reference=given)
    whole = pictures(tmp_path / "whole")
    for chunk in ("1010-1014", "1037"):
        render(street, chunk, quality=quality, frames=chunk, reference=given)
        part = pictures(tmp_path / chunk)
        assert part
        assert {name: whole[name] for name in part} == part


def test_chunks_agree_at_the_end_of_the_reach(street, render, short_timeline, monkeypatch, tmp_path, pictures):
    monkeypatch.setattr("mapreel.core.vid2vid.reference.LONGEST_CARRY", 10)
    given = truths(street, 1003)
    render(street, "whole", frames="1004-1018", reference=given)
    render(street, "plain", frames="1004")
    render(street, "chunk", frames="1013-1018", reference=given)
    whole, plain, part = (pictures(tmp_path / take) for take in ("whole", "plain", "chunk"))
    assert {name: whole[name] for name in part} == part
    assert whole["1004.png"] != plain["1004.png"]


def test_references_of_a_resume_must_be_the_same_pictures(street, render, tmp_path, pictures):
    copy = tmp_path / "copy.png"
    shutil.copy(street / "color" / "1001.png", copy)
    render(street, "take", frames="1001-1003", reference=((1001, str(copy)),))
    before = pictures(tmp_path / "take")
    again = render(street, "take", frames="1001-1004", resume=True, reference=truths(street, 1001))  # the same picture
    assert again["rendered"] == 1
    write_png(copy, np.zeros((48, 80, 3), np.uint8))
    for other in (((1001, str(copy)),), truths(street, 1002), ()):
        with pytest.raises(OutputExistsError):
            render(street, "take", frames="1001-1003", resume=True, reference=other)
    after = pictures(tmp_path / "take")
    assert {name: after[name] for name in before} == before


def test_a_frame_between_chain_and_reference_that_changes_is_noticed(maps, render, short_timeline, tmp_path, pictures):
    shot = maps(tmp_path / "maps", range(1, 31), color=True)
    given = ((1, str(shot / "color" / "0001.png")),)
    render(shot, "take", frames="13-16", reference=given)
    label = shot / "label" / "0001.png"
    label.write_bytes((shot / "label" / "0009.png").read_bytes())
    assert render(shot, "take", frames="13-16", resume=True, reference=given)["rendered"] == 4
    render(shot, "afresh", frames="13-16", reference=given)
    assert pictures(tmp_path / "take") == pictures(tmp_path / "afresh")


# --- the carried picture ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reference", "index", "wanted"), [(1001, 9, 0.7), (1010, 2, 0.6)])
def test_the_carried_picture_is_close_to_the_truth(street, opened, scene, reference, index, wanted):
    """Forwards and backwards."""
    shot = opened(street, reference=truths(street, reference))
    seen = see_reference(shot, index)
    truth = scene.frame(index)[3].astype(np.float32) / 127.5 - 1.0
    assert seen.valid.mean() >= wanted
    still = shot.references.picture(reference - 1001)
    error = np.abs(seen.picture - truth)[seen.valid].mean()
    assert error < 0.02
    assert error < np.abs(still - truth)[seen.valid].mean() / 4


def test_the_way_back_step_by_step_is_the_whole_way(street, opened):
    shot = opened(street, reference=truths(street, 1001))
    trail = at_reference(0, shot.size_px)
    for before, index in ((0, 2), (2, 3), (3, 7)):
        seen = see_reference(shot, index, motion_to(shot, index, before), trail)
        whole, trail = see_reference(shot, index), seen.trail
        both = seen.valid & whole.valid
        assert both.mean() > 0.7
        assert np.abs(seen.picture - whole.picture)[both].max() < 0.05


def test_a_young_reference_stands_in_the_frame_and_an_old_one_does_not(street, opened):
    shot = opened(street, reference=truths(street, 1001))
    made = np.full((*shot.size_px, 3), 5.0, np.float32)
    young, old = see_reference(shot, 3), see_reference(shot, 32)
    laid = young.stands_in(made)
    inner = cv2.erode(young.valid.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=0) > 0
    assert inner.any()
    assert np.abs(laid[inner] - young.picture[inner]).max() < 1e-5
    assert (laid[~young.valid] == 5.0).all()
    assert np.array_equal(old.stands_in(made), made)
    assert see_reference(shot, 33) is None


def test_the_nearest_earlier_reference_is_carried_else_the_nearest_later(street, opened, monkeypatch):
    monkeypatch.setattr("mapreel.core.vid2vid.reference.LONGEST_CARRY", 8)
    references = opened(street, reference=truths(street, 1021, 1006, 1012)).references
    assert references.indices == (5, 11, 20)
    assert [references.source(i) for i in (0, 5, 10, 11, 19, 20, 28, 29, 39)] == [5, 5, 5, 11, 11, 20, 20, None, None]


def test_a_distant_reference_opens_no_map_between(street, opened, short_timeline, monkeypatch):
    monkeypatch.setattr("mapreel.core.vid2vid.reference.LONGEST_CARRY", 3)
    shot = opened(street, frames="1037-1040", reference=truths(street, 1001))
    assert shot.labels.numbers == (1001, *range(1033, 1041))


# --- colours ----------------------------------------------------------------------------------------------------


def test_every_instance_in_sight_has_its_true_colour(street, opened, scene, model):
    shot = opened(street, reference=truths(street, 1001, 1009))
    maps = shot.maps(4)
    looks = load_model(str(model)).looks
    colours, trust = paint_frame(looks, shot.reference_colours, maps.classes, maps.instances)
    for value in (0, 25, 29):
        seen = [scene.frame(i) for i in (0, 8)]
        pixels = np.concatenate([color[instance == value] for _, instance, _, color in seen])
        here = maps.instances == value
        assert colours[here] == pytest.approx(np.broadcast_to(pixels.mean(axis=0) / 255, (here.sum(), 3)), abs=1e-5)
    assert (trust == 1.0).all()


def test_without_instances_the_class_has_the_look(street, opened, scene, model):
    shot = opened(street, reference=truths(street, 1001), instances=None)
    maps = shot.maps(3)
    colours, trust = paint_frame(load_model(str(model)).looks, shot.reference_colours, maps.classes, None)
    label, _, _, color = scene.frame(0)
    assert colours[maps.classes == 2][0] == pytest.approx(color[label == 5].mean(axis=0) / 255, abs=1e-5)
    assert (trust == 1.0).all()


def test_what_no_reference_shows_stays_a_guess(model):
    looks = load_model(str(model)).looks
    classes = np.zeros((2, 3), np.intp)
    instances = np.array([[7, 8, 9], [7, 7, 7]], np.uint16)
    seen = Colours(np.array([8], np.int64), np.array([[0.1, 0.2, 0.3]], np.float32))
    colours, trust = paint_frame(looks, seen, classes, instances)
    drawn = looks.paint(classes, instances)
    assert np.array_equal(trust == 1.0, instances == 8)
    assert np.unique(trust).tolist() == pytest.approx([GUESS, 1.0])
    assert np.array_equal(colours[instances != 8], drawn[instances != 8])
    assert colours[0, 1] == pytest.approx([0.1, 0.2, 0.3])


# --- files ------------------------------------------------------------------------------------------------------


def test_an_exr_reference_is_scene_linear(tmp_path):
    pixels = np.stack([ALL, ALL[::-1], ALL], axis=-1)[None]
    write_png(tmp_path / "a.png", pixels)
    write_exr(tmp_path / "a.exr", to_light(pixels.astype(np.float32) / 255))
    png, exr = (read_reference(tmp_path / name, 1) for name in ("a.png", "a.exr"))
    assert np.abs(png - exr).max() < 0.3 / 127.5
    assert np.rint(png * 127.5 + 127.5).astype(int).tolist() == pixels.tolist()


def test_light_beyond_white_is_cut():
    assert linear_to_srgb(np.array([-1.0, 0.0, 1.0, 80.0], np.float32)).tolist() == pytest.approx([0, 0, 1, 1])


@pytest.mark.parametrize("kind", ["exr", "jpeg"])
def test_references_of_every_kind_of_file_render(street, render, tmp_path, kind):
    pixels = read_color(street / "color" / "1001.png")
    path = tmp_path / f"look.{kind}"
    if kind == "exr":
        write_exr(path, to_light(pixels.astype(np.float32) / 255))
    else:
        path.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
        pixels = read_color(path)
    render(street, "take", frames="1001-1002", reference=((1001, str(path)),))
    made = read_color(tmp_path / "take" / "1001.png").astype(int)
    assert np.abs(made - pixels).max() <= (1 if kind == "exr" else 0)


def small(path):
    write_png(path, np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("number", "name", "make", "error", "said"),
    [
        (7, "a.png", small, UsageError, "frame 7 is not in the shot"),
        (1001, "a.png", small, MixedSizesError, "8x8"),
        (1001, "a.png", lambda _: None, MissingInputError, "does not exist"),
        (1001, "a", lambda path: path.mkdir(), MissingInputError, "is a folder"),
        (1001, "a.png", lambda path: path.write_bytes(b"no picture"), DamagedFileError, "a.png"),
        (1001, "a.psd", lambda path: path.write_bytes(b"8BPS"), UnsupportedFileError, "neither PNG"),
    ],
)
def test_a_reference_that_cannot_be_used_is_one_sentence_and_no_take(
    street, render, tmp_path, number, name, make, error, said
):
    make(tmp_path / name)
    with pytest.raises(error) as caught:
        render(street, "take", reference=((number, str(tmp_path / name)),))
    assert said in str(caught.value)
    assert caught.value.frame == number
    assert not (tmp_path / "take").exists()


def test_a_reference_that_is_cut_off_is_told_before_the_take_is_touched(street, render, tmp_path):
    path = tmp_path / "a.png"
    data = (street / "color" / "1020.png").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedFileError, match=r"a\.png"):
        render(street, "take", frames="1001-1002", reference=((1020, str(path)),))
    assert not (tmp_path / "take").exists()


def test_two_references_for_one_frame(street, render, tmp_path):
    with pytest.raises(UsageError, match="two references"):
        render(street, "take", reference=truths(street, 1001, 1001))


def test_fast_quality_makes_a_key_of_a_reference_only_where_it_is(street, render, short_timeline, tmp_path):
    first = render(street, "plain", quality=Quality.FAST, frames="1001-1012")
    second = render(street, "given", quality=Quality.FAST, frames="1001-1012", reference=truths(street, 1003))
    keys = json.loads((tmp_path / "given" / "mapreel.json").read_text())["keys"]
    assert 1003 in keys
    assert second["key_share"] <= first["key_share"] + 2 / 12
