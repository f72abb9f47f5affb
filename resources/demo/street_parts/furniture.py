# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on the sidewalk: lamps, wooden poles with wires, traffic lights, signs."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from street_parts.materials import Materials
from street_parts.stage import CROSSINGS, END, ROAD, Mesh, Stage

POLE_STEP = 36  # metres from one wooden pole to the next


def _lamp(materials: Materials) -> Any:
    mesh, black = Mesh(), materials["pole_black"]
    mesh.rod(((0, 0, 0), (0, 0, 1)), (0.11, 0.09), black, 12)
    mesh.rod(((0, 0, 1), (0, 0, 7.6)), (0.075, 0.05), black, 10)
    arm = [(math.sin(t) * 1.7, 0, 7.6 + math.sin(t * 1.2) * 0.7) for t in np.linspace(0, 1.4, 7)]
    for start, end in itertools.pairwise(arm):
        mesh.rod((start, end), (0.04, 0.04), black, 8, closed=False)
    x, _, z = arm[-1]
    mesh.box((x - 0.1, x + 0.55), (-0.13, 0.13), (z - 0.1, z + 0.02), black)
    return mesh.finish("lamp")


def _traffic_light(materials: Materials) -> Any:
    mesh, steel, dark = Mesh(), materials["pole_steel"], materials["sign_dark"]
    mesh.rod(((0, 0, 0), (0, 0, 5.4)), (0.09, 0.07), steel, 12)
    mesh.rod(((0, 0, 5.2), (3.4, 0, 5.5)), (0.06, 0.045), steel, 10)
    for x, low in ((3.2, 4.9), (0.0, 2.6)):
        mesh.box((x - 0.17, x + 0.17), (-0.15, 0.12), (low, low + 1.0), dark)
        for at, light in enumerate((materials["sign_blue"], dark, materials["sign_red"])):
            z = low + 0.18 + 0.31 * at
            mesh.rod(((x, -0.15, z), (x, -0.2, z)), (0.11, 0.11), light, 12)
    return mesh.finish("tlight")


def _signs(materials: Materials) -> list[Any]:
    """No entry, parking, a street name."""
    meshes, z = [Mesh() for _ in range(3)], 2.6
    red, blue, white = (materials[name] for name in ("sign_red", "sign_blue", "sign_white"))
    for mesh in meshes:
        mesh.rod(((0, 0, 0), (0, 0, 2.9)), (0.035, 0.035), materials["pole_steel"], 8)
    meshes[0].rod(((0, -0.05, z), (0, -0.07, z)), (0.33, 0.33), red, 24)
    meshes[0].rod(((0, -0.071, z), (0, -0.073, z)), (0.24, 0.24), white, 24)
    meshes[1].box((-0.32, 0.32), (-0.07, -0.05), (z - 0.32, z + 0.32), blue)
    meshes[1].box((-0.12, 0.12), (-0.075, -0.07), (z - 0.2, z + 0.2), white)
    meshes[2].box((-0.5, 0.5), (-0.07, -0.05), (z - 0.18, z + 0.18), white)
    meshes[2].box((-0.47, 0.47), (-0.074, -0.07), (z - 0.15, z + 0.15), blue)
    return [mesh.finish(f"sign{at}") for at, mesh in enumerate(meshes)]


def _wooden_pole(materials: Materials) -> Any:
    mesh, wood = Mesh(), materials["pole_wood"]
    mesh.rod(((0, 0, 0), (0, 0, 9)), (0.16, 0.11), wood, 10)
    mesh.box((-1.1, 1.1), (-0.05, 0.05), (8.3, 8.42), wood)
    return mesh.finish("util")


def _hang_wires(mesh: Mesh, black: Any, x: float, y: float) -> None:
    """Four wires from a pole to the next, a metre deep in the middle."""
    for aside in (-1, -0.4, 0.4, 1):
        points = [(x + aside, y + POLE_STEP * t, 8.5 - 1.0 * (1 - (2 * t - 1) ** 2)) for t in np.linspace(0, 1, 9)]
        for start, end in itertools.pairwise(points):
            mesh.rod((start, end), (0.012, 0.012), black, 4, closed=False)


def place_furniture(stage: Stage) -> None:
    """Lamps on both sides in turn, wooden poles on the left, lights at crossings, twenty signs on each side."""
    materials = stage.materials
    lamp, light, signs = _lamp(materials), _traffic_light(materials), _signs(materials)
    wires, edge = Mesh(), ROAD + 0.45
    for y in np.arange(10, END, 27.0):
        side = 1 if int(y / 27) % 2 else -1
        stage.place("lamp", lamp, (side * edge, float(y), 0.13), 0 if side < 0 else math.pi)
    for y in np.arange(0, END + 1, float(POLE_STEP)):
        x = -(ROAD + 2.9)
        stage.place("utilpole", _wooden_pole(materials), (x, float(y), 0.1))
        _hang_wires(wires, materials["pole_black"], x, y)
    stage.place("wires", wires.finish("wires"))
    for y in CROSSINGS:
        stage.place("trafficlight", light, (ROAD + 0.35, y + 3.8, 0.13), math.pi)
        stage.place("trafficlight", light, (-(ROAD + 0.35), y - 0.8, 0.13), 0)
    chance = stage.random
    for side in (-1, 1):
        for _ in range(20):
            mesh, where = chance.choice(signs), (side * (ROAD + 0.4), chance.uniform(5, END), 0.13)
            stage.place("sign", mesh, where, (0 if side > 0 else math.pi) + chance.uniform(-0.1, 0.1))
