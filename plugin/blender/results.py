# SPDX-License-Identifier: Apache-2.0
"""Pictures of a take in the compositor and in the sequencer, at their own frame numbers."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import bpy

from mapreel.core.contract.errors import EmptySequenceError, MissingInputError
from mapreel.plugin.blender import versions

GROUP = "Mapreel"
PICTURES = "Take"  # name of the image node inside the group
ENDINGS = (".png", ".exr", ".tif", ".tiff")
NOWHERE = ".none"  # the name of no picture
_NUMBER = re.compile(r"(-?\d+)(\.\w+)$")


def frames_of(take: Path) -> dict[int, Path]:
    """Frame number -> file of a take's pictures. Raises MissingInputError, EmptySequenceError."""
    if not take.is_dir():
        raise MissingInputError(f"the take {take} is not there", "choose another take, or render anew", file=str(take))
    found = {}
    for path in sorted(take.iterdir()):
        match = _NUMBER.search(path.name)
        if match and is_picture(path.name):
            found[int(match[1])] = path
    if not found:
        raise EmptySequenceError(f"the take {take} holds no pictures", "choose another take", file=str(take))
    return dict(sorted(found.items()))


def is_picture(name: str) -> bool:
    """Whether a file of this name is a finished frame of a take."""
    return bool(_NUMBER.search(name)) and name.lower().endswith(ENDINGS) and not name.startswith(".")


def takes_beside(take: Path) -> list[Path]:
    """All takes of one output that hold pictures, oldest first: NAME, NAME_v002 …"""
    stem = re.sub(r"_v\d{3,}$", "", take.name)
    if not take.parent.is_dir():
        return []
    named = re.compile(re.escape(stem) + r"(_v\d{3,})?")
    return sorted(path for path in take.parent.iterdir() if named.fullmatch(path.name) and _has_pictures(path))


def _has_pictures(take: Path) -> bool:
    """Whether there is anything to show: a job that failed at once leaves an empty folder, which it may go on with."""
    try:
        with os.scandir(take) as entries:
            return any(is_picture(entry.name) for entry in entries)
    except OSError:  # no folder, or none of ours
        return False


def load_image(take: Path, files: dict[int, Path]) -> Any:
    """The take as an image sequence of Blender. What is as it should be is left alone: Blender would read it anew."""
    first = next(iter(files.values()))
    image = bpy.data.images.load(str(first), check_existing=True)
    if image.source != "SEQUENCE":
        image.source = "SEQUENCE"
    image.name = f"{take.name}"
    image.filepath_raw = versions.stored(first)
    if first.suffix.lower() != ".exr" and image.colorspace_settings.name != "sRGB":
        image.colorspace_settings.name = "sRGB"
    return image


def show_in(node: Any, take: Path, files: dict[int, Path] | None = None) -> None:
    """Have an image node of the compositor show a take at its own frame numbers. files: as `frames_of` gives them.

    Blender reads a whole picture at once, in the main thread, when a node is given its image (half a second for 4K):
    it is given one that names no file, and the file when nobody waits for it. Composing reads it in a thread.
    """
    files = files or frames_of(take)
    numbers, image = list(files), load_image(take, files)
    if node.image != image:
        path = image.filepath_raw
        image.filepath_raw = str(take / NOWHERE)
        node.image = image
        image.filepath_raw = path
    node.frame_start = numbers[0]
    node.frame_offset = numbers[0] - 1
    node.frame_duration = numbers[-1] - numbers[0] + 1
    node.use_auto_refresh = True
    image.buffers_free()  # nothing may be remembered of the file that was not there


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


def bring_into_node(scene: Any, take: Path, group: Any | None = None, files: dict[int, Path] | None = None) -> Any:
    """Show a take in a Mapreel node of the scene: in `group`, else in the first there is, else in a new one.

    files: as `frames_of` gives them, where somebody has looked already: on a slow disk that takes its time.
    """
    files = files or frames_of(take)
    tree = versions.compositor(scene)
    groups = [node.node_tree for node in tree.nodes if node.bl_idname == "CompositorNodeGroup"]
    chosen = group or next((found for found in groups if is_ours(found)), None) or add_node(scene).node_tree
    show_in(chosen.nodes[PICTURES], take, files)
    for node in (node for node in tree.nodes if getattr(node, "node_tree", None) == chosen):
        node.mute = bool(node.mute)  # an assignment makes Blender compose anew; changes inside the group do not
    chosen.mapreel.take = versions.stored(take)
    return chosen


def bring_into_strip(scene: Any, take: Path, channel: int = 1, files: dict[int, Path] | None = None) -> Any:
    """Show a take as an image strip of the sequencer, its first frame at its own number. Gives the strip."""
    files = files or frames_of(take)
    numbers = list(files)
    all_strips = versions.strips(scene)
    end = numbers[-1] + 1
    busy = {s.channel for s in all_strips if s.frame_final_start < end and s.frame_final_end > numbers[0]}
    while channel in busy:
        channel += 1
    first = files[numbers[0]]
    # Blender reads the picture that a strip is made of, in the main thread: one that is not there takes no time
    strip = all_strips.new_image(take.name, str(take / NOWHERE), channel, numbers[0], fit_method="ORIGINAL")
    strip.elements[0].filename = first.name
    held = first
    for number in range(numbers[0] + 1, end):
        held = files.get(number, held)
        strip.elements.append(held.name)
    strip.directory = versions.stored(take)
    strip.colorspace_settings.name = _colour_space(first)
    return strip


def _colour_space(first: Path) -> str:
    """What Blender takes a picture to be in: sRGB for 8 bits, what it calls scene-linear for EXR."""
    if first.suffix.lower() != ".exr":
        return "sRGB"
    image = bpy.data.images.load(str(first), check_existing=True)
    name = str(image.colorspace_settings.name)
    if not image.users:
        bpy.data.images.remove(image)
    return name
