# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads channels of an EXR into its display window, after the header alone has been checked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.contract.errors import UnsupportedFileError
from mapreel.core.media.files import (
    EXR_MAGIC,
    bad_header,
    check_size,
    check_suffix,
    damaged,
    file_bytes,
    limit_openimageio,
    oiio_message,
    read_head,
    unsupported,
)

MAX_PARTS = 64  # stereo times layers of a large shot


def read_exr(
    path: Path, frame: int | None, pick: Callable[[tuple[str, ...]], tuple[int, ...]], remedy: str
) -> NDArray[np.float32]:
    """Chosen channels of the first part that has them, [H, W, C] float32; 0 where the display window holds no data.

    pick: gives the indices of the wanted channels, in the wanted order, from the names of all.
    remedy: what to do when the file is no EXR. Raises MissingInputError, DamagedFileError, FileTooLargeError,
    UnsupportedFileError (no EXR, or a deep one), and what `pick` raises.
    """
    refused: UnsupportedFileError | None = None
    with open_exr(path, frame, remedy) as source:
        for part in range(MAX_PARTS):
            if not source.seek_subimage(part, 0):
                break
            check_exr(source.spec(), path, frame, remedy)
            try:
                wanted = pick(channel_names(source.spec(), path, frame))
            except UnsupportedFileError as error:
                refused = refused or error
                continue
            return _read_channels(source, part, wanted, path, frame)
    raise refused or damaged(path, frame, "has no part with pixels")


def _read_channels(
    source: oiio.ImageInput, part: int, wanted: tuple[int, ...], path: Path, frame: int | None
) -> NDArray[np.float32]:
    first, last = min(wanted), max(wanted)
    pixels = source.read_image(part, 0, first, last + 1, "float")
    message = oiio_message(source)
    if pixels is None or message:
        raise damaged(path, frame, "has damaged pixel data", message)
    chosen = tuple(index - first for index in wanted)
    if chosen != tuple(range(last - first + 1)):
        pixels = pixels[:, :, chosen]
    return to_display_window(np.ascontiguousarray(pixels, np.float32), source.spec())


def exr_size(path: Path, frame: int | None = None) -> tuple[int, int]:
    """Height and width of the display window, from the header alone; errors as in read_exr."""
    with open_exr(path, frame, "save it as EXR") as source:
        spec = source.spec()
        return int(spec.full_height), int(spec.full_width)


def exr_spec(path: Path, frame: int | None = None) -> oiio.ImageSpec:
    """All that the header of the first part says, in OpenImageIO's words; errors as in read_exr."""
    with open_exr(path, frame, "save it as EXR") as source:
        return source.spec().copy()


@dataclass(frozen=True, kw_only=True)
class ExrFacts:
    """What the header of an EXR's first part says."""

    channels: tuple[str, ...]
    pixel_aspect: float
    chromaticities: tuple[float, ...] | None  # x and y of red, green, blue and white
    timecode: str | None


def exr_facts(path: Path, frame: int | None = None) -> ExrFacts:
    """Facts of an EXR from its header alone; errors as in read_exr."""
    with open_exr(path, frame, "save it as EXR") as source:
        spec = source.spec()
        aspect = float(spec.get_float_attribute("PixelAspectRatio", 1.0))
        primaries = spec.getattribute("chromaticities")
        return ExrFacts(
            channels=channel_names(spec, path, frame),
            pixel_aspect=aspect if 0.01 <= aspect <= 100 else 1.0,
            chromaticities=tuple(map(float, primaries)) if isinstance(primaries, tuple) else None,
            timecode=_timecode(spec.getattribute("smpte:TimeCode")),
        )


def _timecode(stored: object) -> str | None:
    """SMPTE 12M as OpenEXR packs it: a decimal digit in four bits each, bit 6 says drop frame (OpenImageIO forgets)."""
    if not isinstance(stored, tuple) or not stored:
        return None
    packed = int(stored[0])
    hours, minutes, seconds, frames = packed >> 24 & 0x3F, packed >> 16 & 0x7F, packed >> 8 & 0x7F, packed & 0x3F
    mark = ";" if packed & 0x40 else ":"
    digits = (hours, minutes, seconds, frames)
    sound = all(value & 15 < 10 for value in digits) and hours < 0x24 and minutes < 0x60 and seconds < 0x60
    return f"{hours:02x}:{minutes:02x}:{seconds:02x}{mark}{frames:02x}" if sound else None


@contextlib.contextmanager
def open_exr(path: Path, frame: int | None, remedy: str) -> Iterator[oiio.ImageInput]:
    """An EXR whose first part was checked, closed at the end; errors as in read_exr."""
    limit_openimageio()
    head = read_head(path, 16, frame)
    if not head.startswith(EXR_MAGIC):
        if path.suffix.lower() == ".exr":
            raise damaged(path, frame, "is called an EXR but does not begin like one")
        raise unsupported(path, frame, "is no EXR", remedy)
    check_suffix(path, frame, "exr")
    source = oiio.ImageInput.open(str(path))
    if source is None:
        raise bad_header(path, frame, oiio_message())
    try:
        check_exr(source.spec(), path, frame, remedy)
        yield source
    finally:
        oiio_message(source)
        source.close()


def check_exr(spec: oiio.ImageSpec, path: Path, frame: int | None, remedy: str) -> None:
    """Refuses a part that is deep or claims more than we take, from its header alone; errors as in read_exr."""
    raw_bytes = spec.width * spec.height * spec.pixel_bytes(True)
    channels = spec.nchannels
    payload = file_bytes(path, frame)
    check_size(path, frame, spec.width, spec.height, raw_bytes=raw_bytes, channels=channels, payload_bytes=payload)
    # The display window may be large around a tiny data window, as renderers write empty mattes: that is no lie.
    check_size(path, frame, spec.full_width, spec.full_height, raw_bytes=0, channels=channels, payload_bytes=payload)
    if spec.deep:
        raise unsupported(path, frame, "is a deep EXR", remedy)


def channel_names(spec: oiio.ImageSpec, path: Path, frame: int | None) -> tuple[str, ...]:
    """Names of a part's channels as they stand in the file. Raises DamagedFileError for what is no text."""
    try:
        return tuple(str(name) for name in spec.channelnames)
    except UnicodeDecodeError as error:
        raise damaged(path, frame, "has channel names that are no text", str(error)) from error


def to_display_window(pixels: NDArray[Any], spec: oiio.ImageSpec) -> NDArray[Any]:
    """Pixels [h, w, C] of the data window placed in the display window [H, W, C]; 0 where there are none."""
    window = (spec.full_x, spec.full_y, spec.full_width, spec.full_height)
    if (spec.x, spec.y, spec.width, spec.height) == window:
        return pixels
    shown = np.zeros((spec.full_height, spec.full_width, pixels.shape[2]), pixels.dtype)
    left, top = max(spec.x, spec.full_x), max(spec.y, spec.full_y)
    right = min(spec.x + spec.width, spec.full_x + spec.full_width)
    bottom = min(spec.y + spec.height, spec.full_y + spec.full_height)
    if left < right and top < bottom:
        target = (slice(top - spec.full_y, bottom - spec.full_y), slice(left - spec.full_x, right - spec.full_x))
        shown[target] = pixels[top - spec.y : bottom - spec.y, left - spec.x : right - spec.x]
    return shown
