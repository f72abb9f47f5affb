# SPDX-License-Identifier: Apache-2.0
"""Maps from the scene: class ids, instances and motion of every frame, rendered by Cycles with one sample.

One multi-layer EXR a frame holds all three: the passes Material Index (class ids), Object Index (instances) and Vector.
The scene is copied for it and the copy thrown away; what has to change in shared data (indices, materials of objects
that have a class of their own) is put back whatever happens.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import bpy

from mapreel.core.contract.errors import CancelledError, MapreelError, OutputError, UsageError
from mapreel.core.contract.takes import claim_take, write_atomically
from mapreel.plugin.blender import versions
from mapreel.plugin.blender.classes import Palette, class_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    Frames = Callable[[Path, tuple[int, int, int]], Generator[tuple[int, int], None, object]]

NAME = "maps."
Result = TypeVar("Result")
MAX_INDEX = 32767  # of an index pass
SURFACES = {"MESH", "CURVE", "SURFACE", "META", "FONT", "VOLUME"}


@dataclass(frozen=True)
class SceneMaps:
    """What was written: a pattern that serves as labels, instances and motion, the frames and how long it took."""

    folder: str
    pattern: str
    frames: tuple[int, ...]
    seconds: float


def instance_numbers(scene: Any) -> dict[str, int]:
    """Object name -> instance, from 1; parts count as what they are parented to. Raises UsageError above 32767."""
    things = [thing for thing in scene.objects if thing.type in SURFACES]
    known = {thing.name for thing in things}
    tops = {}
    for thing in things:
        top = thing
        while top.parent is not None and top.parent.name in known:
            top = top.parent
        tops[thing.name] = top.name
    order = {name: number for number, name in enumerate(sorted(set(tops.values())), start=1)}
    if len(order) > MAX_INDEX:
        raise UsageError(f"the scene has {len(order)} objects", f"join some: maps can tell {MAX_INDEX} apart")
    return {name: order[top] for name, top in tops.items()}


@contextlib.contextmanager
def class_indices(scene: Any, palette: Palette) -> Iterator[None]:
    """Within: pass indices are class ids (materials) and instances (objects). Afterwards: as they were."""
    things = [thing for thing in scene.objects if thing.type in SURFACES]
    old_materials = [(material, material.pass_index) for material in bpy.data.materials]
    old_objects = [(thing, thing.pass_index) for thing in things]
    made: list[Any] = []
    undo: list[Callable[[], None]] = []
    try:
        for material, _ in old_materials:
            material.pass_index = palette.ids.get(class_of(material), 0)
        for thing in things:
            if class_of(thing) in palette.ids:
                _dress(thing, palette.ids[class_of(thing)], made, undo)
        numbers = instance_numbers(scene)
        for thing in things:
            thing.pass_index = numbers[thing.name]
        yield
    finally:
        for step in reversed(undo):
            step()
        for thing, index in [*old_materials, *old_objects]:
            thing.pass_index = index
        for material in made:
            bpy.data.materials.remove(material)


def _dress(thing: Any, index: int, made: list[Any], undo: list[Callable[[], None]]) -> None:
    """Give an object that has a class of its own copies of its materials with that class's index."""
    if not thing.material_slots and hasattr(thing.data, "materials"):
        thing.data.materials.append(None)
        undo.append(functools.partial(_drop_slot, thing.data))
    for slot in thing.material_slots:
        copy = slot.material.copy() if slot.material else bpy.data.materials.new("mapreel")
        copy.pass_index = index
        made.append(copy)
        undo.append(_undressing(slot, slot.link, slot.material if slot.link == "OBJECT" else None))
        slot.link = "OBJECT"
        slot.material = copy


def _drop_slot(data: Any) -> None:
    data.materials.pop(index=len(data.materials) - 1)


def _undressing(slot: Any, link: str, material: Any) -> Callable[[], None]:
    def step() -> None:
        slot.link = "OBJECT"
        slot.material = material
        slot.link = link

    return step


@contextlib.contextmanager
def quick_copy(scene: Any, folder: Path, first: int, last: int, step: int) -> Iterator[Any]:
    """A copy of the scene that renders nothing but passes, one sample a pixel, into a folder. Gone afterwards."""
    copy = scene.copy()
    try:
        copy.name = "Mapreel maps"
        copy.frame_start, copy.frame_end, copy.frame_step = first, last, step
        render = copy.render
        render.engine = "CYCLES"
        render.use_compositing = render.use_sequencer = render.use_motion_blur = False
        render.use_file_extension = render.use_overwrite = True
        render.use_placeholder = render.use_border = False
        render.filepath = str(folder / f"{NAME}####")
        versions.set_multilayer_exr(render.image_settings)
        cycles = copy.cycles
        cycles.samples, cycles.use_adaptive_sampling, cycles.use_denoising = 1, False, False
        cycles.max_bounces = cycles.diffuse_bounces = cycles.glossy_bounces = cycles.transmission_bounces = 0
        cycles.volume_bounces = 0
        layer = copy.view_layers[0]
        for name in ("material_index", "object_index", "vector"):
            setattr(layer, f"use_pass_{name}", True)
        for name in ("z", "mist", "normal", "cryptomatte_object", "cryptomatte_material", "cryptomatte_asset"):
            setattr(layer, f"use_pass_{name}", False)
        for other in list(copy.view_layers)[1:]:
            other.use = False
        yield copy
    finally:
        bpy.data.scenes.remove(copy)


