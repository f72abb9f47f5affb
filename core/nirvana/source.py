# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot on disk as the encoder reads it: frames in the samples of the archive, and what its files say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.requests import EncodeRequest
from mapreel.core.media.colour import SRGB, colour_config
from mapreel.core.media.movies import MOVIE_SUFFIXES, movie_info
from mapreel.core.media.plates import PRIMARIES, PlateFacts, plate_facts
from mapreel.core.media.sequence import MapKind, ShotSequence, open_maps
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat, Samples
from mapreel.core.nirvana.shaper import LARGEST, shaper_for


@dataclass(frozen=True)
class PlateSource:
    """Frames of a shot in the samples of `form`; see encode.Source."""

    sequence: ShotSequence
    form: PictureFormat
    timecode: str | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        return self.sequence.numbers

    @property
    def size(self) -> tuple[int, int]:
        return self.sequence.size

    def read(self, number: int) -> Samples:
        """One frame [H, W, 3 or 4]. Raises what the readers raise, UsageError for a frame of another depth."""
        return _as_samples(self.sequence.read(number), self.form, number)


def open_source(request: EncodeRequest, check: Callable[[], None] = lambda: None) -> PlateSource:
    """The frames of an encode. Half-float shots are read once before, for the extremes of their values.

    check: called before each frame of that. Raises what `open_maps` and the readers raise, and UsageError for a depth
    that the source does not have.
    """
    frames = FrameRange.parse(request.frames) if request.frames is not None else None
    sequence = open_maps(request.source, MapKind.PLATE, frames)
    facts = _facts(sequence)
    form = PictureFormat(
        samples=_depth(request.depth, facts),
        colour_space=_space(request, facts),
        pixel_aspect=facts.pixel_aspect,
        alpha=facts.alpha and request.alpha,
    )
    if form.samples is SampleFormat.HALF:
        form = replace(form, shaper=shaper_for(*_extremes(sequence, check)))
    return PlateSource(sequence, form, facts.timecode)


def _space(request: EncodeRequest, facts: PlateFacts) -> str:
    """The colour space by the name that the colour config resolves to; ours where it is one of ours.

    A name that the config does not know stays as it was written: the one of the reader may know it.
    """
    if request.colour_space is None:
        return facts.colour_space
    config = colour_config(request.ocio)
    found = config.find(request.colour_space)
    if found is None:
        return request.colour_space
    ours = (short for short in (SRGB, *PRIMARIES) if config.find(short) == found)
    return next(ours, found if found.isascii() and len(found) <= 64 else request.colour_space)


def _facts(sequence: ShotSequence) -> PlateFacts:
    number = sequence.numbers[0]
    path = Path(sequence.path(number))
    if path.suffix.lower() in MOVIE_SUFFIXES:
        bits = movie_info(path).bits
        return PlateFacts(bits=min(max(bits, 8), 16), alpha=False, colour_space="srgb", pixel_aspect=Fraction(1))
    return plate_facts(path, frame=number)


def _depth(asked: str | None, facts: PlateFacts) -> SampleFormat:
    if facts.bits is None:
        if asked not in (None, "half"):
            raise UsageError(f"the source is scene-linear and cannot be kept with {asked} bits", "leave the depth out")
        return SampleFormat.HALF
    if asked == "half":
        raise UsageError("the source is not scene-linear", "give EXR frames, or 8, 10, 12 or 16 bits")
    if asked is not None:
        return SampleFormat(asked)
    return next(form for form in SampleFormat if form is not SampleFormat.HALF and form.peak >= (1 << facts.bits) - 1)


def _extremes(sequence: ShotSequence, check: Callable[[], None]) -> tuple[float, float]:
    low, high = 0.0, 0.0
    for number in sequence.numbers:
        check()
        colours = sequence.read(number)[..., :3]
        low, high = min(low, float(colours.min())), max(high, float(colours.max()))
    return low, high


def _as_samples(picture: npt.NDArray[Any], form: PictureFormat, number: int) -> Samples:
    """A picture as it stands in its file, in the samples of `form`."""
    linear = picture.dtype == np.float32
    if linear != (form.samples is SampleFormat.HALF) or picture.shape[2] < form.channels:
        raise UsageError(
            f"frame {number} has another depth or no alpha, unlike the first",
            "save all frames in one way",
            frame=number,
        )
    part = picture[..., : form.channels]
    if linear:
        half: Samples = np.clip(part, -LARGEST, LARGEST).astype(np.float16)
        return half
    peak, there = form.samples.peak, np.iinfo(part.dtype).max
    if peak == there:
        return np.ascontiguousarray(part)
    wide = (part.astype(np.uint64) * (2 * peak) + there) // (2 * there)
    samples: Samples = wide.astype(form.samples.dtype)
    return samples
