# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel is opened and killed again and again: what is said, how soon, and that the next one opens."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender.session import SESSION, facts, obey  # noqa: E402

os.environ["QT_QPA_PLATFORM"] = "offscreen"
scene = bpy.context.scene
scene.mapreel.labels = inside.GIVEN["labels"]
link = SESSION.connected()
link.open_session(facts(scene), obey)


def until(what: Callable[[], bool], limit_s: float) -> float:
    """As `inside.pumped_until`."""
    return inside.pumped_until(link, what, limit_s, lambda: SESSION.said)


def runs(number: int) -> bool:
    """Whether another panel than the last runs as a Python of its own."""
    return link.panel is not None and link.panel.pid != number and link.panel.poll() is None


rounds = []
last = 0
for number in range(inside.GIVEN["times"]):
    SESSION.said = ""
    bpy.ops.mapreel.open_panel()
    until(lambda last=last: runs(last), 30.0)
    last = link.panel.pid
    # at once, while it begins, and when it has had time to stand
    until_s = time.monotonic() + (0.0, 0.5, 3.0)[number % 3]
    until(lambda until_s=until_s: time.monotonic() >= until_s, 10.0)
    was_alive = link.panel.poll() is None
    os.kill(last, signal.SIGKILL)
    told_s = until(lambda: bool(SESSION.said), 10.0)
    rounds.append({"alive": was_alive, "told_s": round(told_s, 3), "said": SESSION.said})
    (inside.FOLDER / "rounds.json").write_text(json.dumps(rounds, indent=1))
inside.end(rounds=rounds, alive=bpy.data.objects["Cube"].name == "Cube", kept=scene.mapreel.labels)
