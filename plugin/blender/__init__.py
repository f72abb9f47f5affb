# SPDX-License-Identifier: Apache-2.0
"""Mapreel inside Blender: maps from files or the scene, drafts, renders and archives by the service of this machine."""

import atexit

bl_info = {
    "name": "Mapreel",
    "author": "The Mapreel authors",
    "version": (0, 0, 0),  # @VERSION@
    "blender": (3, 4, 0),
    "location": "Properties > Render > Mapreel; Compositor > Sidebar > Mapreel",
    "description": "Semantic maps into photoreal video, shots into neural archives",
    "category": "Render",
}


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from mapreel.plugin.blender import addon

    addon.register()
    atexit.register(unregister)  # Blender 4.2 crashes and 4.5 hangs at its end while classes are registered


def unregister() -> None:
    """Called by Blender when the extension is disabled, and at its end."""
    from mapreel.plugin.blender import addon

    atexit.unregister(unregister)
    addon.unregister()
