# SPDX-License-Identifier: GPL-3.0-or-later
"""What every script inside Blender begins and ends with."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

GIVEN = json.loads(Path(os.environ["MAPREEL_GIVEN"]).read_text(encoding="utf-8"))
FOLDER = Path(GIVEN["folder"])


def begin() -> Any:
    """An empty Blender as it comes, with the extension installed and enabled. Gives its package."""
    bpy.ops.wm.read_factory_settings(use_empty=False)
    bpy.ops.extensions.package_install_files(
        filepath=os.environ["MAPREEL_EXTENSION"], repo="user_default", enable_on_install=True
    )
    return sys.modules["bl_ext.user_default.mapreel_blender"]


def write_png(path: Path, scene: Any) -> None:
    """Render the compositor's picture of the present frame, 8 bits, as it is."""
    _write(path, scene, "PNG", "8")


def write_exr(path: Path, scene: Any) -> None:
    """Render the compositor's picture of the present frame, half floats, as it is."""
    _write(path, scene, "OPEN_EXR", "16")


def _write(path: Path, scene: Any, file_format: str, depth: str) -> None:
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = file_format, "RGB", depth
    scene.view_settings.view_transform = "Standard"
    scene.render.dither_intensity = 0.0
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.render.use_sequencer = False
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def pumped_until(link: Any, what: Callable[[], bool], limit_s: float, said: Callable[[], object]) -> float:
    """Pump as Blender's timer does until something is so. Gives the seconds; raises TimeoutError with `said`."""
    started = time.monotonic()
    while not what():
        if time.monotonic() - started > limit_s:
            raise TimeoutError(f"{said() or 'nothing said'} after {limit_s} s")
        link.pump()
        time.sleep(0.005)
    return time.monotonic() - started


def refusal(call: Any, *arguments: Any, **named: Any) -> str:
    """The sentence that a call is refused with."""
    try:
        call(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - what kind it is, is part of the answer
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"{call} was not refused")


def state_of_file() -> list[Any]:
    """What of the open file must be the same after something was refused."""
    return [
        sorted(bpy.data.scenes.keys()),
        [(material.name, material.pass_index) for material in bpy.data.materials],
        [(thing.name, thing.pass_index, [slot.link for slot in thing.material_slots]) for thing in bpy.data.objects],
        [(scene.render.engine, scene.render.filepath, scene.frame_current) for scene in bpy.data.scenes],
        sorted(bpy.data.node_groups.keys()),
    ]


def end(**answer: Any) -> None:
    """Hand the answer out, and end as Blender should: with everything unregistered."""
    (FOLDER / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    sys.stdout.flush()
