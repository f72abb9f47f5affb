# SPDX-License-Identifier: Apache-2.0
"""Puts everything into Blender, and takes it out again."""

from __future__ import annotations

import contextlib

import bpy

from mapreel.plugin.blender import chips, session
from mapreel.plugin.blender.operators import OPERATORS
from mapreel.plugin.blender.panels import PANELS, add_menu
from mapreel.plugin.blender.properties import Preferences, ShotSettings

CLASSES = (ShotSettings, Preferences, *OPERATORS, *PANELS)


def register() -> None:
    """Classes, the two places of settings, the menu, the timer."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.mapreel = bpy.props.PointerProperty(type=ShotSettings)
    bpy.types.NodeTree.mapreel = bpy.props.PointerProperty(type=ShotSettings)
    bpy.types.NODE_MT_add.append(add_menu)
    session.start()


def unregister() -> None:
    """In reverse; what is gone already is no trouble."""
    session.end()
    chips.forget()
    with contextlib.suppress(AttributeError, ValueError, RuntimeError):
        bpy.types.NODE_MT_add.remove(add_menu)
    for owner in (bpy.types.Scene, bpy.types.NodeTree):
        with contextlib.suppress(AttributeError):
            del owner.mapreel
    for cls in reversed(CLASSES):
        with contextlib.suppress(RuntimeError):
            bpy.utils.unregister_class(cls)
