# SPDX-License-Identifier: GPL-3.0-or-later
"""A file made with the extension, opened, saved and rendered without it; then opened with it again."""

from __future__ import annotations

from pathlib import Path

import bpy
import inside

bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.wm.open_mainfile(filepath=inside.GIVEN["blend"])
scene = bpy.context.scene
known = hasattr(scene, "mapreel")
scene.frame_set(1)
shown = inside.FOLDER / "without.png"
inside.write_png(Path(shown), scene)
bpy.ops.wm.save_mainfile()

inside.begin()
bpy.ops.wm.open_mainfile(filepath=inside.GIVEN["blend"])
settings = bpy.context.scene.mapreel
group = next(group for group in bpy.data.node_groups if group.name == "Mapreel")
inside.end(
    known=known,
    shown=str(shown),
    labels=settings.labels,
    model=settings.model,
    take=bpy.path.abspath(settings.take),
    group=[group.mapreel.labels, bpy.path.abspath(group.mapreel.take)],
)
