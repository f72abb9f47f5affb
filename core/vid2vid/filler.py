# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny network that goes over finished frames: it fills what no key frame brought and mends what carrying left.

A frame between two keys is a blend of both, carried along the maps (see `compensation`); its holes hold the nearest
colour of their class. The filler sees that picture, for each pixel what it is (class, instance edge) and how it came
(how many keys brought it, how far they disagree), and where in the picture and how far from a key it is; it answers
with a change. It looks at single frames and keeps no state, so that a chunk gives the pixels of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mapreel.core.contract.errors import DamagedModelError
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.prepared import Convolution, can_run_prepared

STRIDE_PX = 4
WAYS = 3
"""A pixel was brought by no key, by one, or by both."""
_LARGEST = 1024


@dataclass(frozen=True)
class FillerConfig:
    """What a filler is made of.

    Attributes:
        classes: of the model it belongs to.
        width: channels at half resolution.
        deep: channels at a quarter of the resolution.
        blocks: residual blocks there.
        tones: learned channels that stand for what a pixel is and how it came.
    """

    classes: int
    width: int = 16
    deep: int = 48
    blocks: int = 1
    tones: int = 4


def filler_config(values: dict[str, object], *, file: str) -> FillerConfig:
    """The config in a model's header. Raises DamagedModelError."""
    known = set(FillerConfig.__dataclass_fields__)
    if set(values) != known or not all(type(v) is int and 0 < v <= _LARGEST for v in values.values()):
        raise DamagedModelError(
            f"the model {file} cannot be used: the settings of its filler make no sense",
            "fetch or train it again",
            file=file,
        )
    return FillerConfig(**values)  # type: ignore[arg-type]  # checked above


@dataclass(frozen=True)
class Carried:
    """A picture and how its pixels came: what the filler reads of one frame."""

    picture: NDArray[np.float32]  # [H, W, 3] -1..1
    keys: NDArray[np.uint8]  # [H, W] how many key frames brought the pixel, 0 to 2
    differ: NDArray[np.float32]  # [H, W] mean difference of what two keys brought, 0..2; 0 where fewer did
    nearness: float  # 0 for a key, up to 1 midway between two

    @classmethod
    def of_key(cls, picture: NDArray[np.float32]) -> Carried:
        """A frame that the network itself made."""
        size = picture.shape[:2]
        return cls(picture, np.full(size, WAYS - 1, np.uint8), np.zeros(size, np.float32), 0.0)


