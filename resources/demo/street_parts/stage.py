# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage: how meshes are built and things are placed on it, in metres; the drive goes along +y."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from street_parts.materials import Materials

ROAD = 5.6  # half its width
WALK = 3.4  # width of each sidewalk
START, END = -30, 420.0  # of the street; the drive starts at 0
CROSSINGS = (38, 128, 236, 330)
SPEED = 0.35  # metres a frame
LAST_KEY = 1200  # things move until this frame

Point = Sequence[float]


class Mesh:
    """A mesh under construction: faces with a material each and a number (`rnd`) that materials may read."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.faces: list[tuple[int, ...]] = []
        self.face_materials: list[int] = []
        self.face_numbers: list[float] = []
        self.materials: list[Any] = []

    def face(self, points: Sequence[Point], material: Any, number: float = 0.0) -> None:
        """A polygon, counter-clockwise from outside."""
        if material not in self.materials:
            self.materials.append(material)
        first = len(self.points)
        self.points += points
        self.faces.append(tuple(range(first, first + len(points))))
        self.face_materials.append(self.materials.index(material))
        self.face_numbers.append(number)

    def box(self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], material: Any) -> None:
        """A box between two values of x, of y and of z, given in any order for x."""
        x = (min(x), max(x))
        corners = [(at_x, at_y, at_z) for at_z in z for at_y in y for at_x in x]
        for side in ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)):
            self.face([corners[at] for at in side], material)

    def rod(
        self, ends: tuple[Any, Any], radii: tuple[float, float], material: Any, sides: int = 10, *, closed: bool = True
    ) -> None:
        """A cone or cylinder between two points."""
        start, end = (Vector(point) for point in ends)
        along = (end - start).normalized()
        u = along.orthogonal().normalized()
        v = along.cross(u)
        angles = np.linspace(0, 2 * math.pi, sides, endpoint=False)
        low, high = (
            [tuple(middle + (u * math.cos(angle) + v * math.sin(angle)) * radius) for angle in angles]
            for middle, radius in ((start, radii[0]), (end, radii[1]))
        )
        for at in range(sides):
            after = (at + 1) % sides
            self.face([low[at], low[after], high[after], high[at]], material)
        if closed:
            self.face(low[::-1], material)
            self.face(high, material)

    def finish(self, name: str, *, smooth: bool = False) -> Any:
        """Hand it to Blender."""
        made = bpy.data.meshes.new(name)
        made.from_pydata(self.points, [], self.faces)
        for material in self.materials:
            made.materials.append(material)
        made.polygons.foreach_set("material_index", self.face_materials)
        made.attributes.new("rnd", "FLOAT", "FACE").data.foreach_set("value", self.face_numbers)
        if smooth:
            made.polygons.foreach_set("use_smooth", [True] * len(self.faces))
        made.update()
        return made


@dataclass
class Stage:
    """The scene, what chooses in it, and how many things stand in it: each gets the next number as its instance."""

    scene: Any
    materials: Materials
    random: random.Random
    placed: int = 0

    def place(self, name: str, mesh: Any, at: Point = (0, 0, 0), turn: float = 0.0, scale: Point = (1, 1, 1)) -> Any:
        """Put a thing on the stage, turned about z."""
        made = bpy.data.objects.new(name, mesh)
        self.scene.collection.objects.link(made)
        made.location, made.rotation_euler, made.scale = at, (0, 0, turn), scale
        self.placed += 1
        made.pass_index = self.placed
        return made


def move_along(thing: Any, y: float, speed: float) -> None:
    """Let a thing that stands at y move along at an even speed, in metres a frame, from frame 0 to the last key."""
    thing.keyframe_insert("location", frame=0)
    thing.location.y = y + speed * LAST_KEY
    thing.keyframe_insert("location", frame=LAST_KEY)
    for curve in _curves(thing):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"


def _curves(thing: Any) -> Any:
    """Its animation curves; from 5.0 on they stand in the channel bag of its slot."""
    action = thing.animation_data.action
    if hasattr(action, "fcurves"):
        return action.fcurves
    return action.layers[0].strips[0].channelbag(thing.animation_data.action_slot).fcurves
