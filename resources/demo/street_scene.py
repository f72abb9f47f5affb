# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the street again, frame by frame: colour, label, instance and motion maps of a procedural drive.

    python resources/demo/street_scene.py OUT --seed 11 --frames 1-96          # a Python that has bpy
    blender -b --python resources/demo/street_scene.py -- OUT --seed 11        # or a Blender, 4.2 or newer

The same seed gives the same labels, instances and motion in Blender 4.5 and 5.0.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from street_parts.options import Options
    from street_parts.sequence import Sequence

OLDEST = (4, 2, 0)


def _arguments() -> list[str]:
    """What is meant for us: in Blender's own process that is what follows the two dashes."""
    given = sys.argv[1:]
    is_inside_blender = "bpy" in sys.modules
    if is_inside_blender:
        return given[given.index("--") + 1 :] if "--" in given else []
    return given


@contextlib.contextmanager
def _quiet_blender() -> Iterator[Callable[[str], None]]:
    """Within: what Blender writes to the standard output goes nowhere; gives how to say something all the same."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield lambda line: _write(kept, line)
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Gives whether Ctrl-C (or SIGTERM) came; a frame is finished first, for Blender would leave a broken one."""
    asked: list[int] = []
    before = {kind: signal.signal(kind, lambda kind, _: asked.append(kind)) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _write(file: int, line: str) -> None:
    """A line; who reads it may be gone."""
    with contextlib.suppress(OSError):
        os.write(file, (line + "\n").encode())


def main(arguments: list[str]) -> None:
    """Read the arguments, build the street, render what is missing. Raises RefusedError."""
    from street_parts.options import RefusedError, parse

    options = parse(arguments)
    try:
        import bpy
    except ImportError as error:
        raise RefusedError(
            "this Python has no bpy; use one that has (pip install bpy), or blender -b --python street_scene.py -- OUT"
        ) from error
    if bpy.app.version < OLDEST:
        raise RefusedError(f"Blender {bpy.app.version_string} is too old for the street; use 4.2 or newer")
    from street_parts.sequence import Sequence

    sequence = Sequence(options, bpy.app.version_string)
    missing = sequence.open(options.frames, resume=options.resume)
    with contextlib.closing(sequence), _quiet_blender() as say:
        if missing or options.blend:
            _render(options, sequence, missing, say)
        say(f"{options.out}: {len(missing)} frames rendered, {len(options.frames) - len(missing)} kept")


def _render(options: Options, sequence: Sequence, missing: tuple[int, ...], say: Callable[[str], None]) -> None:
    """Build the street and render frames that are missing. Raises RefusedError."""
    from street_parts.options import RefusedError
    from street_parts.passes import prepare, render_frame
    from street_parts.scene import build_street

    with _interruptible() as is_asked_to_stop:
        scene = build_street(options.seed, has_looks=options.has_colour or options.blend is not None)
        prepare(scene, options)
        if options.blend:
            _save(options.blend)
        render = functools.partial(render_frame, scene, folder=sequence.work, has_colour=options.has_colour)
        for done, frame in enumerate(missing, start=1):
            if is_asked_to_stop():
                raise RefusedError(f"stopped before frame {frame}; --resume renders the rest", 130)
            started = time.monotonic()
            sequence.write(frame, functools.partial(render, frame))
            say(f"frame {frame} ({done} of {len(missing)}): {time.monotonic() - started:.1f} s")


def _save(path: Path) -> None:
    """The scene as a .blend file. Raises RefusedError."""
    import bpy
    from street_parts.options import RefusedError

    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path.with_suffix(".blend").absolute()), copy=True)
    except RuntimeError as error:
        raise RefusedError(f"cannot save {path}; name a file in a folder that you may write") from error


def command() -> int:
    """The command: 0 done, 1 cannot go on, 2 asked for wrongly, 130 stopped by Ctrl-C."""
    sys.dont_write_bytecode = True  # data files of a package stand here
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from street_parts.options import RefusedError

    try:
        main(_arguments())
    except RefusedError as refusal:
        sys.stderr.write(f"street_scene.py: {refusal}\n")
        return refusal.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(command())
