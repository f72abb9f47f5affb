# SPDX-License-Identifier: GPL-3.0-or-later
"""A small moving street written as real maps, and a tiny network of the real class to render it."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mapreel.core.contract.errors import CancelledError
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.progress import Progress
from mapreel.core.contract.requests import ImageFormat, Quality, RenderRequest
from mapreel.core.media.images import write_exr, write_png
from mapreel.core.vid2vid import shot as shot_module
from mapreel.core.vid2vid.checkpoint import load_model, save_model
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import SAMPLES, Looks
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.render_job import run_render
from mapreel.core.vid2vid.shot import Shot, open_shot
from mapreel.core.vid2vid.timeline import Timeline

SIZE = (48, 80)
TABLE = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))
EVERY, RUN_IN = 12, 4
"""Anchors of the short timeline, so that a few dozen frames hold several segments."""


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Thousands of small files are written here; whether they outlive a power cut is the contract's test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- the street -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """Sky and road that pass by at one pixel a frame, a car going right and a person going left."""

    size: tuple[int, int] = SIZE

    def frame(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.float32], NDArray[np.uint8]]:
        """label [H, W], instance [H, W], motion [H, W, 2] (prev_to_cur), color [H, W, 3] at a frame index."""
        h, w = self.size
        label = np.zeros((h, w), np.uint8)
        label[h * 2 // 3 :] = 1
        instance = label.astype(np.uint16)
        step = np.full((h, w), 1)  # everything that stands moves right by one pixel a frame
        for value, left, top, speed in ((5, 4, h // 2, 2), (9, w - 16, h // 3, -1)):
            x = (left + speed * index) % (w - 12)
            box = (slice(top, top + 14), slice(x, x + 12))
            label[box], instance[box], step[box] = value, value + 20, speed
        motion = np.zeros((h, w, 2), np.float32)
        motion[..., 0] = -step
        columns = np.arange(w)[None, :] - step * index  # where the pixel lies on its own surface
        rows = np.broadcast_to(np.arange(h)[:, None], (h, w))
        tone = 90 + 60 * np.sin(columns * 0.55 + label) + 40 * np.sin(rows * 0.4)
        color = np.stack([tone, tone * 0.6 + 8 * label, 220 - tone], axis=-1)
        return label, instance, motion, np.clip(color, 0, 255).astype(np.uint8)


def write_maps(
    folder: Path, numbers: Iterable[int], *, digits: int = 4, size: tuple[int, int] = SIZE, color: bool = False
) -> Path:
    """Write label/, instance/, motion/ (and color/) of the scene, frame index = place in `numbers`."""
    for name in ("label", "instance", "motion", *(["color"] if color else [])):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, number in enumerate(numbers):
        label, instance, motion, pixels = Scene(size).frame(index)
        name = f"{'-' if number < 0 else ''}{abs(number):0{digits}d}"
        write_png(folder / "label" / f"{name}.png", label)
        write_png(folder / "instance" / f"{name}.png", instance)
        write_exr(folder / "motion" / f"{name}.exr", motion, channels=("motion.X", "motion.Y"))
        if color:
            write_png(folder / "color" / f"{name}.png", pixels)
    return folder


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames from 1001: three full segments of the short timeline and four frames. Never write into it."""
    return write_maps(tmp_path_factory.mktemp("street"), range(1001, 1041), color=True)


@pytest.fixture
def own_street(street: Path, tmp_path: Path) -> Path:
    """A copy of the street that a test may damage."""
    return Path(shutil.copytree(street, tmp_path / "own"))


@pytest.fixture
def maps() -> Callable[..., Path]:
    return write_maps


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- the network ------------------------------------------------------------------------------------------------


def tiny_config(**changes: object) -> GeneratorConfig:
    shape = {"classes": 4, "width": 80, "height": 48, "widths": (8, 16, 24), "blocks": (1, 1, 1)}
    return GeneratorConfig(**{**shape, **changes})  # type: ignore[arg-type]


