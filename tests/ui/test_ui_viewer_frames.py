# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames in memory: read from real files, forgotten when they change, the better one kept, none too many."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PyQt6.QtTest import QSignalSpy

from mapreel.core.media.movies import read_movie
from mapreel.core.media.moviewriter import MovieWriter
from mapreel.core.media.writers import write_exr
from mapreel.ui.state.frame_cache import FrameCache
from mapreel.ui.state.frames import FrameStore
from mapreel.ui.state.shot import FoundShot, Layer, ShotKind
from tests.ui.conftest import LIMIT_MS, write_pictures


@pytest.fixture(autouse=True)
def quiet(studio):
    """Nobody drafts: that would start a service."""
    studio.drafts.enabled = False


def ask(store, shot, *frames):
    for layer, number in frames:
        store.ask(shot, layer, number)


def stored(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def wait_for(qtbot, store, shot, layer, *numbers):
    qtbot.waitUntil(lambda: all(store.has(shot, layer, number) for number in numbers), timeout=LIMIT_MS)


def test_what_comes_is_what_lies_on_disk(opened, qtbot, shot_folder):
    shot, store = opened.shots.current, opened.frames
    came = QSignalSpy(store.came)
    ask(store, shot, *((layer, number) for number in (1001, 1005) for layer in (Layer.LABELS, Layer.TRUTH)))
    wait_for(qtbot, store, shot, Layer.LABELS, 1001, 1005)
    wait_for(qtbot, store, shot, Layer.TRUTH, 1001, 1005)
    for number in (1001, 1005):
        assert np.array_equal(store.get(shot, Layer.LABELS, number), stored(shot_folder / f"label/{number}.png"))
        picture = stored(shot_folder / f"color/{number}.png")[..., ::-1]
        assert np.array_equal(store.get(shot, Layer.TRUTH, number), picture)
    assert [shot, Layer.LABELS, 1005] in list(came)


def test_instances_motion_and_light_are_kept_small(studio, qtbot, tmp_path):
    for name in ("instance", "motion", "color", "label"):
        (tmp_path / name).mkdir()
    ids = np.array([[0, 300], [7, 65535]], np.uint16).repeat(8, axis=0).repeat(8, axis=1)
    field = np.random.default_rng(1).normal(0, 4, (16, 16, 2)).astype(np.float32)
    light = np.random.default_rng(2).random((16, 16, 3)).astype(np.float32) * 3
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"instance/{number:04d}.png"), ids)
        cv2.imwrite(str(tmp_path / f"label/{number:04d}.png"), (ids % 5).astype(np.uint8))
        write_exr(tmp_path / f"motion/{number:04d}.exr", field, channels=("motion.X", "motion.Y"))
        write_exr(tmp_path / f"color/{number:04d}.exr", light)
    studio.shots.open_paths([str(tmp_path)])
    qtbot.waitUntil(lambda: studio.shots.current is not None, timeout=LIMIT_MS)
    shot, store = studio.shots.current, studio.frames
    ask(store, shot, *((layer, 1) for layer in (Layer.INSTANCES, Layer.MOTION, Layer.TRUTH)))
    for layer in (Layer.INSTANCES, Layer.MOTION, Layer.TRUTH):
        wait_for(qtbot, store, shot, layer, 1)
    assert np.array_equal(store.get(shot, Layer.INSTANCES, 1), ids)
    assert store.get(shot, Layer.MOTION, 1).dtype == np.float16
    assert np.allclose(store.get(shot, Layer.MOTION, 1), field, atol=0.01)
    assert np.allclose(store.get(shot, Layer.TRUTH, 1), light, rtol=2e-3, atol=1e-3)
    assert store.space(shot, Layer.TRUTH) == "lin_rec709"


