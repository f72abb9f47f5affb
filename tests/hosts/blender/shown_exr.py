# SPDX-License-Identifier: GPL-3.0-or-later
"""A take of half floats in the compositor, written again as half floats."""

from __future__ import annotations

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api  # noqa: E402

scene = bpy.context.scene
scene.mapreel.labels, scene.mapreel.image_format = inside.GIVEN["labels"], "exr"
scene.frame_start, scene.frame_end = 1, 2
take = api.render(scene, out=str(inside.FOLDER / "take"))
api.bring_in(take.path)
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *inside.GIVEN["size"], 100
scene.frame_set(2)
shown = inside.FOLDER / "shown.exr"
inside.write_exr(shown, scene)
inside.end(take=take.path, shown=str(shown))
