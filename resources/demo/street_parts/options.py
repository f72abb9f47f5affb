# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command may be told, and how it refuses: one sentence that names the thing and the remedy."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

MIN_FRAME, MAX_FRAME = 1, 1199  # in which everything moves, the frame before and after included
MIN_SIDE, MAX_SIDE = 16, 8192
MAX_SAMPLES = 4096


class RefusedError(Exception):
    """Cannot go on; exit_code 2: what was asked for is wrong, 1: the machine or the folder is."""

    def __init__(self, sentence: str, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Options:
    """One call of the command."""

    out: Path
    seed: int
    frames: tuple[int, ...]
    size: tuple[int, int]  # width, height
    samples: int
    threads: int  # 0: one for each core
    has_colour: bool
    resume: bool
    blend: Path | None  # where to save the scene


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise RefusedError(f"{message[:1].lower()}{message[1:]}; --help lists what there is", 2)


def parse(arguments: list[str]) -> Options:
    """Read the command line. Raises RefusedError with exit code 2."""
    parser = _Parser(
        prog="street_scene.py",
        description="Render the procedural street: colour, label, instance and motion maps into OUT.",
        allow_abbrev=False,
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write; made where there is none")
    parser.add_argument("--seed", default="11", help="which street (11: the demo shot)")
    parser.add_argument("--frames", default="1-96", help="5, 1-96 or 1-96x8, within 1-1199 (1-96)")
    parser.add_argument("--size", default="512x256", help="WIDTHxHEIGHT (512x256)")
    parser.add_argument("--samples", default="8", help="samples a pixel (8)")
    parser.add_argument("--threads", default="0", help="threads to render with (0: one for each core)")
    parser.add_argument("--labels-only", action="store_true", help="label, instance and motion maps, no colour")
    parser.add_argument("--resume", action="store_true", help="keep the frames that OUT has, render the others")
    parser.add_argument("--blend", metavar="FILE", type=Path, help="also save the scene as FILE.blend")
    given = parser.parse_args(arguments)
    return Options(
        out=given.out,
        seed=_number("--seed", given.seed, 0, 2**31 - 1),
        frames=_frames(given.frames),
        size=_size(given.size),
        samples=_number("--samples", given.samples, 1, MAX_SAMPLES),
        threads=_number("--threads", given.threads, 0, 1024),
        has_colour=not given.labels_only,
        resume=given.resume,
        blend=given.blend,
    )


def _number(name: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or not low <= int(text) <= high:
        raise RefusedError(f"{name} {text} is no whole number from {low} to {high}; give one", 2)
    return int(text)


def _frames(text: str) -> tuple[int, ...]:
    found = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6})(?:x([0-9]{1,6}))?)?", text)
    if not found:
        raise RefusedError(f"--frames {text} is no range; write 5, 1-96 or 1-96x8", 2)
    first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
    if not (MIN_FRAME <= first <= last <= MAX_FRAME and step):
        raise RefusedError(f"--frames {text} is no range upwards within {MIN_FRAME}-{MAX_FRAME}; give one that is", 2)
    return tuple(range(first, last + 1, step))


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if not found or not all(MIN_SIDE <= int(side) <= MAX_SIDE for side in found.groups()):
        raise RefusedError(f"--size {text} is no size; write WIDTHxHEIGHT, each from {MIN_SIDE} to {MAX_SIDE}", 2)
    return int(found[1]), int(found[2])
