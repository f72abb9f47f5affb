# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's networks: vid2vid's composite generator and the spatially low-demand student of Fast-Vid2Vid.

Written from the papers' descriptions (Wang et al., NeurIPS 2018, sections 3 and 4; Zhuo et al., ECCV 2022, section
3.2). One class: what parts teacher and student stands in the `PaperConfig`. Tensors of both have the same names, so
that a student begins with all of the teacher's weights that have its shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapreel.core.vid2vid.losses import carried
from mapreel.core.vid2vid.paper_config import BLOCKS_FOREGROUND, BLOCKS_IN, BLOCKS_OUT, DOWNS, PaperConfig

FLOW_PX = 20.0
"""The flow head speaks in so many pixels, so that its weights are of the size of all others."""


@dataclass(frozen=True)
class CompositeFrame:
    """What the generator makes of one frame; all [N, …, H, W]."""

    picture: Tensor  # [N, 3, H, W] -1..1, w * h + (1 - w) * warped
    synthesised: Tensor  # [N, 3, H, W] -1..1, the h of the paper
    weight: Tensor  # [N, 1, H, W] 0..1, the w of the paper
    flow: Tensor  # [N, 2, H, W] px, x then y: a pixel p of this frame was at p + flow
    warped: Tensor  # [N, 3, H, W] -1..1, the newest previous frame along the flow


class PictureNorm(nn.GroupNorm):
    """Instance norm with scale and shift: each channel of each picture by itself, over the whole picture.

    As group norm with a channel to a group, which is the same; for torch's own instance norm gives wrong gradients on
    the processor (2.13) for a batch of one in channels-last memory. `tests/unit/test_vid2vid_paper.py` watches it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)


class DenseBlock(nn.Module):
    """3x3, norm, ReLU, 3x3, norm, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normed(_conv(channels, channels, 3)),
            nn.ReLU(),
            *_normed(_conv(channels, channels, 3)),
        )

    def forward(self, x: Tensor) -> Tensor:  # [N, C, h, w] -> same
        return x + self.body(x)  # type: ignore[no-any-return]


class MobileBlock(nn.Module):
    """Inverted residual with expansion 1 (Sandler et al., CVPR 2018): 1x1, 3x3 for each channel alone, 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normed(_conv(channels, channels, 1)),
            nn.ReLU(),
            *_normed(_conv(channels, channels, 3, groups=channels)),
            nn.ReLU(),
            *_normed(_conv(channels, channels, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:  # [N, C, h, w] -> same
        return x + self.body(x)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """7x7 stem, three downs that double the channels, residual blocks."""

    def __init__(self, channels_in: int, ngf: int, blocks: int, *, student: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_normed(_conv(channels_in, ngf, 7)), nn.ReLU())
        strides = [1 if student and level == 0 else 2 for level in range(DOWNS)]
        self.downs = nn.ModuleList(
            nn.Sequential(*_normed(_conv(ngf << level, ngf << (level + 1), 3, stride=stride)), nn.ReLU())
            for level, stride in enumerate(strides)
        )
        self.blocks = _blocks(ngf << DOWNS, blocks, student=student)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] (student: H/2, W/2) -> [N, 8 ngf, H/8, W/8]
        x = self.stem(x)
        for down in self.downs:
            x = down(x)
        return self.blocks(x)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Residual blocks, three transposed convolutions that halve the channels; full resolution, `ngf` channels."""

    def __init__(self, ngf: int, blocks: int, *, student: bool) -> None:
        super().__init__()
        self.blocks = _blocks(ngf << DOWNS, blocks, student=student)
        self.ups = nn.ModuleList(
            nn.Sequential(*_normed(_transposed(ngf << (level + 1), ngf << level)), nn.ReLU())
            for level in reversed(range(DOWNS))
        )

    def forward(self, x: Tensor) -> Tensor:  # [N, 8 ngf, H/8, W/8] -> [N, ngf, H, W]
        x = self.blocks(x)
        for up in self.ups:
            x = up(x)
        return x


class ForegroundBranch(nn.Module):
    """Draws what moves from the labels alone, at half the channels: the past of a car says little about its look."""

    def __init__(self, channels_in: int, ngf: int, *, student: bool) -> None:
        super().__init__()
        self.encoder = Encoder(channels_in, ngf, BLOCKS_FOREGROUND, student=student)
        self.decoder = Decoder(ngf, 0, student=student)
        self.head = _conv(ngf, 3, 7, bias=True)

    def forward(self, labels: Tensor) -> Tensor:  # [N, L, H, W] -> [N, 3, H, W] -1..1
        return torch.tanh(self.head(self.decoder(self.encoder(labels))).float())


