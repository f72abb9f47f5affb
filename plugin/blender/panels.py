# SPDX-License-Identifier: Apache-2.0
"""What an artist sees: a panel in the render properties, one beside the node editor, an entry in the Add menu."""

from __future__ import annotations

import glob
import itertools
from pathlib import Path
from typing import Any

import bpy

from mapreel.core.contract.errors import MapreelError
from mapreel.plugin.blender import chips, results
from mapreel.plugin.blender.classes import class_of, load_palette
from mapreel.plugin.blender.session import SESSION
from mapreel.plugin.blender.versions import absolute

LETTER_PX = 7.0  # of Blender's own face at a scale of 1, in the mean
MARGINS_PX = 44
MATERIALS_SHOWN = 12


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


def draw_look(layout: Any, settings: Any) -> None:
    """What is known of the maps, before anything renders; the colours of their classes."""
    known = SESSION.look_at(settings)
    if known is None:
        return
    box = layout.box()
    for sentence in known.lines:
        for line in wrapped(sentence):
            box.label(text=line)
    if known.is_over:
        if known.count:
            _draw_classes(box, known.palette)
        box.operator("mapreel.check_maps", icon="VIEWZOOM")


def _draw_classes(layout: Any, palette: str) -> None:
    try:
        colours = load_palette(palette).colours
    except MapreelError:  # the label doctor has said it
        return
    grid = layout.grid_flow(row_major=True, columns=0, even_columns=True)
    for name, colour in colours.items():
        grid.label(text=name, icon_value=chips.chip(colour))


def draw_state(layout: Any) -> None:
    """The job that runs, or what Blender itself is busy with, and the last sentence."""
    job = SESSION.job
    if SESSION.steps is not None:
        _draw_bar(layout.box(), *SESSION.steps)
    elif job is not None and not job.is_over:
        box = layout.box()
        _draw_bar(box, job.share, job.sentence)
        box.operator("mapreel.cancel", icon="CANCEL")
    elif SESSION.said:
        box = layout.box()
        for line in wrapped(SESSION.said):
            box.label(text=line)


def _draw_bar(layout: Any, share: float, sentence: str) -> None:
    if hasattr(layout, "progress"):
        layout.progress(factor=share, text=sentence)
    else:
        layout.label(text=f"{share:.0%}  {sentence}")


def columns_here() -> int:
    """How many letters fit beside each other in the region that is drawn."""
    region = bpy.context.region
    if region is None:
        return 48
    return max(16, int((region.width - MARGINS_PX) / (LETTER_PX * bpy.context.preferences.system.ui_scale)))


def wrapped(sentence: str) -> list[str]:
    """A sentence in lines that fit the panel."""
    lines, columns = [""], columns_here()
    for word in sentence.split():
        if lines[-1] and len(lines[-1]) + len(word) >= columns:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def draw_takes(layout: Any, settings: Any, group: str) -> None:
    """All takes of this output, the one that is shown marked."""
    shown = absolute(settings.take)
    takes = SESSION.takes.beside(Path(shown)) if shown else []
    for take in takes[-8:]:
        icon = "RADIOBUT_ON" if str(take) == shown else "RADIOBUT_OFF"
        button = layout.operator("mapreel.show_take", text=take.name, icon=icon)
        button.take, button.group = str(take), group


def draw_materials(layout: Any, palette: str) -> None:
    """The first materials of the file, each with a button that shows its class and changes it."""
    try:
        colours = load_palette(palette).colours
    except MapreelError as error:
        for line in wrapped(str(error)):
            layout.label(text=line)
        return
    column = layout.column(align=True)
    for material in itertools.islice((found for found in bpy.data.materials if found.users), MATERIALS_SHOWN):
        label = class_of(material)
        row = column.split(factor=0.5, align=True)
        row.label(text=material.name)
        icon = chips.chip(colours[label]) if label in colours else 0
        button = row.operator("mapreel.assign_class", text=label or "no class", icon_value=icon)
        button.pattern, button.label, button.what = glob.escape(material.name), label, "materials"


class _Part:
    """What Blender's own class gives to a panel."""

    layout: Any = None


