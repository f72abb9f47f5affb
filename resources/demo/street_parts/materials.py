# SPDX-License-Identifier: GPL-3.0-or-later
"""Every material of the street and the class it belongs to: its pass index is the class id of the label maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
from street_parts import ground_surfaces as ground
from street_parts import surfaces
from street_parts.shading import Shading
from street_parts.surfaces import Build, plain

CLASSES = (
    *("sky", "road", "marking", "sidewalk", "building", "window"),
    *("car", "vegetation", "pole", "sign", "person", "terrain"),
)  # the palette `street`: the id is the place in this list
HAZE_COLOUR = (0.62, 0.70, 0.80)
HAZE_M = 650.0  # where 1 - 1/e of a colour is haze
HAZE_LIGHT = 0.9


@dataclass(frozen=True)
class Materials:
    """Materials by name, and those that are chosen from."""

    named: dict[str, Any]
    walls: list[Any]
    shops: list[Any]
    paints: list[Any]
    cloth: list[Any]

    def __getitem__(self, name: str) -> Any:
        return self.named[name]


def make_material(name: str, of_class: str, build: Build | None) -> Any:
    """A material of a class: what `build` makes, behind the haze that the camera sees; without it plain white light."""
    made = bpy.data.materials.new(name)
    made.pass_index = CLASSES.index(of_class)
    if bpy.app.version < (5, 0, 0):
        made.use_nodes = True
    nodes = Shading(made.node_tree)
    output = nodes.node("ShaderNodeOutputMaterial")
    if build is None:
        nodes.feed(output.inputs[0], nodes.node("ShaderNodeEmission").outputs[0])
    else:
        _through_haze(nodes, build(nodes), output)
    return made


def _through_haze(nodes: Shading, surface: Any, output: Any) -> None:
    """Mix by 1 - exp(-distance / HAZE_M), for camera rays only."""
    distance = nodes.node("ShaderNodeCameraData").outputs["View Distance"]
    clear = nodes.math("EXPONENT", nodes.math("DIVIDE", distance, -HAZE_M))
    seen = nodes.node("ShaderNodeLightPath").outputs["Is Camera Ray"]
    amount = nodes.times(nodes.less(1, clear), seen)
    haze = nodes.node("ShaderNodeEmission")
    nodes.feed(haze.inputs[0], HAZE_COLOUR)
    nodes.feed(haze.inputs[1], HAZE_LIGHT)
    both = nodes.node("ShaderNodeMixShader")
    for at, value in enumerate((amount, surface, haze.outputs[0])):
        nodes.feed(both.inputs[at], value)
    nodes.feed(output.inputs[0], both.outputs[0])


def make_materials(*, has_looks: bool) -> Materials:
    """All of them; without looks they only carry their classes, which renders in a fraction of the time."""

    def make(name: str, of_class: str, build: Build) -> Any:
        return make_material(name, of_class, build if has_looks else None)

    recipes = {**_of_the_street(), **_of_things()}
    return Materials(
        named={name: make(name, of_class, build) for name, (of_class, build) in recipes.items()},
        walls=[make(name, "building", build) for name, build in _walls().items()],
        shops=[make(f"shop{at}", "building", build) for at, build in enumerate(_shops())],
        paints=[make(f"paint{at}", "car", build) for at, build in enumerate(_paints())],
        cloth=[make(f"cloth{at}", "person", build) for at, build in enumerate(_cloth())],
    )


def _of_the_street() -> dict[str, tuple[str, Build]]:
    return {
        "road": ("road", ground.road),
        "marking": ("marking", ground.marking),
        "sidewalk": ("sidewalk", ground.paving),
        "curb": ("sidewalk", ground.curb),
        "grass": ("terrain", ground.grass),
        "window": ("window", surfaces.window_glass),
        "frame_white": ("building", plain((0.6, 0.6, 0.58), 0.5)),
        "frame_dark": ("building", plain((0.03, 0.03, 0.035), 0.4)),
        "trim": ("building", plain((0.42, 0.40, 0.37), 0.85, scale=6, vary=0.3)),
        "roof": ("building", plain((0.07, 0.065, 0.06), 0.9)),
        "bark": ("vegetation", surfaces.bark),
        "leaves_green": ("vegetation", surfaces.leaves((0.012, 0.035, 0.006), (0.07, 0.13, 0.02))),
        "leaves_yellow": ("vegetation", surfaces.leaves((0.03, 0.045, 0.008), (0.14, 0.15, 0.03))),
    }


def _of_things() -> dict[str, tuple[str, Build]]:
    return {
        "pole_steel": ("pole", plain((0.22, 0.23, 0.235), 0.45, 0.7, scale=4)),
        "pole_black": ("pole", plain((0.02, 0.022, 0.022), 0.45)),
        "pole_wood": ("pole", surfaces.bark),
        "sign_red": ("sign", plain((0.5, 0.02, 0.02), 0.4, vary=0.1)),
        "sign_blue": ("sign", plain((0.02, 0.08, 0.4), 0.4, vary=0.1)),
        "sign_white": ("sign", plain((0.75, 0.75, 0.74), 0.4, vary=0.1)),
        "sign_dark": ("sign", plain((0.03, 0.03, 0.03), 0.4)),
        "tyre": ("car", plain((0.012, 0.012, 0.012), 0.8)),
        "rim": ("car", plain((0.4, 0.4, 0.41), 0.3, 0.9)),
        "car_glass": ("car", surfaces.car_glass),
        "car_plastic": ("car", plain((0.015, 0.015, 0.016), 0.5)),
        "headlight": ("car", plain((0.75, 0.77, 0.8), 0.08, 0.3, 1.0, vary=0.05)),
        "taillight": ("car", plain((0.35, 0.008, 0.008), 0.12, 0, 1.0, vary=0.1)),
        "plate": ("car", plain((0.7, 0.7, 0.65), 0.5, vary=0.05)),
        "skin": ("person", plain((0.45, 0.27, 0.19), 0.6, vary=0.1)),
        "hair": ("person", plain((0.02, 0.014, 0.01), 0.7)),
    }


def _walls() -> dict[str, Build]:
    return {
        "brick_red": surfaces.brick((0.27, 0.085, 0.05), (0.19, 0.06, 0.04), (0.30, 0.28, 0.25)),
        "brick_brown": surfaces.brick((0.20, 0.12, 0.08), (0.13, 0.08, 0.055), (0.22, 0.2, 0.18)),
        "brick_yellow": surfaces.brick((0.46, 0.36, 0.22), (0.38, 0.29, 0.17), (0.36, 0.33, 0.29)),
        "plaster_cream": surfaces.plaster((0.62, 0.55, 0.42)),
        "plaster_white": surfaces.plaster((0.66, 0.65, 0.62)),
        "plaster_ochre": surfaces.plaster((0.55, 0.36, 0.19)),
        "plaster_grey": surfaces.plaster((0.40, 0.41, 0.42)),
        "panel_grey": surfaces.panel((0.42, 0.42, 0.41)),
        "plaster_rose": surfaces.plaster((0.55, 0.36, 0.30)),
    }


def _shops() -> list[Build]:
    dark = [(0.02, 0.08, 0.05), (0.25, 0.02, 0.02), (0.02, 0.04, 0.14), (0.03, 0.03, 0.03)]
    return [plain(colour, 0.5, vary=0.1) for colour in (*dark, (0.4, 0.28, 0.05), (0.5, 0.5, 0.48))]


def _paints() -> list[Build]:
    colours = [
        ((0.55, 0.55, 0.55), 0.0),
        ((0.015, 0.015, 0.017), 0.3),
        ((0.22, 0.225, 0.23), 0.8),
        ((0.10, 0.105, 0.11), 0.7),
        ((0.28, 0.015, 0.015), 0.2),
        ((0.02, 0.05, 0.17), 0.5),
        ((0.34, 0.33, 0.3), 0.7),
        ((0.04, 0.09, 0.07), 0.4),
    ]
    return [surfaces.car_paint(colour, metal) for colour, metal in colours]


def _cloth() -> list[Build]:
    dark = [(0.03, 0.04, 0.08), (0.02, 0.02, 0.02), (0.3, 0.05, 0.04), (0.35, 0.33, 0.3)]
    return [plain(colour, 0.9, vary=0.2) for colour in (*dark, (0.08, 0.12, 0.06), (0.12, 0.1, 0.08))]
