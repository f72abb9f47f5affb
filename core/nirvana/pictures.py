# SPDX-License-Identifier: GPL-3.0-or-later
"""From the tiles that a codec shows to the samples of an archive: window, smaller size, rounding."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.device import memory_guard
from mapreel.core.nirvana.bitstream import damaged
from mapreel.core.nirvana.profile import WHOLE, GroupDecoder, PictureShape, State, Tile, View
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat, Samples
from mapreel.core.nirvana.shaper import TOE, Shaper
from mapreel.core.nirvana.views import view_size

_FOUR = 4  # channels of tiles whose last is of no use


class Canvas:
    """Collects tiles of one plane as samples. name: how errors call the group; into: an array to write them to."""

    def __init__(
        self,
        shape: PictureShape,
        form: PictureFormat,
        view: View,
        frames: int,
        *,
        plane: int = 0,
        name: str,
        into: Samples | None = None,
    ) -> None:
        self._form, self._view, self._plane, self._name = form, view, plane, name
        self._window = view.window or (0, 0, shape.width, shape.height)
        self._size = view_size(shape, view)
        wanted = sorted(view.frames) if view.frames is not None else range(frames)
        self._place = {frame: index for index, frame in enumerate(wanted)}
        size = (len(self._place), *self._size, 3 if plane == 0 else 1)
        assert into is None or into.shape == size, (into.shape, size)
        self.samples: Samples = np.zeros(size, form.samples.dtype) if into is None else into

    def show(self, tile: Tile) -> None:
        """Take what the view needs of a tile. Raises DamagedArchiveError for what is no number."""
        frames = [index for index in range(len(tile.pixels)) if tile.frame + index in self._place]
        if not frames:
            return
        x, y, width, height = (edge // tile.scale for edge in self._window)
        if tile.scale > 1:
            height, width = self._size
        top, left = max(y - tile.top, 0), max(x - tile.left, 0)
        bottom = min(y + height - tile.top, tile.pixels.shape[1])
        right = min(x + width - tile.left, tile.pixels.shape[2])
        if top >= bottom or left >= right:
            return
        part = tile.pixels[:, top:bottom, left:right]
        if len(frames) < len(part):
            part = part[frames]
        samples = self._rounded(part, self._view.scale // tile.scale)
        row, col = ((edge - corner) // (self._view.scale // tile.scale) for edge, corner in (
            (tile.top + top, y), (tile.left + left, x)))  # fmt: skip
        for index, picture in zip(frames, samples, strict=True):
            place = self._place[tile.frame + index]
            there = self.samples[place, row : row + picture.shape[0], col : col + picture.shape[1]]
            if picture.shape[2] == _FOUR and there.shape[2] == 3 and picture.dtype != np.float16:
                there[...] = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGBA2RGB)
                continue
            for channel in range(there.shape[2]):  # one by one: five times as fast where they lie apart
                there[..., channel] = picture[..., channel]

    def _rounded(self, part: Tensor, scale: int) -> Samples:
        if not math.isfinite(float(part.sum())) and not bool(torch.isfinite(part).all()):  # the sum is the quick look
            raise damaged(self._name, "its numbers lead to no picture")
        if self._plane and part.shape[3] >= 3:
            part = part[..., :3].mean(dim=3, keepdim=True)
        if not self._plane and part.shape[3] == 1:
            part = part.expand(-1, -1, -1, 3)
        form = self._form
        if form.samples is not SampleFormat.HALF:
            steps = _smaller(part, scale).clamp(0.0, 1.0).mul_(form.samples.peak).add_(0.5)  # `to` rounds down
            whole = torch.uint8 if form.samples is SampleFormat.BITS_8 else torch.int32
            return steps.to(whole).cpu().numpy().astype(form.samples.dtype, copy=False)
        light = part.clamp(0.0, 1.0) if self._plane else light_of(part, form.shaper)
        return _smaller(light, scale).half().cpu().numpy()


def light_of(codes: Tensor, shaper: Shaper) -> Tensor:
    """`Shaper.linear` on any device, in single precision: a thousandth of a half float's step."""
    start, end = shaper.ends
    shaped = codes.clamp(0.0, 1.0).mul_(end - start).add_(start)
    light = shaped.abs().exp2_().sub_(1.0).div_(TOE)
    return torch.copysign(light, shaped).clamp_(shaper.low, shaper.high)


def _smaller(pixels: Tensor, scale: int) -> Tensor:
    """Means over blocks of `scale` x `scale`, cut off at the lower and right edge: [t, h, w, C]."""
    if scale == 1:
        return pixels
    planes = pixels.permute(0, 3, 1, 2)
    return F.avg_pool2d(planes, scale, ceil_mode=True, count_include_pad=False).permute(0, 2, 3, 1)


def decode_samples(
    decoder: GroupDecoder,
    payload: bytes,
    previous: State | None,
    *,
    number: int,
    frames: int,
    shape: PictureShape,
    form: PictureFormat,
    name: str,
    device: torch.device,
    plane: int = 0,
    view: View = WHOLE,
    into: Samples | None = None,
) -> tuple[Samples, State]:
    """The pictures of one plane of a group [T, h, w, 3 or 1] as samples, and what the next group leans on.

    into: an array to write them to; that is what is given back then.
    Raises DamagedArchiveError naming the group, MapreelError when the memory is full.
    """
    with memory_guard(f"decode frames of {shape.width} x {shape.height} px"):
        canvas = Canvas(shape, form, view, frames, plane=plane, name=name, into=into)
        state = decoder.decode(payload, number, previous, frames, device, canvas.show, view)
    return canvas.samples, state
