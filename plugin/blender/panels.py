# SPDX-License-Identifier: Apache-2.0
"""What an artist sees: a panel in the render properties, one beside the node editor, an entry in the Add menu."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from mapreel.plugin.blender import results
from mapreel.plugin.blender.session import SESSION
from mapreel.plugin.blender.versions import absolute


def draw_shot(layout: Any, settings: Any) -> None:
    """The settings of one shot."""
    column = layout.column()
    for name in ("labels", "instances", "motion", "model", "out"):
        column.prop(settings, name)
    column.prop(settings, "quality")
    column.prop(settings, "image_format")
    row = column.row(align=True)
    row.prop(settings, "reference")
    row.prop(settings, "reference_frame", text="of")
    column.prop(settings, "whole_range")
    if not settings.whole_range:
        row = column.row(align=True)
        row.prop(settings, "first")
        row.prop(settings, "last")


def draw_state(layout: Any) -> None:
    """The job that runs, and the last sentence."""
    job = SESSION.job
    if job is not None and not job.is_over:
        box = layout.box()
        if hasattr(box, "progress"):
            box.progress(factor=job.share, text=job.sentence)
        else:
            box.label(text=f"{job.share:.0%}  {job.sentence}")
        box.operator("mapreel.cancel", icon="CANCEL")
    elif SESSION.said:
        box = layout.box()
        for line in wrapped(SESSION.said):
            box.label(text=line)


def wrapped(sentence: str, columns: int = 48) -> list[str]:
    """A sentence in lines that fit a narrow panel."""
    lines = [""]
    for word in sentence.split():
        if lines[-1] and len(lines[-1]) + len(word) >= columns:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def draw_takes(layout: Any, settings: Any, group: str) -> None:
    """All takes of this output, the one that is shown marked."""
    shown = absolute(settings.take)
    takes = results.takes_beside(Path(shown)) if shown else []
    for take in takes[-8:]:
        icon = "RADIOBUT_ON" if str(take) == shown else "RADIOBUT_OFF"
        button = layout.operator("mapreel.show_take", text=take.name, icon=icon)
        button.take, button.group = str(take), group


class MAPREEL_PT_shot(bpy.types.Panel):
    """The shot of the scene."""

    bl_label = "Mapreel"
    bl_idname = "MAPREEL_PT_shot"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"

    def draw(self, context: Any) -> None:
        """Maps, model, output; then what to do with them."""
        settings = context.scene.mapreel
        draw_shot(self.layout, settings)
        row = self.layout.row(align=True)
        row.scale_y = 1.4
        row.operator("mapreel.render", icon="RENDER_ANIMATION")
        row.operator("mapreel.draft", icon="RENDER_STILL")
        self.layout.prop(settings, "follow")
        draw_state(self.layout)
        draw_takes(self.layout, settings, "")


class MAPREEL_PT_scene(bpy.types.Panel):
    """Classes of materials and objects, and maps made from them."""

    bl_label = "Maps from the scene"
    bl_idname = "MAPREEL_PT_scene"
    bl_parent_id = "MAPREEL_PT_shot"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Palette, classes, one button."""
        settings = context.scene.mapreel
        self.layout.prop(settings, "palette")
        row = self.layout.row(align=True)
        row.operator("mapreel.guess_classes")
        row.operator("mapreel.assign_class")
        self.layout.operator("mapreel.write_maps", icon="RENDERLAYERS")


class MAPREEL_PT_archive(bpy.types.Panel):
    """Neural archives."""

    bl_label = "Archive"
    bl_idname = "MAPREEL_PT_archive"
    bl_parent_id = "MAPREEL_PT_shot"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Out and in."""
        settings = context.scene.mapreel
        self.layout.prop(settings, "archive")
        self.layout.prop(settings, "psnr")
        row = self.layout.row(align=True)
        row.operator("mapreel.export_archive", icon="EXPORT")
        row.operator("mapreel.import_archive", icon="IMPORT")


class MAPREEL_PT_node(bpy.types.Panel):
    """Settings of the Mapreel node that is active."""

    bl_label = "Mapreel"
    bl_idname = "MAPREEL_PT_node"
    bl_space_type = "NODE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Mapreel"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Only for a node of ours."""
        node = getattr(context, "active_node", None)
        return node is not None and results.is_ours(getattr(node, "node_tree", None))

    def draw(self, context: Any) -> None:
        """The same settings as a scene has, of this node's own."""
        group = context.active_node.node_tree
        draw_shot(self.layout, group.mapreel)
        button = self.layout.operator("mapreel.render", icon="RENDER_ANIMATION")
        button.group = group.name
        draw_state(self.layout)
        draw_takes(self.layout, group.mapreel, group.name)


def add_menu(self: Any, context: Any) -> None:
    """Mapreel in the compositor's Add menu."""
    if context.space_data.tree_type == "CompositorNodeTree":
        self.layout.separator()
        self.layout.operator("mapreel.add_node", icon="NODE_COMPOSITING")


PANELS = (MAPREEL_PT_shot, MAPREEL_PT_scene, MAPREEL_PT_archive, MAPREEL_PT_node)
