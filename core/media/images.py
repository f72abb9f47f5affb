# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour pictures in (PNG, JPEG, EXR), through OpenImageIO; `writers` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.media.exrfile import exr_size, read_exr
from mapreel.core.media.files import (
    bad_header,
    check_size,
    check_suffix,
    damaged,
    file_bytes,
    kind_of,
    limit_openimageio,
    oiio_message,
    read_file,
    read_head,
    unsupported,
)
from mapreel.core.media.pngfile import HEADER_BYTES, PngColor, color_samples, parse_header, parse_png, unpack
from mapreel.core.media.readers import read_apart
from mapreel.core.media.tiffids import Photometric, read_tiff, tiff_header
from mapreel.core.media.writers import write_exr, write_png

__all__ = [
    "picture_size",
    "prove_png",
    "read_color",
    "read_color_float",
    "read_picture",
    "write_exr",
    "write_png",
]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".exr")


@read_apart
def read_color(path: Path, *, frame: int | None = None) -> NDArray[np.uint8]:
    """A display-referred picture [H, W, 3] uint8, sRGB as it stands in the file, from PNG or JPEG.

    Grey is repeated, alpha is dropped (colours stay unassociated), 16 bits are rounded to 8.
    Raises MissingInputError, DamagedFileError, FileTooLargeError, UnsupportedFileError (EXR is scene-linear:
    read_color_float).
    """
    pixels = read_picture(path, frame=frame)
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise unsupported(Path(path), frame, f"has samples of type {pixels.dtype}", "save it with 8 or 16 bits")
    return np.ascontiguousarray(pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, :1].repeat(3, axis=2))


@read_apart
def read_picture(path: Path, *, frame: int | None = None) -> NDArray[Any]:
    """The samples of a PNG, TIFF or JPEG as they stand in the file, [H, W, 1 to 4], alpha unassociated.

    Raises as read_color.
    """
    path = Path(path)
    data = read_file(path, frame)
    kind = kind_of(data)
    if kind == "tiff":
        return _tiff_picture(path, frame)
    if kind == "png":
        png = parse_png(data, path, frame)
        if png.header.color in (PngColor.RGB, PngColor.RGBA) and b"tRNS" not in data:
            check_suffix(path, frame, kind)
            return color_samples(png, path, frame)
        unpack(png, path, frame)
    elif kind == "jpeg":
        _check_jpeg(data, path, frame)
    elif kind == "" and path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        raise damaged(path, frame, f"is called a {path.suffix[1:].upper()} but does not begin like one")
    else:
        raise unsupported(path, frame, "is neither PNG, TIFF nor JPEG", "save it as PNG")
    check_suffix(path, frame, kind)
    return _read_pixels(path, frame)


def _tiff_picture(path: Path, frame: int | None) -> NDArray[Any]:
    """Grey or RGB samples of 8 or 16 bits, with or without alpha."""
    pixels, header = read_tiff(path, frame)
    if header.photometric == Photometric.PALETTE or header.bits not in (8, 16) or pixels.dtype.kind != "u":
        raise unsupported(path, frame, "is no grey or RGB picture of 8 or 16 bits", "save it as such, or as PNG")
    return pixels[:, :, :4]


def prove_png(path: Path, *, frame: int | None = None) -> tuple[int, int]:
    """Height and width of a PNG that reads back whole: every checksum agrees, and its pixels unpack to their full size.

    Raises MissingInputError, DamagedFileError, FileTooLargeError, InputError.
    """
    png = parse_png(read_file(path, frame), path, frame)
    unpack(png, path, frame)
    return png.header.height, png.header.width


@read_apart
def read_color_float(path: Path, *, frame: int | None = None) -> NDArray[np.float32]:
    """A scene-linear picture [H, W, 3] float32 from EXR, values as stored (may exceed 1), in its display window.

    Takes the channels R, G, B (any case) or a single Y, which is repeated. Raises MissingInputError, DamagedFileError
    (also for NaN and infinity), FileTooLargeError, UnsupportedFileError.
    """
    path = Path(path)
    remedy = "save it as EXR with the channels R, G and B"
    color = read_exr(path, frame, lambda channels: _find_color(channels, path, frame), remedy)
    if not np.isfinite(color).all():
        raise damaged(path, frame, "has colours that are no number (NaN or infinite)")
    return color


def _find_color(channels: tuple[str, ...], path: Path, frame: int | None) -> tuple[int, int, int]:
    lower = [name.lower() for name in channels]
    for red, green, blue in (("r", "g", "b"), ("red", "green", "blue"), ("y", "y", "y")):
        if red in lower and green in lower and blue in lower:
            return lower.index(red), lower.index(green), lower.index(blue)
    listed = ", ".join(channels[:8])
    raise unsupported(path, frame, f"has the channels {listed} and no R, G, B", "save it with the channels R, G and B")


def picture_size(path: Path, *, frame: int | None = None) -> tuple[int, int]:
    """Height and width of a PNG, TIFF, JPEG or EXR (its display window) from its header alone.

    Raises MissingInputError, DamagedFileError, FileTooLargeError, UnsupportedFileError.
    """
    path = Path(path)
    head = read_head(path, HEADER_BYTES, frame)
    kind = kind_of(head)
    if kind == "png":
        header = parse_header(head, path, frame)
        payload = file_bytes(path, frame)
        size = (header.width, header.height)
        check_size(path, frame, *size, raw_bytes=header.raw_bytes, channels=header.samples, payload_bytes=payload)
        return header.height, header.width  # 33 bytes: no library looked at them
    return _other_size(path, frame)


@read_apart
def _other_size(path: Path, frame: int | None) -> tuple[int, int]:
    kind = kind_of(read_head(path, HEADER_BYTES, frame))
    if kind == "exr":
        return exr_size(path, frame)
    if kind == "tiff":
        header = tiff_header(read_file(path, frame), path, frame)
        return header.height, header.width
    if kind == "jpeg":
        check_suffix(path, frame, kind)
        source, spec = _open_picture(path, frame)
        source.close()
        return int(spec.height), int(spec.width)
    if kind == "" and path.suffix.lower() in _SUFFIXES:
        raise damaged(path, frame, f"is called a {path.suffix[1:].upper()} but does not begin like one")
    raise unsupported(path, frame, "is neither PNG, TIFF, JPEG nor EXR", "save it as PNG or EXR")


def _read_pixels(path: Path, frame: int | None) -> NDArray[np.generic]:
    source, spec = _open_picture(path, frame)
    try:
        pixels = source.read_image(0, 0, 0, spec.nchannels, "unknown")
        message = oiio_message(source)
    finally:
        source.close()
    if pixels is None or message:
        raise damaged(path, frame, "has damaged pixel data", message)
    return np.asarray(pixels)


def _open_picture(path: Path, frame: int | None) -> tuple[oiio.ImageInput, oiio.ImageSpec]:
    limit_openimageio()
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), config)
    if source is None:
        raise bad_header(path, frame, oiio_message())
    spec = source.spec()
    raw = spec.width * spec.height * spec.nchannels * spec.format.size()
    payload = file_bytes(path, frame)
    try:
        check_size(path, frame, spec.width, spec.height, raw_bytes=raw, channels=spec.nchannels, payload_bytes=payload)
    except BaseException:
        source.close()
        raise
    return source, spec


def _check_jpeg(data: bytes, path: Path, frame: int | None) -> None:
    """libjpeg paints what is missing grey and calls it a warning, so the end marker is looked for here."""
    if b"\xff\xd9" not in data[-4096:]:
        raise damaged(path, frame, f"is cut short after {len(data)} bytes")
