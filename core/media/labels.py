# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads label maps and instance maps as exact integers: never filtered, scaled or colour-managed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import UnknownLabelError
from mapreel.core.media.files import damaged, kind_of, picture_name, read_file, unsupported
from mapreel.core.media.pngfile import PngColor, integer_samples, parse_png


def read_label_map(path: Path, *, frame: int | None = None) -> NDArray[np.uint16]:
    """Class ids [H, W] uint16 of one label map, exactly the integers in the file.

    Takes PNG: grey of 1, 2, 4, 8 or 16 bits, or indexed (the palette indices are the ids, its colours mean nothing).
    Raises MissingInputError, DamagedFileError, FileTooLargeError, UnsupportedFileError (no PNG), UnknownLabelError (a
    picture with colours or alpha, whose ids nobody can know).
    """
    return _read_ids(Path(path), frame, "label map")


def read_instance_map(path: Path, *, frame: int | None = None) -> NDArray[np.uint16]:
    """Instance ids [H, W] uint16 of one instance map; files and errors as in read_label_map."""
    return _read_ids(Path(path), frame, "instance map")


def instance_edges(instance: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """Edge map [H, W] bool: true where a pixel's instance id differs from any of its 4 neighbours.

    Source: the boundary map of pix2pixHD (Wang et al. 2018, section 3.3).
    """
    edges = np.zeros(instance.shape, np.bool_)
    across = instance[:, 1:] != instance[:, :-1]
    down = instance[1:, :] != instance[:-1, :]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:, :] |= down
    edges[:-1, :] |= down
    return edges


def _read_ids(path: Path, frame: int | None, what: str) -> NDArray[np.uint16]:
    data = read_file(path, frame)
    kind = kind_of(data)
    if kind != "png":
        if kind == "" and path.suffix.lower() == ".png":
            raise damaged(path, frame, "is called a PNG but does not begin like one")
        raise unsupported(
            path, frame, f"is no PNG, so it is no {what}", "save the ids as 8 or 16 bit grey or indexed PNG"
        )
    png = parse_png(data, path, frame)
    if png.header.color not in (PngColor.GREY, PngColor.INDEXED):
        raise UnknownLabelError(
            f"{picture_name(path, frame)} is a colour picture, so its class ids are unknown",
            "save the ids themselves as 8 or 16 bit grey or indexed PNG",
            file=str(path),
            frame=frame,
        )
    return integer_samples(png, path, frame).astype(np.uint16, copy=False)
