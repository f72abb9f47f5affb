# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot rendered by the service, shown in the compositor and as a strip, drafted, archived and brought back."""

from __future__ import annotations

from pathlib import Path

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api, results  # noqa: E402

scene = bpy.context.scene
settings = scene.mapreel
unset = inside.refusal(api.render, scene)
settings.labels, settings.instances = inside.GIVEN["labels"], inside.GIVEN["instances"]
unsaved = inside.refusal(api.render, scene)
bpy.ops.wm.save_as_mainfile(filepath=str(inside.FOLDER / "my shot ü.blend"))
scene.frame_start, scene.frame_end = 1, 4
progress = []
take = api.render(scene, report=lambda now: progress.append(now.done))
group = api.bring_in(take.path)
strip = api.bring_in(take.path, into="strip")
beside = api.bring_in(take.path, into="strip")
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *inside.GIVEN["size"], 100
shown = []
for frame in (1, 3):
    scene.frame_set(frame)
    shown.append(str(inside.FOLDER / f"shown.{frame}.png"))
    inside.write_png(Path(shown[-1]), scene)

operator = bpy.ops.mapreel.render()
second = bpy.path.abspath(scene.mapreel.take)
(inside.FOLDER / "mapreel" / "take_v003").mkdir()  # as a job leaves it that failed at once
takes = [path.name for path in results.takes_beside(Path(second))]
bpy.ops.mapreel.show_take(take=take.path, group=group.name)
back_to_first = bpy.path.abspath(group.mapreel.take)
draft = api.draft(scene, 2)
archive = api.archive(take.path, psnr_db=20.0)
frames = api.unarchive(archive.path, "//mapreel/unpacked")
gone = inside.refusal(api.bring_in, str(inside.FOLDER / "no take"))
outside = inside.refusal(api.render, scene, first=900, last=901)
missing = inside.refusal(api.render, scene, labels=str(inside.FOLDER / "nothing.####.png"))
bpy.ops.wm.save_mainfile()
inside.end(
    unset=unset,
    unsaved=unsaved,
    take=take.path,
    progress=progress,
    strip=[strip.frame_final_start, strip.frame_final_end, strip.channel, beside.channel],
    shown=shown,
    operator=sorted(operator),
    second=second,
    takes=takes,
    back_to_first=back_to_first,
    draft=draft,
    archive=archive.path,
    frames=sorted(path.name for path in Path(frames.path).glob("*.png")),
    gone=gone,
    outside=outside,
    missing=missing,
    blend=bpy.data.filepath,
)
