# SPDX-License-Identifier: Apache-2.0
"""What is stored in the .blend: one set of settings for a scene, and one for each Mapreel node group.

They are plain properties of the file, so that they survive a Blender without this extension.
"""

from __future__ import annotations

from typing import Any

import bpy

from mapreel.plugin.blender.versions import absolute, whole
from mapreel.plugin.shared.shot import Shot

QUALITIES = [
    ("fast", "Fast", "Key frames by the network, the others carried along the motion"),
    ("full", "Full", "Every frame by the network"),
    ("draft", "Draft", "As fast, without looking ahead"),
]
PATH = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()
FORMATS = [("png", "PNG", "8 bits, sRGB"), ("exr", "EXR", "Half floats, scene-linear")]


class ShotSettings(bpy.types.PropertyGroup):
    """Settings of one shot."""

    __annotations__ = {
        "labels": bpy.props.StringProperty(
            name="Labels", subtype="FILE_PATH", options=PATH, description="Label maps, one a frame"
        ),
        "instances": bpy.props.StringProperty(
            name="Instances", subtype="FILE_PATH", options=PATH, description="Instance maps"
        ),
        "motion": bpy.props.StringProperty(
            name="Motion", subtype="FILE_PATH", options=PATH, description="Motion vectors, EXR"
        ),
        "model": bpy.props.StringProperty(name="Model", default="street", description="Name or folder of a model"),
        "out": bpy.props.StringProperty(
            name="Output",
            subtype="DIR_PATH",
            options=PATH,
            default="//mapreel/take",
            description="Every render is a new take",
        ),
        "quality": bpy.props.EnumProperty(name="Quality", items=QUALITIES, default="fast"),
        "image_format": bpy.props.EnumProperty(name="Pictures", items=FORMATS, default="png"),
        "reference": bpy.props.StringProperty(
            name="Reference",
            subtype="FILE_PATH",
            options=PATH,
            description="A true picture whose look is carried through the shot",
        ),
        "reference_frame": bpy.props.IntProperty(name="of frame", description="The frame that the reference shows"),
        "whole_range": bpy.props.BoolProperty(
            name="Scene range", default=True, description="Render the frame range of the scene"
        ),
        "first": bpy.props.IntProperty(name="First", default=1),
        "last": bpy.props.IntProperty(name="Last", default=1),
        "take": bpy.props.StringProperty(
            name="Take", subtype="DIR_PATH", options=PATH, description="The take that is shown"
        ),
        "follow": bpy.props.BoolProperty(name="Follow playhead", description="Draft each frame that is shown"),
        "archive": bpy.props.StringProperty(
            name="Archive", subtype="FILE_PATH", options=PATH, default="//mapreel/shot.nirv"
        ),
        "psnr": bpy.props.FloatProperty(name="Quality, dB", default=34.0, min=20.0, max=60.0),
        "palette": bpy.props.StringProperty(name="Palette", default="street", description="Classes to assign"),
        "train_folder": bpy.props.StringProperty(
            name="Folder",
            subtype="DIR_PATH",
            options=PATH,
            default="//mapreel/training",
            description="True frames, the training and its model; every training is a new folder",
        ),
        "train_every": bpy.props.IntProperty(
            name="Every nth", default=10, min=1, description="Which frames are rendered as the scene is"
        ),
        "train_steps": bpy.props.IntProperty(name="Steps", default=2000, min=1, description="Of the training"),
    }


class Preferences(bpy.types.AddonPreferences):
    """Where Mapreel itself is installed; `install.py host blender` fills it in."""

    bl_idname = __package__ or "mapreel_blender"
    __annotations__ = {
        "python": bpy.props.StringProperty(
            name="Python of Mapreel",
            subtype="FILE_PATH",
            options=PATH,
            description="The interpreter in Mapreel's own environment",
        )
    }

    def draw(self, _context: Any) -> None:
        """Show where the worker is looked for."""
        self.layout.prop(self, "python")
        self.layout.label(text="Empty: the program that MAPREEL_PYTHON names. See install.py host blender.")


def shot_of(scene: Any, settings: Any | None = None) -> Shot:
    """The shot that the settings of a scene, or of a node group in it, describe: absolute paths, the scene's rate.

    Raises UsageError for maps that are relative to a file that was never saved.
    """
    chosen = settings or scene.mapreel
    scenes_own = chosen.whole_range
    references = ((chosen.reference_frame, whole(chosen.reference)),) if chosen.reference else ()
    return Shot(
        labels=whole(chosen.labels),
        instances=whole(chosen.instances),
        motion=whole(chosen.motion),
        model=chosen.model if not chosen.model.startswith("//") else whole(chosen.model),
        out=absolute(chosen.out),
        first=scene.frame_start if scenes_own else chosen.first,
        last=scene.frame_end if scenes_own else chosen.last,
        step=scene.frame_step if scenes_own else 1,
        fps=scene.render.fps / scene.render.fps_base,
        quality=chosen.quality,
        image_format=chosen.image_format,
        references=references,
        take=absolute(chosen.take),
    )
