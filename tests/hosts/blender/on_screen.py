# SPDX-License-Identifier: GPL-3.0-or-later
"""In a Blender with a window: the compositor with Mapreel beside it, and what happens there, written down."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

GIVEN = json.loads(Path(os.environ["MAPREEL_GIVEN"]).read_text(encoding="utf-8"))
NEWS = Path(GIVEN["folder"]) / "news.json"
EVERY_S = 0.2

bpy.ops.preferences.addon_install(filepath=os.environ["MAPREEL_EXTENSION"], overwrite=True)
bpy.ops.preferences.addon_enable(module="mapreel_blender")
bpy.context.preferences.view.show_splash = False
from mapreel_blender import operators, panels, session  # noqa: E402

held: dict[str, list[float]] = {}
seen: list[str] = []


def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose milliseconds on the main thread are noted: by the clock, and of the processor."""

    @functools.wraps(call)
    def measured(*arguments: Any) -> Any:
        started, used = time.perf_counter(), time.thread_time()
        job = session.SESSION.job
        when = "" if job is not None and not job.is_over else ", no render"
        try:
            return call(*arguments)
        finally:
            held.setdefault(name + when, []).append((time.perf_counter() - started) * 1000.0)
            held.setdefault(f"{name}{when}, processor", []).append((time.thread_time() - used) * 1000.0)

    return measured


def measure() -> None:
    """Have every way in which Blender calls us measured."""
    bpy.app.timers.unregister(session.pump)
    session.pump = timed("pump", session.pump)
    bpy.app.timers.register(session.pump, persistent=True)
    draw = timed("draw", panels.MAPREEL_PT_node.draw)
    modal = timed("modal", operators.MAPREEL_OT_render.modal)
    invoke = timed("invoke", operators.MAPREEL_OT_render.invoke)

    def drawn(self: Any, context: Any) -> None:  # Blender counts the arguments that a method names
        draw(self, context)

    def followed(self: Any, context: Any, event: Any) -> Any:
        return modal(self, context, event)

    def invoked(self: Any, context: Any, event: Any) -> Any:
        return invoke(self, context, event)

    panels.MAPREEL_PT_node.draw = drawn
    operators.MAPREEL_OT_render.modal = followed
    operators.MAPREEL_OT_render.invoke = invoked


def arrange() -> None:
    """The compositor in the largest area, with our tab as the only one of its sidebar."""
    for cls in list(bpy.types.Panel.__subclasses__()):
        where = (getattr(cls, "bl_space_type", ""), getattr(cls, "bl_region_type", ""))
        if where == ("NODE_EDITOR", "UI") and getattr(cls, "bl_category", "") != "Mapreel":
            bpy.utils.unregister_class(cls)
    area = max(bpy.context.window_manager.windows[0].screen.areas, key=lambda found: found.width * found.height)
    area.ui_type = "CompositorNodeTree"
    space = area.spaces.active
    space.show_region_ui = space.show_backdrop = True
    space.backdrop_zoom, space.backdrop_offset = 1.6, (-100, 150)
    scene = bpy.context.scene
    scene.use_nodes = True
    scene.frame_start, scene.frame_end, scene.frame_current = 1, GIVEN["frames"], 3
    scene.mapreel.labels, scene.mapreel.instances = GIVEN["labels"], GIVEN["instances"]
    scene.mapreel.out = str(Path(GIVEN["folder"]) / "take")
    scene.mapreel.quality = "full"


def news() -> float:
    """What a test outside wants to know, now."""
    job = session.SESSION.job
    if job is not None and job.sentence not in seen:
        seen.append(job.sentence)
    groups = [group for group in bpy.data.node_groups if group.name == "Mapreel"]
    region = next(
        (region for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "NODE_EDITOR"
         for region in area.regions if region.type == "UI"), None
    )  # fmt: skip
    told = {
        "version": bpy.app.version_string,
        "state": job.state if job else "",
        "is_over": bool(job and job.is_over),
        "seen": seen,
        "said": session.SESSION.said,
        "take": bpy.context.scene.mapreel.take,
        "shown": [str(group.nodes["Take"].image.filepath) for group in groups if group.nodes["Take"].image],
        "held": held,
        "sidebar": [region.x, region.y, region.width, region.height] if region else [],
    }
    NEWS.with_suffix(".new").write_text(json.dumps(told), encoding="utf-8")
    NEWS.with_suffix(".new").replace(NEWS)
    return EVERY_S


def begin() -> None:
    """Once the window stands."""
    arrange()
    measure()
    bpy.app.timers.register(news, first_interval=1.0, persistent=True)


bpy.app.timers.register(begin, first_interval=1.0)
