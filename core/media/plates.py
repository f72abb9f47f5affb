# SPDX-License-Identifier: GPL-3.0-or-later
"""Plates at their full depth: 8 and 16-bit PNG and JPEG as whole numbers, EXR scene-linear, with alpha; and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.frames import find_sequence
from mapreel.core.media.exrfile import ExrFacts, exr_facts, exr_spec, read_exr
from mapreel.core.media.files import EXR_MAGIC, damaged, read_head, unsupported
from mapreel.core.media.images import read_picture
from mapreel.core.media.readers import read_apart
from mapreel.core.media.writers import PLAIN, PictureHeader

SCENE_LINEAR = "lin_rec709"  # of an EXR that names no primaries, as OpenEXR says
# x and y of red, green, blue and white: the primaries that a name stands for.
PRIMARIES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "lin_rec709": (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),
        "ACEScg": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
        "ACES2065-1": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.0770, 0.32168, 0.33767),
        "lin_rec2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),
    }
)
_NEAR = 2e-3  # a chromaticity is written with three or four digits


@dataclass(frozen=True, kw_only=True)
class PlateFacts:
    """What a plate says of itself. bits: of its whole numbers, None for scene-linear floats."""

    bits: int | None
    alpha: bool
    colour_space: str
    pixel_aspect: Fraction = field(default_factory=lambda: Fraction(1))
    timecode: str | None = None


@read_apart
def plate_facts(path: Path, *, frame: int | None = None) -> PlateFacts:
    """Depth, alpha and, of an EXR, primaries, pixel aspect ratio and timecode. Raises as read_plate."""
    if _is_exr(path, frame):
        facts = exr_facts(path, frame)
        return PlateFacts(
            bits=None,
            alpha=_find(facts.channels, path, frame)[1],
            colour_space=_space_of(facts),
            pixel_aspect=Fraction(facts.pixel_aspect).limit_denominator(1000),
            timecode=facts.timecode,
        )
    picture = read_picture(path, frame=frame)
    alpha = picture.shape[2] in (2, 4)
    return PlateFacts(bits=8 * picture.dtype.itemsize, alpha=alpha, colour_space="srgb")


@read_apart
def read_plate(path: Path, *, frame: int | None = None) -> NDArray[Any]:
    """A picture [H, W, 3], or [H, W, 4] with alpha: uint8 or uint16 as in a PNG, TIFF or JPEG, float32 of an EXR.

    Grey is repeated; alpha of PNG and TIFF is unassociated, of EXR associated, as their makers write it. Values of an
    EXR may exceed 1 and be negative. Raises MissingInputError, DamagedFileError (also for NaN and infinity),
    FileTooLargeError, UnsupportedFileError.
    """
    path = Path(path)
    if not _is_exr(path, frame):
        picture = read_picture(path, frame=frame)
        if picture.dtype not in (np.uint8, np.uint16):
            raise unsupported(path, frame, f"has samples of type {picture.dtype}", "save it with 8 or 16 bits")
        if picture.shape[2] in (1, 2):
            grey, alpha = picture[:, :, :1].repeat(3, axis=2), picture[:, :, 1:]
            picture = np.concatenate([grey, alpha], axis=2)
        return np.ascontiguousarray(picture[:, :, :4])
    linear = read_exr(path, frame, lambda names: _find(names, path, frame)[0], "save it as EXR with R, G and B")
    if not np.isfinite(linear).all():
        raise damaged(path, frame, "has colours that are no number (NaN or infinite)")
    return linear


def exr_attributes(colour_space: str, pixel_aspect: Fraction, fps: Fraction, timecode: str | None) -> dict[str, Any]:
    """What an EXR says of itself besides its pixels, as `images.write_exr` takes it; unknown primaries are left out."""
    told: dict[str, Any] = {
        "PixelAspectRatio": float(pixel_aspect),
        "FramesPerSecond": (fps.numerator, fps.denominator),
    }
    primaries = PRIMARIES.get(colour_space)
    if primaries is not None:
        told["chromaticities"] = primaries
    if timecode is not None:
        told["smpte:TimeCode"] = timecode
    return told


_OURS = frozenset(
    {
        "compression",
        "chromaticities",
        "colorinteropid",
        "name",
        "view",
        "multiview",
        "type",
        "channels",
        "textureformat",
    }
    | {"wrapmodes", "xmp", "software", "planarconfig", "datawindow", "displaywindow", "tiles", "preview"}
)
"""What an EXR says of its own pixels and packing: of another file's pixels it would be a lie."""


@read_apart
def plate_header(path: Path, *, frame: int | None = None) -> PictureHeader:
    """Metadata and windows of an EXR, for the pictures that are made of it: timecode, rate, pixel aspect ratio, camera
    and whatever else stands there; not its packing, its colours and its Cryptomatte manifests. Raises as read_plate.
    """
    spec = exr_spec(Path(path), frame)
    kept = {}
    for entry in spec.extra_attribs:
        name = entry.name.lower()
        if name not in _OURS and not name.startswith(("oiio:", "openexr:", "cryptomatte/")):
            kept[entry.name] = (entry.type, entry.value)
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    right, bottom = min(left + spec.width, spec.full_width), min(top + spec.height, spec.full_height)
    window = (max(left, 0), max(top, 0), right, bottom)
    whole = window == (0, 0, spec.full_width, spec.full_height)
    empty = window[0] >= right or window[1] >= bottom
    return PictureHeader(
        values=MappingProxyType(kept),
        size=(spec.full_height, spec.full_width),
        origin=(spec.full_x, spec.full_y),
        window=None if whole or empty else window,
    )


class PlateHeaders:
    """What the EXR frames of a job take over of its plates, or of its maps.

    plate: plates as the user wrote them, whose windows are kept, too. maps: where the files of other frames lie; of the
    first that is an EXR the words are kept, but not its data window: of a matte that is where something stands.
    """

    def __init__(self, plate: str | None, maps: Sequence[Callable[[int], Path | None]] = ()) -> None:
        self._plate = find_sequence(plate).pattern.path if plate is not None else None
        self._maps = maps

    def header(self, number: int) -> PictureHeader:
        """Of one frame. Raises as plate_header for plates."""
        if self._plate is not None:
            return plate_header(self._plate(number), frame=number)
        for place in self._maps:
            path = place(number)
            if path is not None and path.suffix.lower() == ".exr" and path.is_file():
                return replace(plate_header(path, frame=number), window=None)
        return PLAIN


def _is_exr(path: Path, frame: int | None) -> bool:
    return read_head(path, 4, frame).startswith(EXR_MAGIC) or path.suffix.lower() == ".exr"


def _space_of(facts: ExrFacts) -> str:
    for name, primaries in PRIMARIES.items():
        if facts.chromaticities is not None and np.allclose(facts.chromaticities, primaries, rtol=0, atol=_NEAR):
            return name
    return SCENE_LINEAR if facts.chromaticities is None else "scene-linear"


def _find(names: tuple[str, ...], path: Path, frame: int | None) -> tuple[tuple[int, ...], bool]:
    """Where the colours stand and, when there is one, alpha; and whether there is."""
    lower = [name.lower() for name in names]
    for colours, alpha in ((("r", "g", "b"), "a"), (("red", "green", "blue"), "alpha"), (("y", "y", "y"), "a")):
        if all(name in lower for name in colours):
            found = tuple(lower.index(name) for name in colours)
            return ((*found, lower.index(alpha)), True) if alpha in lower else (found, False)
    listed = ", ".join(names[:8])
    raise unsupported(path, frame, f"has the channels {listed} and no R, G, B", "save it with the channels R, G and B")
