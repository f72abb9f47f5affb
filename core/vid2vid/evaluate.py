# SPDX-License-Identifier: GPL-3.0-or-later
"""How good a model is on a shot with known true frames: LPIPS against class-mean paint, flicker against the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mapreel.core.contract.requests import Quality, RenderRequest
from mapreel.core.device import pick_device
from mapreel.core.media.images import write_png
from mapreel.core.media.sequence import MapKind, open_maps
from mapreel.core.media.sheets import contact_sheet
from mapreel.core.media.warping import agreement, warp_picture
from mapreel.core.quality import LpipsSqueeze, lpips_squeeze
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.renderer import RenderedFrame, Renderer
from mapreel.core.vid2vid.shot import Shot, open_shot
from mapreel.core.vid2vid.teacher_model import TeacherModel, load_teacher
from mapreel.core.vid2vid.teacher_renderer import TeacherRenderer


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of one model on one shot.

    Attributes:
        frames: how many were compared.
        lpips: mean LPIPS-SqueezeNet of the rendered frames to the true ones; lower is better.
        lpips_paint: the same for every class painted in its mean training colour.
        flicker: mean change in 8-bit steps against the compensated frame before, where labels and instances agree.
        flicker_truth: the same for the true frames: what change the shot itself has.
        key_share: share of frames the network made.
    """

    frames: int
    lpips: float
    lpips_paint: float
    flicker: float
    flicker_truth: float
    key_share: float

    @property
    def ratio(self) -> float:
        """LPIPS of the render over LPIPS of the paint."""
        return self.lpips / self.lpips_paint


def render_shot(
    model_name: str, folder: Path, quality: Quality, references: tuple[tuple[int, str], ...] = ()
) -> tuple[Shot, Iterator[RenderedFrame]]:
    """Render a shot folder (`label/`, and `instance/`, `motion/` where there are any) in memory.

    references: (frame number, file) of true pictures that are given.
    """
    model = load_teacher(model_name) if quality is Quality.TEACHER else load_model(model_name)
    request = RenderRequest(
        labels=str(folder.resolve() / "label"),
        instances=_part(folder, "instance"),
        motion=_part(folder, "motion"),
        model=model_name,
        out=str(folder.resolve() / "not-written"),
        quality=quality,
        reference=references,
    )
    shot = open_shot(model, request)
    device = pick_device()
    renderer = TeacherRenderer(model, device) if isinstance(model, TeacherModel) else Renderer(model, device)

    def frames() -> Iterator[RenderedFrame]:
        memory = None
        for segment in shot.timeline.segments(set(shot.planned)):
            memory = yield from renderer.render(shot, segment, quality, memory)

    return shot, frames()


def _part(folder: Path, name: str) -> str | None:
    return str(folder.resolve() / name) if (folder / name).is_dir() else None


def evaluate(
    model_name: str, folder: Path, weights: Path, quality: Quality = Quality.FULL, pictures: Path | None = None
) -> Evaluation:
    """Render `folder`'s maps and compare with its `color/` frames.

    With `pictures`, a folder, also write `QUALITY_sheet.png` (paint, render and truth of four frames) and
    `QUALITY_strip.png` (two lines through time, render above truth: what sticks to things runs in smooth curves).

    Raises:
        InputError: the shot cannot be read.
        ModelError: the model or the LPIPS weights cannot be used.
    """
    network = lpips_squeeze(weights)
    truth = open_maps(folder / "color", MapKind.COLOR)
    shot, frames = render_shot(model_name, folder, quality)
    distances, paints, keys = [], [], 0
    shown: list[tuple[NDArray[np.uint8], ...]] = []
    flicker, flicker_truth = _Flicker(shot), _Flicker(shot)
    for index, frame in enumerate(frames):
        true = truth.read(frame.number)
        paint = np.rint(shot.model.looks.mean[shot.maps(index).classes] * 255.0).astype(np.uint8)
        distances.append(_distance(network, frame.pixels, true))
        paints.append(_distance(network, paint, true))
        flicker.add(index, frame.pixels)
        flicker_truth.add(index, true)
        keys += frame.is_key
        if pictures is not None:
            shown.append((paint, frame.pixels, true))
    if pictures is not None:
        _write_pictures(pictures, quality, shown)
    return Evaluation(
        frames=len(distances),
        lpips=float(np.mean(distances)),
        lpips_paint=float(np.mean(paints)),
        flicker=flicker.mean,
        flicker_truth=flicker_truth.mean,
        key_share=keys / len(distances),
    )


def _write_pictures(folder: Path, quality: Quality, shown: list[tuple[NDArray[np.uint8], ...]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [shown[round(i * (len(shown) - 1) / 3)] for i in range(4)]
    write_png(folder / f"{quality.value}_sheet.png", contact_sheet(chosen))
    height = shown[0][0].shape[0]
    lines = [
        np.stack([frames[kind][y] for frames in shown]) for y in (height * 3 // 7, height * 3 // 4) for kind in (1, 2)
    ]
    write_png(folder / f"{quality.value}_strip.png", contact_sheet([[line.repeat(2, axis=0)] for line in lines]))


@torch.no_grad()
def _distance(network: LpipsSqueeze, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    tensors = [torch.from_numpy(x.astype(np.float32) / 255).permute(2, 0, 1)[None] for x in (a, b)]
    return float(network(*tensors))


class _Flicker:
    """Mean absolute change along the motion, over all neighbouring frames."""

    def __init__(self, shot: Shot) -> None:
        self._shot, self._before, self._values = shot, np.zeros(0, np.float32), list[float]()

    def add(self, index: int, pixels: NDArray[np.uint8]) -> None:
        now = pixels.astype(np.float32)
        if index > 0:
            before, here = self._shot.maps(index - 1), self._shot.maps(index)
            motion = self._shot.motion_between(before, here)
            valid = agreement(motion, here.ids, before.ids)
            self._values.append(float(np.abs(warp_picture(self._before, motion) - now)[valid].mean()))
        self._before = now

    @property
    def mean(self) -> float:
        return float(np.mean(self._values)) if self._values else 0.0
