# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of an archive as the pixels of the files they are decoded to. The curve of sRGB leads to light and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import DecodeFormat
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat, Samples

Floats = npt.NDArray[np.float32]


def file_format(wanted: DecodeFormat, form: PictureFormat) -> DecodeFormat:
    """What `auto` means for an archive. Raises UsageError for light that is not known."""
    if wanted is DecodeFormat.AUTO:
        if form.samples is SampleFormat.HALF:
            return DecodeFormat.EXR
        return DecodeFormat.PNG if form.samples is SampleFormat.BITS_8 else DecodeFormat.PNG16
    to_light = wanted in (DecodeFormat.EXR, DecodeFormat.EXR32)
    if to_light and form.samples is not SampleFormat.HALF and form.colour_space != "srgb":
        raise UsageError(
            f"the archive is in the colour space {form.colour_space}, whose light is not known", "decode it to PNG"
        )
    return wanted


def as_pixels(samples: Samples, form: PictureFormat, wanted: DecodeFormat) -> npt.NDArray[Any]:
    """Pixels [H, W, 3 or 4] of a PNG (uint8, uint16; alpha unassociated) or EXR (float32; alpha associated)."""
    if wanted in (DecodeFormat.EXR, DecodeFormat.EXR32):
        return _light(samples, form)
    peak = 255 if wanted is DecodeFormat.PNG else 65535
    dtype = np.uint8 if peak == 255 else np.uint16
    if form.samples is not SampleFormat.HALF:
        there = form.samples.peak
        if peak == there:
            return samples
        return ((samples.astype(np.uint64) * (2 * peak) + there) // (2 * there)).astype(dtype)
    shown = samples.astype(np.float32)
    if form.alpha:
        shown[..., :3] /= np.where(shown[..., 3:] > 0, shown[..., 3:], np.float32(1.0))
    shown[..., :3] = from_light(shown[..., :3])
    pixels: npt.NDArray[Any] = np.floor(np.clip(shown, 0.0, 1.0) * peak + 0.5).astype(dtype)
    return pixels


def _light(samples: Samples, form: PictureFormat) -> Floats:
    if form.samples is SampleFormat.HALF:
        return samples.astype(np.float32)
    codes: Floats = samples.astype(np.float32) / np.float32(form.samples.peak)
    codes[..., :3] = to_light(codes[..., :3])
    if form.alpha:
        codes[..., :3] *= codes[..., 3:]
    return codes


def to_light(codes: Floats) -> Floats:
    """Display-referred sRGB 0..1 as scene-linear light (IEC 61966-2-1)."""
    light: Floats = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return light


def from_light(light: Floats) -> Floats:
    """Inverse of `to_light`; what lies beyond 0..1 is clamped."""
    held = np.clip(light, 0.0, 1.0)
    codes: Floats = np.where(held <= 0.0031308, held * 12.92, 1.055 * held ** (1 / 2.4) - 0.055).astype(np.float32)
    return codes
