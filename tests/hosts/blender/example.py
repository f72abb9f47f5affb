# SPDX-License-Identifier: GPL-3.0-or-later
"""The worked example of the docs, from a small .blend."""

from __future__ import annotations

import runpy

import bpy
import inside

package = inside.begin()
scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y = inside.GIVEN["size"]
scene.frame_start, scene.frame_end = 1, 3
cube = bpy.data.objects["Cube"]
cube.data.materials[0].name = "car paint"
cube.keyframe_insert("location", frame=1)
cube.location.x = 1
cube.keyframe_insert("location", frame=3)
bpy.ops.wm.save_as_mainfile(filepath=str(inside.FOLDER / "shot ü.blend"))
made = runpy.run_path(inside.GIVEN["example"])["main"](["//out", "--psnr", "28"])
inside.end(made=made)