class CompositeGenerator(nn.Module):
    """Teacher or student; what it is made of stands in its `PaperConfig`."""

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        self.config = config
        ngf, student = config.ngf, config.student
        label_channels = (config.previous + 1) * config.label_channels
        self.labels = Encoder(label_channels, ngf, BLOCKS_IN, student=student)
        self.pictures = Encoder(3 * config.previous, ngf, BLOCKS_IN, student=student)
        self.image = Decoder(ngf, BLOCKS_OUT, student=student)
        self.image_head = _conv(ngf, 3, 7, bias=True)
        self.motion = Decoder(ngf, BLOCKS_OUT, student=student)
        self.flow_head = _conv(ngf, 2, 7, bias=True)
        self.weight_head = _conv(ngf, 1, 7, bias=True)
        branch = ForegroundBranch(label_channels, ngf // 2, student=student) if config.foreground else None
        self.foreground = branch
        _initialise(self)

    def forward(self, labels: Tensor, previous: Tensor, known: Tensor | None = None) -> CompositeFrame:
        """Make one frame.

        Args:
            labels: [N, (previous + 1) * label_channels, H, W] at full resolution, oldest frame first, this one last.
            previous: [N, 3 * previous, H, W] sRGB in -1..1, oldest first; zeros where there is none.
            known: [N, 1, 1, 1], 1 where the newest previous frame is there, 0 where it is not and nothing may be
                taken from it; None: it is there.

        H and W must be multiples of `config.stride_px`.
        """
        seen, before = self._seen(labels), self._seen(previous)
        features = self.labels(seen) + self.pictures(before)  # [N, 8 ngf, H/8, W/8]
        synthesised = torch.tanh(self.image_head(self.image(features)).float())
        if self.foreground is not None:
            mask = self._foreground_mask(labels)
            synthesised = mask * self.foreground(seen) + (1 - mask) * synthesised
        motion = self.motion(features)
        flow = FLOW_PX * self.flow_head(motion).float()
        weight = torch.sigmoid(self.weight_head(motion).float())
        if known is not None:
            weight = torch.where(known > 0, weight, torch.ones_like(weight))
        warped = carried(previous[:, -3:].float(), flow)
        return CompositeFrame(weight * synthesised + (1 - weight) * warped, synthesised, weight, flow, warped)

    def _seen(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) if self.config.student else x

    def _foreground_mask(self, labels: Tensor) -> Tensor:
        """[N, 1, H, W], 1 where this frame's class is one of the foreground's."""
        now = labels[:, -self.config.label_channels :]
        return now[:, list(self.config.foreground)].sum(dim=1, keepdim=True)


def start_from(student: CompositeGenerator, teacher: CompositeGenerator) -> list[str]:
    """Give the student every tensor of the teacher that has its name and shape; returns their names."""
    given, own = teacher.state_dict(), student.state_dict()
    shared = [name for name, value in own.items() if name in given and given[name].shape == value.shape]
    student.load_state_dict({**own, **{name: given[name] for name in shared}})
    return shared


def _conv(
    channels_in: int, channels: int, size: int, *, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Same-size (or halving) convolution; borders are mirrored, zeros would be a dark frame around the picture."""
    mode: Literal["reflect", "zeros"] = "reflect" if size > 1 else "zeros"
    return nn.Conv2d(channels_in, channels, size, stride, size // 2, groups=groups, bias=bias, padding_mode=mode)


def _transposed(channels_in: int, channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels, 3, stride=2, padding=1, output_padding=1, bias=False)


def _normed(conv: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, nn.Module]:
    """A convolution and its norm: batch norm at batch one is instance norm, so instance norm it is."""
    return conv, PictureNorm(conv.out_channels)


def _blocks(channels: int, count: int, *, student: bool) -> nn.Sequential:
    return nn.Sequential(*(MobileBlock(channels) if student else DenseBlock(channels) for _ in range(count)))


def _initialise(generator: CompositeGenerator) -> None:
    """Normal weights of deviation 0.02 (Radford et al., 2016); the flow starts at no motion."""
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.zeros_(generator.flow_head.weight)
