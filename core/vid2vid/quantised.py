# SPDX-License-Identifier: GPL-3.0-or-later
"""Residual blocks in 8 bits, where the processor multiplies them faster than bfloat16.

Weights are rounded to 8 bits for each channel, what a convolution reads to 8 bits for the whole picture, by ranges that
were measured on training frames and stand in the model's file: fixed ones, so that a frame is the same whatever
was rendered before it. Sums are exact integers. What is added to a block's input stays bfloat16.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapreel.core.contract.errors import DamagedModelError
from mapreel.core.vid2vid.network import Generator, ResidualBlock

KIND = torch.bfloat16
_LARGEST, _MIDDLE, _STEPS = 127, 128, 255
LOWEST_GELU = -0.17
"""GELU never gives less."""
GELU_SLOPE = 1.78
"""x times the logistic function of a multiple of x is near to GELU (Hendrycks and Gimpel, 2016, who give 1.702), and a
sum in integers can be followed by that, not by GELU itself. With 1.78, frames of the street come out 3 dB nearer to
those with GELU than with 1.702."""
_PACK, _CONVOLVE = "qconv_prepack", "qconv2d_pointwise"


@dataclass(frozen=True)
class BlockRange:
    """What the two convolutions of a residual block read on training frames."""

    normed: float  # largest absolute value of the first one's input
    between: float  # largest value of the second one's, which GELU gives

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value > 0 for value in (self.normed, self.between)):
            raise ValueError("a range must be a finite number above 0")


Ranges = Mapping[str, BlockRange]
"""By the name of the block in its generator."""


def blocks_of(generator: nn.Module) -> dict[str, ResidualBlock]:
    """Its residual blocks by name."""
    return {name: part for name, part in generator.named_modules() if isinstance(part, ResidualBlock)}


def ranges_from(found: dict[str, object], generator: Generator, *, file: str) -> dict[str, BlockRange]:
    """The ranges in a model's header. Raises DamagedModelError when they are not those of this generator's blocks."""
    try:
        ranges = {name: BlockRange(*map(float, values)) for name, values in found.items()}  # type: ignore[call-overload]
    except (TypeError, ValueError) as exc:
        raise _damaged(file, str(exc)) from exc
    if ranges.keys() != blocks_of(generator).keys():
        raise _damaged(file, "its blocks have other names")
    return ranges


def _damaged(file: str, detail: str) -> DamagedModelError:
    return DamagedModelError(
        f"the model {file} cannot be used: the ranges of its layers make no sense",
        "fetch or train it again",
        detail=detail,
        file=file,
    )


class RangeMeter:
    """Watches a generator while it makes frames; `ranges` is what it saw so far."""

    def __init__(self) -> None:
        self._largest: dict[tuple[str, int], float] = {}

    @contextmanager
    def watching(self, generator: nn.Module) -> Iterator[None]:
        """As long as this is open."""
        hooks = [
            conv.register_forward_pre_hook(self._hook(name, place))
            for name, block in blocks_of(generator).items()
            for place, conv in enumerate((block.conv1, block.conv2))
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, name: str, place: int) -> Any:
        def see(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            largest = float(given[0].detach().abs().max())
            self._largest[name, place] = max(self._largest.get((name, place), 1e-6), largest)

        return see

    @property
    def ranges(self) -> dict[str, BlockRange]:
        """Of every block that was watched while a frame went through it."""
        names = dict.fromkeys(name for name, _ in self._largest)
        return {name: BlockRange(self._largest[name, 0], self._largest[name, 1]) for name in names}


def as_header(ranges: Ranges) -> dict[str, list[float]]:
    """As a model's header keeps them."""
    return {name: [round(found.normed, 4), round(found.between, 4)] for name, found in ranges.items()}


def can_quantise() -> bool:
    """True for a processor that multiplies 8 bits (VNNI) and a torch with oneDNN's quantised convolutions."""
    check = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(check and check()) and all(hasattr(torch.ops.onednn, name) for name in (_PACK, _CONVOLVE))


class QuantisedBlock:
    """`ResidualBlock` of one frame."""

    def __init__(self, block: ResidualBlock, found: BlockRange) -> None:
        norm = block.norm.norm
        assert norm.weight is not None
        self._size, self._eps = list(norm.normalized_shape), norm.eps
        step = found.normed / _LARGEST
        # the norm's own scale and shift bring its output to steps of 8 bits; up to 256 bfloat16 holds every integer
        self._weight = (norm.weight.detach() / step).to(KIND)
        self._bias = (norm.bias.detach() / step + _MIDDLE).to(KIND)
        between = (found.between - LOWEST_GELU) / _STEPS
        zero = round(-LOWEST_GELU / between)
        self._first = _Convolution(block.conv1, step, _MIDDLE, GELU_SLOPE)
        self._second = _Convolution(block.conv2, between, zero, 1.0)
        self._between = (GELU_SLOPE * between, zero)

    def __call__(self, x: Tensor) -> Tensor:  # [1, C, h, w] bfloat16, channels last -> same; x may be overwritten
        rows = F.layer_norm(x.permute(0, 2, 3, 1), self._size, self._weight, self._bias, self._eps)
        normed = rows.round_().clamp_(0, _STEPS).to(torch.uint8).permute(0, 3, 1, 2)
        return self._second.added_to(self._first.activated(normed, *self._between), x)


class _Convolution:
    """3x3 on 8 bits: read as (value - zero) * step."""

    def __init__(self, conv: nn.Conv2d, step: float, zero: int, factor: float) -> None:
        """factor: what the result is multiplied by."""
        weight = conv.weight.detach()
        assert conv.bias is not None
        steps = weight.abs().amax((1, 2, 3)).clamp_min(1e-12) / _LARGEST
        rounded = (weight / steps[:, None, None, None]).round().to(torch.int8)
        self._read, self._shape = (step, zero), ([1, 1], [1, 1], [1, 1], 1)
        self._steps, self._zeros = factor * steps, torch.zeros(len(steps), dtype=torch.int32)
        self._bias = factor * conv.bias.detach()
        self._weight = _onednn(_PACK)(rounded, self._steps, step, zero, *self._shape, None)

    def activated(self, x: Tensor, step: float, zero: int) -> Tensor:
        """x [1, Ci, h, w] 8 bits -> x * sigmoid(x) of the result, in 8 bits of this step and zero."""
        made: Tensor = self._made(_onednn(_CONVOLVE), x, step, zero, torch.uint8, "swish", [1.0], "")
        return made

    def added_to(self, x: Tensor, base: Tensor) -> Tensor:
        """`base` [1, Co, h, w] bfloat16 + the result; base may be overwritten."""
        told: tuple[Any, ...] = (1.0, 0, KIND, 1.0, 0, "sum", 1.0, "none", [], "")
        return self._made(_onednn(_CONVOLVE).binary, x, *told, base=base)

    def _made(self, convolve: Any, x: Tensor, *told: Any, base: Tensor | None = None) -> Tensor:
        onto = () if base is None else (base,)
        made: Tensor = convolve(
            x, *self._read, self._weight, self._steps, self._zeros, *onto, self._bias, *self._shape, *told
        )
        return made


def _onednn(name: str) -> Any:
    return getattr(torch.ops.onednn, name)
