# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of a sequence: what is there already, and files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from street_parts.options import Options, RefusedError
from street_parts.passes import Maps
from street_parts.picture_files import exr_of_halves, png_of_ids, png_without_notes

FORMAT, VERSION = "mapreel-street", 1
NOTE = "street.json"


class Sequence:
    """OUT: `color`, `label`, `instance` and `motion` with a file for each frame, and a note on what made them."""

    def __init__(self, options: Options, blender: str) -> None:
        self.out, self.has_colour = options.out, options.has_colour
        self.facts = {
            "format": FORMAT,
            "version": VERSION,
            "seed": options.seed,
            "size": list(options.size),
            "samples": options.samples,
            "blender": blender,
        }
        self.work = self.out / f".unfinished-{options.frames[0]}-{options.frames[-1]}"

    def paths(self, frame: int) -> dict[str, Path]:
        """What belongs to a frame, by kind."""
        kinds = {"color": "png", "label": "png", "instance": "png", "motion": "exr"}
        if not self.has_colour:
            kinds.pop("color")
        return {kind: self.out / kind / f"{frame:04d}.{suffix}" for kind, suffix in kinds.items()}

    def open(self, frames: tuple[int, ...], *, resume: bool) -> tuple[int, ...]:
        """Make the folders; gives the frames that are missing.

        Raises RefusedError: frames are there, they are of another street, the folder cannot be written.
        """
        if not resume:
            there = [path for frame in frames for path in self.paths(frame).values() if path.exists()]
            if there:
                raise RefusedError(
                    f"{there[0]} is there already; add --resume to render what is missing, or name another OUT"
                )
        try:
            self._check_note()
            for path in self.paths(frames[0]).values():
                path.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir()
            self._publish(self.out / NOTE, json.dumps(self.facts, indent=1).encode() + b"\n")
        except OSError as error:
            raise _unwritable(error, self.out) from error
        return tuple(frame for frame in frames if not all(path.exists() for path in self.paths(frame).values()))

    def _check_note(self) -> None:
        """Refuse to mix streets: only colour may differ from Blender to Blender, so its version may too."""
        try:
            noted: Any = json.loads((self.out / NOTE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except ValueError:
            noted = None
        same = isinstance(noted, dict) and all(
            noted.get(name) == value for name, value in self.facts.items() if name != "blender"
        )
        if not same:
            raise RefusedError(f"{self.out / NOTE} tells of a street of other settings; name another OUT", 2)

    def write(self, frame: int, render: Callable[[], tuple[Maps, Path | None]]) -> None:
        """Render a frame and publish its files, the motion last. Raises RefusedError."""
        paths = self.paths(frame)
        try:
            maps, colour = render()
            if colour is not None:
                self._publish(paths["color"], png_without_notes(colour.read_bytes()))
            self._publish(paths["label"], png_of_ids(maps.label))
            self._publish(paths["instance"], png_of_ids(maps.instance))
            x, y = maps.motion
            self._publish(paths["motion"], exr_of_halves({"motion.X": x, "motion.Y": y}))
        except OSError as error:
            raise _unwritable(error, self.out) from error
        except (RuntimeError, ValueError) as error:  # what Blender says, or a file that it left unfinished
            raise RefusedError(
                f"frame {frame} failed ({str(error).strip()}); make room in {self.out}, then --resume"
            ) from error

    def close(self) -> None:
        """Drop the unfinished work."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _publish(self, path: Path, data: bytes) -> None:
        part = self.work / "part"
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def _unwritable(error: OSError, out: Path) -> RefusedError:
    reason = error.strerror or str(error)
    return RefusedError(
        f"cannot write {error.filename or out} ({reason.lower()}); name an OUT with room that you may write"
    )
