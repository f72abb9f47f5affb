# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a shot as a user does, maps on disk to frames on disk, under each condition that is compared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.frames import FoundSequence, find_sequence
from mapreel.core.contract.progress import Progress
from mapreel.core.contract.requests import KeyRule, Quality, RenderRequest
from mapreel.core.contract.takes import claim_take
from mapreel.core.device import pick_device, synchronize
from mapreel.core.media.images import read_color
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.evaluate_conditions import Condition
from mapreel.core.vid2vid.macs import Macs, count_composite, count_generator
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.render_job import run_render
from mapreel.core.vid2vid.renderer import Renderer
from mapreel.core.vid2vid.takefolder import SIDECAR
from mapreel.core.vid2vid.teacher_model import load_teacher
from mapreel.core.vid2vid.timeline import Timeline

GIVEN = 2
"""True frames given at the start, as the paper's protocol does. They are never scored, under no condition."""
PAPER_KEYS = "paper's keys"
_TIMED_CALLS = 5
_KEPT = 4  # pictures: a frame and the one before it are asked for several times in a row

Pixels = NDArray[np.uint8]  # [H, W, 3] sRGB
Pictures = Callable[[int], Pixels]
"""The picture of a frame number."""


@dataclass(frozen=True)
class Contender:
    """One way to render: a model, a quality and how its key frames are chosen."""

    name: str
    model: str
    quality: Quality
    keys: KeyRule = KeyRule.ADAPTIVE

    @property
    def is_teacher(self) -> bool:
        return self.quality is Quality.TEACHER


@dataclass(frozen=True)
class Take:
    """What one contender rendered, and how fast."""

    frames: FoundSequence
    keys: tuple[int, ...]  # frame numbers the network made
    runs: int  # of the network, frames it made twice counted twice
    figures: dict[str, float]

    def pictures(self) -> Pictures:
        """Reads the frames back; the last few are kept."""
        return kept(lambda number: read_color(self.frames.pattern.path(number), frame=number))


def kept(read: Pictures) -> Pictures:
    """The same pictures; the last few are not read (or painted) again."""
    store: dict[int, Pixels] = {}

    def picture_of(number: int) -> Pixels:
        if number not in store:
            store[number] = read(number)
            while len(store) > _KEPT:
                store.pop(next(iter(store)))
        return store[number]

    return picture_of


def contenders(model: str, teacher: Path | None) -> tuple[Contender, ...]:
    """The teacher, where there is one, ours in every quality, and fast quality with the paper's key frames."""
    ours = (Quality.FULL, Quality.FAST, Quality.DRAFT)
    first = (Contender("teacher", str(teacher.resolve()), Quality.TEACHER),) if teacher else ()
    paper = Contender(PAPER_KEYS, model, Quality.FAST, KeyRule.PAPER)
    return (*first, *(Contender(quality.value, model, quality) for quality in ours), paper)


def render_take(
    contender: Contender, shot: Path, condition: Condition, out: Path, show: Callable[[Progress], None]
) -> Take:
    """Render all frames of `shot` into a new folder.

    The figures: frames_per_second (maps on disk to frames on disk, frames given not counted), p50_ms and p99_ms between
    one finished frame and the next, key_share.

    Raises:
        MapreelError: what a render raises.
    """
    clock = _Clock(show)
    request = request_for(contender, shot, condition, out)
    take = claim_take(out)
    result = run_render(request, take, clock)
    keys = tuple(int(key) for key in json.loads((take / SIDECAR).read_text("utf-8"))["keys"])
    frames = find_sequence(take)
    given = {number for number, _ in request.reference}
    made = [key for key in keys if key not in given]
    share = len(made) / len(frames.numbers)
    figures = {"frames_per_second": float(result["frames_per_second"]), "key_share": share, **clock.percentiles()}
    return Take(frames, keys, _runs(frames.numbers, contender.quality, len(made)), figures)


def request_for(contender: Contender, shot: Path, condition: Condition, out: Path) -> RenderRequest:
    """What a user would ask for. Raises InputError when the shot has not the maps that the condition needs."""
    folder = shot.resolve()
    for kind in ("label", "instance", *(["motion"] if condition.has_motion else [])):
        if not (folder / kind).is_dir():
            raise InputError(
                f"the shot {shot} has no folder {kind}", "give a shot with color, label, instance and motion maps"
            )
    color = find_sequence(folder / "color")
    given = color.numbers[:GIVEN] if condition.has_frames else ()
    return RenderRequest(
        labels=str(folder / "label"),
        instances=str(folder / "instance"),
        motion=str(folder / "motion") if condition.has_motion else None,
        model=contender.model,
        out=str(out.resolve()),
        quality=contender.quality,
        keys=contender.keys,
        reference=tuple((number, str(color.pattern.path(number))) for number in given),
    )


def _runs(numbers: tuple[int, ...], quality: Quality, keys: int) -> int:
    """How often the network ran: chains overlap before an anchor, and a fast segment ends on the next one's anchor."""
    segments = list(Timeline(numbers).segments(set(numbers)))
    if quality is Quality.FULL:
        return keys + sum(segment.end - segment.fade for segment in segments)
    return keys + (len(segments) - 1 if quality is Quality.FAST else 0)


class _Clock:
    """A job context that notes when each frame was finished."""

    def __init__(self, show: Callable[[Progress], None]) -> None:
        self._show = show
        self._marks_s: list[float] = []

    def report(self, progress: Progress) -> None:
        self._marks_s.append(time.perf_counter())
        self._show(progress)

    def check(self) -> None:
        """Nobody stops a benchmark but Ctrl-C."""

    def percentiles(self) -> dict[str, float]:
        """Milliseconds between finished frames: the median, and what one frame in a hundred exceeds."""
        gaps_ms = np.diff(self._marks_s) * 1000
        if not len(gaps_ms):
            return {}
        return {"p50_ms": float(np.percentile(gaps_ms, 50)), "p99_ms": float(np.percentile(gaps_ms, 99))}


def cost(contender: Contender, size_px: tuple[int, int]) -> Macs:
    """Multiply-accumulates of one frame that the network makes, at a size (H, W)."""
    if contender.is_teacher:
        return count_composite(load_teacher(contender.model).config, size_px)
    return count_generator(load_model(contender.model).generator, size_px)


@torch.inference_mode()
def network_seconds(contender: Contender, size_px: tuple[int, int]) -> float:
    """Time of the network alone for one frame at a size (H, W), as the renderer runs it: the best of a few calls."""
    device = pick_device()
    h, w = size_px
    run: Callable[..., Any]
    if contender.is_teacher:
        teacher = load_teacher(contender.model)
        config, stride = teacher.config, teacher.config.stride_px
        run = teacher.generator.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        channels = [(config.previous + 1) * config.label_channels, 3 * config.previous]
    else:
        renderer = Renderer(load_model(contender.model), device)
        ours, stride = renderer.model.config, renderer.model.config.stride_px
        run = renderer.windows
        memory = 4 * ours.previous
        channels = [ours.label_channels, ours.input_channels - ours.label_channels - memory, 3, 1]
    shape = (h + -h % stride, w + -w % stride)
    inputs = [torch.zeros(1, c, *shape, device=device).contiguous(memory_format=torch.channels_last) for c in channels]
    times = []
    with fast_precision(device):
        for _ in range(1 + _TIMED_CALLS):
            synchronize(device)
            started = time.perf_counter()
            run(*inputs)
            synchronize(device)
            times.append(time.perf_counter() - started)
    return min(times[1:])
