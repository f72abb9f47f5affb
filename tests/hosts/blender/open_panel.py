# SPDX-License-Identifier: GPL-3.0-or-later
"""Open panel: a stand-in for Mapreel's Python gets the right words, failures are told, a real panel is linked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender.session import SESSION, facts, obey  # noqa: E402

REAL = os.environ["MAPREEL_PYTHON"]
scene = bpy.context.scene


def until(what: Callable[[], object], limit_s: float = 60.0) -> None:
    """Do as Blender's timer does until something is so."""
    started = time.monotonic()
    while not what():
        if time.monotonic() - started > limit_s:
            raise TimeoutError(f"after {limit_s} s: {SESSION.said}")
        SESSION.connected().pump()
        time.sleep(0.02)


def opened(python: str) -> float:
    """Press the button with this Python of Mapreel. Gives the seconds that it held the main thread up."""
    SESSION.close()
    SESSION.said = ""
    os.environ["MAPREEL_PYTHON"] = python
    SESSION.connected()
    started = time.monotonic()
    bpy.ops.mapreel.open_panel()
    return time.monotonic() - started


scene.mapreel.labels = inside.GIVEN["labels"]
os.environ["PYTHONHOME"] = "/nowhere"
seconds = opened(inside.GIVEN["recording"])
until(lambda: Path(inside.GIVEN["record"]).exists())
session = SESSION.connected().session
opened(inside.GIVEN["failing"])
until(lambda: SESSION.said)
failed = SESSION.said
opened("/nowhere/python")
until(lambda: SESSION.said)
nowhere = SESSION.said
opened("")
until(lambda: SESSION.said)
unset = SESSION.said

os.environ["QT_QPA_PLATFORM"] = "offscreen"
opened(REAL)
link = SESSION.connected()
link.open_session(facts(scene), obey)


def linked() -> bool:
    """Whether the service, which the panel starts, knows this Blender."""
    try:
        with link.client() as client:
            return link.session in [view.session for view in client.hosts()]
    except OSError:
        return False


until(linked)
alive = link.panel.poll() is None
bpy.ops.mapreel.open_panel()
again = SESSION.said
with link.client() as client:
    client.command_host(link.session, inside.GIVEN["take"])
until(lambda: scene.name in bpy.data.scenes and "Mapreel" in bpy.data.node_groups)
shown = bpy.path.abspath(bpy.data.node_groups["Mapreel"].mapreel.take)
link.panel.kill()
until(lambda: "broke off" in SESSION.said)
inside.end(
    seconds=seconds,
    session=session,
    failed=failed,
    nowhere=nowhere,
    unset=unset,
    alive=alive,
    again=again,
    shown=shown,
    killed=SESSION.said,
)
