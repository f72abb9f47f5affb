# SPDX-License-Identifier: Apache-2.0
"""Frames rendered by a Blender of its own, without a window, so that the window of this one stays alive.

It opens a copy of the file as it is now, saved beside it, so that every `//` path leads where it leads here. The same
functions render there as here: same pixels. It ends when this Blender ends, whatever ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from mapreel.core.contract.errors import CancelledError, MapreelError, OutputError, error_from_dict
from mapreel.plugin.blender import scene_maps, training
from mapreel.plugin.blender.classes import load_palette

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

COPY = ".mapreel-"  # how the name of a copy of the file begins
MARK = "MAPREEL-APART "
START = "import importlib, sys; sys.path.insert(0, {folder!r}); importlib.import_module({module!r}).main({task!r})"
LAST_WORDS = 20  # lines of a Blender that are kept, in case it fails


def is_possible() -> bool:
    """Whether there is a window to keep alive, and a program to start."""
    return not bpy.app.background and bool(bpy.app.binary_path)


# -- here: the Blender with the window ---------------------------------------------------------------------------------


class ApartRender:
    """A Blender that renders; what is said here is changed by a thread and read by whoever likes."""

    def __init__(self, task: dict[str, Any], blend: Path) -> None:
        """Begin. task: what `main` does. blend: the copy of the file, which is deleted in the end."""
        self.done = 0
        self.seconds = 0.0  # of the frames that are done, without the start
        self.error: MapreelError | None = None
        self.is_over = False
        self._blend, self._cancelled = blend, False
        self._process: subprocess.Popen[str] | None = None
        command = [bpy.app.binary_path, "-b", "-Y" if bpy.app.autoexec_fail else "-y", str(blend)]
        here = Path(__file__)
        start = START.format(
            folder=str(here.parents[1]), module=f"{here.parent.name}.{here.stem}", task=json.dumps(task)
        )
        command += ["--python-exit-code", "3", "--python-expr", start]
        self._partial = Path(task["folder"]) if task["kind"] == "maps" else None
        threading.Thread(target=self._run, args=(command,), name="mapreel-apart-render", daemon=True).start()

    def cancel(self) -> None:
        """End it now; comes back at once. Partial maps are taken away; true frames that are there stay."""
        self._cancelled = True
        if self._process is not None:
            self._process.kill()

    def _run(self, command: list[str]) -> None:
        try:
            self._follow(command)
        except OSError as error:
            what = f"a second Blender could not be started ({error.strerror or error})"
            self.error = OutputError(what, "see that its program is where it was")
        finally:
            with contextlib.suppress(OSError):
                self._blend.unlink()
            if self._cancelled and self._partial is not None:
                shutil.rmtree(self._partial, ignore_errors=True)
            self.is_over = True

    def _follow(self, command: list[str]) -> None:
        said: list[str] = []
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closed when this Blender ends, which ends the other
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as self._process:
            if self._cancelled:
                self._process.kill()
            assert self._process.stdout is not None
            for line in self._process.stdout:
                mark = line.find(MARK)
                if mark >= 0:
                    self._heard(json.loads(line[mark + len(MARK) :]))
                elif line.strip():
                    said = [*said[1 - LAST_WORDS :], " ".join(line.split())]
        code = self._process.returncode
        if code and self.error is None and not self._cancelled:
            self.error = _broken(code, said)

    def _heard(self, news: dict[str, Any]) -> None:
        self.done = int(news.get("done", self.done))
        self.seconds = float(news.get("seconds", self.seconds))
        if "error" in news:
            self.error = error_from_dict(news["error"])


def _broken(code: int, said: list[str]) -> MapreelError:
    """What a Blender that ended early is told as."""
    how = f"signal {-code}" if code < 0 else next((line for line in reversed(said) if "Error" in line), f"code {code}")
    remedy = "what is done stays; try again, or render in this Blender from a script"
    return CancelledError(f"the Blender that renders in the background broke off ({how[:200]})", remedy)


def steps(task: dict[str, Any], total: int) -> Generator[tuple[int, int], None, float]:
    """Render apart: gives frames done and in all until all are there, and in the end the seconds that they took.

    Closed early, it ends the other Blender.

    Raises OutputError where the copy cannot be saved, what the other Blender raised, CancelledError where it broke off.
    """
    render = ApartRender(task, _save_copy())
    try:
        while not render.is_over:
            yield min(render.done, total - 1), total
    except GeneratorExit:
        render.cancel()
        raise
    if render.error is not None:
        raise render.error
    return render.seconds


def map_steps(scene: Any, folder: Path, palette: str) -> Generator[tuple[int, int], None, scene_maps.SceneMaps]:
    """As `scene_maps.map_steps`, apart. palette: its name or file."""

    name = scene.name

    def frames(place: Path, span: tuple[int, int, int]) -> Generator[tuple[int, int], None, object]:
        task = {"kind": "maps", "scene": name, "folder": str(place), "palette": palette, "frames": span}
        return steps(task, len(range(span[0], span[1] + 1, span[2])))

    return scene_maps.map_steps(scene, folder, load_palette(palette), frames)


def true_frames(name: str, place: Path, numbers: tuple[int, ...]) -> Generator[tuple[int, int], None, float]:
    """As those of `training`, apart. numbers: evenly spaced."""
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    task = {"kind": "true", "scene": name, "folder": str(place), "frames": [numbers[0], numbers[-1], step]}
    return steps(task, len(numbers))


def renderers() -> training.Renderers:
    """Those that keep this Blender's window alive, where there is one."""
    return training.Renderers(true_frames, map_steps) if is_possible() else training.HERE


