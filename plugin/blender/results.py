# SPDX-License-Identifier: Apache-2.0
"""Pictures of a take in the compositor and in the sequencer, at their own frame numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bpy

from mapreel.core.contract.errors import EmptySequenceError, MissingInputError
from mapreel.plugin.blender import versions

GROUP = "Mapreel"
PICTURES = "Take"  # name of the image node inside the group
_NUMBER = re.compile(r"(-?\d+)(\.\w+)$")


def frames_of(take: Path) -> dict[int, Path]:
    """Frame number -> file of a take's pictures. Raises MissingInputError, EmptySequenceError."""
    if not take.is_dir():
        raise MissingInputError(f"the take {take} is not there", "choose another take, or render anew", file=str(take))
    found = {}
    for path in sorted(take.iterdir()):
        match = _NUMBER.search(path.name)
        if match and path.suffix.lower() in {".png", ".exr", ".tif", ".tiff"} and not path.name.startswith("."):
            found[int(match[1])] = path
    if not found:
        raise EmptySequenceError(f"the take {take} holds no pictures", "choose another take", file=str(take))
    return dict(sorted(found.items()))


def takes_beside(take: Path) -> list[Path]:
    """All takes of one output, oldest first: NAME, NAME_v002 …"""
    stem = re.sub(r"_v\d{3,}$", "", take.name)
    if not take.parent.is_dir():
        return []
    named = re.compile(re.escape(stem) + r"(_v\d{3,})?")
    return sorted(path for path in take.parent.iterdir() if path.is_dir() and named.fullmatch(path.name))


def load_image(take: Path) -> Any:
    """The take as an image sequence of Blender, read again if it was there."""
    files = frames_of(take)
    first = next(iter(files.values()))
    image = bpy.data.images.load(str(first), check_existing=True)
    image.source = "SEQUENCE"
    image.name = f"{take.name}"
    image.filepath = versions.stored(first)
    if first.suffix.lower() != ".exr":
        image.colorspace_settings.name = "sRGB"
    return image


def show_in(node: Any, take: Path) -> None:
    """Have an image node of the compositor show a take at its own frame numbers."""
    numbers = list(frames_of(take))
    node.image = load_image(take)
    node.frame_start = numbers[0]
    node.frame_offset = numbers[0] - 1
    node.frame_duration = numbers[-1] - numbers[0] + 1
    node.use_auto_refresh = True


def new_group(scene: Any) -> Any:
    """A Mapreel node group with an empty picture and the scene's settings as its own."""
    group = bpy.data.node_groups.new(GROUP, "CompositorNodeTree")
    versions.group_output(group, "Image")
    picture = group.nodes.new("CompositorNodeImage")
    picture.name = picture.label = PICTURES
    output = group.nodes.new("NodeGroupOutput")
    output.location = (300, 0)
    group.links.new(picture.outputs[0], output.inputs[0])
    copy_settings(scene.mapreel, group.mapreel)
    return group


def copy_settings(source: Any, target: Any) -> None:
    """Make one set of settings like another."""
    for setting in source.bl_rna.properties:
        if setting.identifier not in {"rna_type", "name"}:
            setattr(target, setting.identifier, getattr(source, setting.identifier))


def is_ours(group: Any) -> bool:
    """Whether a node group is one that Mapreel made."""
    return group is not None and group.bl_idname == "CompositorNodeTree" and PICTURES in group.nodes


def source_of(node: Any) -> str:
    """The kind of node that a node's picture comes from, through reroutes; empty where it has none."""
    socket = node.inputs[0]
    while socket.is_linked:
        source = socket.links[0].from_node
        if source.bl_idname != "NodeReroute":
            return str(source.bl_idname)
        socket = source.inputs[0]
    return ""


def add_node(scene: Any, group: Any | None = None) -> Any:
    """Add a Mapreel node to the scene's compositor; it becomes the picture where nothing else is. Gives the node."""
    tree = versions.compositor(scene)
    node = tree.nodes.new("CompositorNodeGroup")
    node.node_tree = group or new_group(scene)
    node.name = node.label = GROUP
    final = versions.final_node(tree)
    if source_of(final) in ("", "CompositorNodeRLayers"):
        tree.links.new(node.outputs[0], final.inputs[0])
    others = [other.location[1] for other in tree.nodes if other != node]
    node.location = (final.location[0] - 300, min(others) - 440)  # below what stands there
    viewers = [other for other in tree.nodes if other.bl_idname == "CompositorNodeViewer"]
    viewer = viewers[0] if viewers else tree.nodes.new("CompositorNodeViewer")
    if source_of(viewer) in ("", "CompositorNodeRLayers"):  # the backdrop shows it at once
        tree.links.new(node.outputs[0], viewer.inputs[0])
    if not viewers:
        viewer.location = (final.location[0], node.location[1])
    return node


def bring_into_node(scene: Any, take: Path, group: Any | None = None) -> Any:
    """Show a take in a Mapreel node of the scene: in `group`, else in the first there is, else in a new one."""
    tree = versions.compositor(scene)
    groups = [node.node_tree for node in tree.nodes if node.bl_idname == "CompositorNodeGroup"]
    chosen = group or next((found for found in groups if is_ours(found)), None) or add_node(scene).node_tree
    show_in(chosen.nodes[PICTURES], take)
    for node in (node for node in tree.nodes if getattr(node, "node_tree", None) == chosen):
        node.mute = bool(node.mute)  # an assignment makes Blender compose anew; changes inside the group do not
    chosen.mapreel.take = versions.stored(take)
    return chosen


def bring_into_strip(scene: Any, take: Path, channel: int = 1) -> Any:
    """Show a take as an image strip of the sequencer, its first frame at its own number. Gives the strip."""
    files = frames_of(take)
    numbers = list(files)
    all_strips = versions.strips(scene)
    end = numbers[-1] + 1
    busy = {s.channel for s in all_strips if s.frame_final_start < end and s.frame_final_end > numbers[0]}
    while channel in busy:
        channel += 1
    first = files[numbers[0]]
    strip = all_strips.new_image(take.name, str(first), channel, numbers[0], fit_method="ORIGINAL")
    for number in range(numbers[0] + 1, end):
        held = max(known for known in numbers if known <= number)
        strip.elements.append(files[held].name)
    strip.directory = versions.stored(take)
    if first.suffix.lower() != ".exr":
        strip.colorspace_settings.name = "sRGB"
    return strip
