# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames that all codecs of `bench archive` get: cut out of a shot once, raw on disk, read one at a time.

So a peak of memory is the codec's own, however long the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mapreel.core.contract.errors import InputError, UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.progress import Progress

Picture = npt.NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames [H, W, 3] uint8, sRGB, one behind the other in the file `path`."""

    path: Path
    numbers: tuple[int, ...]
    size: Size  # height, width
    fps: Fraction

    def read(self, number: int) -> Picture:
        """One frame by its frame number."""
        return self.frame(self.path, self.numbers.index(number))

    def frame(self, path: Path, index: int) -> Picture:
        """The frame `index` (0-based) of a file that is laid out like the clip."""
        height, width = self.size
        pixels = np.fromfile(path, np.uint8, count=height * width * 3, offset=index * height * width * 3)
        return pixels.reshape(height, width, 3)

    @property
    def pixels(self) -> int:
        return len(self.numbers) * self.size[0] * self.size[1]

    def to_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "numbers": self.numbers, "size": self.size, "fps": str(self.fps)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Clip:
        size = (int(data["size"][0]), int(data["size"][1]))
        return cls(path=Path(data["path"]), numbers=tuple(data["numbers"]), size=size, fps=Fraction(data["fps"]))


def parse_size(option: str, text: str) -> Size:
    """`640x360` (width, height) as (360, 640). Raises UsageError."""
    words = text.lower().split("x")
    if len(words) != 2 or not all(word.isdecimal() and 0 < int(word) < 1 << 16 for word in words):
        raise UsageError(f"{option} is “{text[:100]}”", "write width and height in pixels, as in 640x360")
    return int(words[1]), int(words[0])


def cut_clip(
    source: str, frames: str | None, crop: Size | None, scale: Size | None, path: Path, fps: Fraction, show: Any
) -> Clip:
    """Read a sequence or a movie, crop the centre, then scale by area, into the file `path`.

    crop, scale: height, width in pixels. Raises what opening and reading raise, InputError for a crop too large.
    """
    import cv2

    from mapreel.core.media.sequence import MapKind, open_maps

    shot = open_maps(source, MapKind.COLOR, FrameRange.parse(frames) if frames is not None else None)
    height, width = crop or shot.size
    if height > shot.size[0] or width > shot.size[1]:
        raise InputError(
            f"{width} x {height} px cannot be cut out of {shot.size[1]} x {shot.size[0]} px", "give a smaller --crop"
        )
    top, left = (shot.size[0] - height) // 2, (shot.size[1] - width) // 2
    with path.open("wb") as file:
        for done, number in enumerate(shot.numbers, start=1):
            picture = shot.read(number)[top : top + height, left : left + width]
            if scale is not None:
                picture = cv2.resize(picture, scale[::-1], interpolation=cv2.INTER_AREA)
            file.write(np.ascontiguousarray(picture).tobytes())
            show(Progress(done, len(shot.numbers), "read"))
    return Clip(path=path, numbers=tuple(shot.numbers), size=scale or (height, width), fps=fps)
