# SPDX-License-Identifier: GPL-3.0-or-later
"""Packed data sets: a training shot decoded once, in one safetensors file that is mapped into memory and never copied.

Header (all text): `format`, `version`, `task`, `numbers` (the frames as a range), `labels` (ids in the label maps, for
`city`), `canvas` (W x H of the pictures before they were scaled), `motion` (where it comes from). Tensors, T frames:

    color     U8  [T, H, W, 3]  sRGB
    label     U16 [T, H, W]     class ids as in the maps (`city`)
    instance  U16 [T, H, W]     where there are any
    motion    F16 [T, H, W, 2]  px, prev_to_cur, zero in the first frame
    points    F32 [T, N, 3]     landmarks: x and y as shares of the picture, seen 0..1 (`face`, `pose`)
    drawing   U8  [T, H, W, P]  drawn pictures (`face`, `pose`)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import DamagedFileError, InputError, MissingInputError, UsageError, disk_error
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.takes import atomic_path
from mapreel.core.vid2vid.config import TASKS

FORMAT = "mapreel-dataset"
VERSION = 1
SUFFIX = ".safetensors"
LARGEST_HEADER_BYTES = 64 << 20
"""A million frame numbers without any order among them."""
_KINDS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {"color": ("U8", 4), "label": ("U16", 3), "instance": ("U16", 3), "motion": ("F16", 4), "points": ("F32", 3),
     "drawing": ("U8", 4)}
)  # fmt: skip
_TYPES: Mapping[str, type[np.generic]] = MappingProxyType(
    {"U8": np.uint8, "U16": np.uint16, "F16": np.float16, "F32": np.float32}
)


@dataclass(frozen=True)
class PackedShot:
    """An open data set; the arrays are views of the file."""

    path: Path
    task: str
    numbers: tuple[int, ...]
    labels: tuple[int, ...]
    canvas_px: tuple[int, int]  # (H, W)
    arrays: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def size_px(self) -> tuple[int, int]:
        """(H, W) of the pictures."""
        return self.arrays["color"].shape[1], self.arrays["color"].shape[2]


class PackedWriter:
    """Writes a data set frame by frame, so that no more than a frame is in memory; whole or not there.

    Use as a context manager; every frame must be given before it ends.
    """

    def __init__(
        self, path: Path, header: dict[str, str], frame_shapes: dict[str, tuple[int, ...]], frames: int
    ) -> None:
        """frame_shapes: tensor name -> shape of one frame, as the module lists them. Raises OutputError."""
        self._path, self._frames, self._at = path, frames, 0
        self._types = {name: np.dtype(_TYPES[_KINDS[name][0]]) for name in frame_shapes}
        self._bytes = {name: math.prod(shape) * self._types[name].itemsize for name, shape in frame_shapes.items()}
        described: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": str(VERSION), **header}}
        offset = 0
        for name, shape in frame_shapes.items():
            end = offset + frames * self._bytes[name]
            described[name] = {"dtype": _KINDS[name][0], "shape": [frames, *shape], "data_offsets": [offset, end]}
            offset = end
        text = json.dumps(described).encode()
        text += b" " * (-len(text) % 8)
        self._start = 8 + len(text)
        self._offsets = {name: self._start + described[name]["data_offsets"][0] for name in frame_shapes}
        self._shapes = frame_shapes
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise disk_error(exc, path) from exc
        self._atomic = atomic_path(path)
        self._file = self._open(len(text).to_bytes(8, "little") + text)

    def _open(self, head: bytes) -> BinaryIO:
        temporary = self._atomic.__enter__()
        try:
            file = temporary.open("xb")
            file.write(head)
        except OSError as exc:
            self._atomic.__exit__(type(exc), exc, exc.__traceback__)
            raise
        return file

    def add(self, frame: dict[str, NDArray[Any]]) -> None:
        """Every tensor's part of the next frame. Raises OutputError, DiskFullError; ValueError for another shape."""
        for name, array in frame.items():
            if array.shape != self._shapes[name] or name not in self._types:
                raise ValueError(f"{name} is {array.shape} instead of {self._shapes[name]}")
            data = np.ascontiguousarray(array, self._types[name]).tobytes()
            try:
                self._file.seek(self._offsets[name] + self._at * self._bytes[name])
                self._file.write(data)
            except OSError as exc:
                raise disk_error(exc, self._path) from exc
        self._at += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as exc:
            kind, error, trace = kind or type(exc), error or exc, trace or exc.__traceback__
        if error is None and self._at != self._frames:
            error = ValueError(f"{self._at} of {self._frames} frames were given")
            self._atomic.__exit__(type(error), error, None)
            raise error
        self._atomic.__exit__(kind, error, trace)


