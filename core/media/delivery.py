# SPDX-License-Identifier: GPL-3.0-or-later
"""From the pictures of a job to the files that were asked for: colours, depth, alpha, metadata and marks.

Whole numbers are display-referred, floats scene-linear. Nothing is converted unless the files need it: whole numbers
become scene-linear EXR, and floats PNG, TIFF or movies, by the curve of sRGB, which Mapreel works out itself; a colour
space by name goes through OpenColorIO.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.pictures import FileKind, FileSpec
from mapreel.core.contract.versions import installed_version
from mapreel.core.media.colour import LINEAR, PINNED, SRGB, ColourConfig, colour_config, from_light, to_light
from mapreel.core.media.marks import TRAINED, Signer, source_type_xmp
from mapreel.core.media.moviewriter import BT709, MovieCodec, MovieWriter
from mapreel.core.media.plates import PRIMARIES
from mapreel.core.media.writers import PLAIN, PictureHeader, write_picture

if TYPE_CHECKING:
    from mapreel.core.contract.strict_json import JSON

_CURVES: Mapping[tuple[str, str], Callable[[NDArray[np.float32]], NDArray[np.float32]]] = MappingProxyType(
    {(SRGB, LINEAR): to_light, (LINEAR, SRGB): from_light}
)
_NAMED = {SRGB: "sRGB Encoded Rec.709 (sRGB)", LINEAR: "Linear Rec.709 (sRGB)"}
"""What the pinned config calls our own spaces; a test compares. Loading it takes half a second."""
_UNSAID = (2, 2, 1)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How the pictures of one job become files.

    source: the colour space of the pictures. asked: of the files, None where nobody asked. ocio: the colour config.
    trained: the pictures are a network's own, which is said in every file. signer: of C2PA manifests, None without.
    """

    spec: FileSpec
    source: str = SRGB
    asked: str | None = None
    ocio: str | None = None
    linear: bool = False
    trained: bool = True
    signer: Signer | None = None

    def check(self) -> None:
        """Raises UsageError for colours or marks that cannot be, before any picture is made."""
        if self.asked is not None:
            self._config.resolve(self.source)
            self._config.resolve(self.asked)
        elif self.spec.kind is FileKind.EXR and not self.linear and self.source != SRGB:
            raise UsageError(
                f"the pictures are in the colour space {self.source}, whose light is not known",
                "name the colour space of the EXR files with --colour-space",
            )
        if self.signer is not None:
            self.signer.check(self.spec)

    @cached_property
    def _config(self) -> ColourConfig:
        return colour_config(self.ocio)

    @cached_property
    def target(self) -> str:
        """The colour space of the files."""
        if self.asked is not None:
            return self._config.resolve(self.asked)
        if self.spec.kind is FileKind.EXR:
            return self.source if self.linear else LINEAR
        return SRGB if self.linear else self.source

    def pixels(self, picture: NDArray[Any], *, peak: int | None = None, associated: bool = False) -> NDArray[Any]:
        """A picture [H, W, 3 or 4] in the samples of the files: float32, alpha multiplied in, for EXR; else uint8 or
        uint16, alpha as it is.

        peak: of whole numbers, None for floats. associated: alpha is multiplied into the colours. Values beyond 0..1
        end there in files of whole numbers; give a logarithmic colour space (ACEScct) to keep them.
        """
        whole = self._whole
        if peak is not None and whole is not None and self.target == self.source:
            if peak == whole:
                return picture
            wide = (picture.astype(np.uint64) * (2 * whole) + peak) // (2 * peak)
            return wide.astype(np.uint8 if whole == 255 else np.uint16)
        values = picture.astype(np.float32)
        if peak is not None:
            values /= np.float32(peak)
        moved = self._moved(values, associated, whole is None)
        if whole is None:
            return moved
        steps: NDArray[Any] = np.floor(np.clip(moved, 0.0, 1.0) * np.float32(whole) + np.float32(0.5))
        return steps.astype(np.uint8 if whole == 255 else np.uint16)

    @property
    def _whole(self) -> int | None:
        """The peak of the files' whole numbers (of movies: of what their writer takes), None for EXR."""
        if self.spec.kind is FileKind.EXR:
            return None
        return 255 if self.spec.bits == 8 else 65535

    def _moved(self, values: NDArray[np.float32], associated: bool, associate: bool) -> NDArray[np.float32]:
        """Values in the target's colours, alpha multiplied in or not as it shall be."""
        same = self.target == self.source
        alpha = values[..., 3:]
        if associated == associate and same:
            return values
        colours = values[..., :3]
        if associated and alpha.size:
            colours = (colours / np.where(alpha > 0, alpha, np.float32(1.0))).astype(np.float32)
        if not same:
            colours = self._converted(colours)
        if associate and alpha.size:
            colours = colours * alpha
        return np.concatenate([colours, alpha], axis=2)

    def _converted(self, colours: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.asked is None:
            curve = _CURVES.get((self.source, self.target))
            if curve is not None:
                return curve(colours)
            if self._config.find(self.source) is None:  # scene-linear of unknown primaries
                return from_light(colours)
        return self._config.convert(colours, self.source, self.target)

    def write(
        self,
        path: Path,
        picture: NDArray[Any],
        *,
        peak: int | None = None,
        associated: bool = False,
        plate: PictureHeader = PLAIN,
        values: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write one picture file. plate: what it takes over of a plate (EXR only); values: what else an EXR says."""
        pixels = self.pixels(picture, peak=peak, associated=associated)
        header = self._header(plate, values, pixels.shape[:2]) if self.spec.kind is FileKind.EXR else self._words
        write_picture(path, pixels, self.spec, header, self._finish)

    @cached_property
    def _words(self) -> PictureHeader:
        """What every file says: who made it, how, and what its colours are."""
        cicp = None if self._is_srgb else self._cicp
        return PictureHeader(
            cicp=cicp,
            xmp=source_type_xmp() if self.trained else b"",
            software=f"Mapreel {installed_version('mapreel')}",
        )

    def _header(self, plate: PictureHeader, values: Mapping[str, Any], size: tuple[int, int]) -> PictureHeader:
        told = {**plate.values, **values, **self._colour_values}
        here = plate.size == size  # of a plate of another size only the words are true
        origin, window = (plate.origin, plate.window) if here else ((0, 0), None)
        return replace(self._words, values=told, origin=origin, window=window)

    @cached_property
    def _colour_values(self) -> dict[str, Any]:
        """How an EXR names its colours: primaries, and the name that programs share."""
        if self.asked is None:
            primaries = PRIMARIES.get(self.target)
            if primaries is None and (known := self._config.find(self.target)) is not None:
                primaries = self._config.primaries(known)
            named = {"colorInteropID": "lin_rec709_scene"} if self.target == LINEAR else {}
        else:
            primaries = self._config.primaries(self.target) or (
                PRIMARIES["ACEScg"] if "ACEScc" in self.target else None
            )
            named = {"colorInteropID": self._config.interop_id(self.target)}
        told: dict[str, Any] = {"chromaticities": primaries} if primaries is not None else {}
        return {**told, **{name: value for name, value in named.items() if value}}

    @property
    def _is_srgb(self) -> bool:
        return self.target in (SRGB, _NAMED[SRGB])

    @property
    def _cicp(self) -> tuple[int, int, int]:
        if self._is_srgb:
            return BT709
        named = self._config.find(self.target)
        found = self._config.cicp(named) if named is not None else None
        if found is None:
            return _UNSAID
        primaries, transfer, matrix = found
        return primaries, transfer, 9 if matrix == 10 else matrix  # constant luminance is nothing that swscale makes

    @property
    def _finish(self) -> Callable[[Path], None] | None:
        signer, suffix = self.signer, self.spec.suffix
        return None if signer is None else lambda path: signer.sign(path, suffix)

    def movie(self, path: Path, size: tuple[int, int], fps: float | Fraction, *, alpha: bool = False) -> MovieWriter:
        """A writer of `pixels`; alpha is kept by FFV1 and ProRes 4444 only, see `keeps_alpha`."""
        kind = self.spec.kind.value
        codec = MovieCodec(
            name=kind,
            bits=self.spec.bits,
            alpha=alpha and self.keeps_alpha,
            profile=self.spec.packing or "hq",
            cicp=self._cicp,
        )
        words = {"comment": f"Digital source type: {TRAINED}"} if self.trained else {}
        crf = 18 if kind == "h265" else 16
        return MovieWriter(path, size, fps, codec=codec, crf=crf, words=words, finish=self._finish)

    @property
    def keeps_alpha(self) -> bool:
        if self.spec.kind in (FileKind.H264, FileKind.H265):
            return False
        return self.spec.kind is not FileKind.PRORES or self.spec.packing.startswith("4444")

    def to_dict(self) -> dict[str, JSON]:
        """What a side-car says of the files: kind, bits, packing, colours by their resolved names, and marks."""
        spec = self.spec
        files: dict[str, JSON] = {"kind": spec.kind.value, "bits": spec.bits, "suffix": spec.suffix}
        if spec.packing:
            files["compression"] = spec.packing
        told: dict[str, JSON] = {"files": files, "colour": self._colours}
        if self.trained:
            told["digital_source_type"] = TRAINED
        if self.signer is not None:
            told["c2pa"] = {"certificate": self.signer.certificate.name}
        return told

    @cached_property
    def _colours(self) -> dict[str, JSON]:
        if self.asked is None and {self.source, self.target} <= set(_NAMED):
            config: dict[str, JSON] = {"name": PINNED}
            return {"from": _NAMED[self.source], "to": _NAMED[self.target], "config": config}
        start, end = (self._config.find(name) or name for name in (self.source, self.target))
        return {"from": start, "to": end, "config": dict(self._config.to_dict())}
