# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees and bushes, leaf by leaf, and where they stand."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from mathutils import Vector
from street_parts.stage import END, ROAD, START, WALK, Mesh, Stage

FULL_TURN = 6.28


class _Tree:
    """One tree: branches that fork four times, leaves around their ends."""

    def __init__(self, seed: int, bark: Any, leaves: Any) -> None:
        self.mesh, self.chance, self.bark, self.leaves = Mesh(), random.Random(seed), bark, leaves
        self.tips: list[Any] = []
        draw = self.chance.uniform
        length = draw(2.3, 3.2)
        up = Vector((draw(-0.06, 0.06), draw(-0.06, 0.06), 1)).normalized()
        self._branch(Vector((0, 0, 0)), up, length, draw(0.13, 0.19), 0)
        for tip in self.tips:
            for _ in range(int(draw(62, 92))):
                self._leaf(tip)

    def _branch(self, start: Any, along: Any, length: float, radius: float, depth: int) -> None:
        end = start + along * length
        self.mesh.rod((start, end), (radius, radius * 0.68), self.bark, 7 if depth < 2 else 5, closed=False)
        if depth >= 2:
            self.tips.append(end)
        if depth >= 4:
            return
        draw = self.chance.uniform
        for _ in range(3 if depth == 0 else self.chance.choice([2, 2, 3])):
            aside = Vector((draw(-1, 1), draw(-1, 1), draw(-0.15, 0.7))) * 0.85
            shorter = draw(0.55, 0.75) if depth else draw(0.45, 0.6)
            self._branch(end, (along + aside).normalized(), length * shorter, radius * 0.62, depth + 1)

    def _leaf(self, tip: Any) -> None:
        draw = self.chance.gauss
        middle = tip + Vector((draw(0, 0.42), draw(0, 0.42), draw(0, 0.34)))
        normal = _direction(draw)
        size = self.chance.uniform(0.07, 0.14)
        shade = 0.5 + 0.45 * normal.z * 0.4 + draw(0, 0.22)
        _add_leaf(self.mesh, self.leaves, middle, normal, (size, 0.55), shade)


def _direction(draw: Callable[[float, float], float]) -> Any:
    return Vector((draw(0, 1), draw(0, 1), draw(0, 1))).normalized()


def _add_leaf(mesh: Mesh, material: Any, middle: Any, normal: Any, size: tuple[float, float], shade: float) -> None:
    """A rhombus; size: half its length, and its width as a part of that."""
    aside = normal.orthogonal().normalized()
    u, v = aside * size[0], normal.cross(aside) * size[0] * size[1]
    corners = [tuple(middle - u), tuple(middle + v), tuple(middle + u), tuple(middle - v)]
    mesh.face(corners, material, min(max(shade, 0), 1))


def _bush(seed: int, leaves: Any) -> Any:
    chance, mesh = random.Random(seed), Mesh()
    draw = chance.gauss
    for _ in range(1500):
        middle = Vector((draw(0, 0.5), draw(0, 0.42), abs(draw(0.1, 0.38))))
        normal = _direction(draw)
        size = chance.uniform(0.05, 0.1)
        _add_leaf(mesh, leaves, middle, normal, (size, 0.6), draw(0.4, 0.3))
    return mesh.finish(f"bush{seed}")


def place_plants(stage: Stage) -> None:
    """Trees along the kerb and behind the houses, bushes on the grass, a wood at the end of the street."""
    bark, green, yellow = (stage.materials[name] for name in ("bark", "leaves_green", "leaves_yellow"))
    trees = [_Tree(seed, bark, green if seed % 3 else yellow).mesh.finish(f"tree{seed}") for seed in range(6)]
    bushes = [_bush(seed, green) for seed in range(3)]
    chance, draw = stage.random, stage.random.uniform
    for side in (-1, 1):
        _kerb_trees(stage, trees, side)
        for _ in range(90):
            size, mesh = draw(1.1, 1.9), chance.choice(trees)
            where = (side * draw(ROAD + WALK + 14, 50), draw(START, END + 30), 0.0)
            stage.place("tree_bg", mesh, where, draw(0, FULL_TURN), (size, size, size))
        for _ in range(60):
            size, mesh = draw(0.7, 1.5), chance.choice(bushes)
            where = (side * (ROAD + WALK + draw(0.4, 3)), draw(START, END), 0.1)
            stage.place("bush", mesh, where, draw(0, FULL_TURN), (size, size, size * 0.9))
    for _ in range(70):
        size, mesh = draw(1.5, 3), chance.choice(trees)
        where = (draw(-90, 90), END + draw(5, 50), 0.0)
        stage.place("tree_far", mesh, where, draw(0, FULL_TURN), (size, size, size))


def _kerb_trees(stage: Stage, trees: list[Any], side: int) -> None:
    chance, draw = stage.random, stage.random.uniform
    y = 6 + draw(0, 6)
    while y < END:
        if chance.random() < 0.72:
            size, mesh = draw(0.85, 1.35), chance.choice(trees)
            where, turn = (side * (ROAD + 0.75), y, 0.13), draw(0, FULL_TURN)
            stage.place("tree", mesh, where, turn, (size, size, size * draw(0.95, 1.15)))
        y += draw(8, 15)