def is_packed(path: Path) -> bool:
    """True for a file that is called like a packed data set."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def open_packed(path: Path) -> PackedShot:
    """Map a data set into memory; every tensor is compared with the header and with the size of the file.

    Raises:
        MissingInputError: not there.
        DamagedFileError: no data set of ours, cut short, of another version, or its parts do not fit together.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(size - 8, LARGEST_HEADER_BYTES):
                raise _damaged(path, "it is cut short or something else")
            described = json.loads(file.read(length))
        meta = described.pop("__metadata__")
        if meta["format"] != FORMAT:
            raise _damaged(path, f"it says that it is “{meta['format']}”")
        if meta["version"] != str(VERSION):
            raise _damaged(path, f"it has the version {meta['version']} and this Mapreel reads {VERSION}")
        arrays = {name: _mapped(path, name, entry, 8 + length, size) for name, entry in described.items()}
        width, _, height = meta["canvas"].partition("x")
        shot = PackedShot(
            path,
            str(meta["task"]),
            FrameRange.parse(meta["numbers"]).numbers,
            tuple(int(i) for i in json.loads(meta["labels"])),
            (int(height), int(width)),
            MappingProxyType(arrays),
        )
    except FileNotFoundError as exc:
        raise MissingInputError(f"the data set {path} is not there", "check its name", file=str(path)) from exc
    except OSError as exc:
        raise InputError(f"the data set {path} cannot be read ({exc.strerror})", "check its disk") from exc
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, UsageError) as exc:
        if isinstance(exc, DamagedFileError):
            raise
        raise _damaged(path, "its header cannot be read", str(exc)) from exc
    _check(shot)
    return shot


def _mapped(path: Path, name: str, entry: dict[str, Any], start: int, size: int) -> NDArray[Any]:
    kind, dims = _KINDS[name]
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    sane = entry["dtype"] == kind and len(shape) == dims and all(type(n) is int and 0 < n < 1 << 31 for n in shape)
    count = math.prod(shape) * np.dtype(_TYPES[kind]).itemsize
    if not sane or type(begin) is not int or begin < 0 or end - begin != count or start + end > size:
        raise _damaged(path, f"its part “{name}” does not fit the file")
    return np.memmap(path, _TYPES[kind], "r", start + begin, tuple(shape))


def _check(shot: PackedShot) -> None:
    """What the parts must have in common."""
    if shot.task not in TASKS or "color" not in shot.arrays:
        raise _damaged(shot.path, "it lacks its colours or its task")
    maps = {"label"} & set(shot.arrays) if shot.task == "city" else {"points", "drawing"} & set(shot.arrays)
    if len(maps) != 1 or len(set(shot.numbers)) != len(shot.numbers):
        raise _damaged(shot.path, "it lacks its maps")
    for name, array in shot.arrays.items():
        fits = name == "points" or array.shape[1:3] == shot.size_px
        last = {"color": 3, "motion": 2, "points": 3}.get(name, array.shape[-1])
        if len(array) != len(shot) or not fits or array.shape[-1] != last:
            raise _damaged(shot.path, f"its part “{name}” does not fit the others")


def _damaged(path: Path, how: str, detail: str = "") -> DamagedFileError:
    return DamagedFileError(
        f"the data set {path} cannot be used: {how}",
        "make it again with `mapreel train prepare`",
        detail=detail,
        file=str(path),
    )
