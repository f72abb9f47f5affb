# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender where Mapreel itself is not installed: one sentence, and everything goes on."""

from __future__ import annotations

import os

import bpy
import inside

os.environ["MAPREEL_PYTHON"] = inside.GIVEN["python"]
package = inside.begin()
from bl_ext.user_default.mapreel_blender import api  # noqa: E402

scene = bpy.context.scene
scene.mapreel.labels = inside.GIVEN["labels"]
refused = inside.refusal(api.render, scene, out=str(inside.FOLDER / "take"))
inside.end(refused=refused, alive=bpy.data.objects["Cube"].name == "Cube")
