# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps from the scene frame after frame, as a window asks for them: progress, Esc, the same maps as all at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api, classes, operators, scene_maps, session, steps  # noqa: E402

scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y = 64, 48
scene.frame_start, scene.frame_end = 7, 9
cube = bpy.data.objects["Cube"]
cube["mapreel_class"] = "car"
cube.keyframe_insert("location", frame=7)
cube.location.x = 1
cube.keyframe_insert("location", frame=9)
scene.frame_set(7)
before = inside.state_of_file()
palette = classes.load_palette("street")
session_now = session.SESSION


def quiet(*_: Any, **__: Any) -> None:
    """Stands in for what only a window has."""


class Window:
    """An operator of a window without the window."""

    bl_label = "Maps from the scene"
    modal, _end, _refused = steps.StepOperator.modal, steps.StepOperator._end, steps.StepOperator._refused
    steps, _take_them = operators.MAPREEL_OT_write_maps.steps, operators.MAPREEL_OT_write_maps._take_them
    _timer, report = None, quiet

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self._steps = self.steps(CONTEXT)

    def tick(self, kind: str = "TIMER") -> str:
        """One event. Gives what the operator answers."""
        return next(iter(self.modal(CONTEXT, SimpleNamespace(type=kind))))


manager = SimpleNamespace(progress_end=quiet, progress_update=quiet, event_timer_remove=quiet)
CONTEXT = SimpleNamespace(scene=scene, workspace=None, window_manager=manager)

cancelled = Window(inside.FOLDER / "cancelled")
answers = [cancelled.tick(), cancelled.tick(), cancelled.tick("MOUSEMOVE")]
shown = session_now.steps
partial = sorted(path.name for path in (inside.FOLDER / "cancelled").iterdir())
between = inside.state_of_file() == before
answers.append(cancelled.tick("ESC"))
after_esc = [session_now.said, session_now.steps, (inside.FOLDER / "cancelled").exists(), scene.mapreel.labels]

whole = Window(inside.FOLDER / "whole")
answered = [whole.tick() for _ in range(4)]
said = session_now.said
labels = scene.mapreel.labels
at_once = api.maps_from_scene(scene, str(inside.FOLDER / "at once"))

renamed = scene_maps.map_steps(scene, inside.FOLDER / "renamed", palette)
next(renamed)
scene.name = "Another"
gone = inside.refusal(next, renamed)
scene.name = "Scene"
bare = Window(inside.FOLDER / "bare")
scene.camera, camera = None, scene.camera
no_camera = bare.tick(), session_now.said
scene.camera = camera
inside.end(
    answers=answers,
    shown=shown,
    partial=partial,
    between=between,
    after_esc=after_esc,
    answered=answered,
    said=said,
    labels=labels,
    at_once=at_once.folder,
    gone=gone,
    left=(inside.FOLDER / "renamed").exists(),
    no_camera=no_camera,
    kept=inside.state_of_file() == before,
)