def test_a_take_that_is_being_written_comes_frame_by_frame(opened, qtbot, tmp_path):
    shot, store = opened.shots.current, opened.frames
    shot.result = str(tmp_path / "take")
    failed = QSignalSpy(store.failed)
    store.ask(shot, Layer.RESULT, 1003)
    qtbot.waitUntil(lambda: len(failed) > 0, timeout=LIMIT_MS)
    assert failed[0][3] == store.why(shot, Layer.RESULT, 1003) == ""
    write_pictures(tmp_path / "take", [1003])
    store.ask(shot, Layer.RESULT, 1003)
    wait_for(qtbot, store, shot, Layer.RESULT, 1003)
    store.ask(shot, Layer.RESULT, 1004)
    qtbot.waitUntil(lambda: store.why(shot, Layer.RESULT, 1004) == "", timeout=LIMIT_MS)


def test_a_map_that_was_deleted_is_told_in_a_sentence(opened, qtbot, shot_folder):
    shot, store = opened.shots.current, opened.frames
    (shot_folder / "label/1004.png").unlink()
    failed = QSignalSpy(store.failed)
    shot.maps_version += 1  # what was read ahead is forgotten
    store.ask(shot, Layer.LABELS, 1004)
    qtbot.waitUntil(lambda: any(number == 1004 for _, _, number, _ in failed), timeout=LIMIT_MS)
    said = next(why for _, _, number, why in failed if number == 1004)
    assert "1004" in said
    assert said.endswith(".")


def test_a_broken_picture_fails_alone(opened, qtbot, shot_folder):
    shot, store = opened.shots.current, opened.frames
    (shot_folder / "color/1002.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    store.forget(shot, Layer.TRUTH)
    ask(store, shot, (Layer.TRUTH, 1002), (Layer.TRUTH, 1003))
    wait_for(qtbot, store, shot, Layer.TRUTH, 1003)
    qtbot.waitUntil(lambda: bool(store.why(shot, Layer.TRUTH, 1002)), timeout=LIMIT_MS)


def test_a_better_draft_replaces_a_worse_one_and_never_the_other_way(opened):
    shot, store = opened.shots.current, opened.frames
    quick, fine = np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)
    assert store.put(shot, Layer.DRAFT, 1001, fine, quality=2)
    assert not store.put(shot, Layer.DRAFT, 1001, quick, quality=1)
    assert store.get(shot, Layer.DRAFT, 1001) is fine
    assert store.quality(shot, Layer.DRAFT, 1001) == 2
    serial = store.serial(shot, Layer.DRAFT, 1001)
    assert store.put(shot, Layer.DRAFT, 1001, quick, quality=2)
    assert store.serial(shot, Layer.DRAFT, 1001) != serial


def test_maps_that_change_take_their_drafts_with_them(opened, qtbot):
    shot, store = opened.shots.current, opened.frames
    store.ask(shot, Layer.LABELS, 1001)
    store.ask(shot, Layer.TRUTH, 1001)
    wait_for(qtbot, store, shot, Layer.LABELS, 1001)
    wait_for(qtbot, store, shot, Layer.TRUTH, 1001)
    store.put(shot, Layer.DRAFT, 1001, np.zeros((2, 2, 3), np.uint8))
    shot.maps_version += 1
    assert not store.has(shot, Layer.DRAFT, 1001)
    assert not store.has(shot, Layer.LABELS, 1001)
    assert store.has(shot, Layer.TRUTH, 1001)


def test_a_map_that_was_rewritten_is_read_anew(opened, qtbot, shot_folder):
    shot, store = opened.shots.current, opened.frames
    store.ask(shot, Layer.LABELS, 1001)
    wait_for(qtbot, store, shot, Layer.LABELS, 1001)
    cv2.imwrite(str(shot_folder / "label/1001.png"), np.full((32, 64), 3, np.uint8))
    shot.maps_version += 1
    store.ask(shot, Layer.LABELS, 1001)
    wait_for(qtbot, store, shot, Layer.LABELS, 1001)
    assert (store.get(shot, Layer.LABELS, 1001) == 3).all()


