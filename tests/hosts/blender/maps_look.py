# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps from files: what the panel says of them before anything renders, by itself and on wish."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api, chips, panels, session  # noqa: E402


class Layout:
    """Stands in for Blender's own, which only a window has: notes what is drawn."""

    def __init__(self, drawn: list[str]) -> None:
        self.drawn = drawn

    def label(self, *, text: str, icon_value: int = 0) -> None:
        """A line."""
        self.drawn.append(text)

    def operator(self, name: str, icon: str = "") -> None:
        """A button."""
        self.drawn.append(name)

    def box(self, **_: Any) -> Layout:
        """A part of it."""
        return self

    grid_flow = box


def drawn() -> list[str]:
    """What stands in the panel now."""
    lines: list[str] = []
    panels.draw_look(Layout(lines), bpy.context.scene.mapreel)
    return lines


def looked() -> tuple[list[str], float]:
    """Draw and pump as Blender does until the look is over. Gives the lines, and the longest pump in seconds."""
    drawn()
    longest, started = 0.0, time.monotonic()
    while "mapreel.check_maps" not in drawn():
        if time.monotonic() - started > 90:
            raise TimeoutError(str(drawn()))
        before = time.monotonic()
        session.pump()
        longest = max(longest, time.monotonic() - before)
        time.sleep(0.02)
    return drawn(), longest


settings = bpy.context.scene.mapreel
nothing = drawn()
settings.labels = inside.GIVEN["labels"]
first, longest = looked()
settings.labels = inside.GIVEN["clean"]
second, _ = looked()
settings.labels = str(inside.FOLDER / "nowhere")
third, _ = looked()
settings.labels = inside.GIVEN["labels"]
bpy.ops.mapreel.check_maps()
told = session.SESSION.said
whole = api.check_maps()
refused = inside.refusal(api.check_maps, SimpleNamespace(mapreel=SimpleNamespace(labels="", palette="street")))
inside.end(
    nothing=nothing,
    first=first,
    second=second,
    third=third,
    longest=longest,
    told=told,
    whole=whole.lines,
    refused=refused,
    chip=chips.chip("#ff8000"),
)
