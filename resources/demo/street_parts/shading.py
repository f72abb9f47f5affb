# SPDX-License-Identifier: GPL-3.0-or-later
"""Shader nodes by short calls: each makes one node and gives its output."""

from __future__ import annotations

from typing import Any

Colour = tuple[float, float, float]
Value = Any  # the output of a node, a number, or a colour


class Shading:
    """One node tree under construction."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        tree.nodes.clear()

    def node(self, kind: str, **settings: Any) -> Any:
        """A new node; settings are its properties."""
        made = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(made, name, value)
        return made

    def feed(self, socket: Any, value: Value) -> None:
        """Give an input a number, a colour or the output of another node."""
        if isinstance(value, int | float):
            socket.default_value = value
        elif isinstance(value, tuple):
            socket.default_value = (*value, 1)
        else:
            self.tree.links.new(value, socket)

    def set(self, node: Any, **values: Value) -> Any:
        """Feed inputs by name (`Brick_Width` is the input Brick Width); gives the node."""
        for name, value in values.items():
            self.feed(node.inputs[name.replace("_", " ")], value)
        return node

    def world(self) -> Any:
        """Where the point is in the scene, in metres."""
        return self.node("ShaderNodeNewGeometry").outputs["Position"]

    def local(self) -> Any:
        """Where the point is on its object, in metres."""
        return self.node("ShaderNodeTexCoord").outputs["Object"]

    def attribute(self, name: str) -> Any:
        """A number that the mesh carries for each face."""
        return self.node("ShaderNodeAttribute", attribute_name=name).outputs["Fac"]

    def noise(self, at: Any, scale: float, detail: float = 6, rough: float = 0.6, distortion: float = 0) -> Any:
        """Fractal noise around 0.5."""
        made = self.node("ShaderNodeTexNoise")
        self.set(made, Scale=scale, Detail=detail, Roughness=rough, Distortion=distortion, Vector=at)
        return made.outputs[0]

    def ramp(self, factor: Any, *stops: tuple[float, Colour]) -> Any:
        """Colours by a number: (position, colour) from left to right."""
        made = self.node("ShaderNodeValToRGB")
        elements = made.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, (*colour, 1)
        self.feed(made.inputs[0], factor)
        return made.outputs[0]

    def greys(self, factor: Any, low: float, high: float, start: float = 0.3, end: float = 0.7) -> Any:
        """A ramp between two greys."""
        return self.ramp(factor, (start, (low,) * 3), (end, (high,) * 3))

    def mix(self, factor: Value, first: Value, second: Value) -> Any:
        """The first colour where factor is 0, the second where it is 1."""
        return self._blend("MIX", factor, first, second)

    def darken(self, factor: Value, colour: Value, by: Value) -> Any:
        """A colour times another, as far as factor says."""
        return self._blend("MULTIPLY", factor, colour, by)

    def _blend(self, mode: str, factor: Value, first: Value, second: Value) -> Any:
        made = self.node("ShaderNodeMix", data_type="RGBA", blend_type=mode)
        for at, value in ((0, factor), (6, first), (7, second)):
            self.feed(made.inputs[at], value)
        return made.outputs[2]

    def math(self, operation: str, first: Value, second: Value = 0.0) -> Any:
        """Arithmetic with two numbers, by Blender's name of the operation."""
        made = self.node("ShaderNodeMath", operation=operation)
        self.feed(made.inputs[0], first)
        self.feed(made.inputs[1], second)
        return made.outputs[0]

    def add(self, first: Value, second: Value) -> Any:
        """Sum."""
        return self.math("ADD", first, second)

    def less(self, first: Value, second: Value) -> Any:
        """Difference: the first without the second."""
        return self.math("SUBTRACT", first, second)

    def times(self, first: Value, second: Value) -> Any:
        """Product."""
        return self.math("MULTIPLY", first, second)

    def bump(self, height: Any, strength: float, distance: float = 0.02) -> Any:
        """A normal that follows a height."""
        made = self.node("ShaderNodeBump")
        return self.set(made, Strength=strength, Distance=distance, Height=height).outputs[0]

    def split(self, vector: Any) -> Any:
        """x, y and z."""
        made = self.node("ShaderNodeSeparateXYZ")
        self.feed(made.inputs[0], vector)
        return made.outputs

    def join(self, x: Value, y: Value, z: Value = 0.0) -> Any:
        """A vector from its parts."""
        made = self.node("ShaderNodeCombineXYZ")
        for socket, value in zip(made.inputs, (x, y, z), strict=True):
            self.feed(socket, value)
        return made.outputs[0]

    def surface(
        self,
        colour: Value,
        rough: Value = 0.8,
        normal: Any = None,
        metal: float = 0.0,
        coat: float = 0.0,
        specular: float = 0.5,
    ) -> Any:
        """A physically based surface."""
        made = self.node("ShaderNodeBsdfPrincipled")
        self.set(
            made, Base_Color=colour, Roughness=rough, Metallic=metal, Coat_Weight=coat, Specular_IOR_Level=specular
        )
        if normal is not None:
            self.set(made, Normal=normal)
        return made.outputs[0]
