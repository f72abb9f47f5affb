# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks in 8 bits against the blocks themselves, and the ranges a model's file keeps for them."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

from mapreel.core.contract.errors import DamagedModelError
from mapreel.core.vid2vid.checkpoint import RANGES, load_model, open_model
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.network import Generator, ResidualBlock
from mapreel.core.vid2vid.prepared import PreparedGenerator, can_prepare
from mapreel.core.vid2vid.quantised import (
    BlockRange,
    QuantisedBlock,
    RangeMeter,
    as_header,
    blocks_of,
    can_quantise,
    ranges_from,
)

CONFIG = GeneratorConfig(classes=5, width=64, height=48, widths=(16, 24, 32), blocks=(1, 2, 1))
with_vnni = pytest.mark.skipif(
    not can_quantise() or not can_prepare(Generator(CONFIG), torch.device("cpu")),
    reason="a processor without bfloat16 or 8-bit products",
)


def _stirred(module: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(3)
    for name, value in module.named_parameters():  # also what training starts at zero must count
        value.data += torch.randn_like(value) * (0.05 if "norm" not in name else 0.2)
    return module.eval()


def _generator() -> Generator:
    torch.manual_seed(2)
    return _stirred(Generator(CONFIG))  # type: ignore[return-value]


def _inputs(seed: int = 5) -> list[torch.Tensor]:
    made, (h, w) = torch.Generator().manual_seed(seed), (CONFIG.height, CONFIG.width)
    channels = CONFIG.input_channels - CONFIG.label_channels - 4
    labels = (torch.rand(1, CONFIG.label_channels, h, w, generator=made) > 0.7).float()
    extras, warped = (torch.rand(1, n, h, w, generator=made) * 2 - 1 for n in (channels, 3))
    return [labels, extras, warped, torch.ones(1, 1, h, w)]


def _measured(generator: Generator) -> dict[str, BlockRange]:
    meter = RangeMeter()
    with meter.watching(generator), torch.inference_mode():
        for seed in range(3):
            generator(*_inputs(seed))
    return meter.ranges


def _db(made: torch.Tensor, true: torch.Tensor) -> float:
    return float(10 * torch.log10(true.square().mean() / (made - true).square().mean()))


@with_vnni
@torch.inference_mode()
def test_a_block_in_8_bits_is_the_block() -> None:
    torch.manual_seed(1)
    block = _stirred(ResidualBlock(32))
    x = (torch.randn(1, 32, 24, 40) * 2).contiguous(memory_format=torch.channels_last)
    meter = RangeMeter()
    with meter.watching(torch.nn.ModuleDict({"one": block})):
        change = block(x) - x
    made = QuantisedBlock(block, meter.ranges["one"])(x.bfloat16()).float() - x  # type: ignore[arg-type]
    assert _db(made, change) > 28


@with_vnni
@torch.inference_mode()
def test_what_is_beyond_the_range_is_held_at_its_end() -> None:
    torch.manual_seed(1)
    block = _stirred(ResidualBlock(16))
    x = torch.randn(1, 16, 8, 8).contiguous(memory_format=torch.channels_last)
    made = QuantisedBlock(block, BlockRange(0.5, 0.2))(x.bfloat16())  # type: ignore[arg-type]
    assert torch.isfinite(made).all()
    assert float((made.float() - x).abs().max()) < 20  # 8 bits that had wrapped around would be noise


@with_vnni
def test_a_generator_in_8_bits_makes_its_picture_and_always_the_same() -> None:
    generator = _generator()
    quick = PreparedGenerator(generator, _measured(generator))
    inputs = _inputs(9)
    with torch.inference_mode():
        true, exact = generator(*inputs), PreparedGenerator(generator)(*inputs)
    made = quick(*inputs)
    assert float(10 * torch.log10(4 / (made - true).square().mean())) > 33
    assert not torch.equal(made, exact)  # else nothing would have been rounded
    quick(*_inputs(4))
    assert torch.equal(quick(*inputs), made)


def test_ranges_are_kept_in_the_header_and_checked() -> None:
    generator = _generator()
    ranges = _measured(generator)
    assert ranges.keys() == blocks_of(generator).keys()
    kept = json.loads(json.dumps(as_header(ranges)))
    assert ranges_from(kept, generator, file="a")["trunk.0"].between == pytest.approx(ranges["trunk.0"].between, 1e-3)
    name = next(iter(kept))
    for wrong in ([1.0], [1.0, -1.0], [1.0, float("nan")], "much", [1.0, 2.0, 3.0], None):
        with pytest.raises(DamagedModelError, match="ranges"):
            ranges_from({**kept, name: wrong}, generator, file="a")
    with pytest.raises(DamagedModelError, match="ranges"):
        ranges_from({**kept, "another": [1.0, 1.0]}, generator, file="a")


def test_the_shipped_model_renders_in_8_bits_and_older_ones_open(tmp_path) -> None:
    model, file = load_model("street"), open_model("street")
    assert model.ranges is not None
    header = {k: v for k, v in file.header.items() if k != RANGES}
    path = tmp_path / "older" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(safetensors.torch.save(file.tensors, metadata=header))
    assert load_model(str(path.parent)).ranges is None
    path.write_bytes(safetensors.torch.save(file.tensors, metadata={**header, RANGES: "[1]"}))
    with pytest.raises(DamagedModelError, match="ranges"):
        load_model(str(path.parent))