def _save_copy() -> Path:
    """The file as it is now, beside the file: relative paths hold. Else among temporary files. Raises OutputError."""
    name = f"{COPY}{uuid.uuid4().hex[:8]}.blend"
    own = Path(bpy.data.filepath)
    beside = bool(bpy.data.filepath) and os.access(own.parent, os.W_OK)
    path = (own.parent if beside else Path(tempfile.gettempdir())) / name
    try:
        with _without_preview():
            bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, check_existing=False, compress=False)
    except RuntimeError as error:
        words = " ".join(str(error).removeprefix("Error: ").split())
        raise OutputError(f"no copy of the file could be saved to render from ({words})", "make room for it") from error
    return path


@contextlib.contextmanager
def _without_preview() -> Iterator[None]:
    """Within: a file is saved without a picture of it, which Blender would draw first."""
    preferences = bpy.context.preferences
    kind, changed = preferences.filepaths.file_preview_type, preferences.is_dirty
    preferences.filepaths.file_preview_type = "NONE"
    try:
        yield
    finally:
        preferences.filepaths.file_preview_type = kind
        preferences.is_dirty = changed


# -- there: the Blender without one ------------------------------------------------------------------------------------


def main(text: str) -> None:
    """Do a task, and say on standard output how far it is."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(5)  # the window comes first
    own = Path(bpy.data.filepath)
    if own.name.startswith(COPY):  # read by now; whoever saved it may not live to take it away
        with contextlib.suppress(OSError):
            own.unlink()
    task = json.loads(text)
    try:
        _do(task)
    except MapreelError as error:
        _say({"error": error.to_dict()})


def _do(task: dict[str, Any]) -> None:
    scene, place = scene_maps.scene_called(task["scene"]), Path(task["folder"])
    first, last, step = task["frames"]
    total, started = len(range(first, last + 1, step)), time.monotonic()

    def report(done: int, _total: int) -> None:
        _say({"done": done, "seconds": time.monotonic() - started})

    if task["kind"] == "maps":
        scene_maps.render_maps(scene, place, load_palette(task["palette"]), (first, last, step), report)
        return
    with training.beauty_copy(scene, place) as copy:
        copy.frame_start, copy.frame_end, copy.frame_step = first, last, step
        scene_maps.render_range(copy, total, report)


def _say(news: dict[str, Any]) -> None:
    sys.stdout.write(f"\n{MARK}{json.dumps(news)}\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    while os.read(0, 1):  # not through sys.stdin, whose lock Python wants at its end
        pass
    os._exit(1)
