# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures out: PNG, TIFF and EXR, whole or not there, read back before they get their names."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.pictures import FileKind, FileSpec
from mapreel.core.contract.takes import atomic_path
from mapreel.core.media.exrfile import read_exr
from mapreel.core.media.files import limit_openimageio, oiio_message, read_file
from mapreel.core.media.pngfile import parse_png
from mapreel.core.media.pngwriter import png_bytes
from mapreel.core.media.tiffwriter import tiff_bytes

_NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})
PNG_LEVEL = 1
DWA_LEVEL = 45  # OpenEXR's own choice: what it loses is not seen, yet is lost
Values = Mapping[str, Any]
"""What an EXR says of itself: a value, or a pair of an OpenImageIO type and a value."""


@dataclass(frozen=True, kw_only=True)
class PictureHeader:
    """What a picture file says besides its pixels.

    values: of EXR. size: height and width of the plate's display window, origin: x and y of its upper left pixel.
    window: left, top, right and bottom (not in it) of the data window, counted from there; None: all of the display
    window. cicp: what the colours of a PNG are when they are not sRGB; (2, 2, 1) says that they are something else.
    xmp: an XMP packet.
    """

    values: Values = field(default_factory=lambda: _NO_ATTRIBUTES)
    size: tuple[int, int] | None = None
    origin: tuple[int, int] = (0, 0)
    window: tuple[int, int, int, int] | None = None
    cicp: tuple[int, int, int] | None = None
    xmp: bytes = b""
    software: str = ""


PLAIN = PictureHeader()


