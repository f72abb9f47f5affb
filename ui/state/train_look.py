# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to learn from, and how a training on disk stands. Reads the disk, so not for the Qt thread."""

from __future__ import annotations

import json
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import InputError, MissingInputError
from mapreel.core.contract.frames import FrameRange, find_sequence
from mapreel.ui.state.messages import spoken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapreel.core.contract.frames import FoundSequence

LABEL, COLOR = "label", "color"
COUNTED_FRAMES = 12
LOG_FILE, CHECKPOINT_FILE, MODEL_FILE = "log.jsonl", "checkpoint.safetensors", "model.safetensors"
SAMPLES = "samples"
PACKED_SUFFIX = ".safetensors"
LARGEST_HEADER_BYTES = 4 << 20
_MOST_BYTES = 8 << 20  # of a log that are read at a time


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """One shot to learn from. size: width, height. alone: frames on one side only. shares: ids and their part of the
    pixels, most first, counted on some frames; named where a palette is. trouble: why it cannot be learnt from."""

    path: str
    name: str
    frames: int = 0
    size: tuple[int, int] = (0, 0)
    alone: tuple[int, ...] = ()
    shares: tuple[tuple[int, float], ...] = ()
    motion: bool = False
    instances: bool = False
    trouble: str = ""

    @property
    def alone_text(self) -> str:
        """The frames on one side only, as a range."""
        return str(FrameRange.from_numbers(self.alone[:500]))[:80] if self.alone else ""


def data_facts(path: str, palette: str = "") -> DataFacts:
    """What a folder offers; never raises for what is wrong with it."""
    place = Path(path)
    name = place.name or str(place)
    if place.is_file():
        return DataFacts(path=path, name=name)  # a prepared data set: the training itself looks into it
    try:
        label, color = _side(place, LABEL), _side(place, COLOR)
        both = sorted(set(label.numbers) & set(color.numbers))
        alone = tuple(sorted(set(label.numbers) ^ set(color.numbers)))
        size, shares = _look(place, both, palette) if both else ((0, 0), ())
    except InputError as error:
        return DataFacts(path=path, name=name, trouble=spoken(error))
    return DataFacts(
        path=path,
        name=name,
        frames=len(both),
        size=size,
        alone=alone,
        shares=shares,
        motion=(place / "motion").is_dir(),
        instances=(place / "instance").is_dir(),
    )


def _side(place: Path, side: str) -> FoundSequence:
    if not (place / side).is_dir():
        what = f"{place.name} has no folder {side}"
        raise MissingInputError(
            what, f"put the {'maps' if side == LABEL else 'true frames'} into {side}/", file=str(place)
        )
    return find_sequence(place / side)


def _look(place: Path, numbers: list[int], palette: str) -> tuple[tuple[int, int], tuple[tuple[int, float], ...]]:
    import numpy as np

    from mapreel.core.contract.maps import MapOptions
    from mapreel.core.media.labels import label_reading, read_label_map

    reading = label_reading(MapOptions(palette=palette or None))
    pattern = find_sequence(place / LABEL).pattern
    counts: Counter[int] = Counter()
    size = (0, 0)
    for number in spread(numbers, COUNTED_FRAMES):
        ids = read_label_map(pattern.path(number), frame=number, reading=reading)
        size = (ids.shape[1], ids.shape[0])
        found, pixels = np.unique(ids, return_counts=True)
        counts.update(dict(zip(found.tolist(), pixels.tolist(), strict=True)))
    total = sum(counts.values()) or 1
    return size, tuple((label, count / total) for label, count in counts.most_common())


def spread(numbers: list[int], most: int) -> list[int]:
    """At most so many of the numbers, from all of their length."""
    if len(numbers) <= most:
        return numbers
    return [numbers[round(place * (len(numbers) - 1) / (most - 1))] for place in range(most)]


def class_names(palette: str) -> Mapping[int, str]:
    """Names of the classes of a palette; none where there is no palette."""
    from mapreel.core.media.palettes import load_palette

    return load_palette(palette).names if palette else {}


# -- a training on disk ------------------------------------------------------------------------------------------------


@dataclass
class LogTail:
    """The end of a log that grows: only what is new is read. Steps that were done twice count once, as they were done
    last."""

    path: Path
    offset: int = 0
    rest: bytes = b""
    stamp: tuple[int, int] = (0, 0)

    def read(self) -> tuple[list[dict[str, float]], bool]:
        """New steps, and whether the log was begun anew (then all before is void)."""
        try:
            found = self.path.stat()
        except OSError:
            return [], False
        anew = found.st_size < self.offset or found.st_ino != self.stamp[0] != 0
        if anew:
            self.offset, self.rest = 0, b""
        self.stamp = (found.st_ino, found.st_size)
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(_MOST_BYTES)
        except OSError:
            return [], anew
        self.offset += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [entry for line in lines if (entry := _entry(line)) is not None], anew


def _entry(line: bytes) -> dict[str, float] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or type(entry.get("step")) is not int:
        return None
    return {str(name): float(value) for name, value in entry.items() if isinstance(value, (int, float))}


@dataclass(frozen=True, kw_only=True)
class FolderState:
    """What lies in the folder of a training: sample sheets, oldest first; steps of the checkpoint, -1 for none."""

    samples: tuple[str, ...] = ()
    checkpoint_step: int = -1
    has_model: bool = False
    header: Mapping[str, str] = field(default_factory=dict)


def folder_state(folder: str) -> FolderState:
    """How a training stands on disk."""
    place = Path(folder)
    header = read_header(place / CHECKPOINT_FILE)
    try:
        step = int(header.get("step", -1))
    except ValueError:
        step = -1
    return FolderState(
        samples=tuple(str(path) for path in sorted((place / SAMPLES).glob("step_*.png"))),
        checkpoint_step=step,
        has_model=(place / "model" / MODEL_FILE).is_file(),
        header=header,
    )


def read_header(path: Path) -> dict[str, str]:
    """The text part of a safetensors file; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            told = json.loads(file.read(min(length, LARGEST_HEADER_BYTES)))["__metadata__"]
    except (OSError, ValueError, LookupError, TypeError, struct.error):
        return {}
    return {str(name): str(text) for name, text in told.items()} if isinstance(told, dict) else {}
