# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole street in one call."""

from __future__ import annotations

import random
from typing import Any

import bpy
from street_parts.buildings import place_buildings
from street_parts.camera import place_camera
from street_parts.cars import place_cars
from street_parts.furniture import place_furniture
from street_parts.ground import lay_ground
from street_parts.materials import make_materials
from street_parts.people import place_people
from street_parts.sky import make_sky
from street_parts.stage import Stage
from street_parts.trees import place_plants


def build_street(seed: int, *, has_looks: bool = True) -> Any:
    """Empty Blender and build the street of a seed: gives its scene. Without looks things have classes but no colours.

    The order counts: it is the order in which random numbers are drawn and instances numbered.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    stage = Stage(scene, make_materials(has_looks=has_looks), random.Random(seed))
    lay_ground(stage)
    place_buildings(stage)
    place_plants(stage)
    place_cars(stage)
    place_furniture(stage)
    place_people(stage)
    if has_looks:
        make_sky(scene)
    place_camera(scene)
    return scene