class _Block(nn.Module):
    """3x3, GELU, 3x3, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, h, w] -> same
        change: Tensor = self.second(F.gelu(self.first(x)))
        return x + change


class Filler(nn.Module):
    """Two scales, one residual block at the lower one; begins as a network that changes nothing."""

    def __init__(self, config: FillerConfig) -> None:
        super().__init__()
        self.config = config
        width, deep = config.width, config.deep
        self.tones = nn.Embedding(codes_of(config.classes), config.tones)
        self.stem = nn.Conv2d(4 * (3 + config.tones + 1), width, 3, padding=1)
        self.down = nn.Conv2d(width, deep, 3, stride=2, padding=1)
        self.place = nn.Conv2d(3, deep, 1)
        self.blocks = nn.ModuleList(_Block(deep) for _ in range(config.blocks))
        self.up = nn.Conv2d(deep, width, 1)
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 12, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, picture: Tensor, codes: Tensor, differ: Tensor, place: Tensor) -> Tensor:
        """Go over frames.

        Args:
            picture: [N, 3, H, W] -1..1; H and W multiples of STRIDE_PX.
            codes: [N, H, W] int64, see `pixel_codes`.
            differ: [N, 1, H, W] 0..2.
            place: [N, 3, H / 4, W / 4], see `places`.

        Returns:
            [N, 3, H, W], about -1..1.
        """
        tones = self.tones(codes).permute(0, 3, 1, 2)
        x = F.gelu(self.stem(F.pixel_unshuffle(torch.cat([picture, tones, differ], dim=1), 2)))
        deep = F.gelu(self.down(x) + self.place(place))
        for block in self.blocks:
            deep = block(deep)
        x = x + F.interpolate(self.up(deep), scale_factor=2.0, mode="bilinear", align_corners=False)
        return picture + smoothed(F.pixel_shuffle(self.out(F.gelu(self.fine(x))), 2))


def smoothed(change: Tensor) -> Tensor:
    """Weights 1-2-1 along both sides, which let no pattern of two pixels through: [N, C, H, W] -> same.

    LPIPS rewards such a grid, pixel shuffle prints it, and a term of the loss alone does not keep it out.
    """
    twice = F.avg_pool2d(F.pad(change, (1, 1, 1, 1), mode="replicate"), 2, stride=1)
    return F.avg_pool2d(twice, 2, stride=1)


def codes_of(classes: int) -> int:
    """How many different codes pixels may have."""
    return classes * 2 * WAYS


def pixel_codes(
    classes: NDArray[np.integer], edges: NDArray[np.bool_] | None, keys: NDArray[np.uint8], count: int
) -> NDArray[np.int64]:
    """What a pixel is and how it came, as one number: [H, W].

    Args:
        classes: [H, W] class indices, below `count`.
        edges: [H, W] instance edges; None counts as no edge anywhere.
        keys: [H, W] how many keys brought the pixel.
        count: of classes.
    """
    codes = keys.astype(np.int64) * (2 * count) + classes
    if edges is not None:
        codes += edges * np.int64(count)
    return codes


def places(
    size_px: tuple[int, int], full_px: tuple[int, int], nearness: float, origin_px: tuple[int, int] = (0, 0)
) -> Tensor:
    """Where each pixel of a quarter of the resolution is, and how near to a key: [3, h / 4, w / 4], -1..1.

    Args:
        size_px: (h, w), multiples of STRIDE_PX.
        full_px: (H, W) of the whole picture.
        nearness: of `Carried`.
        origin_px: (y, x) of the first pixel in the whole picture, for crops.
    """
    (h, w), (top, left) = size_px, origin_px
    y = (top + STRIDE_PX * (torch.arange(h // STRIDE_PX) + 0.5)) / full_px[0] * 2 - 1
    x = (left + STRIDE_PX * (torch.arange(w // STRIDE_PX) + 0.5)) / full_px[1] * 2 - 1
    rows, columns = y[:, None].expand(-1, len(x)), x[None, :].expand(len(y), -1)
    return torch.stack([rows, columns, torch.full_like(rows, nearness * 2 - 1)])


class Filling:
    """A filler on a device, called with frames as the renderer has them. Holds no state between frames."""

    def __init__(self, filler: Filler, device: torch.device) -> None:
        self._config, self._device = filler.config, device
        network = filler.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._network: Callable[..., Tensor] = _PreparedFiller(network) if can_run_prepared(device) else network

    @torch.inference_mode()
    def __call__(
        self, carried: Carried, classes: NDArray[np.integer], edges: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """The frame gone over: [H, W, 3] float32, about -1..1."""
        h, w = classes.shape
        pad = ((0, -h % STRIDE_PX), (0, -w % STRIDE_PX))
        picture, differ = carried.picture, carried.differ[..., None]
        codes = pixel_codes(classes, edges, carried.keys, self._config.classes)
        if any(map(any, pad)):
            picture, differ = (np.pad(a, (*pad, (0, 0)), mode="edge") for a in (picture, differ))
            codes = np.pad(codes, pad, mode="edge")
        given = [_planes(picture), torch.from_numpy(codes)[None], _planes(differ)]
        place = places((h + pad[0][1], w + pad[1][1]), (h, w), carried.nearness)[None]
        with fast_precision(self._device):
            made = self._network(*(tensor.to(self._device) for tensor in (*given, place)))
        return np.ascontiguousarray(made[0, :, :h, :w].float().cpu().numpy().transpose(1, 2, 0))


class _PreparedFiller:
    """Does what `Filler.forward` does for one frame in bfloat16, in fewer passes over memory (see `prepared`)."""

    def __init__(self, filler: Filler) -> None:
        channels = 3 + filler.config.tones + 1
        into = torch.arange(4 * channels).reshape(channels, 4).T.reshape(-1)  # a pixel's channels side by side
        out = torch.arange(12).reshape(3, 4).T.reshape(-1)
        assert filler.out.bias is not None
        self._tones = filler.tones.weight.detach().bfloat16()
        self._stem = Convolution(filler.stem, filler.stem.weight[:, into])
        self._down, self._place = Convolution(filler.down), filler.place
        self._blocks = [
            (Convolution(block.first), Convolution(block.second))
            for block in filler.blocks
            if isinstance(block, _Block)
        ]
        self._up, self._fine = Convolution(filler.up), Convolution(filler.fine)
        self._out = Convolution(filler.out, filler.out.weight[out], filler.out.bias[out])

    def __call__(self, picture: Tensor, codes: Tensor, differ: Tensor, place: Tensor) -> Tensor:
        """Arguments and result as those of `Filler.forward` with N = 1."""
        rows = picture[0].permute(1, 2, 0)
        tones = self._tones.index_select(0, codes.reshape(-1)).view(*rows.shape[:2], -1)
        whole = torch.cat([rows.bfloat16(), tones, differ[0].permute(1, 2, 0).bfloat16()], dim=2)
        h, w, channels = whole.shape
        whole = whole.view(h // 2, 2, w // 2, 2, channels).permute(0, 2, 1, 3, 4).reshape(h // 2, w // 2, 4 * channels)
        x = self._stem(whole.permute(2, 0, 1)[None], gelu=True)
        deep = F.gelu(self._down(x).add_(self._place(place)))
        for first, second in self._blocks:
            deep = second.added_to(first(deep, gelu=True), deep)
        x = F.interpolate(self._up(deep), scale_factor=2.0, mode="bilinear", align_corners=False).add_(x)
        change = self._out(self._fine(x, gelu=True))[0].permute(1, 2, 0).view(h // 2, w // 2, 2, 2, 3)
        pixels = change.permute(0, 2, 1, 3, 4).reshape(h, w, 3).float()
        kernel = np.array([0.25, 0.5, 0.25], np.float32)
        smooth = cv2.sepFilter2D(pixels.numpy(), -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)  # `smoothed`
        return (rows + torch.from_numpy(smooth)).permute(2, 0, 1)[None]


def _planes(rows: NDArray[np.float32]) -> Tensor:
    """[H, W, C] -> [1, C, H, W] of the same memory."""
    return torch.from_numpy(np.require(rows, np.float32, ["C", "W"])).permute(2, 0, 1)[None]


def as_settings(config: FillerConfig) -> dict[str, object]:
    """As a model's header keeps it."""
    return asdict(config)
