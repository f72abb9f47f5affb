# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the memory of a panel that is scrubbed for hours flat: pictures go back to the system when they are let go.

glibc raises the size from which it asks the system for a block of its own up to 32 MB as such blocks are freed; from
then on pictures share its heaps, which only grow (mallopt(3), M_MMAP_THRESHOLD). A size that is set stays.
"""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD = -3  # malloc.h
_OWN_BLOCK_BYTES = 1 << 18


def give_pictures_back() -> bool:
    """Set that size, where the C library is glibc; gives whether it is."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_MMAP_THRESHOLD, _OWN_BLOCK_BYTES))