def write_picture(
    path: Path,
    pixels: NDArray[Any],
    spec: FileSpec,
    header: PictureHeader = PLAIN,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Writes [H, W, 3 or 4] as the file that `spec` asks for, atomically; the same pixels give the same bytes.

    pixels: float32 for EXR (alpha multiplied in), uint8 or uint16 as `spec.bits` says for the others (alpha not
    multiplied in). finish: called with the finished file before it gets its name.
    Raises DiskFullError, OutputError; ValueError for an array that is no such picture.
    """
    path = Path(path)
    if spec.kind is FileKind.EXR:
        _write_exr(path, pixels, ("R", "G", "B", "A")[: pixels.shape[2]], spec.bits == 32, spec.packing, header, finish)
    elif spec.kind is FileKind.PNG:
        _write_png(path, pixels, PNG_LEVEL, header, finish)
    else:
        data = tiff_bytes(pixels, spec.packing, xmp=header.xmp, software=header.software)
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
            if finish is not None:
                finish(temporary)


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], *, level: int = PNG_LEVEL) -> None:
    """Writes [H, W] or [H, W, 1, 3 or 4] uint8 or uint16 as PNG, atomically; the same pixels give the same bytes.

    A fourth channel is alpha, unassociated.
    Raises DiskFullError, OutputError; ValueError for an array that is no picture.
    """
    _write_png(Path(path), pixels, level, PLAIN, None)


def _write_png(
    path: Path, pixels: NDArray[Any], level: int, header: PictureHeader, finish: Callable[[Path], None] | None
) -> None:
    shaped = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if (
        path.suffix.lower() != ".png"
        or shaped.ndim != 3
        or shaped.shape[2] not in (1, 3, 4)
        or shaped.dtype not in (np.uint8, np.uint16)
    ):
        raise ValueError(f"no PNG called {path.name} can hold {pixels.dtype} {pixels.shape}")
    texts = [("XML:com.adobe.xmp", header.xmp), ("Software", header.software.encode())]
    data = png_bytes(shaped, level=level, cicp=header.cicp, texts=[(name, text) for name, text in texts if text])
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        try:
            parse_png(read_file(temporary), temporary)
        except InputError as error:
            _raise_cause(temporary, pixels.nbytes, str(error))
        if finish is not None:
            finish(temporary)


def write_exr(
    path: Path,
    pixels: NDArray[np.floating],
    *,
    channels: tuple[str, ...] = ("R", "G", "B"),
    full: bool = False,
    attributes: Mapping[str, Any] = _NO_ATTRIBUTES,
) -> None:
    """Writes [H, W, C] float, scene-linear, as half-float EXR (ZIP), atomically; the same pixels give the same bytes.

    full: 32 bits in place of half. Values beyond ±65504 become ±65504 in half, which has no more. attributes: see
    plates.exr_attributes. Raises DiskFullError, OutputError; ValueError.
    """
    _write_exr(Path(path), pixels, channels, full, "zip", PictureHeader(values=attributes), None)


def _write_exr(
    path: Path,
    pixels: NDArray[Any],
    channels: tuple[str, ...],
    full: bool,
    packing: str,
    header: PictureHeader,
    finish: Callable[[Path], None] | None,
) -> None:
    if path.suffix.lower() != ".exr" or pixels.ndim != 3 or pixels.shape[2] != len(channels):
        raise ValueError(f"no EXR called {path.name} with the channels {channels} can hold {pixels.shape}")
    height, width, count = pixels.shape
    left, top, right, bottom = header.window or (0, 0, width, height)
    spec = oiio.ImageSpec(right - left, bottom - top, count, "float" if full else "half")
    spec.channelnames = channels
    spec.full_x, spec.full_y = header.origin
    spec.full_width, spec.full_height = width, height
    spec.x, spec.y = header.origin[0] + left, header.origin[1] + top
    spec.attribute("DateTime", "")  # else the clock goes into the file and no two are alike
    for name, value in header.values.items():
        _set_attribute(spec, name, value)
    spec.attribute("compression", f"{packing}:{DWA_LEVEL}" if packing.startswith("dwa") else packing)
    if header.xmp:
        spec.attribute("xmp", header.xmp.decode())
    if header.software:
        spec.attribute("Software", header.software)
    shown = pixels[top:bottom, left:right]
    values = shown.astype(np.float32) if full else np.clip(shown, -65504.0, 65504.0).astype(np.float16)
    _write(path, "openexr", spec, np.ascontiguousarray(values), finish)


def _set_attribute(spec: oiio.ImageSpec, name: str, value: Any) -> None:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], oiio.TypeDesc):
        spec.attribute(name, *value)
    elif name == "chromaticities":
        spec.attribute(name, oiio.TypeDesc("float[8]"), tuple(value))
    elif name == "FramesPerSecond":
        spec.attribute(name, oiio.TypeDesc("rational"), tuple(value))
    elif name == "smpte:TimeCode":  # two hexadecimal digits stand for two decimal ones, bit 6 of the frames for drop
        digits = value.replace(";", ":").split(":")
        packed = int("".join(digits), 16) | (0x40 if ";" in value else 0)
        spec.attribute(name, oiio.TypeDesc("timecode"), (packed, 0))
    else:
        spec.attribute(name, value)


def _write(
    path: Path,
    kind: str,
    spec: oiio.ImageSpec,
    pixels: NDArray[np.generic],
    finish: Callable[[Path], None] | None = None,
) -> None:
    limit_openimageio()
    with atomic_path(path) as temporary:
        message = _save(temporary, kind, spec, pixels)
        if message:
            _raise_cause(temporary, pixels.nbytes, message)
        if finish is not None:
            finish(temporary)


def _save(temporary: Path, kind: str, spec: oiio.ImageSpec, pixels: NDArray[np.generic]) -> str:
    """Writes and reads back; an empty string when all is well.

    OpenImageIO answers "done" on a full disk and only its pending message tells; its last bytes go out unchecked at
    close. So the message is asked for and the file is looked at again.
    """
    target = oiio.ImageOutput.create(kind)
    if target is None:
        return oiio_message()
    done = target.open(str(temporary), spec) and target.write_image(pixels)
    message = oiio_message(target)
    done = target.close() and done
    message = message or oiio_message(target)
    if message or not done:
        return message or "no reason given"
    try:
        read_exr(temporary, None, lambda names: tuple(range(len(names))), "")
    except InputError as error:
        return str(error)
    return ""


def _raise_cause(temporary: Path, size_bytes: int, message: str) -> NoReturn:
    """OpenImageIO hides why a write failed; writing as many bytes ourselves meets the same OSError with its number."""
    with temporary.open("wb") as stream:
        stream.write(bytes(size_bytes + 65536))
        stream.flush()
        os.fsync(stream.fileno())
    raise OSError(errno.EIO, message)
