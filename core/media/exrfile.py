# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the first part of an EXR into its display window, after the header alone has been checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.media.files import (
    EXR_MAGIC,
    check_size,
    damaged,
    limit_openimageio,
    read_head,
    unsupported,
)


@dataclass(frozen=True, kw_only=True)
class ExrPicture:
    """Pixels [H, W, C] float32 of the display window, channel names in the order of C."""

    pixels: NDArray[np.float32]
    channels: tuple[str, ...]


def read_exr(path: Path, frame: int | None, remedy: str) -> ExrPicture:
    """All channels of the first part; where the data window is smaller than the display window the rest is 0.

    remedy: what to do when the file is no EXR. Raises MissingInputError, DamagedFileError, FileTooLargeError,
    UnsupportedFileError (no EXR, or a deep one).
    """
    source = _open(path, frame, remedy)
    try:
        spec = source.spec()
        pixels = source.read_image(0, 0, 0, spec.nchannels, "float")
        message = source.geterror()
    finally:
        source.close()
    if pixels is None or message:
        raise damaged(path, frame, "has damaged pixel data", message)
    return ExrPicture(pixels=_to_display_window(np.asarray(pixels), spec), channels=tuple(spec.channelnames))


def exr_size(path: Path, frame: int | None = None) -> tuple[int, int]:
    """Height and width of the display window, from the header alone; errors as in read_exr."""
    source = _open(path, frame, "save it as EXR")
    spec = source.spec()
    source.close()
    return int(spec.full_height), int(spec.full_width)


def _open(path: Path, frame: int | None, remedy: str) -> oiio.ImageInput:
    limit_openimageio()
    head = read_head(path, 16, frame)
    if not head.startswith(EXR_MAGIC):
        if path.suffix.lower() == ".exr":
            raise damaged(path, frame, "is called an EXR but does not begin like one")
        raise unsupported(path, frame, "is no EXR", remedy)
    source = oiio.ImageInput.open(str(path))
    if source is None:
        message = oiio.geterror()
        raise damaged(path, frame, "has a header that cannot be read", message)
    spec = source.spec()
    try:
        _check(spec, path, frame, remedy)
    except BaseException:
        source.close()
        raise
    return source


def _check(spec: oiio.ImageSpec, path: Path, frame: int | None, remedy: str) -> None:
    sizes = ((spec.width, spec.height), (spec.full_width, spec.full_height))
    for width, height in sizes:
        check_size(
            path,
            frame,
            width,
            height,
            raw_bytes=width * height * spec.pixel_bytes(True),
            channels=spec.nchannels,
            payload_bytes=path.stat().st_size,
        )
    if spec.deep:
        raise unsupported(path, frame, "is a deep EXR", remedy)


def _to_display_window(pixels: NDArray[np.float32], spec: oiio.ImageSpec) -> NDArray[np.float32]:
    window = (spec.full_x, spec.full_y, spec.full_width, spec.full_height)
    if (spec.x, spec.y, spec.width, spec.height) == window:
        return pixels
    shown = np.zeros((spec.full_height, spec.full_width, spec.nchannels), np.float32)
    left, top = max(spec.x, spec.full_x), max(spec.y, spec.full_y)
    right = min(spec.x + spec.width, spec.full_x + spec.full_width)
    bottom = min(spec.y + spec.height, spec.full_y + spec.full_height)
    if left < right and top < bottom:
        target = (slice(top - spec.full_y, bottom - spec.full_y), slice(left - spec.full_x, right - spec.full_x))
        shown[target] = pixels[top - spec.y : bottom - spec.y, left - spec.x : right - spec.x]
    return shown
