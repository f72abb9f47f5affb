# SPDX-License-Identifier: Apache-2.0
"""Train on this shot: every n-th frame as the scene renders it, a model of them, then the whole range with that model.

What comes of it lies in one folder: `data/color`, `data/label` and, where there are any, `data/instance` (what the
model learns from), `network` (the training and its model) and `maps`, where the shot had none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from mapreel.core.contract.errors import UsageError, disk_error
from mapreel.core.contract.frames import FrameRange, find_sequence, frame_name
from mapreel.core.contract.takes import claim_take
from mapreel.plugin.blender import results, scene_maps, versions
from mapreel.plugin.blender.classes import load_palette
from mapreel.plugin.blender.properties import shot_of
from mapreel.plugin.shared.map_look import palette_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from mapreel.core.contract.requests import Request
    from mapreel.plugin.shared.shot import Shot

    Steps = Generator[tuple[float, str], None, Any]
    Run = Callable[[Request], Steps]  # gives (path of the result, what it told) in the end


@dataclass(frozen=True)
class Trained:
    """What came of it, and how long each part took (wall clock, seconds; what was waited for others included)."""

    model: str
    take: str
    data: str
    true_frames: int
    frames: int
    steps: int
    maps_s: float
    true_s: float
    alone_s: float  # of `true_s`: the frames without the start of a Blender of their own
    train_s: float
    rest_s: float

    @property
    def seconds(self) -> float:
        """All parts together."""
        return self.maps_s + self.true_s + self.train_s + self.rest_s

    @property
    def all_true_s(self) -> float:
        """An estimate of what the scene's own renderer takes for all frames: the mean of those it rendered."""
        return self.alone_s / self.true_frames * self.frames

    @property
    def sentence(self) -> str:
        """The numbers for a person."""
        maps = f"maps {self.maps_s:.1f} s, " if self.maps_s else ""
        return (
            f"{maps}{self.true_frames} true frames {self.true_s:.1f} s, training of {self.steps} steps "
            f"{self.train_s:.1f} s, {self.frames} frames by Mapreel {self.rest_s:.1f} s: {self.seconds:.1f} s in all; "
            f"all {self.frames} frames true would take about {self.all_true_s:.1f} s "
            f"(an estimate: {self.alone_s / self.true_frames:.2f} s a frame)"
        )


@contextlib.contextmanager
def beauty_copy(scene: Any, place: Path) -> Iterator[Any]:
    """A copy of the scene that renders its own picture, never a take of ours that it shows, as 8-bit PNG."""
    copy = scene.copy()
    try:
        versions.set_png(copy.render.image_settings)
        tree = getattr(copy, "compositing_node_group", None) if versions.FIVE else copy.node_tree
        copy.render.use_sequencer = False
        if tree is not None and any(results.is_ours(getattr(node, "node_tree", None)) for node in tree.nodes):
            copy.render.use_compositing = False
        copy.render.use_file_extension = copy.render.use_overwrite = True
        copy.render.use_placeholder = False
        copy.render.filepath = str(place / "beauty.####")
        yield copy
    finally:
        bpy.data.scenes.remove(copy)


def true_frames(name: str, place: Path, numbers: tuple[int, ...]) -> Generator[tuple[int, int], None, float]:
    """Render them in this Blender, frame after frame: gives frames done and in all, and in the end the seconds."""
    seconds = 0.0
    for done, number in enumerate(numbers):
        yield done, len(numbers)
        started = time.monotonic()
        with beauty_copy(scene_maps.scene_called(name), place) as copy:
            copy.frame_start = copy.frame_end = number
            scene_maps.render_range(copy, 1, None)
        seconds += time.monotonic() - started
    return seconds


def _chosen(shot: Shot, every: int) -> tuple[int, ...]:
    numbers = tuple(range(shot.first, shot.last + 1, max(1, every)))
    if len(numbers) < 2:
        what = f"every {every}th of the frames {shot.frames} is only {len(numbers)}"
        raise UsageError(what, "render more true frames: a training needs two or more")
    return numbers


def _refuse_without_maps(shot: Shot, numbers: tuple[int, ...]) -> None:
    missing = sorted(set(numbers) - set(find_sequence(shot.labels).numbers))
    if missing:
        what = f"the labels lack the frames {FrameRange.from_numbers(missing)}, which the training would learn from"
        raise UsageError(what, "write the maps of the whole range first")


