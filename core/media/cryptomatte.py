# SPDX-License-Identifier: GPL-3.0-or-later
"""Cryptomatte in EXR files: which names there are, and which one covers most of each pixel.

Source: Cryptomatte specification 1.2.0 (Friedman and Jones, Psyop). Names come from the manifest, embedded or beside
the file; some renderers write names into it as they are, quotes and backslashes and all, which is no JSON any more.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import DamagedFileError, InputError, MissingInputError
from mapreel.core.media.classes import NOTHING, Coded, Entry
from mapreel.core.media.exrlayers import ExrChannel, ExrLayout, read_channels, refuse_lossy, same_layer
from mapreel.core.media.files import damaged, picture_name, read_file, unsupported
from mapreel.core.media.murmur import crypto_id, float_bits

MAX_MANIFEST_CHARS = 64 << 20  # 32 000 names are 2 MB
MAX_NAMES = 1_000_000
_LARGEST_ID = 0xFFFFFFFF
_FIELD = re.compile(r"cryptomatte/([^/]+)/(name|hash|conversion|manifest|manif_file)")
_RANK = re.compile(r"(.*?)([0-9]{2})")
_PLACES = MappingProxyType({"r": 0, "red": 0, "g": 1, "green": 1, "b": 2, "blue": 2, "a": 3, "alpha": 3})
_START = re.compile(r'\s{0,99}[{,]\s{0,99}"')
_END = re.compile(r'"\s{0,9}:\s{0,9}"([0-9a-fA-F]{1,8})"\s{0,9}(?=[,}])')
NO_NAMES: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Cryptomatte:
    """One Cryptomatte of a file, as its header tells. pairs: channels of (id, coverage), rank by rank."""

    name: str
    pairs: tuple[tuple[ExrChannel, ExrChannel], ...]
    hash: str
    conversion: str
    manifest: str | None
    side_car: str | None


def cryptomattes(layout: ExrLayout, path: Path, frame: int | None) -> list[Cryptomatte]:
    """All of a file, in the order of their names. Raises DamagedFileError for one whose ranks are not all there."""
    fields: dict[str, dict[str, str]] = {}
    for attribute, value in layout.texts.items():
        match = _FIELD.fullmatch(attribute)
        if match is not None:
            fields.setdefault(match[1], {})[match[2]] = value
    found = [_described(told, layout, path, frame) for told in fields.values() if told.get("name")]
    return sorted((matte for matte in found if matte is not None), key=lambda matte: matte.name)


def _described(told: dict[str, str], layout: ExrLayout, path: Path, frame: int | None) -> Cryptomatte | None:
    """None for one that the header describes and the file does not hold: a pass that was taken out."""
    ranks: dict[int, dict[int, ExrChannel]] = {}
    for channel in layout.channels:
        rank = _RANK.fullmatch(channel.layer)
        if rank is not None and rank[1] == told["name"] and channel.leaf in _PLACES:
            ranks.setdefault(int(rank[2]), {})[_PLACES[channel.leaf]] = channel
    if not ranks:
        return None
    lost = sorted(set(range(max(ranks) + 1)) - set(ranks))
    if lost:
        raise damaged(path, frame, f"lacks the layer {told['name']}{lost[0]:02d} of its Cryptomatte")
    pairs = []
    for number in sorted(ranks):
        for first in (0, 2):
            pair = ranks[number].get(first), ranks[number].get(first + 1)
            if pair[0] is not None and pair[1] is not None:
                pairs.append((pair[0], pair[1]))
            elif pair[0] is not pair[1] or first == 0:
                raise damaged(path, frame, f"lacks channels of {told['name']}{number:02d}")
    return Cryptomatte(
        name=told["name"],
        pairs=tuple(pairs),
        hash=told.get("hash", ""),
        conversion=told.get("conversion", ""),
        manifest=told.get("manifest"),
        side_car=told.get("manif_file"),
    )


def choose(found: Sequence[Cryptomatte], layer: str, path: Path, frame: int | None) -> Cryptomatte | None:
    """The Cryptomatte that an artist's word means, None for none. Raises InputError for several."""
    fitting = [matte for matte in found if same_layer(layer, matte.name)]
    if len(fitting) > 1:
        raise InputError(
            f"{picture_name(path, frame)} has several Cryptomattes called {layer}",
            f"write --layer {fitting[0].name}, for one",
            file=str(path),
            frame=frame,
        )
    return fitting[0] if fitting else None


def read_cryptomatte(matte: Cryptomatte, path: Path, frame: int | None) -> Coded:
    """Which object covers most of each pixel, as the bits of its id; 0 where that is nothing.

    The rank of the highest coverage wins, the first of equal ones; what no rank covers counts as nothing. Codes whose
    name is not in the manifest are called by eight hexadecimal digits.
    Raises DamagedFileError (no numbers, a broken manifest), UnsupportedFileError (half floats, lossy packing, another
    conversion), MissingInputError (a manifest beside the file that is not there), InputError (one outside its folder).
    """
    ids, coverage = _ranks(matte, path, frame)
    coverage[ids == 0] = 0
    best = coverage.argmax(axis=0)
    most = np.take_along_axis(coverage, best[None], axis=0)[0]
    codes = np.take_along_axis(ids, best[None], axis=0)[0]
    codes[(1.0 - coverage.sum(axis=0) > most) | (most <= 0)] = 0
    return Coded(codes, _Entries(names_of(matte, path, frame)))


