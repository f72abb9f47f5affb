# SPDX-License-Identifier: GPL-3.0-or-later
"""The segmenter behind mIoU: it learns colours of classes, and its figure follows its definition."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import DamagedModelError, MissingInputError, MissingModelError
from mapreel.core.media.images import write_png
from mapreel.core.vid2vid.evaluate_segmenter import (
    class_indices,
    confusion,
    load_segmenter,
    mean_iou,
    save_segmenter,
    train_segmenter,
)

COLORS = {3: (30, 60, 200), 7: (210, 180, 40), 9: (90, 200, 90)}


def picture(labels: np.ndarray) -> np.ndarray:
    painted = np.zeros((*labels.shape, 3), np.uint8)
    for label, color in COLORS.items():
        painted[labels == label] = color
    return painted


@pytest.fixture
def shot(tmp_path) -> Path:
    for name in ("color", "label"):
        (tmp_path / "shot" / name).mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(1, 5):
        labels = np.full((48, 64), 3, np.uint8)
        labels[int(rng.integers(10, 30)) :] = 7
        labels[5:25, 10:40] = 9
        write_png(tmp_path / "shot" / "color" / f"{number:04d}.png", picture(labels))
        assert cv2.imwrite(str(tmp_path / "shot" / "label" / f"{number:04d}.png"), labels)
    return tmp_path / "shot"


def test_it_learns_and_comes_back_from_disk(shot, tmp_path):
    done: list[int] = []
    network = train_segmenter([shot], steps=40, report=done.append)
    assert done == list(range(1, 41))
    assert network.ids == tuple(COLORS)
    save_segmenter(tmp_path / "s.safetensors", network)
    again = load_segmenter(tmp_path / "s.safetensors")
    labels = np.full((48, 64), 3, np.uint8)
    labels[18:] = 7
    labels[5:25, 10:40] = 9
    found = again.label(picture(labels))
    assert np.array_equal(found, network.label(picture(labels)))
    wanted = class_indices(labels, again.ids)
    right = mean_iou(confusion(found, wanted, 3))
    assert right > 0.6
    wrong = mean_iou(confusion(again.label(picture(labels[:, ::-1])), wanted, 3))
    assert wrong < right - 0.15


def test_figures_by_hand():
    wanted = class_indices(np.array([[3, 3, 7], [7, 9, 200]], np.uint8), (3, 7, 9))
    assert wanted.tolist() == [[0, 0, 1], [1, 2, -100]]
    found = np.array([[0, 1, 1], [1, 1, 0]])
    pairs = confusion(found, wanted, 3)
    assert pairs.tolist() == [[1, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert mean_iou(pairs) == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)
    assert mean_iou(np.zeros((3, 3), np.int64)) == 0.0


def test_refusals(tmp_path):
    with pytest.raises(MissingInputError):
        train_segmenter([], steps=1)
    with pytest.raises(MissingModelError, match="bench segmenter"):
        load_segmenter(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    with pytest.raises(DamagedModelError):
        load_segmenter(tmp_path / "text.safetensors")
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(DamagedModelError):
        load_segmenter(tmp_path / "other.safetensors")
