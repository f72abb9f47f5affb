# SPDX-License-Identifier: GPL-3.0-or-later
"""How long each thing of ours holds Blender's main thread while a render and drafts are under way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api, results, session  # noqa: E402
from bl_ext.user_default.mapreel_blender.properties import shot_of  # noqa: E402

held: dict[str, list[float]] = {}


def timed(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call it, and note the milliseconds that it took by the clock on the wall."""
    started = time.perf_counter()
    result = call(*arguments)
    held.setdefault(name, []).append((time.perf_counter() - started) * 1000.0)
    return result


scene = bpy.context.scene
settings = scene.mapreel
settings.labels, settings.out, settings.quality = inside.GIVEN["labels"], str(inside.FOLDER / "take"), "full"
scene.frame_start, scene.frame_end = 1, inside.GIVEN["frames"]
job = timed("submit", lambda: session.SESSION.connected().submit(shot_of(scene).render_request()))
started, number = time.monotonic(), 0
while not (job.is_over and session.SESSION.drafted) and time.monotonic() - started < 200.0:
    number += 1
    timed("pump", session.pump)
    if number % 25 == 0:  # the playhead moves on, as with "Follow playhead"
        timed("draft", session.SESSION.ask_draft, scene)
    time.sleep(0.02)
bpy.data.images.remove(bpy.data.images.load(inside.GIVEN["pictures"][0] + "/0001.png"))  # Blender readies its readers
wide = inside.GIVEN["pictures"]
for take in [*wide, *wide]:  # new ones, then such as Blender knows
    timed("bring in", api.bring_in, take, scene)
for take in wide:
    strip = timed("bring in as a strip", lambda take=take: api.bring_in(take, scene, into="strip"))
picture = next(group for group in bpy.data.node_groups if results.is_ours(group)).nodes[results.PICTURES].image
inside.end(
    shown=bpy.path.abspath(picture.filepath),
    strip=[bpy.path.abspath(strip.directory), strip.colorspace_settings.name],
    elements=[each.filename for each in strip.elements],
    held=held,
    state=job.state,
    sentence=job.sentence,
    drafted=session.SESSION.drafted,
    said=session.SESSION.said,
    seconds=time.monotonic() - started,
)
