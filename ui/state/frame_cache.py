# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames in memory, as many as fit; what was looked at longest ago goes first."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy as np
    from numpy.typing import NDArray

    Key = tuple[Hashable, Hashable, int]

_MOST_BYTES, _SHARE = 1536 << 20, 8


def usual_limit_bytes() -> int:
    """An eighth of the machine's memory, at most 1.5 GB."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no such call on this system
        return _MOST_BYTES // 2
    return min(_MOST_BYTES, whole // _SHARE)


class FrameCache:
    """Pixels by (owner, layer, number), each with a quality: a better one replaces a worse one, never the other way."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._frames: OrderedDict[Key, tuple[NDArray[np.generic], int, int]] = OrderedDict()
        self._serial = 0
        self._numbers: dict[tuple[Hashable, Hashable], set[int]] = {}

    def get(self, key: Key) -> NDArray[Any] | None:
        """The pixels; they now count as looked at last."""
        found = self._frames.get(key)
        if found is None:
            return None
        self._frames.move_to_end(key)
        return found[0]

    def __contains__(self, key: Key) -> bool:
        return key in self._frames

    def quality(self, key: Key) -> int | None:
        """Of the pixels that are there."""
        found = self._frames.get(key)
        return found[1] if found is not None else None

    def serial(self, key: Key) -> int:
        """A number that these pixels have and no others; 0 where there are none."""
        found = self._frames.get(key)
        return found[2] if found is not None else 0

    def put(self, key: Key, pixels: NDArray[Any], quality: int = 0) -> bool:
        """Keep pixels; False where better ones are there."""
        old = self._frames.get(key)
        if old is not None:
            if old[1] > quality:
                return False
            self.used_bytes -= old[0].nbytes
        self._serial += 1
        self._frames[key] = (pixels, quality, self._serial)
        self._frames.move_to_end(key)
        self.used_bytes += pixels.nbytes
        self._numbers.setdefault(key[:2], set()).add(key[2])
        while self.used_bytes > self.limit_bytes and len(self._frames) > 1:
            self._drop(next(iter(self._frames)))
        return True

    def numbers(self, owner: Hashable, layer: Hashable) -> frozenset[int]:
        """Numbers of the frames that are there."""
        return frozenset(self._numbers.get((owner, layer), ()))

    def forget(self, owner: Hashable, layer: Hashable) -> None:
        """Drop all frames of a layer."""
        for number in self._numbers.pop((owner, layer), ()):
            self._drop((owner, layer, number))

    def _drop(self, key: Key) -> None:
        self.used_bytes -= self._frames.pop(key)[0].nbytes
        numbers = self._numbers.get(key[:2])
        if numbers is not None:
            numbers.discard(key[2])
