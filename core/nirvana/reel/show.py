# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures with references on a processor, as fast as it can: what `network.inter_pictures` says, put another way.

Linear layers that follow one another are one, patches without latents share one result, references are read where they
moved only, and all goes strip by strip, so that what a layer leaves is still at hand for the next. Pictures have four
channels side by side (the last is of no use), which is what moving them likes best.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.nirvana.reel.config import MOTION_STEP_PX, PATCH_PX
from mapreel.core.nirvana.reel.hierarchy import Frame
from mapreel.core.nirvana.reel.network import GREY, HALFWAY, Weights

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

STRIP = 8  # rows of patches
_HALF = PATCH_PX // 2  # rows of a patch in the half-size layers
_EDGE = 2 * _HALF  # rows of pixels of one patch


@dataclass(frozen=True)
class LowMotion:
    """Motion of a frame on its two grids, what is known of it included, in px: [h, w, 4] each."""

    coarse: Floats
    fine: Floats

    @classmethod
    def of(cls, frame: Frame, coarse: Ints, fine: Ints, found: dict[int, LowMotion]) -> LowMotion:
        """From a frame's symbols [4, h, w] and the motion of the frames before."""
        grids = [grid.transpose(1, 2, 0).astype(np.float32) * np.float32(MOTION_STEP_PX) for grid in (coarse, fine)]
        if frame.known is not None:
            before, slot = found[frame.known.of], 2 * frame.known.slot
            for own, known in zip(grids, (before.coarse, before.fine), strict=True):
                for k, factor in enumerate(frame.known.factors):
                    own[..., 2 * k : 2 * k + 2] += known[..., slot : slot + 2] * np.float32(factor)
        return cls(*grids)


class Workshop:
    """Room for large arrays that is used again and again: a system takes longer to hand it out than layers take.

    Any thread may take and give.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size, self._lock = (height, width), threading.Lock()
        self._free: dict[tuple[int, ...], list[Floats]] = {}

    def take(self, *shape: int) -> Floats:
        """An array of any content."""
        with self._lock:
            free = self._free.get(shape)
            if free:
                return free.pop()
        return np.empty(shape, np.float32)

    def give(self, array: Floats) -> None:
        """Nobody looks at it any more."""
        with self._lock:
            self._free.setdefault(array.shape, []).append(array)

    def picture(self) -> Floats:
        return self.take(*self._size, 4)

    def enlarge(self, picture: Floats) -> Floats:
        """`network.enlarged` of [H, W, 4]."""
        height, width = self._size
        taps, one = np.array([*HALFWAY, *HALFWAY[::-1]], np.float32), np.ones(1, np.float32)
        large, below, beside = self.take(2 * height, 2 * width, 4), self.picture(), self.picture()
        pixels = large.view(np.complex128)  # four numbers as one: copied at once
        cv2.sepFilter2D(picture, -1, one, taps, dst=below, anchor=(0, 3), borderType=cv2.BORDER_REPLICATE)
        for first, rows in enumerate((picture, below)):
            cv2.sepFilter2D(rows, -1, taps, one, dst=beside, anchor=(3, 0), borderType=cv2.BORDER_REPLICATE)
            pixels[first::2, 0::2] = rows.view(np.complex128)
            pixels[first::2, 1::2] = beside.view(np.complex128)
        self.give(below)
        self.give(beside)
        return large

    def twice(self, grids: list[Floats], steps: Floats) -> Floats:
        """Two times the sum of grids, at the size of the picture, and steps on top [H, W]."""
        size = self._size[::-1]
        first, second = self.take(*self._size), self.take(*self._size)
        for grid, whole in zip(grids, (first, second), strict=True):
            cv2.resize(2 * np.ascontiguousarray(grid), size, dst=whole, interpolation=cv2.INTER_LINEAR)
        first += second
        first += steps
        self.give(second)
        return first


class Reference:
    """A picture [H, W, 4] within 0..1 that others lean on."""

    def __init__(self, picture: Floats, shop: Workshop) -> None:
        self.picture, self._shop, self._lock = picture, shop, threading.Lock()
        self._large: Floats | None = None

    def moved(self, motion: LowMotion, slot: int) -> Floats:
        """It, seen where the motion to it leads [H, W, 4], in an array of the workshop's or its own."""
        grids = [grid[..., 2 * slot : 2 * slot + 2] for grid in (motion.coarse, motion.fine)]
        if not any(grid.any() for grid in grids):
            return self.picture
        with self._lock:  # others lean on it at the same time
            if self._large is None:
                self._large = self._shop.enlarge(self.picture)
        height, width = self.picture.shape[:2]
        cols = self._shop.twice([grid[..., 0] for grid in grids], np.arange(0, 2 * width, 2, dtype=np.float32))
        rows = self._shop.twice(
            [grid[..., 1] for grid in grids], np.arange(0, 2 * height, 2, dtype=np.float32)[:, None]
        )
        seen = self._shop.picture()
        cv2.remap(self._large, cols, rows, cv2.INTER_LINEAR, dst=seen, borderMode=cv2.BORDER_REPLICATE)
        self._shop.give(cols)
        self._shop.give(rows)
        return seen

    def done(self) -> None:
        """Nobody leans on it any more."""
        self._shop.give(self.picture)
        if self._large is not None:
            self._shop.give(self._large)


