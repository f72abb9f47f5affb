# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts multiply-accumulate operations of any network, in both conventions, without taking memory for it.

The true count multiplies what a convolution multiplies. Papers often count a transposed convolution as if it were an
ordinary one at its output's size, as the tool thop does; that is four times too much at stride two. Norms,
activations, pooling and warps count nothing in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import CompositeGenerator

aten = torch.ops.aten


@dataclass(frozen=True)
class Macs:
    """What one forward pass costs."""

    true: int
    """Multiply-accumulates that are done."""
    thop: int
    """The same with transposed convolutions counted at their output's size."""
    parameters: int
    """Learned values."""


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation that is dispatched, whether a module or a function asked for it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.true = self.thop = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is aten.convolution.default:
            x, weight, transposed = args[0], args[1], args[6]
            done = _convolution(x if transposed else result, weight)
            self.true += done
            self.thop += _convolution(result, weight)
        elif func in _PRODUCTS:
            left, right = args[_PRODUCTS[func] :][:2]
            self.true += left.numel() * right.shape[-1]
            self.thop += left.numel() * right.shape[-1]
        return result


# Matrix products, and where their left factor stands among the arguments.
_PRODUCTS = {aten.mm.default: 0, aten.bmm.default: 0, aten.addmm.default: 1, aten.baddbmm.default: 1}


def _convolution(placed: Tensor, weight: Tensor) -> int:
    """Every pixel at which the kernel is laid down multiplies all of the weights once: [N, C, h, w] -> a number."""
    return placed.shape[0] * placed.shape[2:].numel() * weight.numel()


def count(module: nn.Module, inputs: Sequence[Tensor | None]) -> Macs:
    """Multiply-accumulates of `module(*inputs)`.

    Weights and inputs are replaced by tensors that have a shape and nothing else, so that a network of any size is
    counted at once; the module itself stays as it is. Inputs may lie on any device, the meta device included.
    """
    bare = {name: torch.empty_like(value, device="meta") for name, value in _values(module).items()}
    with torch.no_grad(), _Counter() as counter:
        functional_call(module, bare, tuple(None if x is None else torch.empty_like(x, device="meta") for x in inputs))
    return Macs(counter.true, counter.thop, sum(p.numel() for p in module.parameters()))


def count_generator(generator: Generator, size_px: tuple[int, int]) -> Macs:
    """One frame of our generator at a size (H, W), padded to its stride as the renderer does."""
    config = generator.config
    h, w = (side + -side % config.stride_px for side in size_px)
    memory = 4 * config.previous
    shapes = [config.label_channels, config.input_channels - config.label_channels - memory]
    shapes += [3, 1] if config.previous else []
    inputs: list[Tensor | None] = [torch.empty(1, channels, h, w, device="meta") for channels in shapes]
    return count(generator, inputs + [None] * (4 - len(inputs)))


def count_composite(config: PaperConfig, size_px: tuple[int, int] | None = None) -> Macs:
    """One frame of the paper's teacher or student at a size (H, W), at the config's own when None; takes no memory."""
    h, w = size_px or (config.height, config.width)
    with torch.device("meta"):
        generator = CompositeGenerator(config)
        labels = torch.empty(1, (config.previous + 1) * config.label_channels, h, w)
        previous = torch.empty(1, 3 * config.previous, h, w)
    return count(generator, (labels, previous))


def _values(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
