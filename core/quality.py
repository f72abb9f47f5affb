# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how near two pictures are: PSNR for archives, LPIPS-SqueezeNet for rendered frames (also as a loss)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mapreel.core.contract.errors import DamagedModelError, InputError, MissingModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

IDENTICAL_DB = 100.0  # stands for infinity, so that one identical frame does not make a mean infinite
# Mean and deviation that the published network applies to pictures in -1..1 (Zhang et al. 2018, "LPIPS").
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_TAP_CHANNELS = (64, 128, 256, 384, 384, 512, 512)
# SqueezeNet 1.1: name in the file -> (channels in, squeezed, expanded by each of the two branches)
_FIRES = {
    "slice2.3": (64, 16, 64),
    "slice2.4": (128, 16, 64),
    "slice3.6": (128, 32, 128),
    "slice3.7": (256, 32, 128),
    "slice4.9": (256, 48, 192),
    "slice5.10": (384, 48, 192),
    "slice6.11": (384, 64, 256),
    "slice7.12": (512, 64, 256),
}
_POOL_BEFORE = frozenset({"slice2.3", "slice3.6", "slice4.9"})
_TAP_AFTER = frozenset({"slice2.4", "slice3.7", "slice4.9", "slice5.10", "slice6.11", "slice7.12"})


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of two equally large 8-bit pictures [H, W, 3], over all three channels.

    Identical pictures give IDENTICAL_DB. Raises InputError when the sizes differ.
    """
    if a.shape != b.shape:
        raise InputError(f"pictures of {a.shape} and {b.shape} cannot be compared", "give both the same size")
    difference = a.astype(np.float64) - b.astype(np.float64)
    mse = float(np.mean(difference * difference)) if difference.size else 0.0
    return IDENTICAL_DB if mse == 0.0 else min(IDENTICAL_DB, 10.0 * math.log10(255.0**2 / mse))


def mean_psnr(pairs: Iterable[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]) -> float:
    """Mean over frames of each frame's PSNR in dB (not the PSNR of the mean error). Raises InputError on no frames."""
    values = [psnr(a, b) for a, b in pairs]
    if not values:
        raise InputError("there are no frames to compare", "give at least one pair of pictures")
    return math.fsum(values) / len(values)


class _Fire(nn.Module):
    """Squeeze to few channels, expand by a 1 by 1 and a 3 by 3 branch, join both."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], dim=1)


class LpipsSqueeze(nn.Module):
    """Learned perceptual distance with SqueezeNet features (Zhang et al., CVPR 2018), weights frozen.

    Differentiable in both pictures; the weights take no gradient. Use `lpips_squeeze` to load it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 3, stride=2)
        self.fires = nn.ModuleList([_Fire(*sizes) for sizes in _FIRES.values()])
        self.heads = nn.ParameterList([nn.Parameter(torch.zeros(1, c, 1, 1)) for c in _TAP_CHANNELS])
        self.shift = nn.Buffer(torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.scale = nn.Buffer(torch.tensor(_SCALE).view(1, 3, 1, 1))

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Seven unit-length feature maps of `pictures` [N, 3, H, W] in 0..1, sRGB."""
        x = F.relu(self.first((pictures * 2.0 - 1.0 - self.shift) / self.scale))
        taps = [x]
        for name, fire in zip(_FIRES, self.fires, strict=True):
            if name in _POOL_BEFORE:
                x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
            x = fire(x)
            if name in _TAP_AFTER:
                taps.append(x)
        # the small number stands inside the root: its slope stays finite where all features are zero
        return [tap * torch.rsqrt(tap.square().sum(dim=1, keepdim=True) + 1e-10) for tap in taps]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of each picture pair: a, b [N, 3, H, W] float in 0..1, sRGB, at least 32 px a side -> [N]."""
        n = a.shape[0]
        taps = self.features(torch.cat([a, b]))
        return self.between([tap[:n] for tap in taps], [tap[n:] for tap in taps])

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """The same from what `features` gave, for pictures that are compared with many: -> [N]."""
        total = torch.zeros(a[0].shape[0], device=a[0].device, dtype=a[0].dtype)
        for head, one, other in zip(self.heads, a, b, strict=True):
            total = total + F.conv2d((one - other).square(), head).mean(dim=(1, 2, 3))
        return total


def lpips_squeeze(weights: Path | str, device: torch.device | str = "cpu") -> LpipsSqueeze:
    """Load the LPIPS network from its safetensors file, every tensor checked by name and shape.

    Call it with two batches [N, 3, H, W] in 0..1, sRGB: a loss as it stands, a score under `torch.no_grad()`.
    Raises MissingModelError when there is no such file, DamagedModelError when it does not hold this network.
    """
    path = Path(weights)
    if not path.is_file():
        raise MissingModelError(
            "the LPIPS weights are not there", "give the path of lpips_squeeze.safetensors", file=str(path)
        )
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DamagedModelError("the LPIPS weights cannot be read", "copy the file again", file=str(path)) from error
    network = LpipsSqueeze()
    renamed = {_our_name(name): tensor for name, tensor in stored.items()}
    wanted = network.state_dict()
    wrong = sorted(
        n
        for n in wanted.keys() | renamed.keys()
        if n not in wanted or n not in renamed or wanted[n].shape != renamed[n].shape
    )
    if wrong:
        raise DamagedModelError(
            "the file does not hold LPIPS-SqueezeNet", "copy the file again", detail=", ".join(wrong), file=str(path)
        )
    network.load_state_dict(renamed)
    return network.eval().requires_grad_(False).to(device)


def _our_name(stored: str) -> str:
    parts = stored.split(".")
    if parts[0] == "lins":
        return f"heads.{parts[1]}"
    if parts[0] == "scaling_layer":
        return parts[1]
    if parts[:3] == ["net", "slice1", "0"]:
        return f"first.{parts[-1]}"
    fire = ".".join(parts[1:3])
    return ".".join(["fires", str(list(_FIRES).index(fire)), *parts[3:]]) if fire in _FIRES else stored
