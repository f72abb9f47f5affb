# SPDX-License-Identifier: Apache-2.0
"""What files a take is made of: kind, bits a channel and packing, from the output's name and what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.takes import is_file_take

if TYPE_CHECKING:
    from pathlib import Path


class FileKind(str, Enum):
    """The files we write: pictures, one for each frame, and movies."""

    PNG = "png"
    TIFF = "tiff"
    EXR = "exr"
    H264 = "h264"
    H265 = "h265"
    PRORES = "prores"
    FFV1 = "ffv1"


MOVIES = frozenset({FileKind.H264, FileKind.H265, FileKind.PRORES, FileKind.FFV1})
_NAMES = {
    "png": "PNG",
    "tiff": "TIFF",
    "exr": "EXR",
    "h264": "H.264",
    "h265": "H.265",
    "prores": "ProRes",
    "ffv1": "FFV1",
}
_SUFFIXES = {FileKind.PNG: ".png", FileKind.TIFF: ".tif", FileKind.EXR: ".exr"}
_CONTAINERS = {  # the first is what the ending alone means
    ".mp4": (FileKind.H264, FileKind.H265),
    ".m4v": (FileKind.H264, FileKind.H265),
    ".mov": (FileKind.PRORES, FileKind.H264, FileKind.H265),
    ".mkv": (FileKind.FFV1, FileKind.H264, FileKind.H265),
}
_BITS = {  # the first is what is written when nothing is said; of EXR 16 is half and 32 is float
    FileKind.PNG: (8, 16),
    FileKind.TIFF: (8, 16),
    FileKind.EXR: (16, 32),
    FileKind.H264: (8, 10),
    FileKind.H265: (8, 10),
    FileKind.PRORES: (10,),
    FileKind.FFV1: (8, 10, 12, 16),
}
_PACKINGS = {
    FileKind.EXR: ("zip", "zips", "piz", "rle", "none", "dwaa", "dwab"),
    FileKind.TIFF: ("zip", "none"),
    FileKind.PRORES: ("hq", "proxy", "lt", "standard", "4444", "4444xq"),
}
_SHORT = {"png16": ("png", 16), "exr32": ("exr", 32)}


@dataclass(frozen=True)
class FileSpec:
    """Kind of file, bits a channel (of EXR 16 is half, 32 float), packing (empty where there is no choice), ending."""

    kind: FileKind
    bits: int
    packing: str
    suffix: str

    @property
    def is_movie(self) -> bool:
        return self.kind in MOVIES

    @property
    def name(self) -> str:
        """As people write it."""
        return _NAMES[self.kind.value]


def file_spec(
    out: Path, word: str, bits: int | None = None, packing: str | None = None, *, deep: int | None = None
) -> FileSpec:
    """The files that `out` shall be: a name that ends like a movie is one, everything else a folder of pictures.

    word: a FileKind, png16, exr32 or auto; png and auto leave a movie to its ending. deep: bits of the source, which
    TIFF and FFV1 keep where nothing is asked for. Raises UsageError for what cannot be in such a file.
    """
    word, short = _SHORT.get(word, (word, None))
    if short is not None and bits not in (None, short):
        raise UsageError(f"{word}{short} has {short} bits, not {bits}", "leave out one of --format and --bits")
    kind, suffix = _movie_kind(out, word) if is_file_take(out) else _picture_kind(word)
    return FileSpec(kind, _checked_bits(kind, bits or short, deep), _checked_packing(kind, packing), suffix)


def _movie_kind(out: Path, word: str) -> tuple[FileKind, str]:
    suffix = out.suffix.lower()
    held = _CONTAINERS.get(suffix)
    if held is None:
        raise UsageError(f"{out.name} would be no movie and no folder", "name a folder, or name.mp4, .mov or .mkv")
    if word in ("auto", "png"):
        return held[0], suffix
    kind = FileKind(word)
    if kind not in MOVIES:
        raise UsageError(f"a movie cannot hold {_NAMES[word]} frames", "name a folder or leave out --format")
    if kind not in held:
        fitting = next(ending for ending, kinds in _CONTAINERS.items() if kind in kinds)
        raise UsageError(f"{_NAMES[word]} is not written into {suffix}", f"name the output with the ending {fitting}")
    return kind, suffix


def _picture_kind(word: str) -> tuple[FileKind, str]:
    kind = FileKind.PNG if word == "auto" else FileKind(word)
    if kind in MOVIES:
        fitting = next(ending for ending, kinds in _CONTAINERS.items() if kind in kinds)
        raise UsageError(f"{_NAMES[word]} is a movie and the output a folder", f"name the output name{fitting}")
    return kind, _SUFFIXES[kind]


def _checked_bits(kind: FileKind, asked: int | None, deep: int | None) -> int:
    known = _BITS[kind]
    if asked is None:
        keeps = kind in (FileKind.TIFF, FileKind.FFV1) and deep is not None
        return min((bits for bits in known if bits >= (deep or 8)), default=known[-1]) if keeps else known[0]
    if asked not in known:
        listed = " or ".join(map(str, known)) + (" (half or float)" if kind is FileKind.EXR else "")
        raise UsageError(f"{_NAMES[kind.value]} is not written with {asked} bits", f"use --bits {listed}")
    return asked


def _checked_packing(kind: FileKind, asked: str | None) -> str:
    known = _PACKINGS.get(kind, ())
    if asked is None:
        return known[0] if known else ""
    if asked not in known:
        remedy = f"use one of {', '.join(known)}" if known else "leave --compression out"
        raise UsageError(f"{_NAMES[kind.value]} has no compression called {asked[:20]}", remedy)
    return asked