def test_maps_in_colours_are_ids_with_a_palette_and_colours_without(studio, qtbot, tmp_path):
    (tmp_path / "label").mkdir()
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:] = (110, 76, 130)  # road of the palette “street”
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"label/{number:04d}.png"), picture[..., ::-1])
    found = FoundShot(
        kind=ShotKind.MAPS,
        name="a",
        source=str(tmp_path),
        numbers=(1, 2),
        size=(16, 16),
        labels=str(tmp_path / "label"),
    )
    shot, store = studio.shots.add(found), studio.frames
    store.ask(shot, Layer.LABELS, 1)
    wait_for(qtbot, store, shot, Layer.LABELS, 1)
    assert np.array_equal(store.get(shot, Layer.LABELS, 1), picture)
    shot.palette = "street"
    assert not store.has(shot, Layer.LABELS, 1)
    store.ask(shot, Layer.LABELS, 1)
    wait_for(qtbot, store, shot, Layer.LABELS, 1)
    assert (store.get(shot, Layer.LABELS, 1) == 1).all()


def test_a_movie_is_read_from_anywhere(studio, qtbot, tmp_path):
    path = tmp_path / "cut.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (36, 130, 3)).astype(np.uint8)
    with MovieWriter(path, (36, 64), 24.0) as writer:
        for at in range(60):
            writer.write(np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), 2)[:, at : at + 64]))
    studio.shots.open_paths([str(path)])
    qtbot.waitUntil(lambda: studio.shots.current is not None, timeout=LIMIT_MS)
    shot, store = studio.shots.current, studio.frames
    wanted = list(read_movie(path))
    for number in (60, 1, 30, 29, 31):
        store.ask(shot, Layer.TRUTH, number)
        wait_for(qtbot, store, shot, Layer.TRUTH, number)
        assert np.array_equal(store.get(shot, Layer.TRUTH, number), wanted[number - 1])


def test_a_movie_take_has_the_numbers_of_its_side_car(opened, qtbot, tmp_path):
    shot, store, path = opened.shots.current, opened.frames, tmp_path / "take.mp4"
    with MovieWriter(path, (32, 64), 24.0) as writer:
        for value in (20, 120, 220):
            writer.write(np.full((32, 64, 3), value, np.uint8))
    Path(f"{path}.json").write_text(json.dumps({"written": {"1003": {}, "1005": {}, "1007": {}}}))
    shot.add_take(str(path))
    ask(store, shot, *((Layer.RESULT, number) for number in (1007, 1003)))
    wait_for(qtbot, store, shot, Layer.RESULT, 1003, 1005, 1007)
    assert abs(int(store.get(shot, Layer.RESULT, 1005).mean()) - 120) < 3
    store.ask(shot, Layer.RESULT, 1004)
    qtbot.waitUntil(lambda: store.why(shot, Layer.RESULT, 1004) == "", timeout=LIMIT_MS)


def test_a_shot_that_is_closed_leaves_no_frame(opened, qtbot):
    shot, store = opened.shots.current, opened.frames
    store.ask(shot, Layer.TRUTH, 1001)
    wait_for(qtbot, store, shot, Layer.TRUTH, 1001)
    opened.shots.close_shot(shot)
    assert store.used_bytes == 0


@pytest.mark.parametrize("count", [3, 50])
def test_memory_is_bounded_and_the_oldest_goes_first(count):
    cache = FrameCache(10 * 100)
    for number in range(count):
        cache.put(("shot", "layer", number), np.zeros(100, np.uint8))
        cache.get(("shot", "layer", 0))
    assert cache.used_bytes <= 1000
    assert 0 in cache.numbers("shot", "layer")
    assert len(cache.numbers("shot", "layer")) == min(count, 10)
    cache.forget("shot", "layer")
    assert cache.used_bytes == 0


def test_the_store_keeps_to_its_limit(studio, qtbot, shot_folder):
    store = FrameStore(studio.bridge, limit_bytes=3 * 64 * 32 * 3)
    studio.shots.open_paths([str(shot_folder)])
    qtbot.waitUntil(lambda: studio.shots.current is not None, timeout=LIMIT_MS)
    shot = studio.shots.current
    seen = QSignalSpy(store.came)
    store.want([(shot, Layer.TRUTH, number) for number in shot.numbers])
    qtbot.waitUntil(lambda: len(seen) == 8, timeout=LIMIT_MS)
    assert len(store.numbers(shot, Layer.TRUTH)) == 3
    assert store.used_bytes <= store.limit_bytes
    store.close()
