# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps down to smaller windows when a device runs out of memory: the picture is made in tiles that overlap.

Every norm of the generator looks at single pixels, so a tile gives nearly what the whole picture gives; only what its
convolutions see beyond the tile's edge is lacking. Tiles therefore overlap by a halo: its outer half is thrown away and
the rest is a cross-fade. Most of a picture comes out the same; where the network guesses from afar (on the street of
the demo the shadow on the road), the guess may change at a seam.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mapreel.core.contract.errors import MapreelError
from mapreel.core.device import is_out_of_memory

LARGEST_HALO_PX = 256
"""What a tile sees beyond its own part is half that part, and this at most: all that four levels of a network see."""
SMALLEST_PX = 64
"""A tile's own part is not made smaller: its halo would be most of it."""


class Windows:
    """A network that maps pictures to pictures, called with the largest window that the device has memory for.

    The window found stays for all later calls, so that a device does not run full with every frame.
    """

    def __init__(self, network: Callable[..., Tensor], stride_px: int) -> None:
        """network: takes tensors [N, C, H, W] and gives [N, C', H, W]; sides must be multiples of `stride_px`."""
        self._network, self._stride = network, stride_px
        self._own: tuple[int, int] | None = None
        self.notes: list[str] = []
        """One sentence for each step down."""

    def __call__(self, *tensors: Tensor) -> Tensor:
        """The network's answer [N, C', H, W].

        Raises:
            MapreelError: the memory does not suffice for the smallest window either.
        """
        while True:
            full: Exception
            try:
                return self._tiled(tensors) if self._own else self._network(*tensors)
            except (RuntimeError, MemoryError) as exc:
                if not is_out_of_memory(exc):
                    raise
                full = exc.with_traceback(None)  # its frames hold the tensors that did not fit
            self._step_down(tensors[0], full)
            del full

    def _step_down(self, like: Tensor, cause: Exception) -> None:
        """Halve the longer side of the window. Raises MapreelError when it is the smallest already."""
        size = (int(like.shape[-2]), int(like.shape[-1]))
        own = self._own or size
        smaller = self._halved(own)
        if smaller == own:
            raise MapreelError(
                f"the device {like.device} has not enough memory for pictures of {size[1]}x{size[0]}, not even in "
                f"tiles of {own[1]}x{own[0]}",
                "close other programs that use it, or render smaller pictures",
                detail=str(cause),
            ) from cause
        if like.device.type == "cuda":
            torch.cuda.empty_cache()
        self._own = smaller
        self.notes.append(
            f"the device {like.device} ran out of memory, so frames are made in tiles of {smaller[1]}x{smaller[0]} "
            "pixels from there on; near their seams they may differ from a picture made at once"
        )

    def _halved(self, own: tuple[int, int]) -> tuple[int, int]:
        long = 0 if own[0] >= own[1] else 1
        half = -(-own[long] // (2 * self._stride)) * self._stride
        if half < max(SMALLEST_PX, self._stride):
            return own
        return (half, own[1]) if long == 0 else (own[0], half)

    def _tiled(self, tensors: tuple[Tensor, ...]) -> Tensor:
        assert self._own is not None
        height, width = (int(n) for n in tensors[0].shape[-2:])
        down, across = (_halo(own, self._stride) for own in self._own)
        result: Tensor | None = None
        total = torch.zeros(height, width, device=tensors[0].device)
        for top, bottom in self._spans(height, self._own[0]):
            for left, right in self._spans(width, self._own[1]):
                tile = (t[..., top:bottom, left:right] for t in tensors)
                made = self._network(*(t.contiguous(memory_format=torch.channels_last) for t in tile))
                if result is None:
                    result = made.new_zeros((*made.shape[:2], height, width))
                weight = _ramp(top, bottom, height, down)[:, None] * _ramp(left, right, width, across)[None, :]
                weight = weight.to(total)
                result[..., top:bottom, left:right] += made * weight
                total[top:bottom, left:right] += weight
        assert result is not None
        return result / total

    def _spans(self, length: int, own: int) -> list[tuple[int, int]]:
        """First and end pixel of each tile along one side, halo included."""
        halo = _halo(own, self._stride)
        starts = range(0, length, own)
        return [(max(0, start - halo), min(length, start + own + halo)) for start in starts]


def _halo(own_px: int, stride_px: int) -> int:
    """What a tile with such a part of its own sees beyond it, on each side."""
    return -(-min(own_px // 2, LARGEST_HALO_PX) // stride_px) * stride_px


def _ramp(first: int, end: int, length: int, halo_px: int) -> Tensor:
    """Weight of each pixel of a tile along one side: [end - first]."""
    place = torch.arange(end - first, dtype=torch.float32) + 0.5
    weight = torch.ones_like(place)
    if first > 0:
        weight = torch.minimum(weight, _rise(place, halo_px))
    if end < length:
        weight = torch.minimum(weight, _rise(end - first - place, halo_px))
    return weight


def _rise(inside_px: Tensor, halo_px: int) -> Tensor:
    """0 in the outer half of the halo, then evenly up to 1: one half where a tile's own part begins."""
    return ((inside_px - halo_px / 2) / halo_px).clamp(0.0, 1.0)
