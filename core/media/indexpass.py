# SPDX-License-Identifier: GPL-3.0-or-later
"""Index passes of renderers in EXR files: whole numbers kept as floats, halves or uints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import DamagedFileError, UnknownLabelError
from mapreel.core.media.exrlayers import ExrChannel, ExrLayout, read_channels, same_layer
from mapreel.core.media.files import damaged, picture_name

HALF_WHOLE = 2048
"""The largest number up to which a half float holds every whole number."""
LARGEST_ID = 65535
_NAMES = frozenset(
    {
        "indexob", "indexma", "object index", "material index",  # Blender to 4.5, and from 5.0 on
        "id", "ids", "objectid", "object_id", "objid", "materialid", "material_id", "matid", "instanceid",
        "instance_id", "multimatteid", "label", "labels", "index", "segmentation", "semantic", "classid", "class_id",
        "nodeid", "primid", "faceid",
    }
)  # fmt: skip
_PAIRS = (("indexma", "indexob"), ("material index", "object index"))
_FIRST = ("x", "r", "red", "y", "v", "id", "z")


def index_layers(layout: ExrLayout) -> dict[str, list[ExrChannel]]:
    """Layers that hold ids as their names or their kind of numbers say; a file's only channel is one, too."""
    found = {
        name: channels
        for name, channels in layout.layers().items()
        if name.rpartition(".")[2].lower() in _NAMES or all(channel.kind == "uint" for channel in channels)
    }
    plain = layout.layers().get("", [])
    if not found and len(layout.channels) == 1:
        return layout.layers()
    single = [channel for channel in plain if channel.leaf in _NAMES]
    return {**found, **{channel.name: [channel] for channel in single if "" not in found}}


def of_pair(layers: Mapping[str, Sequence[ExrChannel]], *, instances: bool) -> str | None:
    """Of Blender's two index passes in one view layer, as its extension writes them: materials tell the class, objects
    the instance. None where a file has other layers of ids, or more."""
    leaves = {name.rpartition(".")[2].lower(): name for name in layers}
    views = {name.rpartition(".")[0] for name in layers}
    pair = next((pair for pair in _PAIRS if set(pair) == set(leaves)), None)
    if pair is None or len(layers) != len(pair) or len(views) != 1:
        return None
    return leaves[pair[1] if instances else pair[0]]


def choose_layer(layout: ExrLayout, wanted: str) -> list[ExrChannel]:
    """The channels that an artist's word means: a layer, or one channel by its full name; none where there is none."""
    for name, channels in layout.layers().items():
        if name and same_layer(wanted, name):
            return channels
    return [channel for channel in layout.channels if same_layer(wanted, channel.name)][:1]


def read_index(channels: Sequence[ExrChannel], path: Path, frame: int | None) -> NDArray[np.uint16]:
    """Ids [H, W] of one layer; of several equal channels the first is taken.

    Raises DamagedFileError (no number), UnknownLabelError (fractions as soft edges make them, numbers beyond 65535 or
    below 0, more than a half float holds exactly, channels that differ).
    """
    ordered = sorted(
        [channel for channel in channels if channel.leaf not in ("a", "alpha")] or list(channels),
        key=lambda channel: _FIRST.index(channel.leaf) if channel.leaf in _FIRST else len(_FIRST),
    )
    planes = read_channels(path, frame, ordered)
    if any(not np.array_equal(planes[0], plane) for plane in planes[1:]):
        names = ", ".join(channel.name for channel in ordered[:4])
        raise _wrong(path, frame, f"has different values in {names}, so they are no ids", "name one with --layer")
    values = planes[0]
    if not np.isfinite(values).all():
        raise _damaged(path, frame, ordered[0].name)
    broken = values != np.rint(values)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise _wrong(
            path,
            frame,
            f"has {int(broken.sum())} pixels of {ordered[0].name} that are no whole numbers, first at x {column}, "
            f"y {row}: soft edges mix ids",
            "render the index pass without anti-aliasing, or use Cryptomatte",
        )
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > LARGEST_ID:
        raise _wrong(path, frame, f"has ids from {low:g} to {high:g} in {ordered[0].name}", "use ids from 0 to 65535")
    if ordered[0].kind == "half" and high > HALF_WHOLE:
        raise _wrong(
            path,
            frame,
            f"keeps {ordered[0].name} in 16-bit floats, which hold no exact ids above {HALF_WHOLE}",
            "render it with 32 bits",
        )
    return np.asarray(values, np.uint16)


def _wrong(path: Path, frame: int | None, how: str, remedy: str) -> UnknownLabelError:
    return UnknownLabelError(f"{picture_name(path, frame)} {how}", remedy, file=str(path), frame=frame)


def _damaged(path: Path, frame: int | None, name: str) -> DamagedFileError:
    return damaged(path, frame, f"has ids in {name} that are no number (NaN or infinite)")
