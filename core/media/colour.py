# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour spaces by OpenColorIO, the one inside OpenImageIO: a studio's `$OCIO`, else a pinned built-in config."""

from __future__ import annotations

import difflib
import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import BUILT_IN
from mapreel.core.media.files import limit_openimageio

PINNED = "ocio://cg-config-v4.0.0_aces-v2.0_ocio-v2.5"
"""Not `ocio://default`, which other versions of the library take for other configs."""
SRGB, LINEAR = "srgb", "lin_rec709"
"""What Mapreel calls the spaces that it converts itself, by the curve of IEC 61966-2-1."""
UNKNOWN = "scene-linear"  # of an EXR whose primaries have no name
_ALIASES = {
    SRGB: ("srgb_rec709_scene", "sRGB - Texture", "srgb_texture", "Utility - sRGB - Texture", "sRGB", "srgb_tx"),
    LINEAR: ("lin_rec709_scene", "Linear Rec.709 (sRGB)", "Utility - Linear - sRGB", "Utility - Linear - Rec.709"),
}

Floats = NDArray[np.float32]


class ColourConfig:
    """A colour config by its file or `ocio://` name. Raises UsageError when it cannot be used."""

    def __init__(self, where: str = PINNED) -> None:
        self.where = where
        path = None if where.startswith(BUILT_IN) else Path(where)
        if path is not None and not path.is_file():
            raise UsageError(
                f"the colour config {where} is not there", "set $OCIO to a config, or unset it", file=where
            )
        limit_openimageio()
        self._config = oiio.ColorConfig(where)
        message = self._config.geterror()
        if message or not self._config.getColorSpaceNames():
            raise UsageError(
                f"the colour config {where} cannot be used", "mend it or unset $OCIO", detail=str(message), file=where
            )
        self._sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path is not None else None

    def to_dict(self) -> dict[str, str]:
        """What a side-car says of it: its name (of a file without its folder) and, of a file, its hash."""
        name = self.where if self._sha256 is None else Path(self.where).name
        hashed = {"sha256": self._sha256} if self._sha256 is not None else {}
        return {"name": name, **hashed, "library": f"OpenImageIO {oiio.__version__}"}

    def find(self, name: str) -> str | None:
        """The config's own name of a space, role or alias; None for one that it does not know."""
        for word in (name, *_ALIASES.get(name, ())):
            found = str(self._config.resolve(word))
            if self._config.getColorSpaceIndex(found) >= 0:
                return found
        return None

    def resolve(self, name: str) -> str:
        """As `find`. Raises UsageError for a space that the config does not know, or that holds data and no colour."""
        found = self.find(name)
        if found is None:
            known = list(self._config.getColorSpaceNames())
            usual = [word for word in map(self.find, (SRGB, LINEAR, "scene_linear")) if word is not None]
            near = difflib.get_close_matches(name, known, 3, 0.4) or usual or known[:3]
            where = Path(self.where).name
            raise UsageError(
                f"the colour config {where} has no space called {name}", f"it has {', '.join(near)} and others"
            )
        if self._config.isData(found):
            raise UsageError(f"the colour space {found} holds data and no colour", "choose another one")
        return found

    def spaces(self) -> tuple[str, ...]:
        """Every space of the config that holds colour and no data, in its own order."""
        return tuple(str(name) for name in self._config.getColorSpaceNames() if not self._config.isData(str(name)))

    def convert(self, pixels: Floats, source: str, target: str) -> Floats:
        """Colours [H, W, 3] float32 from one space to another; alpha must not be multiplied in. Raises UsageError."""
        start, end = self.resolve(source), self.resolve(target)
        if start == end:
            return pixels
        before = oiio.ImageBuf(np.ascontiguousarray(pixels, np.float32))
        after = oiio.ImageBufAlgo.colorconvert(before, start, end, False, "", "", self.where)
        if after.has_error:
            raise UsageError(
                f"no colour can be converted from {start} to {end}", "choose another space", detail=after.geterror()
            )
        return np.asarray(after.get_pixels(oiio.FLOAT), np.float32)

    def is_linear(self, name: str) -> bool:
        return bool(self._config.isColorSpaceLinear(self.resolve(name)))

    def interop_id(self, name: str) -> str:
        """The name that files of every program share, such as lin_ap1_scene; empty where there is none."""
        return str(self._config.get_color_interop_id(self.resolve(name)) or "")

    def cicp(self, name: str) -> tuple[int, int, int] | None:
        """Primaries, transfer and matrix by ITU-T H.273."""
        found = self._config.get_cicp(self.resolve(name))
        if found is None:
            return None
        return int(found[0]), int(found[1]), int(found[2])

    def primaries(self, name: str) -> tuple[float, ...] | None:
        """x and y of red, green, blue and white."""
        found: Any = self._config.get_chromaticities(self.resolve(name))
        return None if found is None else tuple(float(value) for value in found)


@functools.lru_cache(maxsize=4)
def colour_config(where: str | None) -> ColourConfig:
    """The config of a request; None: the pinned one. Raises UsageError."""
    return ColourConfig(where or PINNED)


def to_light(codes: Floats) -> Floats:
    """Display-referred sRGB 0..1 as scene-linear light (IEC 61966-2-1)."""
    light: Floats = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return light


def from_light(light: Floats) -> Floats:
    """Inverse of `to_light`; what lies beyond 0..1 is clamped."""
    held = np.clip(light, 0.0, 1.0)
    codes: Floats = np.where(held <= 0.0031308, held * 12.92, 1.055 * held ** (1 / 2.4) - 0.055).astype(np.float32)
    return codes
