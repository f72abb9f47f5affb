# SPDX-License-Identifier: GPL-3.0-or-later
"""Key frames chosen from real maps, in-betweens against the true frames, memory that does not grow with the shot."""

from __future__ import annotations

import dataclasses
import gc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import torch

from mapreel.core.contract.requests import KeyRule, Quality
from mapreel.core.media.images import read_color, write_exr, write_png
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.warping import agreement, compose, insideness
from mapreel.core.vid2vid import keyframes, takefolder
from mapreel.core.vid2vid.compensation import carried_from, in_betweens, motion_to
from mapreel.core.vid2vid.keyframes import LARGEST_LOSS, LONGEST_GAP, next_key, residual
from mapreel.core.vid2vid.lanes import LANES
from mapreel.core.vid2vid.renderer import STEADY, Memory, RenderedFrame, Renderer
from mapreel.core.vid2vid.shot import KEPT_FRAMES, FrameMaps


def keys_of(shot, end=None):
    keys, end = [0], len(shot.timeline) - 1 if end is None else end
    while keys[-1] < end:
        keys.append(next_key(shot, keys[-1], end))
    return keys


def picture(path):
    return read_color(path).astype(np.float32) / 127.5 - 1.0


# --- key frames -------------------------------------------------------------------------------------------------


def test_gaps_are_bounded_and_the_last_frame_is_a_key(street, opened):
    keys = keys_of(opened(street))
    assert keys[0] == 0
    assert keys[-1] == 39
    assert all(1 <= b - a <= LONGEST_GAP for a, b in pairwise(keys))
    assert len(keys) < 40


def test_a_still_shot_has_the_longest_gaps(maps, opened, tmp_path):
    shot = maps(tmp_path / "maps", range(1, 15))
    for kind in ("label", "instance"):
        for number in range(2, 15):
            (shot / kind / f"{number:04d}.png").write_bytes((shot / kind / "0001.png").read_bytes())
    for number in range(1, 15):
        write_exr(shot / "motion" / f"{number:04d}.exr", np.zeros((48, 80, 2)), channels=("motion.X", "motion.Y"))
    assert keys_of(opened(shot)) == [0, 6, 12, 13]
    assert keys_of(opened(shot), end=3) == [0, 3]


def test_a_frame_that_cannot_be_carried_is_a_key(own_street, opened):
    """A new object over a third of frame 1003: its pixels come from nowhere."""
    label = np.zeros((48, 80), np.uint8)
    label[:, 50:] = 5
    write_png(own_street / "label" / "1003.png", label)
    shot = opened(own_street, instances=None)
    assert next_key(shot, 0, 39) == 2
    assert next_key(shot, 2, 39) == 3  # and it is gone again in the next one


def test_small_losses_add_up_until_a_key_is_due(street, opened, monkeypatch):
    monkeypatch.setattr(keyframes, "LONGEST_GAP", 39)
    shot = opened(street)
    due = next_key(shot, 0, 39)

    def lost(index):
        ids, base = shot.maps(index).ids, shot.maps(0).ids
        return 1 - agreement(motion_to(shot, index, 0), ids, base).mean()

    assert 1 < due < 39
    assert lost(due) > LARGEST_LOSS >= lost(due - 1)


def test_the_paper_takes_the_frames_where_the_labels_change_most(own_street, opened):
    """A wall that comes at frame index 3 and goes at 5; elsewhere the car and the person move as they do."""
    label = np.zeros((48, 80), np.uint8)
    label[:, 50:] = 5
    for number in (1004, 1005):
        write_png(own_street / "label" / f"{number}.png", label)
    shot = opened(own_street, instances=None, quality=Quality.FAST, keys=KeyRule.PAPER)
    assert residual(shot, 0) == float("inf")
    assert residual(shot, 4) == 0
    changed = [residual(shot, index) for index in range(1, 40)]
    assert sorted(np.argsort(changed)[-2:] + 1) == [3, 5]
    before, after = (read_label_map(own_street / "label" / f"{n}.png", frame=n) for n in (1003, 1004))
    assert residual(shot, 3) == (before != after).mean()
    keys = keys_of(shot)
    assert keys[0] == 0
    assert keys[-1] == 39
    assert {3, 5} <= set(keys)
    assert all(1 <= b - a <= LONGEST_GAP for a, b in pairwise(keys))


