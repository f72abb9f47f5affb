# SPDX-License-Identifier: GPL-3.0-or-later
"""The sky: a sun, air and clouds."""

from __future__ import annotations

import math
from typing import Any

import bpy
from street_parts.shading import Shading

SUN_HEIGHT_DEG, SUN_TURN_DEG = 42.0, 215.0
SUN_LIGHT, SKY_LIGHT = 0.55, 0.16
CLOUD_SCALE, CLOUD_START = 0.9, 0.5


def make_sky(scene: Any) -> None:
    """Give the scene its world."""
    world = bpy.data.worlds.new("W")
    scene.world = world
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    nodes = Shading(world.node_tree)
    background = nodes.node("ShaderNodeBackground")
    nodes.feed(background.inputs[0], _clouded(nodes, _air(nodes)))
    nodes.feed(background.inputs[1], SKY_LIGHT)
    nodes.feed(nodes.node("ShaderNodeOutputWorld").inputs[0], background.outputs[0])


def _air(nodes: Shading) -> Any:
    """Sunlight scattered by air and dust, by the best model that this Blender has."""
    sky = nodes.node("ShaderNodeTexSky")
    models = {item.identifier for item in sky.bl_rna.properties["sky_type"].enum_items}
    sky.sky_type = "MULTIPLE_SCATTERING" if "MULTIPLE_SCATTERING" in models else "NISHITA"
    sky.sun_elevation, sky.sun_rotation = math.radians(SUN_HEIGHT_DEG), math.radians(SUN_TURN_DEG)
    sky.sun_intensity, sky.sun_size = SUN_LIGHT, math.radians(0.6)
    for name, value in (("air_density", 1.2), ("dust_density", 1.6), ("aerosol_density", 1.6)):
        if hasattr(sky, name):
            setattr(sky, name, value)
    return sky.outputs[0]


def _clouded(nodes: Shading, air: Any) -> Any:
    """Clouds on a plane overhead, thinner towards the horizon."""
    x, y, z = nodes.split(nodes.node("ShaderNodeTexCoord").outputs["Generated"])
    height = nodes.add(nodes.math("MAXIMUM", z, 0.0), 0.12)
    overhead = nodes.join(nodes.math("DIVIDE", x, height), nodes.math("DIVIDE", y, height))
    clouds = nodes.noise(overhead, CLOUD_SCALE, 9, 0.58, 0.3)
    cover = nodes.split(nodes.greys(clouds, 0, 1, CLOUD_START, 0.74))[0]
    above = nodes.math("MINIMUM", nodes.times(nodes.math("MAXIMUM", z, 0.0), 9.0), 1.0)
    white = nodes.ramp(nodes.noise(overhead, 2.2, 5), (0.3, (3.6, 3.7, 3.9)), (0.7, (6.2, 6.2, 6.1)))
    return nodes.mix(nodes.times(nodes.times(cover, above), 0.85), air, white)
