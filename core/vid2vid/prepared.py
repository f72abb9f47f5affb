# SPDX-License-Identifier: GPL-3.0-or-later
"""A generator made ready to render on a processor with bfloat16: the same arithmetic in fewer passes over memory.

Weights are laid out for oneDNN once, GELU and the residual sum happen inside the convolutions, and pixel (un)shuffle
is a change of the weights' channel order, so that pictures stay rows of pixels [H, W, C] from the maps to the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapreel.core.vid2vid.network import FineHead, Generator, LabelModulation, ResidualBlock, UpLevel
from mapreel.core.vid2vid.precision import has_fast_bfloat16
from mapreel.core.vid2vid.quantised import QuantisedBlock, Ranges, blocks_of, can_quantise

KIND = torch.bfloat16
_REORDER, _CONVOLVE, _CONVOLVE_INTO = (
    "_reorder_convolution_weight",
    "_convolution_pointwise",
    "_convolution_pointwise_",
)


def can_prepare(generator: nn.Module, device: torch.device) -> bool:
    """True where `PreparedGenerator` runs: a generator of ours, a processor with bfloat16, a torch with oneDNN."""
    return type(generator) is Generator and can_run_prepared(device)


def can_run_prepared(device: torch.device) -> bool:
    """True for a processor with bfloat16 and a torch with oneDNN."""
    if device.type != "cpu" or not has_fast_bfloat16(device):
        return False
    return torch.backends.mkldnn.is_available() and all(map(_has_onednn, (_REORDER, _CONVOLVE, _CONVOLVE_INTO)))  # type: ignore[no-untyped-call]


def _onednn(name: str) -> Any:  # what torch compiles for itself; its own name for it begins with an underscore
    return getattr(torch.ops.mkldnn, name)


def _has_onednn(name: str) -> bool:
    return hasattr(torch.ops.mkldnn, name)


class Convolution:
    """A convolution in bfloat16 with its weights in oneDNN's order."""

    def __init__(self, conv: nn.Conv2d, weight: Tensor | None = None, bias: Tensor | None = None) -> None:
        self._shape = ([1, 1] if conv.padding == (1, 1) else [0, 0], list(conv.stride), [1, 1], 1)
        dense = (conv.weight if weight is None else weight).detach().to(KIND)
        given = conv.bias if bias is None else bias
        assert given is not None
        self._bias = given.detach().to(KIND)
        padding, stride, dilation, groups = self._shape
        self._weight = _onednn(_REORDER)(dense, padding, stride, dilation, groups)

    def __call__(self, x: Tensor, gelu: bool = False) -> Tensor:  # [1, Ci, h, w] -> [1, Co, h', w'], channels last
        after: tuple[Any, ...] = ("gelu", [], "none") if gelu else ("none", [], "")
        made: Tensor = _onednn(_CONVOLVE)(x, self._weight, self._bias, *self._shape, *after)
        return made

    def added_to(self, x: Tensor, base: Tensor) -> Tensor:
        """`base` + this convolution of x, in base's memory."""
        add = _onednn(_CONVOLVE_INTO).binary
        total: Tensor = add(base, x, self._weight, self._bias, *self._shape, "add", 1.0, None, [], None)
        return total


