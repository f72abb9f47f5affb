# SPDX-License-Identifier: GPL-3.0-or-later
"""People who walk along the sidewalks."""

from __future__ import annotations

import math
import random
from typing import Any

from street_parts.materials import Materials
from street_parts.stage import END, ROAD, Mesh, Stage, move_along

DESIGNS = 8
PEOPLE = 70
SPEED = 0.045  # metres a frame


def _person(seed: int, materials: Materials) -> Any:
    """A person in mid stride."""
    chance, mesh = random.Random(seed), Mesh()
    top, trousers = chance.sample(materials.cloth, 2)
    stride = chance.uniform(0.12, 0.3)
    for side in (1, -1):
        _leg(mesh, materials, trousers, side, stride)
        _arm(mesh, materials, top, side, stride)
    skin, hair = materials["skin"], materials["hair"]
    for low, high, radius, radius_high in ((0.86, 1.15, 0.17, 0.17), (1.15, 1.46, 0.17, 0.2), (1.46, 1.54, 0.2, 0.07)):
        mesh.rod(((0, 0, low), (0, 0, high)), (radius, radius_high), top, 12)
    mesh.rod(((0, 0, 1.5), (0, 0, 1.6)), (0.055, 0.055), skin, 10)
    head = (
        (1.56, 1.62, 0.06, 0.095, skin),
        (1.62, 1.72, 0.095, 0.1, skin),
        (1.72, 1.79, 0.105, 0.095, hair),
        (1.79, 1.83, 0.095, 0.04, hair),
    )
    for low, high, radius, radius_high, material in head:
        mesh.rod(((0, 0, low), (0, 0, high)), (radius, radius_high), material, 12)
    return mesh.finish(f"person{seed}", smooth=True)


def _leg(mesh: Mesh, materials: Materials, trousers: Any, side: int, stride: float) -> None:
    x, foot, knee = side * 0.09, side * stride, side * stride * 0.4
    mesh.rod(((x, foot, 0.08), (x, knee, 0.5)), (0.06, 0.075), trousers, 8)
    mesh.rod(((x, knee, 0.5), (side * 0.085, 0, 0.92)), (0.08, 0.1), trousers, 8)
    mesh.box((x - 0.05, x + 0.05), (foot - 0.08, foot + 0.18), (0, 0.09), materials["hair"])


def _arm(mesh: Mesh, materials: Materials, top: Any, side: int, stride: float) -> None:
    swing = -side * stride * 0.5
    elbow, wrist = (side * 0.27, swing, 1.12), (side * 0.26, swing + 0.12, 0.88)
    mesh.rod(((side * 0.22, 0, 1.42), elbow), (0.055, 0.05), top, 8)
    mesh.rod((elbow, wrist), (0.045, 0.035), top, 8)
    mesh.rod((wrist, (side * 0.26, swing + 0.15, 0.8)), (0.04, 0.03), materials["skin"], 8)


def place_people(stage: Stage) -> None:
    """Seventy, on both sides, in both directions."""
    people = [_person(seed, stage.materials) for seed in range(DESIGNS)]
    chance, draw = stage.random, stage.random.uniform
    for _ in range(PEOPLE):
        side, way = chance.choice([-1, 1]), chance.choice([-1, 1])
        where = (side * (ROAD + draw(1.2, 3.0)), draw(6, END), 0.135)
        mesh, turn = chance.choice(people), 0 if way > 0 else math.pi
        move_along(stage.place("person", mesh, where, turn, (1, 1, draw(0.92, 1.05))), where[1], way * SPEED)
