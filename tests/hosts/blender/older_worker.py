# SPDX-License-Identifier: GPL-3.0-or-later
"""A service of an older Mapreel runs: scripts and the panel say so, and Blender goes on."""

from __future__ import annotations

import time

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api  # noqa: E402
from bl_ext.user_default.mapreel_blender.properties import shot_of  # noqa: E402
from bl_ext.user_default.mapreel_blender.session import SESSION  # noqa: E402

scene = bpy.context.scene
scene.mapreel.labels, scene.mapreel.out = inside.GIVEN["labels"], str(inside.FOLDER / "take")
refused = inside.refusal(api.render, scene)
started = time.monotonic()
job = SESSION.connected().submit(shot_of(scene).render_request())
while not job.is_over and time.monotonic() - started < 10.0:
    SESSION.connected().pump()
    time.sleep(0.01)
inside.end(
    refused=refused,
    panel=job.sentence,
    seconds=time.monotonic() - started,
    alive=bpy.data.objects["Cube"].name == "Cube",
)
