# SPDX-License-Identifier: GPL-3.0-or-later
"""Width and height of a PNG or EXR, from the first bytes of the file and with the standard library alone.

For estimates only: what is not understood at once is unknown. Source: PNG (ISO/IEC 15948, 5.6, 11.2.2), OpenEXR file
layout (header attributes: name, type, size, value; `dataWindow` is box2i).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 1 << 14
LARGEST_SIDE_PX = 1 << 16
_PNG = b"\x89PNG\r\n\x1a\n"
_EXR = b"\x76\x2f\x31\x01"
_WINDOW = b"dataWindow\0box2i\0" + struct.pack("<i", 16)


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels, None where they are not known."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None
    size = None
    if head.startswith(_PNG) and head[12:16] == b"IHDR" and len(head) >= 24:
        size = struct.unpack(">II", head[16:24])
    elif head.startswith(_EXR):
        at = head.find(_WINDOW) + len(_WINDOW)
        if at >= len(_WINDOW) and len(head) >= at + 16:
            left, top, right, bottom = struct.unpack("<4i", head[at : at + 16])
            size = (right - left + 1, bottom - top + 1)
    if size is None or not all(0 < side <= LARGEST_SIDE_PX for side in size):
        return None
    return int(size[0]), int(size[1])
