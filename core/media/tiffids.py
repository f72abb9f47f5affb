# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads whole numbers, palette indices and exact colours out of TIFF files.

OpenImageIO turns palette indices into colours, scales 1, 2 and 4 bits up to 8 and inverts what counts white as 0. So
the header is read here (TIFF 6.0, section 2), and palette files are handed on with the tag that says "palette"
exchanged for the one that says "grey": strips and tiles hold the same indices either way.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.contract.errors import UnknownLabelError
from mapreel.core.media.files import (
    check_size,
    check_suffix,
    damaged,
    limit_openimageio,
    oiio_message,
    picture_name,
    read_file,
    unsupported,
)

MAX_TAGS = 4096
_WIDTH, _HEIGHT, _BITS, _PACKING, _PHOTOMETRIC, _SAMPLES, _COLORS, _SUBFILE = 256, 257, 258, 259, 262, 277, 320, 254
_SHORT, _LONG = 3, 4
_JPEG = (6, 7, 34933, 34934)  # old and new JPEG, and others that lose
_REMEDY = "save the ids as 8 or 16 bit grey PNG or TIFF"


class Photometric(IntEnum):
    """What samples mean (TIFF 6.0, PhotometricInterpretation); other values are not read."""

    WHITE_IS_ZERO = 0
    BLACK_IS_ZERO = 1
    RGB = 2
    PALETTE = 3


@dataclass(frozen=True, kw_only=True)
class TiffHeader:
    """The first page. places: where in the file each tag's value field lies. pages: how many full pages there are."""

    width: int
    height: int
    bits: int
    samples: int
    photometric: int
    packing: int
    pages: int
    order: str
    places: Mapping[int, int]
    colors: tuple[int, ...]  # of a palette: all red, all green, all blue, 16 bit each


def tiff_header(data: bytes, path: Path, frame: int | None = None) -> TiffHeader:
    """The header of a whole file in memory. Raises DamagedFileError, UnsupportedFileError (channels of several depths).

    A BigTIFF is no such file, and never comes here: see `files.kind_of`.
    """
    order = "<" if data[:2] == b"II" else ">"
    try:
        (first,) = struct.unpack_from(order + "I", data, 4)
        tags, places, following = _tags(data, order, first)
        pages = 1 + _more_pages(data, order, following)
    except struct.error as error:
        raise damaged(path, frame, "is cut short or has a broken header", str(error)) from error
    if not tags.get(_WIDTH) or not tags.get(_HEIGHT):
        raise damaged(path, frame, "has no size in its header")
    bits = tags.get(_BITS, (1,))
    if len(set(bits)) != 1:
        raise unsupported(path, frame, "has channels of different depth", _REMEDY)
    return TiffHeader(
        width=tags[_WIDTH][0],
        height=tags[_HEIGHT][0],
        bits=bits[0],
        samples=tags.get(_SAMPLES, (1,))[0],
        photometric=tags.get(_PHOTOMETRIC, (Photometric.BLACK_IS_ZERO,))[0],
        packing=tags.get(_PACKING, (1,))[0],
        pages=pages,
        order=order,
        places=places,
        colors=tags.get(_COLORS, ()),
    )


def _tags(data: bytes, order: str, at: int) -> tuple[dict[int, tuple[int, ...]], dict[int, int], int]:
    """Whole-number tags of the directory at a place, where their value fields lie, and where the next one is."""
    (count,) = struct.unpack_from(order + "H", data, at)
    if count > MAX_TAGS:
        raise struct.error("too many tags")
    tags, places = {}, {}
    for index in range(count):
        tag, kind, length, value = struct.unpack_from(order + "HHII", data, at + 2 + 12 * index)
        places[tag] = at + 2 + 12 * index + 8
        if kind in (_SHORT, _LONG) and 0 < length <= 3 << 16:
            letter, size = ("H", 2) if kind == _SHORT else ("I", 4)
            start = places[tag] if length * size <= 4 else value
            tags[tag] = struct.unpack_from(f"{order}{length}{letter}", data, start)
    (following,) = struct.unpack_from(order + "I", data, at + 2 + 12 * count)
    return tags, places, following