class _Shot(_Part):
    """The shot of the scene."""

    bl_label = "Mapreel"

    def draw(self, context: Any) -> None:
        """Maps, model, output; then what to do with them."""
        settings = context.scene.mapreel
        draw_shot(self.layout, settings)
        draw_look(self.layout, settings)
        row = self.layout.row(align=True)
        row.scale_y = 1.4
        row.operator("mapreel.render", icon="RENDER_ANIMATION")
        row.operator("mapreel.draft", icon="RENDER_STILL")
        row = self.layout.row(align=True)
        row.prop(settings, "follow")
        row.operator("mapreel.open_panel", icon="WINDOW")
        draw_state(self.layout)
        draw_takes(self.layout, settings, "")


class _Maps(_Part):
    """Classes of materials and objects, and maps made from them."""

    bl_label = "Maps from the scene"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Palette, classes, one button."""
        settings = context.scene.mapreel
        self.layout.prop(settings, "palette")
        draw_materials(self.layout, settings.palette)
        column = self.layout.column(align=True)
        column.operator("mapreel.guess_classes")
        column.operator("mapreel.assign_class")
        self.layout.operator("mapreel.write_maps", icon="RENDERLAYERS")


class _Training(_Part):
    """A model of this shot, and what it cost."""

    bl_label = "Train on this shot"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """How much, one button, the numbers."""
        settings = context.scene.mapreel
        self.layout.prop(settings, "train_folder")
        row = self.layout.row(align=True)
        row.prop(settings, "train_every")
        row.prop(settings, "train_steps")
        self.layout.operator("mapreel.train", icon="RENDER_ANIMATION")
        for line in wrapped(SESSION.trained) if SESSION.trained else ():
            self.layout.label(text=line)


class _Archive(_Part):
    """Neural archives."""

    bl_label = "Archive"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Out and in."""
        settings = context.scene.mapreel
        self.layout.prop(settings, "archive")
        self.layout.prop(settings, "psnr")
        row = self.layout.row(align=True)
        row.operator("mapreel.export_archive", icon="EXPORT")
        row.operator("mapreel.import_archive", icon="IMPORT")


def _placed(part: type, place: str, **where: Any) -> Any:
    """A panel of Blender: one of the parts above at one of its places."""
    name = f"MAPREEL_PT_{part.__name__.strip('_').lower()}_{place}"
    return type(name, (part, bpy.types.Panel), {"__doc__": part.__doc__, "bl_idname": name, **where})


def _everywhere() -> tuple[Any, ...]:
    """All parts in the render properties and in the sidebars of the 3D view and the sequencer."""
    places = {
        "render": {"bl_space_type": "PROPERTIES", "bl_region_type": "WINDOW", "bl_context": "render"},
        "view": {"bl_space_type": "VIEW_3D", "bl_region_type": "UI", "bl_category": "Mapreel"},
        "strips": {"bl_space_type": "SEQUENCE_EDITOR", "bl_region_type": "UI", "bl_category": "Mapreel"},
    }
    found = []
    for place, where in places.items():
        shot = _placed(_Shot, place, **where)
        found += [
            shot,
            *(_placed(part, place, **where, bl_parent_id=shot.bl_idname) for part in (_Maps, _Training, _Archive)),
        ]
    return tuple(found)


class MAPREEL_PT_node(bpy.types.Panel):
    """The shot of the Mapreel node that is active, else that of the scene."""

    bl_label = "Mapreel"
    bl_idname = "MAPREEL_PT_node"
    bl_space_type = "NODE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Mapreel"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Only in the compositor."""
        return bool(context.space_data.tree_type == "CompositorNodeTree")

    def draw(self, context: Any) -> None:
        """The same settings as a scene has, of this node's own."""
        node = getattr(context, "active_node", None)
        group = node.node_tree if node is not None and results.is_ours(getattr(node, "node_tree", None)) else None
        settings = group.mapreel if group else context.scene.mapreel
        name = group.name if group else ""
        title, icon = (f"Node {name}", "NODE") if group else ("Scene", "SCENE_DATA")
        self.layout.label(text=title, icon=icon)
        draw_shot(self.layout, settings)
        draw_look(self.layout, settings)
        button = self.layout.operator("mapreel.render", icon="RENDER_ANIMATION")
        button.group = name
        self.layout.operator("mapreel.open_panel", icon="WINDOW")
        draw_state(self.layout)
        draw_takes(self.layout, settings, name)


def add_menu(self: Any, context: Any) -> None:
    """Mapreel in the compositor's Add menu."""
    if context.space_data.tree_type == "CompositorNodeTree":
        self.layout.separator()
        self.layout.operator("mapreel.add_node", icon="NODE_COMPOSITING")


PANELS = (*_everywhere(), MAPREEL_PT_node)
