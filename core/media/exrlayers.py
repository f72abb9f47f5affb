# SPDX-License-Identifier: GPL-3.0-or-later
"""All channels of an EXR by their full names, whatever part they lie in, and read as they are stored.

A full name is `layer.channel`, as single-part files write it. Parts of multi-part files repeat it, or are called as the
layer and hold plain channels: both become the same here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.media.exrfile import MAX_PARTS, channel_names, check_exr, open_exr, to_display_window
from mapreel.core.media.files import damaged, oiio_message, unsupported

LOSSY = frozenset({"dwaa", "dwab", "b44", "b44a", "pxr24"})
"""Packings that change ids. (PXR24 keeps half and whole numbers, but not the floats that ids come in.)"""
_REMEDY = "give an EXR"
_TYPES = {"uint32": "uint", "uint": "uint", "half": "half", "float": "float"}


@dataclass(frozen=True, kw_only=True)
class ExrChannel:
    """One channel: its full name, where it lies, how its samples are stored (half, float, uint)."""

    name: str
    part: int
    index: int
    kind: str
    packing: str

    @property
    def layer(self) -> str:
        """The full name without its last part; empty for the plain channels of a picture."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The last part of the name, in lower case."""
        return self.name.rpartition(".")[2].lower()


@dataclass(frozen=True, kw_only=True)
class ExrLayout:
    """What an EXR holds. size: height and width of its display window. texts: text attributes of all parts."""

    channels: tuple[ExrChannel, ...]
    size: tuple[int, int]
    texts: Mapping[str, str]

    def layers(self) -> dict[str, list[ExrChannel]]:
        """Channels by layer, in the file's order."""
        found: dict[str, list[ExrChannel]] = {}
        for channel in self.channels:
            found.setdefault(channel.layer, []).append(channel)
        return found


def exr_layout(path: Path, frame: int | None = None) -> ExrLayout:
    """Channels and text attributes from the headers of all parts; errors as in `exrfile.read_exr`."""
    channels: list[ExrChannel] = []
    texts: dict[str, str] = {}
    size = (0, 0)
    with open_exr(path, frame, _REMEDY) as source:
        many = source.seek_subimage(1, 0)
        for part in range(MAX_PARTS):
            if not source.seek_subimage(part, 0):
                break
            spec = source.spec()
            check_exr(spec, path, frame, _REMEDY)
            window = (int(spec.full_height), int(spec.full_width))
            if part and window != size:
                raise damaged(path, frame, "has parts of different display windows")
            size = window
            texts.update(_texts(spec, path, frame))
            channels += _channels(spec, part, many, path, frame)
    return ExrLayout(channels=tuple(channels), size=size, texts=texts)


def _channels(spec: oiio.ImageSpec, part: int, many: bool, path: Path, frame: int | None) -> list[ExrChannel]:
    title = str(spec.getattribute("oiio:subimagename") or "") if many else ""
    formats = list(spec.channelformats) or [spec.format] * spec.nchannels
    packing = str(spec.getattribute("compression") or "none").split(":")[0]
    found = []
    for index, name in enumerate(channel_names(spec, path, frame)):
        full = name if "." in name or not title else f"{title}.{name}"
        kind = _TYPES.get(str(formats[index]), "other")
        found.append(ExrChannel(name=full, part=part, index=index, kind=kind, packing=packing))
    return found


def _texts(spec: oiio.ImageSpec, path: Path, frame: int | None) -> dict[str, str]:
    try:
        return {str(entry.name): entry.value for entry in spec.extra_attribs if isinstance(entry.value, str)}
    except UnicodeDecodeError as error:
        raise damaged(path, frame, "has attributes that are no text", str(error)) from error


def read_channels(path: Path, frame: int | None, channels: Sequence[ExrChannel]) -> list[NDArray[Any]]:
    """Each channel as [H, W] in the display window (0 where it holds no data): uint32 of uint, else float32.

    Raises as `exrfile.read_exr`.
    """
    found: dict[tuple[int, int], NDArray[Any]] = {}
    with open_exr(path, frame, _REMEDY) as source:
        for run in _runs(channels):  # each reading unpacks all channels of its part
            first, last = run[0], run[-1]
            if not source.seek_subimage(first.part, 0):
                raise damaged(path, frame, "has changed while it was read")
            kind = "uint" if first.kind == "uint" else "float"
            pixels = source.read_image(first.part, 0, first.index, last.index + 1, kind)
            message = oiio_message(source)
            if pixels is None or message:
                raise damaged(path, frame, "has damaged pixel data", message)
            shown = to_display_window(pixels, source.spec())
            for channel in run:
                found[channel.part, channel.index] = np.ascontiguousarray(shown[:, :, channel.index - first.index])
    return [found[channel.part, channel.index] for channel in channels]


def _runs(channels: Sequence[ExrChannel]) -> list[list[ExrChannel]]:
    """Channels in the order of the file, those together that lie side by side and hold the same kind of numbers."""
    runs: list[list[ExrChannel]] = []
    for channel in sorted(set(channels), key=lambda channel: (channel.part, channel.index)):
        before = runs[-1][-1] if runs else None
        beside = before is not None and (before.part, before.index + 1) == (channel.part, channel.index)
        if before is not None and beside and (before.kind == "uint") == (channel.kind == "uint"):
            runs[-1].append(channel)
        else:
            runs.append([channel])
    return runs


def refuse_lossy(channels: Sequence[ExrChannel], path: Path, frame: int | None, what: str) -> None:
    """Raises UnsupportedFileError for ids that were packed in a way that changes them, or stored too short."""
    for channel in channels:
        if channel.packing in LOSSY and not (channel.packing == "pxr24" and channel.kind != "float"):
            raise unsupported(
                path, frame, f"packs {what} with {channel.packing.upper()}, which changes ids", "render with ZIP"
            )


def same_layer(wanted: str, layer: str) -> bool:
    """True where an artist's word means a layer: its full name or the end of it, capitals or not."""
    word, name = wanted.lower(), layer.lower()
    return word == name or name.endswith("." + word)
