# SPDX-License-Identifier: GPL-3.0-or-later
"""How good a model is on a prepared data set that it was not trained on, from the maps alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mapreel.core.contract.errors import MixedSizesError, ModelMismatchError
from mapreel.core.contract.requests import Quality
from mapreel.core.device import pick_device
from mapreel.core.media.images import write_png
from mapreel.core.media.sequence import MapKind, ShotSequence
from mapreel.core.media.sheets import contact_sheet
from mapreel.core.quality import LpipsSqueeze, lpips_squeeze, psnr
from mapreel.core.vid2vid.checkpoint import Model, load_model
from mapreel.core.vid2vid.packed import PackedShot, open_packed
from mapreel.core.vid2vid.renderer import RenderedFrame, Renderer
from mapreel.core.vid2vid.shot import Shot
from mapreel.core.vid2vid.timeline import Timeline
from mapreel.core.vid2vid.training_data import drawn_frames

Pixels = NDArray[np.uint8]  # [H, W, 3]
SHOWN = 4
"""Frames on the contact sheet."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Means over the frames of one data set; LPIPS-SqueezeNet, lower is better; PSNR in dB.

    Attributes:
        paint: LPIPS of every class painted in its mean training colour (face or body and what is around it).
        mean: LPIPS of the mean picture of the training data, repeated; None where none was given.
    """

    frames: int
    psnr: float
    lpips: float
    paint: float
    mean: float | None
    psnr_mean: float | None
    key_share: float

    @property
    def ratio(self) -> float:
        """LPIPS of the render over that of the paint."""
        return self.lpips / self.paint


def shot_of(packed: PackedShot, model: Model) -> Shot:
    """A data set's maps as a shot to render, without motion: what a render knows of a shot it has only maps of.

    Raises:
        ModelMismatchError: the model is of another task.
    """
    config = model.config
    drawings = drawn_frames(packed)
    if packed.task != config.task:
        raise ModelMismatchError(
            f"the data set {packed.path} is of the task {packed.task}, the model {model.name} of {config.task}",
            "choose another model",
        )
    index = {number: at for at, number in enumerate(packed.numbers)}

    def sequence(kind: MapKind, load: Callable[[int], NDArray[Any]], planes: int = 0) -> ShotSequence:
        return ShotSequence(
            kind=kind,
            source=str(packed.path),
            numbers=packed.numbers,
            size=packed.size_px,
            filled={},
            filed=lambda _: packed.path,
            load=lambda number: load(index[number]),
            planes=planes,
        )

    if drawings is None:
        labels = sequence(MapKind.LABEL, lambda at: np.asarray(packed.arrays["label"][at]))
    else:
        labels = sequence(MapKind.DRAWING, drawings.__getitem__, drawings.planes)
    instance = packed.arrays.get("instance")
    instances = sequence(MapKind.INSTANCE, lambda at: np.asarray(instance[at])) if instance is not None else None
    return Shot(model, labels, instances, None, packed.numbers, Timeline(packed.numbers))


def mean_picture(paths: list[Path]) -> NDArray[np.float64]:
    """Mean of all frames of some data sets [H, W, 3] 0..255. Raises MixedSizesError, and what `open_packed` raises."""
    total: NDArray[np.float64] = np.zeros((1, 1, 3))
    count = 0
    for path in paths:
        colors = open_packed(path).arrays["color"]
        if count and colors.shape[1:] != total.shape:
            raise MixedSizesError(f"the data set {path} has another size than those before", "prepare them alike")
        total = sum((frame.astype(np.float64) for frame in colors), total)
        count += len(colors)
    return total / max(1, count)


def score_model(
    model_name: str,
    data: list[Path],
    weights: Path,
    quality: Quality = Quality.FULL,
    trained_on: list[Path] | None = None,
    pictures: Path | None = None,
) -> Score:
    """Render data sets from their maps alone and compare with their true frames.

    Args:
        model_name: as `mapreel render` takes it.
        data: data sets, each a shot of its own.
        weights: of LPIPS-SqueezeNet.
        quality: full, fast or draft.
        trained_on: data sets whose mean picture is compared as well.
        pictures: a folder for `QUALITY_sheet.png`: paint, render and truth of four frames.

    Raises:
        InputError, ModelError: something given cannot be used.
    """
    model, network = load_model(model_name), lpips_squeeze(weights)
    renderer = Renderer(model, pick_device())
    mean = np.rint(mean_picture(trained_on)).astype(np.uint8) if trained_on else None
    rows: list[tuple[float, ...]] = []
    shown: list[tuple[Pixels, ...]] = []
    for path in data:
        packed = open_packed(path)
        shot = shot_of(packed, model)
        if mean is not None and mean.shape[:2] != packed.size_px:
            raise MixedSizesError(f"the data set {path} has another size than those trained on", "prepare them alike")
        for at, frame in enumerate(_rendered(renderer, shot, quality)):
            truth = np.asarray(packed.arrays["color"][at])
            paint = np.rint(model.looks.mean[shot.maps(at).classes] * 255.0).astype(np.uint8)
            row = [psnr(frame.pixels, truth), float(frame.is_key)]
            row += [_distance(network, picture, truth) for picture in (frame.pixels, paint)]
            row += [] if mean is None else [_distance(network, mean, truth), psnr(mean, truth)]
            rows.append(tuple(row))
            shown.append((paint, frame.pixels, truth))
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        chosen = [shown[round(i * (len(shown) - 1) / (SHOWN - 1))] for i in range(SHOWN)]
        write_png(pictures / f"{quality.value}_sheet.png", contact_sheet(chosen))
    means = [*np.mean(rows, axis=0).tolist(), None, None]
    return Score(
        frames=len(rows),
        psnr=means[0],
        key_share=means[1],
        lpips=means[2],
        paint=means[3],
        mean=means[4],
        psnr_mean=means[5],
    )


def _rendered(renderer: Renderer, shot: Shot, quality: Quality) -> Iterator[RenderedFrame]:
    memory = None
    for segment in shot.timeline.segments(set(shot.planned)):
        memory = yield from renderer.render(shot, segment, quality, memory)


@torch.no_grad()
def _distance(network: LpipsSqueeze, a: Pixels, b: Pixels) -> float:
    tensors = [torch.from_numpy(x.astype(np.float32) / 255).permute(2, 0, 1)[None] for x in (a, b)]
    return float(network(*tensors))
