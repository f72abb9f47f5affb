# SPDX-License-Identifier: Apache-2.0
"""What Blender calls differently from 3.4 to 5.0, in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from mapreel.core.contract.errors import UsageError

FIVE = bpy.app.version >= (5, 0, 0)


def compositor(scene: Any) -> Any:
    """The node tree that composes the scene's picture, made where there is none."""
    if not FIVE:
        scene.use_nodes = True
        return scene.node_tree
    if scene.compositing_node_group is None:
        scene.compositing_node_group = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
    return scene.compositing_node_group


def final_node(tree: Any) -> Any:
    """The node whose first input is the picture, made where there is none."""
    kind = "NodeGroupOutput" if FIVE else "CompositorNodeComposite"
    found = [node for node in tree.nodes if node.bl_idname == kind]
    if found:
        return found[0]
    if FIVE and not any(item.in_out == "OUTPUT" for item in tree.interface.items_tree if item.item_type == "SOCKET"):
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    return tree.nodes.new(kind)


def group_output(tree: Any, name: str) -> None:
    """Give a node group one picture as its output."""
    if hasattr(tree, "interface"):
        tree.interface.new_socket(name, in_out="OUTPUT", socket_type="NodeSocketColor")
    else:
        tree.outputs.new("NodeSocketColor", name)


def strips(scene: Any) -> Any:
    """The strips of the scene's sequencer, made where there is none."""
    editor = scene.sequence_editor_create()
    return getattr(editor, "strips", None) if hasattr(editor, "strips") else editor.sequences


def set_multilayer_exr(settings: Any) -> None:
    """Write one multi-layer EXR of 32-bit floats a frame, all passes in one part."""
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    settings.color_depth = "32"
    settings.exr_codec = "ZIP"
    if hasattr(settings, "use_exr_interleave"):
        settings.use_exr_interleave = True


def set_png(settings: Any) -> None:
    """Write 8-bit RGB PNG."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"


def absolute(path: str) -> str:
    """A path as the service needs it: without `//`; empty for what is relative to a file that was never saved."""
    if not path or (path.startswith("//") and not bpy.data.filepath):
        return ""
    return str(Path(bpy.path.abspath(path)).absolute())


def whole(path: str) -> str:
    """A path as `absolute` gives it. Raises UsageError for one that is relative to a file that was never saved."""
    if path.startswith("//") and not bpy.data.filepath:
        raise UsageError(f"{path} is relative to a file that was never saved", "save the file, or name a whole path")
    return absolute(path)


def stored(path: Path) -> str:
    """A path as the file keeps it: with `//` for what lies beside the file or below, so that both can move together."""
    if bpy.data.filepath and path.is_relative_to(Path(bpy.data.filepath).parent):
        return str(bpy.path.relpath(str(path)))
    return str(path)