class InterShow:
    """The synthesis network of frames with references, made ready for frames of one quality of a group."""

    def __init__(self, weights: Weights, gains: Tensor, quality: float, channels: int) -> None:
        """gains: symbols for each unit of a latent [1, C, 1, 1]. channels: those in use, the others are 0."""
        self.channels = channels
        around = weights["around.weight"][:, :channels]
        self._around = (
            (around.permute(2, 3, 1, 0) / gains[0, :channels, :, 0]).reshape(-1, around.shape[0]).contiguous()
        )
        self._around_bias = weights["around.bias"] + quality * weights["around.quality"]
        patch, bias = weights["patch.weight"][:, :, 0, 0], weights["patch.bias"]
        latents = patch.shape[1] - around.shape[0]
        patch = torch.cat([patch[:, :channels] / gains[0, :channels, 0, 0], patch[:, latents:], bias[:, None]], dim=1)
        inputs = patch.shape[1]
        refine = weights["refine.weight"][:, :, 0, 0]
        # 192 = colour, row and column in 2 x 2 pixels, row and column in 4 x 4 places of the half-size picture
        parts = patch.view(3, 2, 2, _HALF, _HALF, inputs)
        pixels = F.pad(parts.permute(3, 1, 4, 2, 0, 5), (0, 0, 0, 1)).reshape(-1, inputs)
        hidden = torch.einsum("uk,kijn->ijun", refine[:, :12], patch.view(12, _HALF, _HALF, inputs))
        self._pixels = pixels.t().contiguous()  # [C + around + 1, 8 · 8 · 4]
        self._hidden = hidden.reshape(-1, inputs).t().contiguous()  # [C + around + 1, 4 · 4 · units]
        nothing = torch.cat([torch.zeros(channels), F.gelu(self._around_bias), torch.ones(1)])
        self._pixels_of_none = (nothing @ self._pixels).view(1, PATCH_PX, 1, PATCH_PX * 4)
        self.units = refine.shape[0]
        self._hidden_of_none = (nothing @ self._hidden).view(1, _HALF, 1, _HALF * self.units)
        seen = refine[:, 12:].reshape(self.units, 2, 3, 2, 2)
        self._seen = tuple(_last(F.pad(seen[:, k], (0, 0, 0, 0, 0, 1))) for k in range(2))
        self._seen_once = _last(self._seen[0] + self._seen[1])
        self._seen_bias = (
            weights["refine.bias"] + quality * weights["refine.quality"] - GREY * refine[:, 12:].sum(dim=1)
        )
        order = [k for place in range(4) for k in (place, 4 + place, 8 + place, 12 + place)]
        self._out = _last(weights["out.weight"][order])
        self._out_bias = weights["out.bias"][order].contiguous()

    def strips(self, symbols: Ints, first: Floats, second: Floats | None) -> Iterator[tuple[int, Tensor]]:
        """A frame's symbols [C, h, w] and its moved references [H, W, 4] -> rows of the picture, from the top.

        Gives (first row, [rows, W, 4] within 0..1); second: None where it is the first.
        """
        places, values = self._patches(symbols)
        rows, cols = symbols.shape[1:]
        pixels = (values @ self._pixels).view(-1, PATCH_PX, 4 * PATCH_PX).numpy()
        hidden = (values @ self._hidden).view(-1, _HALF, _HALF * self.units).numpy()
        for top in range(0, rows, STRIP):
            end = min(top + STRIP, rows)
            begin, behind = max(top - 1, 0), min(end + 1, rows)
            low, high = np.searchsorted(places, (begin * cols, behind * cols))
            layer = self._hidden_of_none.expand(behind - begin, _HALF, cols, -1).contiguous()
            at = places[low:high] - begin * cols
            layer.numpy().transpose(0, 2, 1, 3)[at // cols, at % cols] = hidden[low:high]
            above, below = top - begin, behind - end  # 1 but at the frame's edges
            layer = layer.view(1, -1, cols * _HALF, self.units)
            layer = layer[:, (_HALF - 1) * above : layer.shape[1] - (_HALF - 1) * below]
            window = slice(top * PATCH_PX - 2 * above, end * PATCH_PX + 2 * below)
            made = self._last_layer(layer, *_rows(window, first, second), above, below)
            low, high = np.searchsorted(places, (top * cols, end * cols))
            out = made.view(end - top, PATCH_PX, cols, 4 * PATCH_PX)
            out += self._pixels_of_none
            at = places[low:high] - top * cols
            out.numpy().transpose(0, 2, 1, 3)[at // cols, at % cols] += (
                pixels[low:high] - self._pixels_of_none.numpy()[0, :, 0]
            )
            inner = slice(top * PATCH_PX, end * PATCH_PX)
            yield top * PATCH_PX, _composed(made, *_rows(inner, first, second))

    def _patches(self, symbols: Ints) -> tuple[npt.NDArray[np.intp], Tensor]:
        """Places that have latents or stand beside some, and there latents, what is around, and 1 [N, C + 48 + 1]."""
        channels, rows, cols = symbols.shape
        there: npt.NDArray[np.uint8] = np.any(symbols != 0, axis=0).astype(np.uint8)
        places = np.flatnonzero(cv2.dilate(there, np.ones((3, 3), np.uint8)))
        side = cols + 2
        padded = np.zeros((rows + 2, side, channels), np.float32)
        padded[1:-1, 1:-1] = symbols.transpose(1, 2, 0)
        at = (places // cols + 1) * side + places % cols + 1
        steps = np.array([dy * side + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
        near = torch.from_numpy(padded.reshape(-1, channels)[at[:, None] + steps].reshape(len(at), 9 * channels))
        around = F.gelu(torch.addmm(self._around_bias, near, self._around))
        own = near[:, 4 * channels : 5 * channels]
        return places, torch.cat([own, around, torch.ones(len(at), 1)], dim=1)

    def _last_layer(self, layer: Tensor, first: Tensor, second: Tensor | None, above: int, below: int) -> Tensor:
        """What is added to the references, and the share of each [rows, W, 4]."""
        if second is None:
            seen = F.conv2d(_planes(first), self._seen_once, self._seen_bias, stride=2)
        else:
            seen = F.conv2d(_planes(first), self._seen[0], self._seen_bias, stride=2)
            seen += F.conv2d(_planes(second), self._seen[1], stride=2)
        seen += layer.permute(0, 3, 1, 2)
        seen = F.gelu(seen)
        if not (above and below):
            seen = F.pad(seen, (0, 0, 1 - above, 1 - below)).contiguous(memory_format=torch.channels_last)
        made = F.conv2d(seen, self._out, self._out_bias, padding=(0, 1)).permute(0, 2, 3, 1)
        _, height, width, _ = made.shape
        return made.reshape(height, width, 2, 8).transpose(1, 2).reshape(2 * height, 2 * width, 4)


def _rows(rows: slice, first: Floats, second: Floats | None) -> tuple[Tensor, Tensor | None]:
    return torch.from_numpy(first[rows]), None if second is None else torch.from_numpy(second[rows])


def _composed(made: Tensor, first: Tensor, second: Tensor | None) -> Tensor:
    if second is None:
        return made.add_(first).clamp_(0.0, 1.0)
    share = made[..., 3:].clamp(-GREY, GREY).add_(GREY)
    return made.add_(torch.lerp(second, first, share)).clamp_(0.0, 1.0)


def _planes(pixels: Tensor) -> Tensor:
    """[h, w, 4] as a picture for a convolution, without moving anything."""
    return pixels.permute(2, 0, 1)[None]


def _last(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last)