def _gather(data: Path, shot: Shot, numbers: tuple[int, ...]) -> None:
    """The maps of the true frames beside them. Motion leads from frame to frame: only where every frame is there."""
    motion = shot.motion if numbers == tuple(range(numbers[0], numbers[-1] + 1)) else ""
    for kind, source in (("label", shot.labels), ("instance", shot.instances), ("motion", motion)):
        if not source:
            continue
        pattern = find_sequence(source).pattern
        (data / kind).mkdir()
        for number in numbers:
            path = pattern.path(number)
            _same_file(path, data / kind / f"{kind}.{frame_name(number, 4)}{path.suffix}")


def _same_file(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(source, target)


@dataclass(frozen=True)
class Renderers:
    """What renders frames in steps: true ones (scene, folder, numbers), and maps (scene, folder, palette)."""

    true: Callable[[str, Path, tuple[int, ...]], Generator[tuple[int, int], None, float]]
    maps: Callable[[Any, Path, str], Generator[tuple[int, int], None, scene_maps.SceneMaps]]


def _maps_here(scene: Any, folder: Path, palette: str) -> Generator[tuple[int, int], None, scene_maps.SceneMaps]:
    return scene_maps.map_steps(scene, folder, load_palette(palette))


HERE = Renderers(true_frames, _maps_here)  # in this Blender


def train_steps(
    scene: Any, folder: Path, every: int, steps: int, run: Run, by: Renderers = HERE
) -> Generator[tuple[float, str], None, Any]:
    """All of it, step by step; gives Trained in the end.

    every: each n-th frame of the shot's range is rendered. run: sends a request and waits in steps. by: what renders
    the frames. True frames that are there stay, whatever happens later. Raises UsageError, OutputError, and what the
    jobs end with.
    """
    name, shot = scene.name, shot_of(scene)
    scene_maps.check_camera(scene)
    dataclasses.replace(shot, labels=shot.labels or str(folder), model="street").render_request()
    numbers = _chosen(shot, every)
    if shot.labels:
        _refuse_without_maps(shot, numbers)
    else:
        scene_maps.check_scene(scene, load_palette(scene.mapreel.palette))
    folder, started = claim_take(folder), time.monotonic()
    if not shot.labels:
        shot = yield from _maps(scene, folder, shot, by)
    maps_s, started = (time.monotonic() - started if shot.labels.startswith(str(folder)) else 0.0), time.monotonic()
    data = folder / "data"
    try:
        (data / "color").mkdir(parents=True)
        alone_s = yield from scene_maps.told(by.true(name, data / "color", numbers), "true frame")
        true_s = time.monotonic() - started
        _gather(data, shot, numbers)
    except OSError as error:
        raise disk_error(error, data) from error
    started = time.monotonic()
    palette = palette_beside(shot.labels, scene_maps.scene_called(name).mapreel.palette)
    request = shot.train_request((str(data),), str(folder / "network"), steps)
    _, told = yield from run(dataclasses.replace(request, palette=palette, name=folder.name))
    train_s, started = time.monotonic() - started, time.monotonic()
    model = str(Path(told["model"]).parent)
    take, _ = yield from run(dataclasses.replace(shot, model=model).render_request())
    rest_s = time.monotonic() - started
    settings = scene_maps.scene_called(name).mapreel
    settings.model, settings.take = versions.stored(Path(model)), versions.stored(Path(take))
    count = len(FrameRange.parse(shot.frames))
    return Trained(model, take, str(data), len(numbers), count, steps, maps_s, true_s, alone_s, train_s, rest_s)


def _maps(scene: Any, folder: Path, shot: Shot, by: Renderers) -> Generator[tuple[float, str], None, Any]:
    """Maps of the scene, as the shot's own from now on."""
    name = scene.name
    frames = by.maps(scene, folder / "maps", scene.mapreel.palette)
    written = yield from scene_maps.told(frames, "maps of frame")
    settings = scene_maps.scene_called(name).mapreel
    settings.labels = settings.instances = settings.motion = versions.stored(Path(written.pattern))
    return dataclasses.replace(shot, labels=written.pattern, instances=written.pattern, motion=written.pattern)
