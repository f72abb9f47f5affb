# SPDX-License-Identifier: GPL-3.0-or-later
"""The ground: road, lines and crossings, sidewalks with grass behind them."""

from __future__ import annotations

import numpy as np
from street_parts.stage import CROSSINGS, END, ROAD, START, WALK, Mesh, Stage


def lay_ground(stage: Stage) -> None:
    """Three things: the road, what is painted on it, what lies beside it."""
    _road(stage)
    _markings(stage)
    _sidewalks(stage)


def _road(stage: Stage) -> None:
    mesh, asphalt = Mesh(), stage.materials["road"]
    mesh.face([(-ROAD, START, 0), (ROAD, START, 0), (ROAD, END, 0), (-ROAD, END, 0)], asphalt)
    far = END + 600
    mesh.face([(-60, END, -0.05), (60, END, -0.05), (60, far, -0.05), (-60, far, -0.05)], asphalt)
    stage.place("road", mesh.finish("road"))


def _markings(stage: Stage) -> None:
    mesh, paint = Mesh(), stage.materials["marking"]
    for y in np.arange(START, END, 6.0):
        mesh.box((-0.07, 0.07), (y, y + 2.6), (0, 0.004), paint)
    for side in (-1, 1):
        mesh.box((side * 3.35 - 0.05, side * 3.35 + 0.05), (START, END), (0, 0.004), paint)
    for y in CROSSINGS:
        for x in np.arange(-5.0, 5.1, 1.0):
            mesh.box((x - 0.25, x + 0.25), (y, y + 3), (0, 0.005), paint)
    stage.place("markings", mesh.finish("mark"))


def _sidewalks(stage: Stage) -> None:
    mesh, along = Mesh(), (START, END)
    for side in (-1, 1):
        strips = (
            (ROAD, ROAD + 0.16, 0.14, "curb"),
            (ROAD + 0.16, ROAD + WALK, 0.135, "sidewalk"),
            (ROAD + WALK, 90, 0.12, "grass"),
        )
        for near, far, top, material in strips:
            mesh.box((side * near, side * far), along, (-0.02, top), stage.materials[material])
    stage.place("sidewalks", mesh.finish("walk"))
