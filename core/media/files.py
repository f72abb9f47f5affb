# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens files given by the artist within limits; every refusal is one sentence that names file and frame."""

from __future__ import annotations

import errno
import functools
import os
import stat
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import OpenImageIO as oiio  # noqa: N813  # the library's own habit

from mapreel.core.contract.errors import (
    DamagedFileError,
    FileTooLargeError,
    InputError,
    MissingInputError,
    UnsupportedFileError,
)

MAX_SIDE_PX = 32768  # the widest plate seen in practice is 16 k; twice that is no picture of ours
MAX_PIXELS = 1 << 27  # 16384 x 8192
MAX_IMAGE_MB = 2048  # decoded pixels of one picture, all channels
MAX_CHANNELS = 256  # a layered EXR of a film shot has under 200
MAX_FILE_BYTES = 1 << 30  # one compressed picture
DEFLATE_RATIO = 1032  # zlib cannot pack tighter: RFC 1951 gives at most 258 bytes for two bits

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
EXR_MAGIC = b"\x76\x2f\x31\x01"
JPEG_MAGIC = b"\xff\xd8\xff"
_MAGICS = (
    (PNG_MAGIC, "png"),
    (EXR_MAGIC, "exr"),
    (JPEG_MAGIC, "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "bigtiff"),
    (b"MM\0+", "bigtiff"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"SDPX", "dpx"),
    (b"XPDS", "dpx"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"PK\x03\x04", "zip"),
    (b"%PDF", "pdf"),
)
_SUFFIXES = MappingProxyType({"png": (".png",), "jpeg": (".jpg", ".jpeg"), "exr": (".exr",), "tiff": (".tif", ".tiff")})


def picture_name(path: Path, frame: int | None) -> str:
    """How errors call a picture: `frame 12 (label/0012.png)`, or `label/0012.png` where no frame number is known."""
    short = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
    return short if frame is None else f"frame {frame} ({short})"


def read_file(path: Path, frame: int | None = None) -> bytes:
    """All bytes of one picture file, at most MAX_FILE_BYTES.

    Raises MissingInputError (not there), InputError (a folder, not readable), FileTooLargeError, DamagedFileError
    (empty).
    """
    name = picture_name(path, frame)
    try:
        with _open_regular(path, frame) as stream:
            size = os.fstat(stream.fileno()).st_size  # read(n) claims n bytes of memory, however small the file
            data = stream.read(min(size, MAX_FILE_BYTES) + 1)
    except FileNotFoundError as error:
        raise MissingInputError(
            f"{name} is not there", "check the path or render the frame again", file=str(path), frame=frame
        ) from error
    except IsADirectoryError as error:
        raise InputError(
            f"{name} is a folder, a picture is needed", "name the picture", file=str(path), frame=frame
        ) from error
    except PermissionError as error:
        raise InputError(
            f"{name} may not be read", "ask its owner for the right to read it", file=str(path), frame=frame
        ) from error
    except OSError as error:
        raise InputError(
            f"{name} cannot be read from its disk",
            "check the disk or the network share and try again",
            detail=str(error),
            file=str(path),
            frame=frame,
        ) from error
    if not data:
        raise damaged(path, frame, "has no content at all (0 bytes)")
    if len(data) > MAX_FILE_BYTES:
        raise FileTooLargeError(
            f"{name} is larger than {MAX_FILE_BYTES >> 20} MB",
            "give one picture for each frame",
            file=str(path),
            frame=frame,
        )
    return data


def _open_regular(path: Path, frame: int | None) -> BinaryIO:
    """A file that can be read to its end: a pipe or a device may never have one, and opening it may wait for ever.

    Raises OSError, InputError.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder", str(path))
    raise InputError(
        f"{picture_name(path, frame)} is a pipe or a device, a picture is needed",
        "name a file",
        file=str(path),
        frame=frame,
    )


def read_head(path: Path, count: int, frame: int | None = None) -> bytes:
    """The first `count` bytes; the same errors as read_file."""
    try:
        with _open_regular(path, frame) as stream:
            head = stream.read(count)
    except OSError:
        return read_file(path, frame)[:count]
    return head or read_file(path, frame)


def file_bytes(path: Path, frame: int | None = None) -> int:
    """How large a file is; one that has vanished meanwhile raises as in read_file."""
    try:
        return path.stat().st_size
    except OSError:
        return len(read_file(path, frame))


def damaged(path: Path, frame: int | None, how: str, detail: str = "") -> DamagedFileError:
    """The error for a file that is broken or lies about itself; `how` completes the sentence after the file's name."""
    return DamagedFileError(
        f"{picture_name(path, frame)} {how}",
        "render or copy it again",
        detail=detail,
        file=str(path),
        frame=frame,
    )


def bad_header(path: Path, frame: int | None, message: str) -> InputError:
    """The error for a picture that OpenImageIO does not open, by what it says."""
    if "limits:" not in message:
        return damaged(path, frame, "has a header that cannot be read", message)
    return FileTooLargeError(
        f"{picture_name(path, frame)} claims to be larger than Mapreel takes",
        f"make it smaller, at most {MAX_IMAGE_MB} MB of pixels, or render it again",
        detail=message,
        file=str(path),
        frame=frame,
    )


def unsupported(path: Path, frame: int | None, how: str, remedy: str) -> UnsupportedFileError:
    """The error for a sound file of a kind that this place cannot take."""
    return UnsupportedFileError(f"{picture_name(path, frame)} {how}", remedy, file=str(path), frame=frame)


def kind_of(head: bytes) -> str:
    """What the first bytes say a file is: png, exr, jpeg …, or an empty string when they say nothing we know."""
    if head[4:8] == b"ftyp":
        return "mp4"
    return next((kind for magic, kind in _MAGICS if head.startswith(magic)), "")


def check_suffix(path: Path, frame: int | None, kind: str) -> None:
    """OpenImageIO chooses the reader by the name, so a name that lies is told here. Raises UnsupportedFileError."""
    if path.suffix.lower() not in _SUFFIXES[kind]:
        right = _SUFFIXES[kind][0]
        raise unsupported(
            path, frame, f"is {kind.upper()} by its content but not by its name", f"let it end in {right}"
        )


def check_size(
    path: Path, frame: int | None, width: int, height: int, *, raw_bytes: int, channels: int, payload_bytes: int
) -> None:
    """Refuses a picture whose header claims more than we take, before any pixel is read.

    raw_bytes: what the pixels fill when decoded; payload_bytes: what the file holds. A claim that no packing could keep
    is a lie.
    Raises DamagedFileError (impossible or lying size), FileTooLargeError (possible, beyond the limits).
    """
    if width < 1 or height < 1 or channels < 1:
        raise damaged(path, frame, f"has an impossible size ({width}x{height}, {channels} channels)")
    if raw_bytes > payload_bytes * DEFLATE_RATIO + 65536:
        raise damaged(path, frame, f"claims {width}x{height} pixels but holds only {payload_bytes} bytes")
    too_many = width > MAX_SIDE_PX or height > MAX_SIDE_PX or width * height > MAX_PIXELS or channels > MAX_CHANNELS
    if too_many or raw_bytes > MAX_IMAGE_MB << 20:
        raise FileTooLargeError(
            f"{picture_name(path, frame)} is {width}x{height} with {channels} channels, more than Mapreel takes",
            f"make it smaller, at most {MAX_SIDE_PX} pixels a side and {MAX_PIXELS >> 20} million pixels",
            file=str(path),
            frame=frame,
        )


def oiio_message(speaker: oiio.ImageInput | oiio.ImageOutput | None = None) -> str:
    """OpenImageIO's pending message, which must be fetched or it is printed at exit; names in it may be no text."""
    try:
        return str(speaker.geterror() if speaker is not None else oiio.geterror())
    except UnicodeDecodeError:
        return "the file has names that are no text"


@functools.cache
def limit_openimageio() -> None:
    """Sets OpenImageIO's limits of this process; called before each use, works once.

    Threads: one for each call, because frames are read by one thread while another computes.
    """
    oiio.attribute("limits:imagesize_MB", MAX_IMAGE_MB)
    oiio.attribute("limits:channels", MAX_CHANNELS)
    oiio.attribute("limits:resolution", MAX_SIDE_PX)
    oiio.attribute("try_all_readers", 0)
    oiio.attribute("threads", 1)
    oiio.attribute("exr_threads", 1)
