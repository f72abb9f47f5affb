# SPDX-License-Identifier: GPL-3.0-or-later
"""Size and kind of a map from its header alone, whatever kind of file it is."""

from __future__ import annotations

from pathlib import Path

from mapreel.core.media.exrlayers import exr_layout
from mapreel.core.media.files import check_size, kind_of, read_file, read_head
from mapreel.core.media.images import picture_size
from mapreel.core.media.pngfile import HEADER_BYTES, parse_header
from mapreel.core.media.readers import read_apart
from mapreel.core.media.tiffids import tiff_header

Form = tuple[str, ...]


def map_header(path: Path, frame: int | None = None) -> tuple[tuple[int, int], Form]:
    """Height and width, and what tells kinds of maps apart (colour type, channels). Raises as `picture_size`."""
    head = read_head(path, HEADER_BYTES, frame)
    if kind_of(head) == "png":  # 33 bytes: no library looks at them
        return picture_size(path, frame=frame), ("png", parse_header(head, path, frame).color.name)
    return _other_header(path, frame)


@read_apart
def _other_header(path: Path, frame: int | None) -> tuple[tuple[int, int], Form]:
    kind = kind_of(read_head(path, HEADER_BYTES, frame))
    if kind == "tiff":
        data = read_file(path, frame)
        header = tiff_header(data, path, frame)
        raw = header.width * header.height * header.samples * max(1, header.bits // 8)
        size = (header.width, header.height)
        check_size(path, frame, *size, raw_bytes=raw, channels=header.samples, payload_bytes=len(data))
        return (header.height, header.width), ("tiff", str(header.photometric), str(header.samples))
    if kind == "exr":
        layout = exr_layout(path, frame)
        return layout.size, ("exr", *(channel.name for channel in layout.channels))
    return picture_size(path, frame=frame), (kind, "")
