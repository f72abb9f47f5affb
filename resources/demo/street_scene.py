# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the street again, frame by frame: colour, label, instance and motion maps of a procedural drive.

    python resources/demo/street_scene.py OUT --seed 11 --frames 1-96          # a Python that has bpy
    blender -b --python resources/demo/street_scene.py -- OUT --seed 11        # or a Blender, 4.2 or newer

The same seed gives the same labels, instances and motion in Blender 4.5 and 5.0.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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
    from street_parts.passes import prepare, render_frame
    from street_parts.scene import build_street
    from street_parts.sequence import Sequence

    sequence = Sequence(options, bpy.app.version_string)
    missing = sequence.open(options.frames, resume=options.resume)
    with contextlib.closing(sequence), _quiet_blender() as say:
        scene = build_street(options.seed, has_looks=options.has_colour or options.blend is not None)
        prepare(scene, options)
        if options.blend:
            _save(options.blend)
        for done, frame in enumerate(missing, start=1):
            started = time.monotonic()
            sequence.write(
                frame, lambda at=frame: render_frame(scene, at, sequence.work, has_colour=options.has_colour)
            )
            say(f"frame {frame} ({done} of {len(missing)}): {time.monotonic() - started:.1f} s")
        say(f"{options.out}: {len(options.frames)} frames, {len(options.frames) - len(missing)} of them were there")


def _save(path: Path) -> None:
    """The scene as a .blend file. Raises RefusedError."""
    import bpy
    from street_parts.options import RefusedError

    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path.with_suffix(".blend").absolute()), copy=True)
    except RuntimeError as error:
        raise RefusedError(f"cannot save {path}; name a file in a folder that you may write") from error


def command() -> int:
    """The command: 0 done, 1 cannot go on, 2 asked for wrongly, 130 interrupted."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from street_parts.options import RefusedError

    try:
        main(_arguments())
    except RefusedError as refusal:
        sys.stderr.write(f"street_scene.py: {refusal}\n")
        return refusal.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("street_scene.py: interrupted; --resume renders the rest\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(command())
