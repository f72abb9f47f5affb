# SPDX-License-Identifier: GPL-3.0-or-later
"""Cars, parked and driving. A car has its length along y, its front towards +y."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import bmesh
from street_parts.stage import CROSSINGS, END, ROAD, SPEED, Mesh, Stage, move_along

ORDER = ("sedan", "hatch", "suv", "sedan", "hatch", "suv", "van", "hatch", "sedan", "suv")
# Stations from the back to the front: y, height of sill, belt and roof, half width of belt and roof, glass to the next.
SHAPES: dict[str, tuple[tuple[float, ...], ...]] = {
    "sedan": (
        (-2.2, 0.35, 0.80, 0.82, 0.70, 0.55, 0),
        (-2.1, 0.26, 0.92, 0.97, 0.80, 0.60, 0),
        (-1.45, 0.22, 0.97, 1.02, 0.86, 0.66, 1),
        (-0.85, 0.22, 0.98, 1.40, 0.88, 0.60, 1),
        (0.15, 0.22, 0.97, 1.43, 0.88, 0.61, 1),
        (0.55, 0.22, 0.95, 1.36, 0.88, 0.62, 1),
        (1.15, 0.22, 0.92, 0.97, 0.86, 0.68, 0),
        (2.0, 0.24, 0.78, 0.82, 0.80, 0.60, 0),
        (2.2, 0.32, 0.62, 0.66, 0.68, 0.50, 0),
    ),
    "hatch": (
        (-1.95, 0.35, 0.85, 0.88, 0.72, 0.58, 0),
        (-1.88, 0.26, 0.95, 1.02, 0.80, 0.60, 1),
        (-1.55, 0.22, 0.98, 1.42, 0.85, 0.58, 1),
        (-0.9, 0.22, 0.98, 1.49, 0.87, 0.60, 1),
        (0.1, 0.22, 0.97, 1.51, 0.87, 0.61, 1),
        (0.5, 0.22, 0.96, 1.43, 0.87, 0.62, 1),
        (1.1, 0.22, 0.93, 0.98, 0.85, 0.68, 0),
        (1.8, 0.24, 0.80, 0.84, 0.79, 0.60, 0),
        (1.98, 0.32, 0.64, 0.68, 0.68, 0.50, 0),
    ),
    "suv": (
        (-2.25, 0.42, 0.95, 0.98, 0.74, 0.6, 0),
        (-2.2, 0.34, 1.08, 1.12, 0.84, 0.62, 1),
        (-2.0, 0.32, 1.1, 1.66, 0.88, 0.62, 1),
        (-1.0, 0.32, 1.1, 1.72, 0.9, 0.66, 1),
        (0.1, 0.32, 1.09, 1.72, 0.9, 0.66, 1),
        (0.6, 0.32, 1.07, 1.62, 0.9, 0.66, 1),
        (1.15, 0.32, 1.05, 1.1, 0.88, 0.7, 0),
        (2.05, 0.34, 0.95, 0.98, 0.84, 0.64, 0),
        (2.25, 0.4, 0.76, 0.8, 0.72, 0.52, 0),
    ),
    "van": (
        (-2.5, 0.38, 1.1, 2.0, 0.86, 0.78, 0),
        (-2.45, 0.3, 1.12, 2.12, 0.92, 0.82, 0),
        (-1.2, 0.28, 1.14, 2.18, 0.95, 0.84, 0),
        (0.5, 0.28, 1.14, 2.18, 0.95, 0.84, 1),
        (1.1, 0.28, 1.12, 2.1, 0.95, 0.82, 1),
        (1.75, 0.28, 1.1, 1.18, 0.93, 0.78, 0),
        (2.3, 0.3, 0.95, 1.0, 0.86, 0.7, 0),
        (2.45, 0.38, 0.7, 0.75, 0.75, 0.6, 0),
    ),
}


@dataclass(frozen=True)
class Car:
    """Body, to be subdivided, and the parts on it."""

    body: Any
    parts: Any


def _ring(station: tuple[float, ...]) -> list[tuple[float, float, float]]:
    """Half a cross section from the middle of the floor to the middle of the roof."""
    y, sill, belt, roof, wide, roof_wide, _ = station
    domed = roof > belt + 0.2
    return [
        (0, y, sill),
        (wide * 0.92, y, sill),
        (wide, y, (sill + belt) * 0.5),
        (wide, y, belt),
        (roof_wide, y, roof - 0.02 * (roof - belt)),
        (roof_wide * 0.55, y, roof + 0.03 * domed),
        (0, y, roof + 0.035 * domed),
    ]


def _strip_material(stage: Stage, paint: Any, strip: int, here: tuple[float, ...], after: tuple[float, ...]) -> Any:
    """What a strip between two stations is made of: floor, body, side window, windscreen."""
    cabin_here, cabin_after = here[3] - here[2] > 0.2, after[3] - after[2] > 0.2
    has_glass = bool(here[6])
    side_window = strip == 3 and has_glass and (cabin_here or cabin_after)
    windscreen = strip >= 4 and has_glass and cabin_here != cabin_after
    if side_window or windscreen:
        return stage.materials["car_glass"]
    return stage.materials["car_plastic"] if strip == 0 else paint


def _body(stage: Stage, kind: str, paint: Any) -> Any:
    mesh, shape = Mesh(), SHAPES[kind]
    rings = [_ring(station) for station in shape]
    for at in range(len(shape) - 1):
        back, front = rings[at], rings[at + 1]
        for strip in range(6):
            material = _strip_material(stage, paint, strip, shape[at], shape[at + 1])
            corners = [back[strip], back[strip + 1], front[strip + 1], front[strip]]
            for side in (1, -1):
                mirrored = [(x * side, y, z) for x, y, z in corners]
                mesh.face(mirrored if side < 0 else mirrored[::-1], material)
    for ring, is_front in ((rings[0], False), (rings[-1], True)):
        for side in (1, -1):
            mirrored = [(x * side, y, z) for x, y, z in ring]
            mesh.face(mirrored if (side > 0) != is_front else mirrored[::-1], paint)
    body = mesh.finish(f"car_{kind}", smooth=True)
    _crease(body)
    return body


def _crease(body: Any) -> None:
    """Join the faces and keep edges sharp where the material or the direction changes."""
    joined = bmesh.new()
    joined.from_mesh(body)
    bmesh.ops.remove_doubles(joined, verts=joined.verts, dist=1e-4)
    bmesh.ops.recalc_face_normals(joined, faces=joined.faces)
    layers = joined.edges.layers.float
    crease = layers.get("crease_edge") or layers.new("crease_edge")
    for edge in joined.edges:
        if len({face.material_index for face in edge.link_faces}) > 1:
            edge[crease] = 0.75
        elif len(edge.link_faces) == 2 and edge.calc_face_angle(0) > 0.9:
            edge[crease] = 0.45
    joined.to_mesh(body)
    joined.free()
    body.polygons.foreach_set("use_smooth", [True] * len(body.polygons))


def _parts(stage: Stage, kind: str, paint: Any) -> Any:
    """Lamps, mirrors, plates, bumpers and wheels."""
    mesh, shape, materials = Mesh(), SHAPES[kind], stage.materials
    back, front, belt_back, belt_front = shape[0][0], shape[-1][0], shape[0][2], shape[-1][2]
    for side in (1, -1):
        lamp = (belt_front - 0.06, belt_front + 0.08)
        mesh.box((side * 0.45, side * 0.74), (front - 0.14, front + 0.015), lamp, materials["headlight"])
        lamp = (belt_back - 0.18, belt_back + 0.02)
        mesh.box((side * 0.5, side * 0.76), (back - 0.015, back + 0.15), lamp, materials["taillight"])
        x, belt = side * 0.93, shape[4][2]
        mesh.box((x, x + side * 0.14), (0.55, 0.72), (belt + 0.02, belt + 0.16), paint)
    mesh.box((-0.26, 0.26), (back - 0.02, back), (0.55, 0.66), materials["plate"])
    mesh.box((-0.26, 0.26), (front, front + 0.02), (0.42, 0.52), materials["plate"])
    mesh.box((-0.5, 0.5), (front - 0.02, front + 0.012), (0.42, 0.58), materials["car_plastic"])
    mesh.box((-0.72, 0.72), (back - 0.03, back + 0.05), (0.33, 0.5), materials["car_plastic"])
    for y in (back + 0.8, front - 0.82):
        for side in (1, -1):
            _wheel(mesh, stage, y, side)
    return mesh.finish(f"cardet_{kind}")


def _wheel(mesh: Mesh, stage: Stage, y: float, side: int) -> None:
    x, materials = side * 0.80, stage.materials
    mesh.rod(((x - 0.11, y, 0.33), (x + 0.11, y, 0.33)), (0.33, 0.33), materials["tyre"], 20)
    rim = x + side * 0.112
    mesh.rod(((rim - 0.005, y, 0.33), (rim + 0.005, y, 0.33)), (0.215, 0.2), materials["rim"], 14)
    mesh.rod(((x - 0.12, y, 0.36), (x + 0.105, y, 0.36)), (0.39, 0.39), materials["car_plastic"], 18)


def _put(stage: Stage, car: Car, x: float, y: float, turn: float) -> Any:
    """Body and parts are one instance."""
    body = stage.place("car", car.body, (x, y, 0), turn)
    subdivision = body.modifiers.new("s", "SUBSURF")
    subdivision.levels = subdivision.render_levels = 2
    parts = stage.place("car_parts", car.parts)
    parts.parent, parts.pass_index = body, body.pass_index
    return body


def place_cars(stage: Stage) -> None:
    """Parked along both kerbs but not at crossings; two ahead of the camera and fourteen coming towards it."""
    cars, paints = [], stage.materials.paints
    for at, kind in enumerate(ORDER):
        paint = paints[(at * 3 + at // 3) % len(paints)]
        cars.append(Car(_body(stage, kind, paint), _parts(stage, kind, paint)))
    for side in (-1, 1):
        _park(stage, cars, side)
    for which, y, speed in ((2, 17.0, SPEED * 1.02), (0, 46.0, SPEED * 1.05)):
        move_along(_put(stage, cars[which], 1.7, y, 0), y, speed)
    chance = stage.random
    for at in range(14):
        car, y = cars[chance.randrange(99) % len(cars)], 30 + at * 34 + chance.uniform(-6, 6)
        move_along(_put(stage, car, -1.7, y, math.pi), y, -SPEED * chance.uniform(0.8, 1.1))


def _park(stage: Stage, cars: list[Car], side: int) -> None:
    chance = stage.random
    y = -12.0
    while y < END:
        is_free = not any(abs(y - crossing - 1.5) < 7 for crossing in CROSSINGS)
        if chance.random() < 0.66 and is_free:
            car, x = cars[chance.randrange(99) % len(cars)], side * (ROAD - 1.15) + chance.uniform(-0.08, 0.08)
            _put(stage, car, x, y, (0 if side > 0 else math.pi) + chance.uniform(-0.03, 0.03))
        y += chance.uniform(5.4, 7)