def _more_pages(data: bytes, order: str, at: int) -> int:
    """Pages after the first that are no smaller copies or masks of it."""
    seen: set[int] = set()
    count = 0
    while at and at not in seen and len(seen) < MAX_TAGS:
        seen.add(at)
        tags, _, at = _tags(data, order, at)
        count += not tags.get(_SUBFILE, (0,))[0] & 5
    return count


def read_tiff(path: Path, frame: int | None = None) -> tuple[NDArray[Any], TiffHeader]:
    """Samples [H, W, C] exactly as stored, and the header. Indices and few bits are whole numbers, uint8.

    Raises MissingInputError, DamagedFileError, FileTooLargeError, UnsupportedFileError (lossy, several pages, white as
    0, CMYK and the like).
    """
    data = read_file(path, frame)
    header = tiff_header(data, path, frame)
    _check(header, data, path, frame)
    if header.photometric == Photometric.PALETTE:
        at = header.places[_PHOTOMETRIC]
        data = data[:at] + struct.pack(header.order + "HH", Photometric.BLACK_IS_ZERO, 0) + data[at + 4 :]
        pixels = _decoded_grey(data, path, frame)
    else:
        pixels = _decoded(path, frame)
    if pixels.shape[:2] != (header.height, header.width) or pixels.shape[2] != header.samples:
        raise damaged(path, frame, "has pixel data of another shape than its header says")
    if header.bits < 8:  # the library spread them over 0..255
        pixels = (pixels // (255 // ((1 << header.bits) - 1))).astype(np.uint8)
    return pixels, header


def _check(header: TiffHeader, data: bytes, path: Path, frame: int | None) -> None:
    raw = header.width * header.height * header.samples * max(1, header.bits // 8)
    size = (header.width, header.height)
    check_size(path, frame, *size, raw_bytes=raw, channels=header.samples, payload_bytes=len(data))
    if header.packing in _JPEG:
        raise unsupported(path, frame, "is packed as JPEG, which has changed its ids", _REMEDY)
    if header.pages > 1:
        raise unsupported(path, frame, f"has {header.pages} pages", "save one picture for each frame")
    if header.photometric == Photometric.WHITE_IS_ZERO:
        raise unsupported(path, frame, "counts white as 0, so its ids may be meant upside down", "save black as 0")
    if header.photometric not in (Photometric.BLACK_IS_ZERO, Photometric.RGB, Photometric.PALETTE):
        raise unsupported(path, frame, "is neither grey, indexed nor RGB", _REMEDY)
    depths = (8, 16) if header.photometric == Photometric.PALETTE else (1, 2, 4, 8, 16, 32)
    if header.bits not in depths:
        raise unsupported(path, frame, f"has {header.bits} bits a sample", _REMEDY)


def _decoded(path: Path, frame: int | None) -> NDArray[Any]:
    limit_openimageio()
    check_suffix(path, frame, "tiff")
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), config)
    if source is None:
        raise damaged(path, frame, "has a header that cannot be read", oiio_message())
    try:
        pixels = source.read_image(0, 0, 0, source.spec().nchannels, "unknown")
        message = oiio_message(source)
    finally:
        source.close()
    if pixels is None or message:
        raise damaged(path, frame, "has damaged pixel data", message)
    return np.asarray(pixels)


def _decoded_grey(data: bytes, path: Path, frame: int | None) -> NDArray[Any]:
    """OpenImageIO takes no file from memory in Python; OpenCV does, and reads the same libtiff."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # sizes that it does not take
        raise damaged(path, frame, "has pixel data that cannot be decoded", str(error)) from error
    if pixels is None or pixels.ndim != 2:
        raise damaged(path, frame, "has pixel data that cannot be decoded")
    return pixels[:, :, None]


def tiff_ids(pixels: NDArray[Any], header: TiffHeader, path: Path, frame: int | None) -> NDArray[np.uint16]:
    """Ids [H, W] of grey or indexed samples. Raises UnknownLabelError for what is no id from 0 to 65535."""
    values = pixels[:, :, 0]
    if header.bits == 32 and values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise _wrong(path, frame, "has values that are no whole numbers", _REMEDY)
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise _wrong(path, frame, f"has ids from {low:g} to {high:g}", "use ids from 0 to 65535")
    return np.asarray(values, np.uint16)


def _wrong(path: Path, frame: int | None, how: str, remedy: str) -> UnknownLabelError:
    return UnknownLabelError(f"{picture_name(path, frame)} {how}", remedy, file=str(path), frame=frame)
