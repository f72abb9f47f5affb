# SPDX-License-Identifier: GPL-3.0-or-later
"""A device without memory for the whole picture: tiles that overlap give nearly the same, and it is said."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mapreel.core.contract.errors import MapreelError
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.windows import Windows

CPU_FULL = "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"


class Small:
    """A network on a device that has memory for so many pixels."""

    def __init__(self, network: nn.Module, most_px: int, error: Exception) -> None:
        self.network, self.most_px, self.error = network, most_px, error
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, *tensors: Tensor) -> Tensor:
        h, w = tensors[0].shape[-2:]
        if h * w > self.most_px:
            raise self.error
        self.sizes.append((h, w))
        made: Tensor = self.network(*tensors)
        return made


def blur() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(2, 3, 9, padding=4)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_FULL), MemoryError()])
@torch.no_grad()
def test_tiles_give_what_the_whole_gives(error: Exception) -> None:
    picture = torch.rand(1, 2, 272, 496)
    network = blur()
    windows = Windows(Small(network, 90_000, error), 16)
    assert torch.allclose(windows(picture), network(picture), atol=1e-5)
    said = "the device cpu ran out of memory, so frames are made in tiles of {} pixels from there on"
    assert [note.split(";")[0] for note in windows.notes] == [said.format("256x272"), said.format("256x144")]


@pytest.mark.parametrize("size", [(272, 304), (16, 720), (400, 64)])
@torch.no_grad()
def test_tiles_of_any_number_fit_together(size: tuple[int, int]) -> None:
    picture, network = torch.rand(1, 2, *size), blur()
    windows = Windows(Small(network, size[0] * size[1] // 2, MemoryError()), 16)
    assert torch.allclose(windows(picture), network(picture), atol=1e-5)
    assert len(windows.notes) >= 2


@torch.no_grad()
def test_the_window_that_fits_is_kept_for_the_next_picture() -> None:
    small = Small(blur(), 90_000, MemoryError())
    windows = Windows(small, 16)
    windows(torch.rand(1, 2, 272, 496))
    first, small.sizes = small.sizes, []
    windows(torch.rand(1, 2, 272, 496))
    assert small.sizes == first
    assert max(h * w for h, w in first) <= 90_000
    assert len(windows.notes) == 2


@torch.no_grad()
def test_a_device_with_enough_memory_makes_the_whole() -> None:
    small = Small(blur(), 1 << 20, MemoryError())
    windows = Windows(small, 16)
    windows(torch.rand(1, 2, 272, 496))
    assert small.sizes == [(272, 496)]
    assert windows.notes == []


def test_a_device_without_memory_for_the_smallest_window_is_one_sentence() -> None:
    windows = Windows(Small(blur(), 0, RuntimeError(CPU_FULL)), 16)
    with pytest.raises(MapreelError, match="not enough memory for pictures of 496x272, not even in tiles") as caught:
        windows(torch.rand(1, 2, 272, 496))
    assert "DefaultCPUAllocator" in caught.value.detail


def test_another_error_is_not_taken_for_a_full_memory() -> None:
    windows = Windows(Small(blur(), 0, RuntimeError("shapes do not match")), 16)
    with pytest.raises(RuntimeError, match="shapes"):
        windows(torch.rand(1, 2, 32, 32))


@torch.no_grad()
def test_a_generator_in_tiles_is_nearly_the_whole_one() -> None:
    torch.manual_seed(1)
    config = GeneratorConfig(classes=3, width=320, height=192, widths=(8, 16, 24, 24), blocks=(1, 1, 1, 2))
    generator = Generator(config).eval()
    for value in generator.parameters():
        if not value.any():
            value.normal_(0.0, 0.1)
    labels = torch.zeros(1, 4, 192, 320)
    labels[:, 0, :100], labels[:, 1, 100:], labels[:, 2, 50:120, 90:200] = 1.0, 1.0, 1.0
    inputs = (
        labels,
        torch.rand(1, 5, 192, 320) * 2 - 1,
        torch.rand(1, 3, 192, 320) * 2 - 1,
        torch.ones(1, 1, 192, 320),
    )
    windows = Windows(Small(generator, 45_000, MemoryError()), config.stride_px)
    assert (windows(*inputs) - generator(*inputs)).abs().max() < 0.02