def test_a_peak_stands_above_its_neighbours_and_a_flat_top_counts_once(opened, street, monkeypatch):
    shot = opened(street, quality=Quality.FAST, keys=KeyRule.PAPER)
    values = [float("inf"), 9, 8, 1, 3, 3, 1, 2, 5, 1, 0]
    monkeypatch.setattr(keyframes, "residual", lambda _, index: values[index])
    assert next_key(shot, 0, 10) == 4  # falling since the first frame; the first of the two that are alike
    assert next_key(shot, 4, 10) == 8
    assert next_key(shot, 4, 8) == 8
    assert next_key(shot, 8, 10) == 10
    assert next_key(shot, 9, 10) == 10


def test_a_drawing_changes_where_its_lines_do(opened, street):
    shot = opened(street, quality=Quality.FAST, keys=KeyRule.PAPER)
    drawings = [np.zeros((48, 80, 2), np.uint8) for _ in range(2)]
    drawings[1][10, 3:7, 1] = 255
    for index, drawing in enumerate(drawings):
        maps = shot.maps(index)
        shot._frames[maps.number] = dataclasses.replace(maps, drawing=drawing)
    assert residual(shot, 1) == 4 / (48 * 80)


def test_still_maps_have_the_longest_gaps_under_the_papers_rule(opened, street, monkeypatch):
    shot = opened(street, quality=Quality.FAST, keys=KeyRule.PAPER)
    monkeypatch.setattr(keyframes, "residual", lambda _, index: 0.0 if index else float("inf"))
    assert keys_of(shot, end=14) == [0, 6, 12, 14]


# --- compensation -----------------------------------------------------------------------------------------------


def test_motion_over_several_frames_is_the_sum_of_the_steps(street, opened, scene):
    shot = opened(street)
    motion = motion_to(shot, 6, 2)
    label = scene.frame(6)[0]
    assert np.allclose(motion_to(shot, 3, 2), shot.maps(3).motion)
    inside = (slice(30, 36), slice(None))
    assert np.median(motion[inside][label[inside] == 5][:, 0]) == -8  # the car: two pixels a frame
    assert np.allclose(motion[:4, 10:60], [-4, 0])


@pytest.mark.parametrize("last", [3, 5])
def test_in_betweens_come_out_close_to_the_truth(street, opened, last):
    shot = opened(street)
    truth = [picture(street / "color" / f"{1001 + i}.png") for i in range(last + 1)]
    with ThreadPoolExecutor(2) as pool:
        made = in_betweens(shot, (0, truth[0]), (last, truth[last]), pool)
    assert len(made) == last - 1
    for index, carried in enumerate(made, start=1):
        error = np.abs(carried.picture - truth[index])
        still = min(np.abs(truth[0] - truth[index]).mean(), np.abs(truth[last] - truth[index]).mean())
        assert error.mean() < 0.02
        assert error.mean() < 0.12 * still
        assert np.median(error) < 0.004


def test_between_neighbours_there_is_nothing(street, opened):
    black = np.zeros((48, 80, 3), np.float32)
    with ThreadPoolExecutor(1) as pool:
        assert in_betweens(opened(street), (4, black), (5, black), pool) == []


def test_both_keys_count_by_their_nearness(street, opened, scene):
    shot = opened(street)
    shape = (48, 80, 3)
    with ThreadPoolExecutor(1) as pool:
        made = in_betweens(shot, (0, np.zeros(shape, np.float32)), (4, np.ones(shape, np.float32)), pool)
    for index, carried in enumerate(made, start=1):
        sky = (slice(8, 14), slice(20, -20))  # what comes from near the border counts less
        assert np.allclose(carried.picture[sky], index / 4, atol=1e-4)
        assert (carried.keys[sky] == 2).all()
        assert np.allclose(carried.differ[sky], 1.0)
        assert carried.nearness == 2 * min(index, 4 - index) / 4


def test_a_colour_never_crosses_into_another_class(street, opened, scene):
    """Key frames painted by class: a pixel of an in-between has the colour of its own class.

    Only where motion was made up beside an outline may the filter's footprint reach over it, one pixel wide.
    """
    shot = opened(street)

    def painted(index):
        return scene.frame(index)[0].astype(np.float32)[..., None].repeat(3, axis=2) / 10

    with ThreadPoolExecutor(1) as pool:
        made = in_betweens(shot, (0, painted(0)), (5, painted(5)), pool)
    for index, carried in enumerate(made, start=1):
        crossed = np.abs(carried.picture - painted(index)).max(axis=2) > 1e-3
        assert crossed.mean() < 0.008
        assert not (crossed[:, 1:] & crossed[:, :-1]).any()
        assert np.array_equal(carried_from(shot, index, 0, painted(0)).picture, painted(index))


