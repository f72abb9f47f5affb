# SPDX-License-Identifier: GPL-3.0-or-later
"""The prepared generator against the generator itself: the same arithmetic, whatever the config."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.prepared import PreparedGenerator, can_prepare

CPU = torch.device("cpu")
SMALL = GeneratorConfig(classes=5, width=64, height=48, widths=(16, 24, 32), blocks=(1, 2, 1))
pytestmark = pytest.mark.skipif(not can_prepare(Generator(SMALL), CPU), reason="a processor without bfloat16")


def _inputs(config: GeneratorConfig) -> list[torch.Tensor]:
    made = torch.Generator().manual_seed(5)
    h, w = config.height, config.width
    classes = torch.randint(config.classes, (1, 1, h // 8, w // 8), generator=made)
    labels = torch.zeros(1, config.label_channels, h, w)
    labels.scatter_(1, classes.repeat_interleave(8, 2).repeat_interleave(8, 3), 1.0)
    extras = torch.rand(1, 3 * config.looks + 2 * config.position + config.trust, h, w, generator=made) * 2 - 1
    warped = torch.rand(1, 3, h, w, generator=made) * 2 - 1
    valid = (torch.rand(1, 1, h, w, generator=made) > 0.3).float()
    return [labels, extras, warped, valid]


def _generator(config: GeneratorConfig) -> Generator:
    torch.manual_seed(3)
    generator = Generator(config).eval()
    for name, value in generator.named_parameters():  # also what training starts at zero must count
        value.data += torch.randn_like(value) * (0.02 if "norm" not in name else 0.2)
    return generator


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"trust": True},
        {"previous": False},
        {"edges": False, "looks": False, "position": False},
        {"widths": (16, 24), "blocks": (0, 0)},
    ],
)
def test_both_make_the_same_picture(changed: dict[str, object]) -> None:
    config = dataclasses.replace(SMALL, **changed)  # type: ignore[arg-type]
    generator, inputs = _generator(config), _inputs(config)
    with torch.inference_mode():
        expected = generator(*inputs)
        made = PreparedGenerator(generator)(*inputs)  # a renderer gives a memory whether the model reads it or not
    assert made.shape == expected.shape
    assert made.dtype == torch.float32
    error = ((made - expected) ** 2).mean()
    assert float(10 * torch.log10(4 / error)) > 45
    assert float(expected.std()) > 0.05  # else any two pictures would be alike


def test_memory_that_may_not_be_trusted_may_be_no_number() -> None:
    generator, inputs = _generator(SMALL), _inputs(SMALL)
    prepared = PreparedGenerator(generator)
    clean = prepared(*inputs)
    inputs[2] = torch.where(inputs[3] > 0, inputs[2], torch.nan)
    assert torch.equal(prepared(*inputs), clean)


def test_what_is_given_stays_as_it_was() -> None:
    generator, inputs = _generator(SMALL), _inputs(SMALL)
    before = [tensor.clone() for tensor in inputs]
    prepared = PreparedGenerator(generator)
    first = prepared(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert torch.equal(prepared(*inputs), first)


def test_what_cannot_be_prepared_is_known() -> None:
    assert not can_prepare(torch.nn.Identity(), CPU)
    assert not can_prepare(Generator(SMALL), torch.device("meta"))
