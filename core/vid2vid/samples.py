# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample sheet of a training: maps painted, truth and result side by side, a few frames below each other."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from mapreel.core.contract.errors import disk_error
from mapreel.core.media.drawing import conditions
from mapreel.core.media.images import write_png
from mapreel.core.media.labels import instance_edges
from mapreel.core.vid2vid.dataset import TrainingShot
from mapreel.core.vid2vid.inputs import encode_frame, picture_to_tensor, tensor_to_picture
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.renderer import to_pixels

FOLDER = "samples"
KEPT = 5
"""Sheets that stay in the folder: enough to see where it is going."""
ROWS = 3
WIDEST_PX = 512
"""A picture on the sheet is scaled down to this."""
_GAP_PX = 4


Draw = Callable[[TrainingShot, int], NDArray[np.uint8]]
"""Makes frame `index` [H, W, 3] sRGB of a shot."""


def write_samples(
    folder: Path, step: int, generator: Generator, shots: list[TrainingShot], device: torch.device
) -> Path:
    """Write `samples/step_0000250.png`, what a generator of ours makes; see `write_sheet`."""
    return write_sheet(folder, step, sample_sheet(generator, shots, device))


def write_sheet(folder: Path, step: int, sheet: NDArray[np.uint8]) -> Path:
    """Write `samples/step_0000250.png` into the training's folder and remove all but the latest few.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / FOLDER / f"step_{step:07d}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, sheet)
        for old in sorted(path.parent.glob("step_*.png"))[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError as exc:
        raise disk_error(exc, path) from exc
    return path


def sample_sheet(generator: Generator, shots: list[TrainingShot], device: torch.device) -> NDArray[np.uint8]:
    """The sheet [H, W, 3] sRGB of a generator of ours; see `drawn_sheet`."""
    return drawn_sheet(shots, lambda shot, index: draw_frame(generator, shot, index, device))


def drawn_sheet(shots: list[TrainingShot], draw: Draw) -> NDArray[np.uint8]:
    """The sheet [H, W, 3] sRGB: a row for each of a few frames, from all shots and from all of their length."""
    rows = []
    for row in range(ROWS):
        shot = shots[row * len(shots) // ROWS]
        index = (2 * row + 1) * len(shot) // (2 * ROWS)
        rows.append([_painted(shot, index), shot.colors[index], draw(shot, index)])
    gap = np.uint8(255)
    return _stack([_stack([_small(p) for p in row], 1, gap) for row in rows], 0, gap)


def _stack(pictures: list[NDArray[np.uint8]], axis: int, gap: np.uint8) -> NDArray[np.uint8]:
    widths = [(0, 0)] * 3
    widths[axis] = (_GAP_PX, 0)
    parts = [pictures[0], *(np.pad(p, widths, constant_values=gap) for p in pictures[1:])]
    return np.concatenate(parts, axis=axis)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    h, w = picture.shape[:2]
    if w <= WIDEST_PX:
        return picture
    size = (WIDEST_PX, max(1, round(h * WIDEST_PX / w)))
    small: NDArray[np.uint8] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return small


def _painted(shot: TrainingShot, index: int) -> NDArray[np.uint8]:
    """The maps: a colour for each class, evenly around the circle, and instance edges in black."""
    classes = shot.classes[index]
    count = max(2, shot.means.shape[0])
    hues = [colorsys.hsv_to_rgb(i / count, 0.55 + 0.3 * (i % 2), 0.95 - 0.3 * (i % 3) / 2) for i in range(count)]
    painted: NDArray[np.uint8] = (np.array(hues) * 255).astype(np.uint8)[classes]
    painted[instance_edges(shot.instances[index])] = 0
    return painted


@torch.no_grad()
def draw_frame(
    generator: Generator,
    shot: TrainingShot,
    index: int,
    device: torch.device,
    memory: tuple[NDArray[np.float32], NDArray[np.bool_]] | None = None,
) -> NDArray[np.uint8]:
    """One whole frame of a training shot with its true instance colours: [H, W, 3] sRGB.

    memory: the compensated frame before [H, W, 3] -1..1 and where it counts [H, W]; None: there is none.
    """
    config, (h, w) = generator.config, shot.size_px
    classes, instances = shot.classes[index].astype(np.intp), shot.instances[index]
    looks, trust = shot.means[classes, instances], np.ones(classes.shape, np.float32)
    drawing = None if shot.drawings is None else conditions(shot.drawings[index])
    inputs = encode_frame(config, classes, instance_edges(instances), looks, trust=trust, condition=drawing)
    warped, valid = memory or (np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.bool_))
    counts = picture_to_tensor(valid[..., None].astype(np.float32))
    pad = (0, -w % config.stride_px, 0, -h % config.stride_px)
    tensors = (inputs.labels, inputs.extras, picture_to_tensor(warped), counts)
    with fast_precision(device):
        output = generator(*(F.pad(t, pad, mode="replicate").to(device) for t in tensors))
    return to_pixels(tensor_to_picture(output[..., :h, :w].cpu()))