class _Norm:
    """`PixelNorm` on channels-last memory."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        assert norm.weight is not None
        self._size, self._eps = list(norm.normalized_shape), norm.eps
        self._weight, self._bias = norm.weight.detach().to(KIND), norm.bias.detach().to(KIND)

    def __call__(self, x: Tensor) -> Tensor:  # [1, C, h, w] -> same
        rows = F.layer_norm(x.permute(0, 2, 3, 1), self._size, self._weight, self._bias, self._eps)
        return rows.permute(0, 3, 1, 2)


class _Block:
    """`ResidualBlock`, overwriting its input."""

    def __init__(self, block: ResidualBlock) -> None:
        self._norm, self._first, self._second = (
            _Norm(block.norm.norm),
            Convolution(block.conv1),
            Convolution(block.conv2),
        )

    def __call__(self, x: Tensor) -> Tensor:  # [1, C, h, w] -> same memory
        return self._second.added_to(self._first(self._norm(x), gelu=True), x)


class _Modulation:
    """`LabelModulation`; the one that is added to the scale stands in the bias."""

    def __init__(self, modulation: LabelModulation) -> None:
        self._norm, conv = _Norm(modulation.norm.norm), modulation.conv
        scale, shift = conv.weight.detach().chunk(2)
        assert conv.bias is not None
        scale_bias, shift_bias = conv.bias.detach().chunk(2)
        self._scale, self._shift = Convolution(conv, scale, scale_bias + 1.0), Convolution(conv, shift, shift_bias)

    def __call__(self, x: Tensor, labels: Tensor) -> Tensor:  # [1, C, h, w], [1, L, h, w] -> [1, C, h, w]
        return self._shift(labels).addcmul_(self._norm(x), self._scale(labels))


class _Up:
    """`UpLevel`."""

    def __init__(self, up: UpLevel, prepared: _MakeBlock) -> None:
        self._mix, self._modulate = Convolution(up.mix), _Modulation(up.modulate)
        self._blocks = [prepared(block) for block in up.blocks if isinstance(block, ResidualBlock)]

    def __call__(self, x: Tensor, skip: Tensor, labels: Tensor) -> Tensor:
        x = F.interpolate(self._mix(x), scale_factor=2.0, mode="bilinear", align_corners=False).add_(skip)
        x = self._modulate(x, labels)
        for block in self._blocks:
            x = block(x)
        return x


class _Head:
    """`FineHead` with tanh: the keep channel is halved, for sigmoid(z) = (1 + tanh(z / 2)) / 2."""

    def __init__(self, head: FineHead, keeps: bool) -> None:
        self._norm, self._fine = _Norm(head.norm.norm), Convolution(head.fine)
        spread, out = head.spread, head.out
        assert spread.bias is not None
        assert out.bias is not None
        self._own = spread.out_channels // 4
        order = torch.arange(4 * self._own).reshape(self._own, 4).T.reshape(-1)  # a pixel's channels side by side
        self._spread = Convolution(spread, spread.weight[order], spread.bias[order])
        weight, bias = out.weight.detach().clone(), out.bias.detach().clone()
        if keeps:
            weight[3], bias[3] = weight[3] / 2, (bias[3] - 1.0) / 2
        self._out = Convolution(out, weight, bias)

    def __call__(self, x: Tensor, fine: Tensor) -> Tensor:
        """[1, C, H/2, W/2] and `fine` [H, W, own + F], whose first channels are written -> [H, W, 3 or 4] float."""
        h, w, _ = fine.shape
        spread = _rows(self._spread(F.gelu(self._norm(x)))).view(h // 2, w // 2, 2, 2, self._own)
        fine.view(h // 2, 2, w // 2, 2, -1)[..., : self._own] = spread.permute(0, 2, 1, 3, 4)
        return torch.tanh(_rows(self._out(self._fine(_planes(fine), gelu=True))).float())


_MakeBlock = Callable[[ResidualBlock], Callable[[Tensor], Tensor]]


def _block_maker(generator: Generator, ranges: Ranges | None) -> _MakeBlock:
    """Blocks in 8 bits where the ranges are known and the processor has the instructions, else in bfloat16."""
    if not ranges or not can_quantise():
        return _Block
    found = {id(block): ranges[name] for name, block in blocks_of(generator).items()}
    return lambda block: QuantisedBlock(block, found[id(block)])


class PreparedGenerator:
    """Does what `Generator.forward` does for one frame; the layers are the same, what lies between them is cheaper.

    Built from the weights as they are now: a generator that is trained on must be prepared anew.
    """

    def __init__(self, generator: Generator, ranges: Ranges | None = None) -> None:
        """ranges: what the blocks read on training frames; with them they run in 8 bits where that is quicker."""
        prepared = _block_maker(generator, ranges)
        config = self.config = generator.config
        order = torch.arange(4 * config.input_channels).reshape(config.input_channels, 4).T.reshape(-1)
        self._stem = Convolution(generator.stem, generator.stem.weight[:, order])
        self._downs = [(Convolution(level.down), prepared(level.block)) for level in generator.downs]  # type: ignore[arg-type]
        self._trunk = [prepared(block) for block in generator.trunk if isinstance(block, ResidualBlock)]
        self._ups = [_Up(up, prepared) for up in generator.ups if isinstance(up, UpLevel)]
        self._head = _Head(generator.head, config.previous)
        self._own = generator.head.spread.out_channels // 4

    @torch.inference_mode()
    def __call__(self, labels: Tensor, extras: Tensor, warped: Tensor | None, valid: Tensor | None) -> Tensor:
        """One frame; arguments and result as those of `Generator.forward` with N = 1, the result channels last."""
        if not self.config.previous:
            warped = valid = None
        if warped is None or valid is None:
            given = [labels, extras]
        else:
            warped = warped.masked_fill(valid == 0, 0.0)  # not a product: what may not be trusted may be NaN
            given = [labels, extras, warped, valid]
        parts = [_rows(part).to(KIND) for part in given]
        h, w, _ = parts[0].shape
        whole = torch.cat(parts, dim=2).view(h // 2, 2, w // 2, 2, -1)
        x = self._stem(_planes(whole.permute(0, 2, 1, 3, 4).reshape(h // 2, w // 2, -1)))
        pyramid = [_halved(parts[0])]
        skips = []
        for down, block in self._downs:
            skips.append(x)
            x = block(down(x))
            pyramid.append(_halved(pyramid[-1]))
        for block in self._trunk:
            x = block(x)
        for up, skip, scale in zip(self._ups, reversed(skips), reversed(pyramid[:-1]), strict=True):
            x = up(x, skip, _planes(scale))
        fine = torch.cat([parts[0].new_empty(h, w, self._own), parts[0], *parts[2:]], dim=2)
        out = self._head(x, fine)
        if warped is None or valid is None:
            return _planes(out)
        keep = (out[..., 3:] + 1.0).mul_(_rows(valid)).mul_(0.5)
        return _planes(torch.lerp(out[..., :3], _rows(warped), keep))


def _halved(rows: Tensor) -> Tensor:
    """Means of 2 x 2 pixels: [h, w, C] -> [h / 2, w / 2, C]. The same as `avg_pool2d` in a third of its time."""
    h, w, channels = rows.shape
    pairs = rows.reshape(h // 2, 2, w * channels)
    sums = (pairs[:, 0] + pairs[:, 1]).view(h // 2, w // 2, 2 * channels)
    return (sums[..., :channels] + sums[..., channels:]).mul_(0.25)


def _planes(rows: Tensor) -> Tensor:
    """[h, w, C] -> [1, C, h, w] of the same memory."""
    return rows.permute(2, 0, 1)[None]


def _rows(planes: Tensor) -> Tensor:
    """[1, C, h, w] channels last -> [h, w, C] of the same memory."""
    return planes[0].permute(1, 2, 0)