def render_range(scene: Any, total: int, report: Callable[[int, int], None] | None) -> None:
    """Render a scene's range to its files and wait. (A still of a scene that is not on show gets the wrong frame.)"""
    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done += 1
        if report:
            report(done, total)

    bpy.app.handlers.render_write.append(count)
    try:
        bpy.ops.render.render(animation=True, scene=scene.name)
    except RuntimeError as error:  # a report of Blender's, such as a disk that is full
        words = " ".join(str(error).removeprefix("Error: ").split())
        raise OutputError(f"Blender did not render the frames ({words})", "mend that, then render again") from error
    finally:
        bpy.app.handlers.render_write.remove(count)
    if done < total:
        raise CancelledError(f"{done} of {total} frames were rendered", "render again to have all")


def describe(folder: Path, scene: Any, palette: Palette) -> None:
    """Say beside the maps what their numbers mean."""
    classes = [
        {"id": number, "name": name, "color": _rgb(palette.colours[name])} for name, number in palette.ids.items()
    ]
    facts = {
        "format": "mapreel-palette",
        "version": 1,
        "name": palette.name,
        "classes": classes,
        "made": {"by": f"Blender {bpy.app.version_string}", "scene": scene.name, "blend": Path(bpy.data.filepath).name},
    }
    write_atomically(folder / "palette.json", json.dumps(facts, indent=1).encode())


def _rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def write_maps(
    scene: Any,
    folder: Path,
    palette: Palette,
    *,
    frames: tuple[int, int, int] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> SceneMaps:
    """Write the maps of a frame range and wait for them; a folder that exists gets a sibling with the next version.

    frames: first, last, step; the scene's own by default. report: called with frames done and in all.
    Raises UsageError: no camera, nothing has a class, too many objects. OutputError, DiskFullError.
    """
    check_scene(scene, palette)
    first, last, step = frames or (scene.frame_start, scene.frame_end, scene.frame_step)
    started = time.monotonic()
    folder = claim_take(folder)
    numbers = tuple(range(first, last + 1, step))
    try:
        render_maps(scene, folder, palette, (first, last, step), report)
    except MapreelError:
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing was written, nothing is left
        raise
    describe(folder, scene, palette)
    return SceneMaps(str(folder), str(folder / f"{NAME}####.exr"), numbers, time.monotonic() - started)


def render_maps(
    scene: Any,
    folder: Path,
    palette: Palette,
    frames: tuple[int, int, int],
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Render the maps of a range into a folder that is there. frames: first, last, step. Raises as `write_maps`."""
    with class_indices(scene, palette), quick_copy(scene, folder, *frames) as copy:
        render_range(copy, len(range(frames[0], frames[1] + 1, frames[2])), report)


def map_steps(
    scene: Any, folder: Path, palette: Palette, frames: Frames | None = None
) -> Generator[tuple[int, int], None, SceneMaps]:
    """The same step by step, for a window that stays alive: gives frames done and in all, SceneMaps in the end.

    frames: renders a range (folder; first, last, step) in steps; in this Blender, frame after frame, where left out.
    Between two steps the file is as the artist left it. Whoever closes this before its end loses the partial take.
    Raises as `write_maps`.
    """
    check_scene(scene, palette)
    name, started = scene.name, time.monotonic()
    first, last, step = scene.frame_start, scene.frame_end, scene.frame_step
    folder = claim_take(folder)
    try:
        yield from (frames or functools.partial(_frame_after_frame, name, palette))(folder, (first, last, step))
        describe(folder, scene_called(name), palette)
    except (GeneratorExit, MapreelError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    numbers = tuple(range(first, last + 1, step))
    return SceneMaps(str(folder), str(folder / f"{NAME}####.exr"), numbers, time.monotonic() - started)


def _frame_after_frame(
    name: str, palette: Palette, folder: Path, frames: tuple[int, int, int]
) -> Generator[tuple[int, int], None, None]:
    numbers = range(frames[0], frames[1] + 1, frames[2])
    for done, number in enumerate(numbers):
        yield done, len(numbers)
        render_maps(
            scene_called(name), folder, palette, (number, number, 1)
        )  # found anew: an undo ends Blender's things


def told(steps: Generator[tuple[int, int], None, Result], what: str) -> Generator[tuple[float, str], None, Result]:
    """Frames done and in all as a share and a sentence; gives what the steps give in the end."""
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            yield done / total, f"{what} {done + 1} of {total}"
        except GeneratorExit:
            steps.close()
            raise


def scene_called(name: str) -> Any:
    """A scene by name. Raises UsageError when it was taken out or has another name now."""
    scene = bpy.data.scenes.get(name)
    if scene is None:
        raise UsageError(f"the scene {name} is not there any more", "start again in the scene that you want")
    return scene


def check_camera(scene: Any) -> None:
    """Raises UsageError for a scene without a camera: Blender would render nothing."""
    if scene.camera is None:
        raise UsageError(f"the scene {scene.name} has no camera", "add one, and make it the scene's")


def check_scene(scene: Any, palette: Palette) -> None:
    """Refuse in one sentence what cannot give maps."""
    check_camera(scene)
    worn = [slot.material for thing in scene.objects for slot in thing.material_slots if slot.material]
    if not any(class_of(thing) in palette.ids for thing in [*worn, *scene.objects]):
        raise UsageError(
            f"nothing in the scene {scene.name} has a class of the palette {palette.name}",
            "assign classes to materials or objects first",
        )
    if scene.frame_end < scene.frame_start:
        raise UsageError(f"the range of the scene {scene.name} is empty", "set its first and last frame")
