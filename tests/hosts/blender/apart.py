# SPDX-License-Identifier: GPL-3.0-or-later
"""In a Blender with a window: maps and true frames by one of their own, cancelled, killed, and here to compare."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

GIVEN = json.loads(Path(os.environ["MAPREEL_GIVEN"]).read_text(encoding="utf-8"))
FOLDER = Path(GIVEN["folder"])
bpy.ops.preferences.addon_install(filepath=os.environ["MAPREEL_EXTENSION"], overwrite=True)
bpy.ops.preferences.addon_enable(module="mapreel_blender")
from mapreel_blender import apart, api, operators, session  # noqa: E402

answer: dict[str, Any] = {"held": []}
began: list[Any] = []


def measured(self: Any, context: Any, event: Any) -> Any:
    """One tick of the operator, timed."""
    started = time.perf_counter()
    try:
        return modal(self, context, event)
    finally:
        answer["held"].append((time.perf_counter() - started) * 1000.0)


modal = operators.MAPREEL_OT_write_maps.modal
operators.MAPREEL_OT_write_maps.modal = measured
init = apart.ApartRender.__init__


def noted(self: Any, *arguments: Any) -> None:
    """Remember who renders."""
    init(self, *arguments)
    began.append(self)


apart.ApartRender.__init__ = noted


def press(folder: str) -> None:
    """Maps from the scene, by its button."""
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.mapreel.write_maps("INVOKE_DEFAULT", folder=str(FOLDER / folder))


def busy() -> bool:
    """Whether the operator is still at it."""
    return session.SESSION.steps is not None


def listed(folder: str) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in (FOLDER / folder).iterdir()) if (FOLDER / folder).exists() else []


def finished(steps: Iterator[Any]) -> Callable[[], bool]:
    """Whether a generator has come to its end, one step at a time."""

    def step() -> bool:
        return next(steps, None) is None

    return step


def story() -> Iterator[Callable[[], bool]]:
    """What is done; each thing given is waited for while the window lives."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 4, False
    scene.render.resolution_x, scene.render.resolution_y = 64, 48
    scene.frame_start, scene.frame_end, scene.frame_step = 1, 5, 2
    cube = bpy.data.objects["Cube"]
    cube["mapreel_class"] = "car"
    cube.keyframe_insert("location", frame=1)
    cube.location.x = 2
    cube.keyframe_insert("location", frame=5)
    picture = bpy.data.images.load(GIVEN["picture"])
    shader = cube.data.materials[0].node_tree
    texture = shader.nodes.new("ShaderNodeTexImage")
    texture.image = picture
    shader.links.new(texture.outputs[0], shader.nodes["Principled BSDF"].inputs[0])
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "shot ü.blend"))
    picture.filepath = "//" + Path(GIVEN["picture"]).name  # relative, and changed since the file was saved
    api.maps_from_scene(scene, str(FOLDER / "maps here"))
    api.beauty_frames(scene, str(FOLDER / "true here"), 2)

    press("maps apart")
    yield lambda: not busy()
    answer["said"] = session.SESSION.said
    answer["labels"] = scene.mapreel.labels
    (FOLDER / "true apart").mkdir()
    yield finished(apart.true_frames(scene.name, FOLDER / "true apart", (1, 3, 5)))

    scene.render.resolution_x, scene.render.resolution_y = 1280, 960
    press("maps cancelled")
    yield lambda: (len(began) == 3 and began[-1].done > 0) or not busy()
    (FOLDER / "press escape").touch()
    yield lambda: not busy()
    (FOLDER / "press escape").unlink()
    answer["escaped"] = [session.SESSION.said, began[-1].done]
    later = time.monotonic() + 1.0  # for a key that is under way
    yield lambda: bool(began[-1].is_over) and time.monotonic() > later

    press("maps killed")
    yield lambda: (len(began) == 4 and began[-1].done > 0) or not busy()
    began[-1]._process.kill()
    killed = time.perf_counter()
    yield lambda: not busy()
    answer["killed"] = [session.SESSION.said, time.perf_counter() - killed]
    scene["name kept"] = "alive"
    answer["left"] = listed(".")
    answer["before"] = scene["name kept"]


telling = story()
waiting: list[Callable[[], bool]] = []


def tell() -> float | None:
    """Go on with the story once what is waited for is there."""
    try:
        if not waiting:
            waiting.append(next(telling))
        elif waiting[0]():
            waiting[0] = next(telling)
    except Exception as error:  # noqa: BLE001 - the end of the story, or why there is none
        answer["error"] = "" if isinstance(error, StopIteration) else f"{type(error).__name__}: {error}"
        (FOLDER / "answer.new").write_text(json.dumps(answer), encoding="utf-8")
        (FOLDER / "answer.new").replace(FOLDER / "answer.json")
        return None
    return 0.05


bpy.app.timers.register(tell, first_interval=1.0)
