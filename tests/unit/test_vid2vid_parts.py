# SPDX-License-Identifier: GPL-3.0-or-later
"""Timeline, class table, network inputs and instance colours."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import UnknownLabelError
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.inputs import ClassTable, encode_frame, picture_to_tensor, tensor_to_picture
from mapreel.core.vid2vid.looks import SAMPLES, VARIETY, Looks, gather_looks, instance_means
from mapreel.core.vid2vid.renderer import to_pixels
from mapreel.core.vid2vid.timeline import ANCHOR_EVERY, RUN_IN, Timeline

# --- timeline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 47, 48, 49, 54, 95, 96, 97, 200])
def test_segments_cover_the_shot_once(count):
    timeline = Timeline(tuple(range(1001, 1001 + count)))
    segments = list(timeline.segments(set(timeline.numbers)))
    assert [i for s in segments for i in range(s.start, s.end)] == list(range(count))
    assert all(s.start % ANCHOR_EVERY == 0 for s in segments)
    assert segments[-1].fade == segments[-1].end == count == len(timeline)
    for before, after in pairwise(segments):
        assert before.end == after.start
        assert before.fade == after.run_in == after.start - RUN_IN
    assert segments[0].run_in == 0


def test_anchors_are_the_same_for_any_chunk():
    timeline = Timeline(tuple(range(1, 201)))
    whole = {s.start: s for s in timeline.segments(set(timeline.numbers))}
    for wanted in ({60}, {48, 49}, {1, 200}, set(range(90, 110)), {97}):
        chunk = list(timeline.segments(wanted))
        assert [whole[s.start] for s in chunk] == chunk
        assert {(n - 1) // ANCHOR_EVERY * ANCHOR_EVERY for n in wanted} == {s.start for s in chunk}
    assert not list(timeline.segments({777}))
    assert timeline.segment(47).start == 0
    assert timeline.segment(48).start == 48


def test_the_share_of_the_next_chain_rises_evenly():
    timeline = Timeline(tuple(range(96)))
    first, last = timeline.segment(0), timeline.segment(95)
    shares = [first.share_of_next(i) for i in range(first.end)]
    assert shares[: first.fade] == [0.0] * (48 - RUN_IN)
    steps = np.diff([0.0, *shares[first.fade :], 1.0])
    assert np.allclose(steps, 1 / (RUN_IN + 1))
    assert [last.share_of_next(i) for i in range(48, 96)] == [0.0] * 48


# --- class table ------------------------------------------------------------------------------------------------

TABLE = ClassTable((0, 7, 11, 65535), ("sky", "road", "car", "void"))


def test_ids_become_indices_by_value():
    labels = np.array([[0, 7], [65535, 11]], np.uint16)
    assert TABLE.indices(labels, file="x", frame=1).tolist() == [[0, 1], [3, 2]]
    assert TABLE.indices(labels.astype(np.uint8)[:1], file="x", frame=1).tolist() == [[0, 1]]


def test_unknown_labels_are_counted_and_the_known_ones_named():
    labels = np.zeros((10, 10), np.uint16)
    labels[0, :3], labels[1], labels[2, 0] = 5, 300, 12
    with pytest.raises(UnknownLabelError) as caught:
        TABLE.indices(labels, file="label/0012.png", frame=12)
    text = str(caught.value)
    for said in ("frame 12", "label/0012.png", "5 (3 pixels)", "300 (10 pixels)", "12 (1 pixels)", "7 road", "11 car"):
        assert said in text
    assert "more" not in text
    assert (caught.value.frame, caught.value.file) == (12, "label/0012.png")
    many = np.arange(100, 120, dtype=np.uint16)[None]
    with pytest.raises(UnknownLabelError, match="and 15 more"):
        TABLE.indices(many, file="x", frame=1)


@pytest.mark.parametrize("ids", [(0, 0), (-1, 0), (0, 65536), (0, 1.5), (True, 2)])
def test_a_table_of_impossible_ids(ids):
    with pytest.raises(ValueError, match="class ids"):
        ClassTable(ids, ("a", "b"))


# --- inputs -----------------------------------------------------------------------------------------------------


def test_a_frame_as_the_network_reads_it():
    config = GeneratorConfig(classes=3, width=8, height=4)
    classes = np.array([[0, 1, 2, 1]] * 2, np.intp)
    edges = np.array([[True, False, False, True]] * 2)
    colors = np.random.default_rng(0).random((2, 4, 3), np.float32)
    made = encode_frame(config, classes, edges, colors)
    assert made.labels.shape == (1, 4, 2, 4)
    assert made.extras.shape == (1, 5, 2, 4)
    assert torch.equal(made.labels[0, :3].argmax(0), torch.from_numpy(classes))
    assert (made.labels[0, :3].sum(0) == 1).all()
    assert torch.equal(made.labels[0, 3].bool(), torch.from_numpy(edges))
    assert np.allclose(made.extras[0, :3].numpy().transpose(1, 2, 0), colors * 2 - 1)
    assert made.extras[0, 3, :, 0].tolist() == [-0.5, 0.5]
    assert made.extras[0, 4, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]


def test_what_a_model_does_not_read_is_left_out():
    bare = GeneratorConfig(classes=3, width=8, height=4, edges=False, looks=False, position=False)
    made = encode_frame(bare, np.zeros((2, 4), np.intp), np.ones((2, 4), np.bool_), None)
    assert made.labels.shape == (1, 3, 2, 4)
    assert made.extras.shape == (1, 0, 2, 4)
    config = GeneratorConfig(classes=3, width=8, height=4, looks=False)
    assert not encode_frame(config, np.zeros((2, 4), np.intp), None, None).labels[0, 3].any()


def test_a_crop_has_the_coordinates_of_its_place():
    config = GeneratorConfig(classes=1, width=16, height=8, looks=False)
    whole = encode_frame(config, np.zeros((8, 16), np.intp), None, None).extras
    crop = encode_frame(config, np.zeros((4, 6), np.intp), None, None, (2, 8), (8, 16)).extras
    assert torch.equal(crop, whole[:, :, 2:6, 8:14])


def test_pictures_to_tensors_and_back():
    picture = np.random.default_rng(0).random((3, 5, 3), np.float32)
    assert picture_to_tensor(picture).shape == (1, 3, 3, 5)
    assert np.array_equal(tensor_to_picture(picture_to_tensor(picture)), picture)


def test_pixels_are_rounded_and_clipped():
    values = np.array([[[-1.0, 1.0, 0.0]], [[-1.7, 1.3, 0.5 / 127.5 + 0.001]]], np.float32)
    assert to_pixels(values).tolist() == [[[0, 255, 128]], [[0, 255, 128]]]
    every = np.arange(256, dtype=np.uint8)[None, :, None]
    assert np.array_equal(to_pixels(every.astype(np.float32) / 127.5 - 1.0), every)


# --- looks ------------------------------------------------------------------------------------------------------


def some_looks(counts):
    random = np.random.default_rng(2)
    n = len(counts)
    return Looks(
        random.random((n, 3), np.float32), random.random((n, SAMPLES, 3), np.float32), np.array(counts, np.int32)
    )


def test_each_instance_has_one_colour_of_its_class_in_every_frame():
    looks = some_looks([10, 0, 1])
    classes = np.array([[0, 0, 0, 0, 1, 2]] * 2, np.intp)
    instances = np.array([[1, 1, 2, 3, 9, 9], [3, 2, 1, 1, 9, 9]], np.uint16)
    painted = looks.paint(classes, instances)
    assert painted.shape == (2, 6, 3)
    assert painted.dtype == np.float32
    assert np.array_equal(painted[0, 0], painted[1, 2])
    assert np.array_equal(painted[0, 3], painted[1, 0])
    drawn = {tuple(c) for c in painted[:, :4].reshape(-1, 3)}
    assert drawn <= {tuple(c) for c in looks.samples[0, :10]}
    assert np.array_equal(painted[0, 4], looks.mean[1])  # nothing was kept of this class
    assert np.array_equal(painted[0, 5], looks.mean[2])


def test_instances_of_one_class_differ():
    looks = some_looks([SAMPLES])
    ids = np.arange(1, 201, dtype=np.uint16)[None]
    painted = looks.paint(np.zeros((1, 200), np.intp), ids)[0]
    assert len({tuple(c) for c in painted}) > 0.9 * SAMPLES
    assert (painted[1:] != painted[:-1]).any(axis=1).mean() > 0.9


def test_without_instances_every_class_has_its_mean():
    looks = some_looks([5, 5])
    assert np.array_equal(looks.paint(np.array([[1, 0]]), None)[0], looks.mean[[1, 0]])


def test_means_of_instances_and_what_a_model_keeps_of_them():
    colors = np.zeros((2, 2, 4, 3), np.uint8)
    colors[..., 0] = 51
    labels = np.array([[[0, 0, 1, 1]] * 2] * 2, np.uint8)
    instances = np.array([[[4, 4, 5, 6]] * 2] * 2, np.uint16)
    colors[:, :, 2, 1], colors[:, :, 3, 1] = 255, 102
    means, pixels = instance_means(colors, labels, instances, 3)
    assert means.shape == (3, 7, 3)
    assert pixels[0, 4] == 8
    assert pixels[1].tolist() == [0, 0, 0, 0, 0, 4, 4]
    assert means[0, 4] == pytest.approx([0.2, 0, 0])
    assert means[1, 5] == pytest.approx([0.2, 1.0, 0])
    other = (np.full((3, 2, 3), 0.5, np.float32), np.array([[0, 0], [100, 0], [0, 0]]))
    looks = gather_looks([(means, pixels), other])
    assert looks.counts.tolist() == [1, 3, 0]
    biggest = looks.mean[1] + VARIETY * (0.5 - looks.mean[1])
    assert looks.samples[1, 0] == pytest.approx(biggest)  # the biggest comes first
    assert looks.mean[1] == pytest.approx((np.array([0.2, 1, 0]) * 4 + np.array([0.2, 0.4, 0]) * 4 + 50) / 108)
    assert looks.mean[2].tolist() == [0.5] * 3  # never seen: grey


def test_more_instances_than_are_kept():
    pixels = np.arange(1, 101)[None]
    means = np.broadcast_to(np.arange(1, 101, dtype=np.float32)[None, :, None] / 100, (1, 100, 3))
    looks = gather_looks([(means, pixels)])
    assert looks.counts.tolist() == [SAMPLES]
    mean = float(looks.mean[0, 0])
    kept = [mean + VARIETY * (x / 100 - mean) for x in range(100, 100 - SAMPLES, -1)]
    assert looks.samples[0, :, 0].tolist() == pytest.approx(kept)
