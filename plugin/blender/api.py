# SPDX-License-Identifier: Apache-2.0
"""What a TD calls from scripts: blocks until it is done, gives a result, raises one sentence. The same with and without
a window.

    from bl_ext.user_default.mapreel_blender import api
    maps = api.maps_from_scene(bpy.context.scene, "/shots/010/maps")
    take = api.render(bpy.context.scene, labels=maps.pattern, instances=maps.pattern, motion=maps.pattern)
    api.bring_in(take.path)
    api.archive(take.path, "/shots/010/shot.nirv", psnr_db=34.0)
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import CancelledError, InternalError, MapreelError, UsageError, disk_error
from mapreel.core.contract.frames import FrameRange, find_sequence
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.progress import Progress
from mapreel.core.contract.takes import claim_take, release_take
from mapreel.plugin.blender import picture_file, results, scene_maps, training
from mapreel.plugin.blender.classes import load_palette
from mapreel.plugin.blender.properties import shot_of
from mapreel.plugin.blender.versions import absolute, whole
from mapreel.plugin.shared import map_look
from mapreel.plugin.shared.link import LinkedJob, told_better
from mapreel.plugin.shared.map_look import MapLook
from mapreel.plugin.shared.shot import decode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from mapreel.core.contract.job_view import JobView
    from mapreel.core.contract.requests import Request
    from mapreel.plugin.shared.shot import Shot


@dataclass(frozen=True)
class Take:
    """A job that is done: where its result lies, and what it told (frames, seconds, …)."""

    path: str
    facts: dict[str, Any]


def worker_python() -> str | None:
    """The interpreter that Mapreel is installed for: the preference, else $MAPREEL_PYTHON, else none."""
    package = (__package__ or "").rpartition(".plugin")[0] or __package__
    addon = bpy.context.preferences.addons.get(package)
    chosen = getattr(addon.preferences, "python", "") if addon and addon.preferences else ""
    return absolute(chosen) or os.environ.get("MAPREEL_PYTHON") or None


@contextlib.contextmanager
def _client() -> Iterator[ServiceClient]:
    python = worker_python()
    try:
        with ServiceClient(python=python) as client:
            yield client
    except MapreelError as error:
        better = told_better(error, python)
        if better is error:
            raise
        raise better from error


def _wait(request: Request, report: Callable[[Progress], None] | None) -> Take:
    with _client() as client:
        view: JobView = client.submit(request)
        for event in client.watch(view.id):
            if report and event.job.progress:
                report(event.job.progress)
        view = client.show(view.id)
    if view.state is JobState.FINISHED:
        return Take(view.take or "", dict(view.result or {}))
    if view.state is JobState.CANCELLED:
        raise CancelledError("the job was cancelled", f"go on with: mapreel jobs retry {view.id}")
    raise view.error or InternalError(f"the job ended as {view.state.value}", "look at it with: mapreel jobs show")


def _changed(shot: Shot, changes: dict[str, Any]) -> Shot:
    """Another shot; its paths may begin with `//`. Raises UsageError."""
    paths = ("labels", "instances", "motion", "out", "take")
    led: dict[str, Any] = {name: whole(value) if name in paths else value for name, value in changes.items()}
    return dataclasses.replace(shot, **led)


def maps_from_scene(
    scene: Any | None = None,
    folder: str = "//mapreel/maps",
    *,
    palette: str | None = None,
    frames: tuple[int, int, int] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> scene_maps.SceneMaps:
    """Write class ids, instances and motion of a scene's frames. Raises UsageError, OutputError."""
    scene = scene or bpy.context.scene
    chosen = load_palette(palette or scene.mapreel.palette)
    return scene_maps.write_maps(scene, Path(whole(folder)), chosen, frames=frames, report=report)


def check_maps(scene: Any | None = None, labels: str = "", *, every_frame: bool = True) -> MapLook:
    """What is known of label maps before a render: frames, gaps, size, the label doctor's findings.

    labels: the scene's shot where left out. Raises UsageError, what `find_sequence` raises, ServiceError.
    """
    scene = scene or bpy.context.scene
    source = whole(labels or scene.mapreel.labels)
    if not source:
        raise UsageError("no labels chosen", "choose a sequence of label maps, or write maps from the scene")
    numbers = find_sequence(source).numbers
    palette = map_look.palette_beside(source, scene.mapreel.palette)
    chosen = numbers if every_frame else numbers[: map_look.FIRST_FRAMES]
    facts = _wait(map_look.inspect_request(source, palette, chosen), None).facts
    gaps, frames = (str(FrameRange.from_numbers(found)) for found in (map_look.gaps_of(numbers), numbers))
    known = MapLook(source, palette, len(numbers), frames, gaps)
    map_look.take_over(known, LinkedJob("inspect", "finished", result=facts))
    return known


