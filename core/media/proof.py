# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a written picture to its last byte, as a proof that it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.media.exrfile import read_exr
from mapreel.core.media.files import check_size, damaged, limit_openimageio, oiio_message, read_file
from mapreel.core.media.pngfile import parse_png, unpack

TIFF_SUFFIXES = (".tif", ".tiff")


def prove_picture(path: Path, *, frame: int | None = None) -> NDArray[Any]:
    """All pixels of a PNG, TIFF or EXR [H, W, C], with every checksum that the file has.

    Raises MissingInputError, DamagedFileError, FileTooLargeError, InputError.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return read_exr(path, frame, lambda names: tuple(range(len(names))), "save it as EXR")
    data = read_file(path, frame)
    if suffix == ".png":
        unpack(parse_png(data, path, frame), path, frame)
    return _read(path, frame, len(data))


def _read(path: Path, frame: int | None, payload_bytes: int) -> NDArray[Any]:
    limit_openimageio()
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), config)
    if source is None:
        raise damaged(path, frame, "has a header that cannot be read", oiio_message())
    try:
        spec = source.spec()
        raw = spec.width * spec.height * spec.nchannels * spec.format.size()
        check_size(
            path, frame, spec.width, spec.height, raw_bytes=raw, channels=spec.nchannels, payload_bytes=payload_bytes
        )
        pixels = source.read_image(0, 0, 0, spec.nchannels, "unknown")
        message = oiio_message(source)
    finally:
        source.close()
    if pixels is None or message:
        raise damaged(path, frame, "has damaged pixel data", message)
    return np.asarray(pixels)