class _Entries(dict[int, Entry]):
    """Entries by code, made when asked for: a manifest may hold 32 000 names of which a frame shows ten."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__({0: Entry(NOTHING)})
        self._names = names

    def __missing__(self, code: int) -> Entry:
        entry = self[code] = Entry(self._names.get(code) or f"{code:08x}")
        return entry


def _ranks(matte: Cryptomatte, path: Path, frame: int | None) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Ids as bits and coverages, each [ranks, H, W]."""
    if matte.conversion not in ("", "uint32_to_float32"):
        raise unsupported(
            path, frame, f"has ids made by {matte.conversion[:40]}, which nobody else knows", "use uint32_to_float32"
        )
    channels = [channel for pair in matte.pairs for channel in pair]
    refuse_lossy(channels, path, frame, "Cryptomatte")
    if any(channel.kind != "float" for channel, _ in matte.pairs):
        raise unsupported(
            path, frame, f"keeps {matte.name} in 16 bits, where ids are lost", "render Cryptomatte with 32-bit floats"
        )
    planes = read_channels(path, frame, channels)
    ids = np.stack([plane.view(np.uint32) for plane in planes[0::2]])
    coverage = np.stack([np.asarray(plane, np.float32) for plane in planes[1::2]])
    if not np.isfinite(coverage).all():
        raise damaged(path, frame, f"has coverages in {matte.name} that are no number")
    return ids, coverage


def names_of(matte: Cryptomatte, path: Path, frame: int | None = None) -> Mapping[int, str]:
    """Names by the bits of their ids; none where the file has no manifest. Raises as `read_cryptomatte`."""
    text, where = matte.manifest, path
    if not text and matte.side_car:
        where = _beside(path, matte.side_car, frame)
        text = _decoded(read_file(where, frame))
    if not text:
        return NO_NAMES
    if len(text) > MAX_MANIFEST_CHARS:
        raise damaged(where, frame, f"has a manifest of {len(text) >> 20} MB, more than any shot has names for")
    try:
        return parse_manifest(text)
    except ValueError as error:
        raise damaged(where, frame, "has a Cryptomatte manifest that cannot be read", str(error)) from error


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _beside(path: Path, name: str, frame: int | None) -> Path:
    """The manifest file, which lies in the folder of the EXR or below: a header may not point anywhere else."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    wild = "\0" in name or PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or ".." in parts
    folder = path.parent.resolve()
    found = folder.joinpath(*parts) if parts and not wild else folder
    if wild or not parts or not found.resolve().is_relative_to(folder):
        raise InputError(
            f"{picture_name(path, frame)} looks for its manifest outside its folder ({name[:200]})",
            "put the manifest beside the EXR files and render again",
            file=str(path),
            frame=frame,
        )
    if not found.is_file():
        raise MissingInputError(
            f"the manifest {name[:200]} of {picture_name(path, frame)} is not there",
            "copy it beside the EXR files",
            file=str(found),
            frame=frame,
        )
    return found


@functools.lru_cache(maxsize=8)
def parse_manifest(text: str) -> Mapping[int, str]:
    """Names by the bits of their ids, from JSON or what some renderers write for it.

    Raises ValueError where it is neither, DamagedFileError for more than MAX_NAMES.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        pairs = _raw_pairs(text)
    else:
        if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
            raise ValueError("no object of names and numbers")
        pairs = list(content.items())
        if "\\" in text:  # an escape of JSON, or a backslash of a name: the hash tells
            raw = {}
            with contextlib.suppress(ValueError):  # JSON may be laid out and numbered as it likes
                raw = {int(bits, 16): name for name, bits in _raw_pairs(text)}
            pairs = [(_true_name(name, raw.get(int(bits, 16), name), bits), bits) for name, bits in pairs]
    if len(pairs) > MAX_NAMES:
        raise DamagedFileError(f"a Cryptomatte manifest has {len(pairs)} names", "render the frames again")
    found = {float_bits(int(bits, 16)): name for name, bits in pairs}
    if any(not 0 <= code <= _LARGEST_ID for code in found):
        raise ValueError("a number beyond 32 bits")
    return MappingProxyType(found)


def _raw_pairs(text: str) -> list[tuple[str, str]]:
    """Pairs of names and numbers where the names were written as they are: a name ends before `":"` and 8 digits."""
    found, end = [], 0
    for match in _END.finditer(text):
        start = _START.match(text, end)
        if start is None or start.end() > match.start():
            raise ValueError(f"no name at character {end}")
        found.append((text[start.end() : match.start()], match[1]))
        end = match.end()
    if not found or text[end:].strip() != "}":
        raise ValueError(f"no name and number at character {end}")
    return [(_unescaped(name, bits), bits) for name, bits in found]


def _unescaped(name: str, bits: str) -> str:
    """The name as it stands, unless only without its escapes it has this hash."""
    if "\\" not in name:
        return name
    try:
        plain = str(json.loads(f'"{name}"'))
    except ValueError:
        return name
    return _true_name(plain, name, bits)


def _true_name(name: str, other: str, bits: str) -> str:
    """Whichever of two spellings has the hash; the first where neither has."""
    return other if other != name and crypto_id(other) == float_bits(int(bits, 16)) else name