def test_a_frame_carried_from_one_key_is_close_as_well(street, opened):
    shot = opened(street)
    truth = [picture(street / "color" / f"{1001 + i}.png") for i in range(4)]
    carried = carried_from(shot, 3, 0, truth[0]).picture
    assert np.median(np.abs(carried - truth[3])) < 0.004
    assert np.abs(carried - truth[3]).mean() < 0.1 * np.abs(truth[0] - truth[3]).mean()


def test_estimated_motion_serves_where_none_is_given(street, opened):
    shot = opened(street, motion=None, instances=None)
    before, after = shot.maps(4), shot.maps(5)
    assert after.motion is None
    motion = shot.motion_between(before, after)
    moved = after.classes == 2
    assert np.median(motion[moved][:, 0]) == pytest.approx(-2, abs=0.4)


def test_steps_compose_in_the_right_order(street, opened):
    shot = opened(street)
    step = [shot.motion_between(shot.maps(i - 1), shot.maps(i)) for i in (1, 2)]
    assert np.array_equal(motion_to(shot, 2, 0), compose(step[1], step[0]))


# --- the recurrent state ----------------------------------------------------------------------------------------


def test_the_frame_before_stays_along_the_motion_as_far_as_it_is_told(street, opened):
    """Of a frame that is carried a fixed share stays; where nothing can be carried the frame is a fresh one."""
    shot = opened(street)
    renderer = Renderer(shot.model, torch.device("cpu"))
    truth = [picture(street / "color" / f"{1001 + i}.png") for i in range(2)]
    made, memory = renderer.render_frame(shot, 1, Memory(0, truth[0]))
    assert memory.index == 1
    assert memory.picture is made
    valid = agreement(shot.maps(1).motion, shot.maps(1).ids, shot.maps(0).ids)
    assert 0.9 < valid.mean() < 1
    afresh, _ = renderer.render_frame(shot, 1, None)
    assert np.abs(afresh - truth[1]).mean() > 0.1
    share = STEADY * insideness(shot.maps(1).motion)[..., None]
    expected = afresh + share * (truth[1] - afresh)
    assert np.abs(made - expected)[valid].max() < 0.02
    assert np.array_equal(made[~valid], afresh[~valid])


def test_rendering_a_frame_twice_gives_the_same(street, opened):
    shot = opened(street)
    renderer = Renderer(shot.model, torch.device("cpu"))
    first, memory = renderer.render_frame(shot, 0, None)
    once, twice = (renderer.render_frame(shot, 1, memory)[0] for _ in range(2))
    assert np.array_equal(once, twice)
    assert np.array_equal(first, renderer.render_frame(shot, 0, None)[0])


def test_odd_sizes_are_padded_outside_and_cut_again(maps, opened, tmp_path):
    """The part of an odd picture that padding cannot reach is what the even picture gives."""
    shot = opened(maps(tmp_path / "odd", range(1, 3), size=(45, 75)))
    renderer = Renderer(shot.model, torch.device("cpu"))
    for index in (0, 1):
        made, _ = renderer.render_frame(shot, index, None)
        assert made.shape == (45, 75, 3)
        assert made.flags["C_CONTIGUOUS"]


# --- bounded ----------------------------------------------------------------------------------------------------


def alive(*kinds):
    gc.collect()
    counted = Counter(type(o) for o in gc.get_objects())
    return [counted[kind] for kind in kinds]


def test_what_is_kept_does_not_grow_with_the_shot(maps, render, listener, short_timeline, tmp_path, quality):
    """Maps, frames and memories alive after each frame: never more than the caches may hold."""
    shot = maps(tmp_path / "maps", range(1, 43), size=(16, 24))
    counts = []

    class Counts(listener):
        def report(self, progress):
            super().report(progress)
            if progress.done in (20, 30, 42):
                counts.append(alive(FrameMaps, RenderedFrame, Memory))

    render(shot, "take", context=Counts(), quality=quality)
    assert len(counts) == 3
    for kept, frames, memories in counts:
        lanes = LANES if quality is Quality.FAST else 1
        assert 0 < kept <= lanes * KEPT_FRAMES
        assert frames <= (lanes * 12 if quality is Quality.FAST else 2)  # segments of 12 frames wait for their turn
        assert memories <= lanes * 3


def test_frames_that_wait_for_the_disk_are_few(street, render, short_timeline, monkeypatch):
    waiting = []
    real_add = takefolder.FrameWriter.add

    def add(self, number, pixels):
        real_add(self, number, pixels)
        waiting.append(len(self._waiting))

    monkeypatch.setattr(takefolder.FrameWriter, "add", add)
    render(street, "take", frames="1001-1030", quality=Quality.DRAFT)
    assert len(waiting) == 30
    assert max(waiting) <= takefolder.WAITING_FRAMES