def render(scene: Any | None = None, *, report: Callable[[Progress], None] | None = None, **changes: Any) -> Take:
    """Render the scene's shot into a new take. `changes`: fields of Shot, such as labels=, quality=, first=, last=.

    Raises UsageError for what cannot be rendered, ServiceError where there is no worker, CancelledError.
    """
    shot = shot_of(scene or bpy.context.scene)
    return _wait(_changed(shot, changes).render_request(), report)


def draft(scene: Any | None = None, frame: int | None = None, *, out: str | None = None, **changes: Any) -> str:
    """One frame now, as a PNG. Gives its path; without `out` beside the shot's takes. Raises like `render`."""
    scene = scene or bpy.context.scene
    path = Path(whole(out or "//mapreel/draft.png"))
    shot = _changed(shot_of(scene), changes)
    with _client() as client:
        answer = client.draft(shot.draft_request(scene.frame_current if frame is None else frame))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture_file.write_png(path, answer.width, answer.height, answer.pixels)
    except OSError as error:
        raise disk_error(error, path) from error
    return str(path)


def archive(
    take: str,
    out: str = "//mapreel/shot.nirv",
    *,
    scene: Any | None = None,
    psnr_db: float | None = None,
    preset: str = "draft",
    maps: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Take:
    """A take into a neural archive; `maps` keeps the maps that made it inside. Raises like `render`."""
    shot = shot_of(scene or bpy.context.scene)
    request = shot.encode_request(whole(take), whole(out), psnr_db=psnr_db, preset=preset, maps=maps)
    return _wait(request, report)


def unarchive(archive_file: str, out: str, *, report: Callable[[Progress], None] | None = None) -> Take:
    """All frames of an archive into a folder. Raises like `render`."""
    return _wait(decode_request(whole(archive_file), whole(out)), report)


def bring_in(take: str, scene: Any | None = None, *, into: str = "node", files: dict[int, Path] | None = None) -> Any:
    """Show a take: into "node" (a Mapreel group of the compositor) or "strip" (of the sequencer), which is given.

    files: frame number -> file, where somebody has looked already.
    """
    scene = scene or bpy.context.scene
    path = Path(whole(take))
    if into == "strip":
        return results.bring_into_strip(scene, path, files=files)
    return results.bring_into_node(scene, path, files=files)


def beauty_frames(scene: Any, folder: str, every: int, *, report: Callable[[int, int], None] | None = None) -> Take:
    """Render every n-th frame of the scene as it is, PNG, for a training. Gives the folder and its frame numbers."""
    scene_maps.check_camera(scene)
    place = claim_take(Path(whole(folder)))
    release_take(place)
    numbers = list(range(scene.frame_start, scene.frame_end + 1, max(1, every)))
    with training.beauty_copy(scene, place) as copy:
        copy.frame_step = max(1, every)
        scene_maps.render_range(copy, len(numbers), report)
    return Take(str(place), {"frames": numbers})


def train_on_shot(
    scene: Any | None = None,
    folder: str = "//mapreel/training",
    *,
    every: int = 10,
    steps: int = 2000,
    report: Callable[[float, str], None] | None = None,
) -> training.Trained:
    """Render every n-th frame as the scene is, train on them, render the whole range with the model. See `Trained`.

    The scene's settings then name the model and the take. report: called with how much of a part is done, 0 to 1, and
    a sentence. Raises like `render`, and UsageError for too few frames or labels that lack some.
    """
    scene = scene or bpy.context.scene
    say = report or (lambda _share, _sentence: None)

    def run(request: Request) -> Generator[tuple[float, str], None, Any]:
        def told(now: Progress) -> None:
            say(now.done / max(1, now.total or 1), f"{request.kind}: {now.done} of {now.total}")

        yield 0.0, request.kind
        take = _wait(request, told)
        return take.path, take.facts

    made: list[training.Trained] = []

    def work() -> Iterator[tuple[float, str]]:
        made.append((yield from training.train_steps(scene, Path(whole(folder)), every, steps, run)))

    for share, sentence in work():
        say(share, sentence)
    return made[0]


__all__ = [
    "MapreelError",
    "Take",
    "archive",
    "beauty_frames",
    "bring_in",
    "check_maps",
    "draft",
    "maps_from_scene",
    "render",
    "train_on_shot",
    "unarchive",
    "worker_python",
]
