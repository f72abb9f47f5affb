# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies on the ground: asphalt, paint on it, paving, kerb stone, grass."""

from __future__ import annotations

from typing import Any

from street_parts.shading import Shading


def road(nodes: Shading) -> Any:
    """Asphalt with wheel tracks, patches and cracks."""
    at = nodes.world()
    fine, big, mid = nodes.noise(at, 60, 8, 0.75), nodes.noise(at, 0.35, 5, 0.6), nodes.noise(at, 3, 6, 0.65)
    colour = nodes.ramp(fine, (0.3, (0.028, 0.028, 0.03)), (0.52, (0.085, 0.083, 0.082)), (0.75, (0.19, 0.185, 0.18)))
    colour = nodes.darken(1.0, colour, nodes.ramp(big, (0.3, (0.62, 0.62, 0.63)), (0.7, (1.15, 1.12, 1.08))))
    colour = nodes.darken(0.6, colour, nodes.greys(mid, 0.75, 1.2, 0.35, 0.65))
    track, patch, crack = _tracks(nodes, at), _patches(nodes, at), _cracks(nodes, at, big)
    colour = nodes.mix(nodes.times(track, 0.35), colour, (0.035, 0.035, 0.037))
    colour = nodes.mix(nodes.times(patch, 0.5), colour, (0.03, 0.03, 0.032))
    colour = nodes.mix(nodes.times(crack, 0.55), colour, (0.012, 0.012, 0.012))
    rough = nodes.less(nodes.add(0.68, nodes.times(mid, 0.35)), nodes.times(track, 0.16))
    height = nodes.less(nodes.add(fine, nodes.times(mid, 0.6)), nodes.times(crack, 2.0))
    return nodes.surface(colour, rough, nodes.bump(height, 0.5, 0.012))


def _tracks(nodes: Shading, at: Any) -> Any:
    """1 where wheels run: 0.75 m beside the middle of each lane, the middle 1.7 m beside that of the road."""
    from_lane = nodes.math("ABSOLUTE", nodes.less(nodes.math("ABSOLUTE", nodes.split(at)[0]), 1.7))
    from_track = nodes.math("ABSOLUTE", nodes.less(from_lane, 0.75))
    return nodes.less(1.0, nodes.math("MINIMUM", nodes.times(from_track, 2.2), 1.0))


def _patches(nodes: Shading, at: Any) -> Any:
    """1 on one cell in five of a coarse pattern."""
    cells = nodes.set(nodes.node("ShaderNodeTexVoronoi", distance="CHEBYCHEV"), Scale=0.16, Vector=at)
    return nodes.math("GREATER_THAN", nodes.split(cells.outputs["Color"])[0], 0.8)


def _cracks(nodes: Shading, at: Any, big: Any) -> Any:
    """1 on the bent edges of cells, where the big noise is high."""
    shift = nodes.set(nodes.node("ShaderNodeTexNoise"), Scale=1.5, Vector=at).outputs["Color"]
    bent = nodes.node("ShaderNodeVectorMath", operation="ADD")
    nodes.feed(bent.inputs[0], at)
    nodes.feed(bent.inputs[1], shift)
    cells = nodes.node("ShaderNodeTexVoronoi", feature="DISTANCE_TO_EDGE")
    nodes.set(cells, Scale=0.33, Vector=bent.outputs[0])
    edge = nodes.math("LESS_THAN", cells.outputs["Distance"], 0.006)
    return nodes.times(edge, nodes.math("GREATER_THAN", big, 0.56))


def marking(nodes: Shading) -> Any:
    """White paint, worn off in places."""
    at = nodes.world()
    coarse, fine = nodes.noise(at, 9, 8, 0.75), nodes.noise(at, 60, 4)
    wear = nodes.times(nodes.split(nodes.greys(coarse, 0, 1, 0.42, 0.56))[0], 0.75)
    paint = nodes.ramp(fine, (0.3, (0.55, 0.54, 0.5)), (0.7, (0.78, 0.77, 0.74)))
    return nodes.surface(nodes.mix(wear, paint, (0.09, 0.088, 0.086)), 0.6, nodes.bump(fine, 0.3, 0.01))


def paving(nodes: Shading) -> Any:
    """Concrete slabs of 90 x 60 cm."""
    at = nodes.world()
    slabs = nodes.node("ShaderNodeTexBrick", offset=0.5)
    nodes.set(slabs, Scale=1.0, Mortar_Size=0.012, Brick_Width=0.9, Row_Height=0.6, Bias=0.0, Vector=at)
    nodes.set(slabs, Color1=(0.36, 0.345, 0.325), Color2=(0.28, 0.272, 0.262), Mortar=(0.1, 0.1, 0.095))
    fine, big = nodes.noise(at, 40, 8, 0.7), nodes.noise(at, 0.6, 6, 0.7)
    stains = nodes.ramp(big, (0.3, (0.6, 0.58, 0.56)), (0.7, (1.15, 1.13, 1.1)))
    colour = nodes.darken(1.0, slabs.outputs["Color"], stains)
    colour = nodes.darken(0.8, colour, nodes.greys(fine, 0.75, 1.15))
    height = nodes.less(fine, nodes.times(slabs.outputs["Fac"], 2.0))
    return nodes.surface(colour, 0.85, nodes.bump(height, 0.4, 0.012))


def curb(nodes: Shading) -> Any:
    """Kerb stone."""
    grain = nodes.noise(nodes.world(), 12, 8, 0.7)
    colour = nodes.ramp(grain, (0.3, (0.22, 0.215, 0.205)), (0.7, (0.46, 0.45, 0.43)))
    return nodes.surface(colour, 0.85, nodes.bump(grain, 0.4, 0.02))


def grass(nodes: Shading) -> Any:
    """Grass, green and dry in turns."""
    at = nodes.world()
    blades, dry = nodes.noise(at, 25, 8, 0.8), nodes.noise(at, 0.7, 5)
    green = nodes.ramp(blades, (0.3, (0.015, 0.035, 0.006)), (0.7, (0.10, 0.14, 0.03)))
    straw = nodes.ramp(blades, (0.3, (0.05, 0.05, 0.015)), (0.7, (0.2, 0.19, 0.08)))
    return nodes.surface(nodes.mix(dry, green, straw), 0.9, nodes.bump(blades, 1.0, 0.08))
