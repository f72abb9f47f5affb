# SPDX-License-Identifier: GPL-3.0-or-later
"""Houses and where they stand. A house has its front at y = 0, facing -y, and its width along x.

The order in which random numbers are drawn makes the street: a change of it changes every label.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from street_parts.facade import Facade, Plan
from street_parts.materials import Materials
from street_parts.stage import END, ROAD, START, WALK, Mesh, Stage

DESIGNS = 14
FIRST_SEED = 100


@dataclass(frozen=True)
class House:
    """A mesh with its width and height in metres."""

    mesh: Any
    width: float
    height: float


def design(seed: int, materials: Materials) -> House:
    """One house."""
    chance = random.Random(seed)
    mesh = Mesh()
    plan = Plan.draw(seed, chance, materials)
    Facade(mesh, plan, chance, materials).build()
    _sides(mesh, plan, chance, materials)
    _roof(mesh, plan, chance, materials)
    x = chance.choice([0.12, plan.width - 0.12])
    mesh.rod(((x, -0.09, 0), (x, -0.09, plan.height)), (0.05, 0.05), materials["trim"], 6)
    return House(mesh.finish(f"bld{seed}"), plan.width, plan.height)


def _sides(mesh: Mesh, plan: Plan, chance: random.Random, materials: Materials) -> None:
    """Side walls with a few windows that stand out of them."""
    deep, high = plan.depth, plan.height
    for x, way in ((0.0, -1), (plan.width, 1)):
        wall = [(x, 0, 0), (x, deep, 0), (x, deep, high), (x, 0, high)]
        mesh.face(wall if way > 0 else [wall[1], wall[0], wall[3], wall[2]], plan.wall)
        for floor in range(1, plan.floors):
            for y in (2.5, 6):
                if chance.random() < 0.4:
                    z = plan.ground_height + floor * plan.floor_height
                    mesh.box((x, x + way * 0.04), (y, y + 1.1), (z + 0.8, z + 2.2), plan.frame)
                    out, near, far, low, top = x + way * 0.045, y + 0.08, y + 1.02, z + 0.88, z + 2.12
                    pane = [(out, near, low), (out, far, low), (out, far, top), (out, near, top)]
                    mesh.face(pane if way > 0 else pane[::-1], materials["window"], chance.random())


def _roof(mesh: Mesh, plan: Plan, chance: random.Random, materials: Materials) -> None:
    """The back wall, a flat or pitched roof, chimneys."""
    wide, deep, high = plan.width, plan.depth, plan.height
    mesh.face([(wide, deep, 0), (0, deep, 0), (0, deep, high), (wide, deep, high)], plan.wall)
    flat, tiles = high + 0.1, materials["roof"]
    mesh.face([(0, 0, flat), (wide, 0, flat), (wide, deep, flat), (0, deep, flat)], tiles)
    if chance.random() < 0.45:
        low = high + 0.28
        top = low + chance.uniform(1.8, 3)
        left, right, middle = -0.2, wide + 0.2, deep / 2
        mesh.face([(left, -0.35, low), (right, -0.35, low), (right, middle, top), (left, middle, top)], tiles)
        mesh.face([(right, deep, low), (left, deep, low), (left, middle, top), (right, middle, top)], tiles)
        for x in (0, wide):
            mesh.face([(x, 0, low), (x, deep, low), (x, middle, top), (x, middle, top)], plan.wall)
    for _ in range(chance.randint(1, 3)):
        x, y = chance.uniform(1, wide - 2), chance.uniform(2, deep - 2)
        mesh.box((x, x + 0.7), (y, y + 0.7), (high, high + chance.uniform(1, 3.2)), plan.wall)


def place_buildings(stage: Stage) -> None:
    """Rows of houses with gaps on both sides, and a skyline behind the end of the street."""
    houses = [design(FIRST_SEED + at, stage.materials) for at in range(DESIGNS)]
    for side in (-1, 1):
        _row(stage, houses, side)
    chance = stage.random
    for at in range(26):
        mesh = chance.choice(houses).mesh
        where = (chance.uniform(-140, 140), END + chance.uniform(60, 260), 0)
        turn = chance.choice([0, math.pi / 2, -math.pi / 2])
        stage.place(f"far.{at}", mesh, where, turn, (1.3, 1.3, chance.uniform(1.2, 2.6)))


def _row(stage: Stage, houses: list[House], side: int) -> None:
    """One side of the street, facing it; no house stands beside its twin."""
    chance, last = stage.random, -1
    y: float = START
    while y < END + 60:
        if chance.random() < 0.13:
            y += chance.uniform(6, 14)
            continue
        which = chance.randrange(len(houses))
        if which == last:
            continue
        last, house = which, houses[which]
        back = chance.choice([0, 0, 0, 0.6, 2.5])
        where = (side * (ROAD + WALK + back), y + house.width if side > 0 else y, 0.12)
        stage.place(f"building.{side}.{int(y)}", house.mesh, where, -side * math.pi / 2)
        y += house.width + (0 if chance.random() < 0.75 else chance.uniform(0.8, 2))
