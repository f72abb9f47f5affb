# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera: in the right lane at the height of a driver's eyes, swaying a little."""

from __future__ import annotations

import math
from typing import Any

import bpy
from street_parts.stage import LAST_KEY, SPEED

KEY_STEP = 8


def place_camera(scene: Any) -> None:
    """Give the scene a camera that drives from frame 0 to the last key."""
    lens = bpy.data.cameras.new("cam")
    lens.lens, lens.sensor_width, lens.clip_end = 24, 36, 2000
    camera = bpy.data.objects.new("cam", lens)
    scene.collection.objects.link(camera)
    scene.camera = camera
    for frame in range(0, LAST_KEY + 1, KEY_STEP):
        aside, up = 0.12 * math.sin(frame * 0.013), 0.012 * math.sin(frame * 0.21)
        camera.location = (1.55 + aside, frame * SPEED, 1.45 + up)
        pitch, yaw = 89.0 + 0.18 * math.sin(frame * 0.17), 0.9 * math.sin(frame * 0.017)
        camera.rotation_euler = (math.radians(pitch), 0, math.radians(yaw))
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)
