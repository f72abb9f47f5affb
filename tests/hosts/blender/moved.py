# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot whose folder moves to another disk between two days of work; its names are in German and Japanese."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api  # noqa: E402


def picture(name: str) -> str:
    """What the compositor shows of frame 2."""
    bpy.context.scene.frame_set(2)
    path = inside.FOLDER / name
    inside.write_png(path, bpy.context.scene)
    return str(path)


old = inside.FOLDER / "Straße 第一 é"
new = Path(inside.GIVEN["other_disk"]) / "Ankunft für 第二"
shutil.copytree(inside.GIVEN["labels"], old / "Karten für alle")
bpy.ops.wm.save_as_mainfile(filepath=str(old / "Schuß 1 日本.blend"))
scene = bpy.context.scene
scene.frame_start, scene.frame_end = 1, 2
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *inside.GIVEN["size"], 100
scene.mapreel.labels = "//Karten für alle"
bpy.ops.mapreel.render()
strip = api.bring_in(scene.mapreel.take, into="strip")
before = picture("before.png")
bpy.ops.wm.save_mainfile()

shutil.move(old, new)
bpy.ops.wm.open_mainfile(filepath=str(new / "Schuß 1 日本.blend"))
scene = bpy.context.scene
taken = scene.mapreel.take
after = picture("after.png")
directory = bpy.path.abspath(
    next(
        iter(
            scene.sequence_editor.strips_all
            if hasattr(scene.sequence_editor, "strips_all")
            else scene.sequence_editor.sequences_all
        )
    ).directory
)
bpy.ops.mapreel.render()
archive = api.archive(scene.mapreel.take)
draft = api.draft(scene, 1)
inside.end(
    before=before,
    after=after,
    taken=taken,
    directory=directory,
    second=bpy.path.abspath(scene.mapreel.take),
    archive=archive.path,
    draft=draft,
    new=str(new),
    old_is_gone=not old.exists(),
)
