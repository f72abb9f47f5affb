# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the street: walls, glass, paint, leaves, bark; each a function that builds its nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from street_parts.shading import Colour, Shading

Build = Callable[[Shading], Any]


def plain(
    colour: Colour, rough: float = 0.6, metal: float = 0.0, coat: float = 0.0, scale: float = 20, vary: float = 0.25
) -> Build:
    """One colour with a little noise."""

    def build(nodes: Shading) -> Any:
        grain = nodes.noise(nodes.local(), scale, 6)
        mottled = nodes.darken(1.0, colour, nodes.greys(grain, 1 - vary, 1 + vary))
        return nodes.surface(mottled, rough, None, metal, coat)

    return build


def _along(nodes: Shading, at: Any) -> tuple[Any, Any]:
    """Along the wall, whichever way it faces, and up it."""
    parts = nodes.split(at)
    return nodes.add(parts[0], parts[1]), parts[2]


def _weathered(nodes: Shading, colour: Any, at: Any, amount: float) -> Any:
    """Streaks downwards, dirt near the ground, large stains."""
    along, up = _along(nodes, at)
    streaks = nodes.noise(nodes.join(nodes.times(along, 2.2), nodes.times(up, 0.12)), 1.6, 8, 0.7)
    big = nodes.noise(at, 0.25, 4)
    dirt = nodes.ramp(streaks, (0.3, (0.5, 0.48, 0.45)), (0.62, (1.06, 1.05, 1.04)))
    colour = nodes.darken(amount, colour, dirt)
    low = nodes.math("MINIMUM", nodes.add(nodes.times(up, 0.45), 0.55), 1.0)
    colour = nodes.darken(0.8, colour, nodes.join(low, low, low))
    return nodes.darken(0.5, colour, nodes.ramp(big, (0.3, (0.82, 0.82, 0.84)), (0.7, (1.1, 1.09, 1.07))))


def brick(first: Colour, second: Colour, mortar: Colour) -> Build:
    """A brick wall in two colours."""

    def build(nodes: Shading) -> Any:
        at = nodes.local()
        bricks = nodes.node("ShaderNodeTexBrick")
        nodes.set(bricks, Scale=1.0, Mortar_Size=0.009, Brick_Width=0.25, Row_Height=0.085, Mortar_Smooth=0.2)
        nodes.set(bricks, Color1=first, Color2=second, Mortar=mortar, Vector=nodes.join(*_along(nodes, at)))
        grain = nodes.noise(at, 18, 6)
        colour = nodes.darken(0.7, bricks.outputs["Color"], nodes.greys(grain, 0.7, 1.2))
        height = nodes.less(nodes.times(grain, 0.4), bricks.outputs["Fac"])
        return nodes.surface(_weathered(nodes, colour, at, 0.55), 0.88, nodes.bump(height, 0.6, 0.012))

    return build


def plaster(colour: Colour) -> Build:
    """A plastered wall."""

    def build(nodes: Shading) -> Any:
        at = nodes.local()
        grain = nodes.noise(at, 25, 8, 0.7)
        mottled = nodes.darken(1.0, colour, nodes.greys(grain, 0.88, 1.06))
        return nodes.surface(_weathered(nodes, mottled, at, 0.7), 0.9, nodes.bump(grain, 0.25, 0.01))

    return build


def panel(colour: Colour) -> Build:
    """A wall of concrete panels of 1.5 x 1.6 m."""

    def build(nodes: Shading) -> Any:
        at = nodes.local()
        panels = nodes.node("ShaderNodeTexBrick", offset=0)
        nodes.set(panels, Scale=1.0, Mortar_Size=0.012, Brick_Width=1.5, Row_Height=1.6)
        darker = (colour[0] * 0.9, colour[1] * 0.9, colour[2] * 0.9)
        nodes.set(panels, Color1=colour, Color2=darker, Mortar=(0.05, 0.05, 0.05))
        nodes.set(panels, Vector=nodes.join(*_along(nodes, at)))
        grain = nodes.noise(at, 12, 8, 0.75)
        height = nodes.less(nodes.times(grain, 0.3), panels.outputs["Fac"])
        worn = _weathered(nodes, panels.outputs["Color"], at, 0.6)
        return nodes.surface(worn, 0.75, nodes.bump(height, 0.4, 0.01))

    return build


def window_glass(nodes: Shading) -> Any:
    """Dark and reflecting, with a room or a curtain behind that differs from window to window."""
    which, at = nodes.attribute("rnd"), nodes.local()
    along, up = _along(nodes, at)
    inside = nodes.ramp(
        which,
        (0.0, (0.01, 0.012, 0.014)),
        (0.5, (0.018, 0.02, 0.022)),
        (0.6, (0.16, 0.15, 0.13)),
        (0.75, (0.30, 0.29, 0.27)),
        (0.85, (0.02, 0.02, 0.022)),
        (1.0, (0.09, 0.07, 0.05)),
    )
    folds = nodes.noise(nodes.join(nodes.times(along, 14.0), up), 1.0, 2)
    inside = nodes.darken(0.6, inside, nodes.greys(folds, 0.55, 1.2))
    return nodes.surface(inside, 0.04, nodes.bump(nodes.noise(at, 1.3, 2), 0.05, 0.05), specular=0.9)


def car_glass(nodes: Shading) -> Any:
    """The windows of cars."""
    return nodes.surface((0.012, 0.014, 0.016), 0.03, specular=0.9)


def car_paint(colour: Colour, metal: float) -> Build:
    """Coated paint, dusty towards the ground."""

    def build(nodes: Shading) -> Any:
        at = nodes.local()
        low = nodes.math("MAXIMUM", nodes.less(0.75, nodes.split(at)[2]), 0.0)
        dust = nodes.times(low, nodes.noise(at, 3, 5))
        rough = nodes.add(0.28, nodes.times(dust, 0.6))
        return nodes.surface(nodes.mix(dust, colour, (0.16, 0.14, 0.12)), rough, None, metal, 1.0)

    return build


def leaves(first: Colour, second: Colour) -> Build:
    """Leaves between two greens, each tree in a hue of its own; light shines through."""

    def build(nodes: Shading) -> Any:
        colour = nodes.ramp(nodes.attribute("rnd"), (0, first), (1, second))
        of_tree = nodes.node("ShaderNodeObjectInfo").outputs["Random"]
        hue = nodes.add(0.47, nodes.times(of_tree, 0.06))
        colour = nodes.set(nodes.node("ShaderNodeHueSaturation"), Hue=hue, Color=colour).outputs[0]
        outside = nodes.surface(colour, 0.55, specular=0.35)
        through = nodes.node("ShaderNodeBsdfTranslucent")
        nodes.feed(through.inputs[0], nodes.mix(0.5, colour, (0.35, 0.42, 0.04)))
        both = nodes.node("ShaderNodeMixShader")
        for at, value in enumerate((0.35, outside, through.outputs[0])):
            nodes.feed(both.inputs[at], value)
        return both.outputs[0]

    return build


def bark(nodes: Shading) -> Any:
    """Bark, drawn out along the trunk."""
    x, y, z = nodes.split(nodes.local())
    stretched = nodes.join(nodes.times(x, 14.0), nodes.times(y, 14.0), nodes.times(z, 2.5))
    grain = nodes.noise(stretched, 1.5, 8, 0.7)
    colour = nodes.ramp(grain, (0.3, (0.03, 0.024, 0.018)), (0.7, (0.17, 0.14, 0.11)))
    return nodes.surface(colour, 0.9, nodes.bump(grain, 0.8, 0.05))