def tiny_generator(config: GeneratorConfig) -> Generator:
    """Random weights everywhere, and a memory that lasts long: a wrong anchor shows frames later."""
    torch.manual_seed(5)
    generator = Generator(config)
    with torch.no_grad():
        for value in generator.parameters():
            if not value.any():
                value.normal_(0.0, 0.1)
        if config.previous:
            generator.head.out.bias[3] = 4.0  # type: ignore[index]
    return generator


def tiny_looks(classes: int) -> Looks:
    random = np.random.default_rng(3)
    mean = random.random((classes, 3), np.float32)
    return Looks(mean, random.random((classes, SAMPLES, 3), np.float32), np.full(classes, 9, np.int32))


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A folder with a tiny model; keyword arguments change its config."""

    def make(table: ClassTable = TABLE, **changes: object) -> Path:
        folder = tmp_path_factory.mktemp("model")
        config = tiny_config(**{"classes": len(table.ids), **changes})
        save_model(
            folder / MODEL_FILE,
            name="tiny",
            generator=tiny_generator(config),
            table=table,
            looks=tiny_looks(config.classes),
            licence="CC0-1.0",
            story={"data": "a drawing"},
        )
        return folder

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., Path]) -> Path:
    return make_model()


# --- jobs -------------------------------------------------------------------------------------------------------


@dataclass
class Listener:
    """A job context that remembers, and cancels after `stop_after` frames."""

    stop_after: int | None = None
    heard: list[Progress] = field(default_factory=list)

    def report(self, progress: Progress) -> None:
        self.heard.append(progress)

    def check(self) -> None:
        if self.stop_after is not None and self.heard and self.heard[-1].done >= self.stop_after:
            raise CancelledError("cancelled")


def make_request(maps: Path, model: Path, take: Path, **fields: object) -> RenderRequest:
    """A request for all maps of a folder that `write_maps` made; fields set to None are left out."""
    known: dict[str, object] = {
        "labels": str(maps / "label"),
        "instances": str(maps / "instance"),
        "motion": str(maps / "motion"),
        "model": str(model),
        "out": str(take),
    }
    return RenderRequest(**{**known, **fields})  # type: ignore[arg-type]


@pytest.fixture
def request_of() -> Callable[..., RenderRequest]:
    return make_request


@pytest.fixture
def render(model: Path, tmp_path: Path) -> Callable[..., dict]:
    """Render a maps folder into a take; gives what the job answers."""

    def run(maps: Path, take: Path | str, *, context: Listener | None = None, net: Path = model, **fields) -> dict:
        path = tmp_path / take
        return run_render(make_request(maps, net, path, **fields), path, context or Listener())

    return run


@pytest.fixture
def listener() -> type[Listener]:
    return Listener


@pytest.fixture
def short_timeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anchors every twelve frames instead of every 48."""
    monkeypatch.setattr(shot_module, "Timeline", functools.partial(Timeline, every=EVERY, run_in=RUN_IN))


@pytest.fixture
def opened(model: Path, tmp_path: Path) -> Callable[..., Shot]:
    """A shot opened for the tiny model."""

    def run(maps: Path, **fields: object) -> Shot:
        return open_shot(load_model(str(model)), make_request(maps, model, tmp_path / "none", **fields))

    return run


def frames_in(folder: Path) -> dict[str, bytes]:
    """Every picture of a take by name."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix in (".png", ".exr")}


@pytest.fixture
def pictures() -> Callable[[Path], dict[str, bytes]]:
    return frames_in


ALL_QUALITIES = (Quality.FULL, Quality.FAST, Quality.DRAFT)
POLICIES = MissingFrames
FORMATS = ImageFormat


@pytest.fixture(params=ALL_QUALITIES, ids=lambda q: q.value)
def quality(request: pytest.FixtureRequest) -> Quality:
    value: Quality = request.param
    return value
