# SPDX-License-Identifier: GPL-3.0-or-later
"""The front of a house: windows, door, shop, balconies. The order of the random draws is part of the design."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from street_parts.materials import Materials
from street_parts.stage import Mesh

Span = tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """The measures of a house in metres, what it is made of and what it has."""

    bays: int
    bay_width: float
    depth: float
    floors: int  # above the ground floor
    floor_height: float
    ground_height: float
    window: Span  # width and height
    recess: float  # of the panes
    wall: Any
    frame: Any
    has_shop: bool
    has_wide_windows: bool
    has_balconies: bool
    has_sills: bool
    has_lintels: bool

    @classmethod
    def draw(cls, seed: int, chance: random.Random, materials: Materials) -> Plan:
        """Draw the measures of a house."""
        bays, bay_width = chance.randint(3, 7), chance.uniform(2.3, 3.2)
        depth, floors, floor_height = chance.uniform(9, 13), chance.randint(2, 6), chance.uniform(2.9, 3.4)
        frame = materials["frame_white" if chance.random() < 0.6 else "frame_dark"]
        has_shop = chance.random() < 0.6
        wide, high, recess = chance.uniform(1.0, 1.5), chance.uniform(1.5, 1.9), chance.uniform(0.12, 0.28)
        has_wide_windows = chance.random() < 0.25
        return cls(
            bays=bays,
            bay_width=bay_width,
            depth=depth,
            floors=floors,
            floor_height=floor_height,
            ground_height=3.8 if has_shop else floor_height,
            window=(bay_width * 0.8 if has_wide_windows else wide, high),
            recess=recess,
            wall=materials.walls[seed % len(materials.walls)],
            frame=frame,
            has_shop=has_shop,
            has_wide_windows=has_wide_windows,
            has_balconies=chance.random() < 0.35,
            has_sills=chance.random() < 0.7,
            has_lintels=chance.random() < 0.4,
        )

    @property
    def width(self) -> float:
        """Of the front."""
        return self.bays * self.bay_width

    @property
    def height(self) -> float:
        """Up to the cornice."""
        return self.ground_height + self.floors * self.floor_height


class Facade:
    """The front of one house, built into its mesh."""

    def __init__(self, mesh: Mesh, plan: Plan, chance: random.Random, materials: Materials) -> None:
        self.mesh, self.plan, self.chance, self.materials = mesh, plan, chance, materials
        self.trim = materials["trim"]
        self.door = chance.randrange(plan.bays)
        self.shop_front = chance.choice(materials.shops)

    def build(self) -> None:
        """Bay by bay from the left, each from the ground up; then what runs along the whole front."""
        for bay in range(self.plan.bays):
            self._ground_floor(bay)
            for floor in range(self.plan.floors):
                self._upper_floor(bay, floor)
        if self.plan.has_shop:
            self._shop_sign()
        self._cornices()

    def _ground_floor(self, bay: int) -> None:
        plan = self.plan
        cell = (bay * plan.bay_width, (bay + 1) * plan.bay_width)
        middle, whole = cell[0] + plan.bay_width / 2, (0.0, plan.ground_height)
        glass = self.materials["window"]
        if plan.has_shop and bay != self.door:
            self._opening((cell[0] + 0.18, cell[1] - 0.18), (0.45, 2.85), cell, whole, glass, (2, 1), self.shop_front)
        elif bay == self.door:
            painted = self.chance.choice(self.materials.shops)
            leaf = self.chance.choice([self.materials["frame_dark"], painted])
            around = self.shop_front if plan.has_shop else plan.wall
            self._opening((middle - 0.55, middle + 0.55), (0.02, 2.3), cell, whole, leaf, (2, 3), around)
        else:
            wide, high = plan.window
            self._opening(
                (middle - wide / 2, middle + wide / 2), (0.9, 0.9 + high), cell, whole, glass, (2, 2), plan.wall
            )

    def _upper_floor(self, bay: int, floor: int) -> None:
        plan, box = self.plan, self.mesh.box
        cell = (bay * plan.bay_width, (bay + 1) * plan.bay_width)
        middle = cell[0] + plan.bay_width / 2
        left, right = middle - plan.window[0] / 2, middle + plan.window[0] / 2
        z = plan.ground_height + floor * plan.floor_height
        low, top = z + 0.75, z + 0.75 + plan.window[1]
        panes = (3 if plan.has_wide_windows else 2, 1 if floor % 2 and plan.has_wide_windows else 2)
        whole = (z, z + plan.floor_height)
        self._opening((left, right), (low, top), cell, whole, self.materials["window"], panes, plan.wall)
        if plan.has_sills:
            box((left - 0.08, right + 0.08), (-0.1, 0.03), (z + 0.66, low), self.trim)
        if plan.has_lintels:
            box((left - 0.12, right + 0.12), (-0.05, 0.0), (top, z + 0.95 + plan.window[1]), self.trim)
        if plan.has_balconies and bay % 2 == 0:
            self._balcony(cell, z)
        if self.chance.random() < 0.08:  # air conditioner
            cooler = (cell[0] + 0.1, cell[0] + 0.75)
            box(cooler, (-0.35, -0.02), (z + 0.1, z + 0.6), self.materials["frame_white"])

    def _opening(
        self, x: Span, z: Span, cell_x: Span, cell_z: Span, pane: Any, panes: tuple[int, int], wall: Any
    ) -> None:
        """A cell of wall with a window or door in it, set back, with bars between its panes."""
        (x0, x1), (z0, z1), back = x, z, self.plan.recess
        for (a, b), (c, d) in ((cell_x, (cell_z[0], z0)), (cell_x, (z1, cell_z[1])), ((cell_x[0], x0), z)):
            self.mesh.face([(a, 0, c), (b, 0, c), (b, 0, d), (a, 0, d)], wall)
        self.mesh.face([(x1, 0, z0), (cell_x[1], 0, z0), (cell_x[1], 0, z1), (x1, 0, z1)], wall)
        reveals = (
            ((x0, 0, z0), (x0, back, z0), (x0, back, z1), (x0, 0, z1)),
            ((x1, back, z0), (x1, 0, z0), (x1, 0, z1), (x1, back, z1)),
            ((x0, 0, z1), (x0, back, z1), (x1, back, z1), (x1, 0, z1)),
            ((x0, back, z0), (x0, 0, z0), (x1, 0, z0), (x1, back, z0)),
        )
        for reveal in reveals:
            self.mesh.face(reveal, wall)
        self._pane(x, z, pane)
        self._bars(x, z, panes)

    def _pane(self, x: Span, z: Span, pane: Any) -> None:
        (x0, x1), (z0, z1), back = x, z, self.plan.recess
        room = self.chance.random()
        self.mesh.face([(x0, back, z0), (x1, back, z0), (x1, back, z1), (x0, back, z1)], pane, room)
        if room < 0.75 and self.chance.random() < 0.35 and pane is self.materials["window"]:  # a blind, half drawn
            low, front = z1 - (z1 - z0) * self.chance.uniform(0.2, 0.7), back - 0.01
            self.mesh.face([(x0, front, low), (x1, front, low), (x1, front, z1), (x0, front, z1)], pane, 0.72)

    def _bars(self, x: Span, z: Span, panes: tuple[int, int]) -> None:
        half, back = 0.025, self.plan.recess
        for at in range(panes[0] + 1):
            bar = x[0] + (x[1] - x[0]) * at / panes[0]
            bar = min(max(bar, x[0] + half), x[1] - half)
            self.mesh.box((bar - half, bar + half), (back - 0.06, back), z, self.plan.frame)
        for at in range(panes[1] + 1):
            bar = z[0] + (z[1] - z[0]) * at / panes[1]
            bar = min(max(bar, z[0] + half), z[1] - half)
            self.mesh.box(x, (back - 0.055, back), (bar - half, bar + half), self.plan.frame)

    def _balcony(self, cell: Span, z: float) -> None:
        box, frame, rail = self.mesh.box, self.plan.frame, (z + 1.05, z + 1.1)
        x = (cell[0] + 0.2, cell[1] - 0.2)
        box(x, (-1.0, 0), (z + 0.05, z + 0.17), self.trim)
        box(x, (-1.0, -0.96), rail, frame)
        for bar in np.arange(cell[0] + 0.22, x[1], 0.16):
            box((bar, bar + 0.025), (-0.99, -0.965), (z + 0.17, z + 1.05), frame)
        for end in (x[0], cell[1] - 0.24):
            box((end, end + 0.04), (-1.0, 0), rail, frame)

    def _shop_sign(self) -> None:
        """A board over the shop windows, awnings over some."""
        plan, mesh = self.plan, self.mesh
        mesh.box((0.1, plan.width - 0.1), (-0.12, 0), (3.0, 3.55), self.shop_front)
        mesh.box((0, plan.width), (-0.2, 0), (plan.ground_height - 0.16, plan.ground_height), self.trim)
        for bay in range(plan.bays):
            if self.chance.random() < 0.35 and bay != self.door:
                cloth = self.chance.choice(self.materials.shops)
                x0, x1 = bay * plan.bay_width + 0.1, (bay + 1) * plan.bay_width - 0.1
                mesh.face([(x0, -1.2, 2.45), (x1, -1.2, 2.45), (x1, -0.12, 3.0), (x0, -0.12, 3.0)], cloth)
                mesh.face([(x0, -1.2, 2.25), (x1, -1.2, 2.25), (x1, -1.2, 2.45), (x0, -1.2, 2.45)], cloth)

    def _cornices(self) -> None:
        plan, box = self.plan, self.mesh.box
        for floor in range(plan.floors):
            if self.chance.random() < 0.5:
                z = plan.ground_height + floor * plan.floor_height
                box((0, plan.width), (-0.06, 0), (z - 0.1, z + 0.06), self.trim)
        across = (-0.1, plan.width + 0.1)
        box(across, (-0.35, 0.1), (plan.height, plan.height + 0.28), self.trim)
        box(across, (-0.2, 0.1), (plan.height - 0.25, plan.height), self.trim)
