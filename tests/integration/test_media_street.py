# SPDX-License-Identifier: GPL-3.0-or-later
"""The street shots of the project: maps agree with each other and with the pictures, motion points the right way."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mapreel.core.contract.frames import FrameRange
from mapreel.core.media.labels import instance_edges
from mapreel.core.media.palettes import load_palette
from mapreel.core.media.sequence import open_maps

STREET = Path(__file__).resolve().parents[3] / "shared" / "data" / "street"
pytestmark = pytest.mark.skipif(not STREET.is_dir(), reason="needs ../shared/data/street")
FRAMES = FrameRange.parse("2-96x13")


@pytest.mark.parametrize(("shot", "count"), [("test", 96), ("train_a", 240), ("train_b", 120)])
def test_all_maps_and_plates_open_with_one_size_and_the_same_numbers(shot, count):
    for kind in ("label", "instance", "motion", "color"):
        maps = open_maps(STREET / shot / kind, kind)
        assert maps.numbers == tuple(range(1, count + 1))
        assert maps.size == (256, 512)


def test_ids_are_those_another_reader_finds():
    for kind in ("label", "instance"):
        maps = open_maps(STREET / "test" / kind, kind, FRAMES)
        for number in maps.numbers:
            other = cv2.imdecode(np.fromfile(maps.path(number), np.uint8), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(maps.read(number), other)


def test_labels_are_the_twelve_classes_and_instances_part_them():
    ids = {entry.id for entry in load_palette("street").classes}
    labels, instances = (open_maps(STREET / "test" / kind, kind, FRAMES) for kind in ("label", "instance"))
    for number in labels.numbers:
        assert ids.issuperset(np.unique(labels.read(number)).tolist())
        share = instance_edges(instances.read(number)).mean()
        assert 0.02 < share < 0.4


def carried(picture: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The frame before, fetched from where each pixel was: p + motion."""
    height, width = motion.shape[:2]
    across, down = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(picture, across + motion[..., 0], down + motion[..., 1], cv2.INTER_LINEAR)


def test_motion_carries_the_frame_before_onto_this_one():
    colors, motions = open_maps(STREET / "test" / "color", "color"), open_maps(STREET / "test" / "motion", "motion")
    labels = open_maps(STREET / "test" / "label", "label")
    for number in FRAMES:
        now, before = colors.read(number).astype(np.float32), colors.read(number - 1).astype(np.float32)
        motion = motions.read(number)
        assert np.abs(motion).max() > 1
        moving = np.hypot(motion[..., 0], motion[..., 1]) > 0.5
        errors = {
            name: np.abs(carried(before, field) - now)[moving].mean()
            for name, field in (
                ("right", motion),
                ("still", motion * 0),
                ("opposite", -motion),
                ("y up", motion * np.array([1, -1], np.float32)),
                ("swapped", np.ascontiguousarray(motion[..., ::-1])),
            )
        }
        assert errors["right"] < 0.75 * min(value for name, value in errors.items() if name != "right"), errors
        agree = carried(labels.read(number - 1).astype(np.float32), np.round(motion)) == labels.read(number)
        assert agree.mean() > 0.9
