# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator: shapes, what it may look at, memory that is not to be trusted, and the size of the shipped shape."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.discriminator import MultiScaleDiscriminator
from mapreel.core.vid2vid.losses import critic_hinge, feature_matching, generator_hinge, steadiness
from mapreel.core.vid2vid.network import Generator, PixelNorm, count_parameters
from mapreel.core.vid2vid.precision import fast_precision, has_fast_bfloat16


def tiny(**changes):
    shape = {"classes": 3, "width": 32, "height": 16, "widths": (8, 16, 24), "blocks": (1, 1, 2)}
    return GeneratorConfig(**{**shape, **changes})


def generator(config, seed=1):
    torch.manual_seed(seed)
    made = Generator(config).eval()
    with torch.no_grad():
        for value in made.parameters():
            if not value.any():
                value.normal_(0, 0.1)
    return made


def inputs(config, n=1, h=16, w=32, seed=2):
    random = torch.Generator().manual_seed(seed)
    labels = torch.zeros(n, config.label_channels, h, w)
    labels.scatter_(1, torch.randint(config.classes, (n, 1, h, w), generator=random), 1.0)
    extras = torch.rand(n, 3 * config.looks + 2 * config.position, h, w, generator=random) * 2 - 1
    warped = torch.rand(n, 3, h, w, generator=random) * 2 - 1
    valid = (torch.rand(n, 1, h, w, generator=random) > 0.4).float()
    return labels, extras, warped, valid


@pytest.mark.parametrize("switch", [{}, {"edges": False}, {"looks": False}, {"position": False}, {"previous": False}])
@pytest.mark.parametrize("size", [(8, 8), (16, 32), (40, 24)])
@torch.inference_mode()
def test_a_frame_in_a_frame_out(switch, size):
    config = tiny(**switch)
    net = generator(config)
    out = net(*inputs(config, 2, *size))
    assert out.shape == (2, 3, *size)
    assert out.dtype == torch.float32
    assert out.abs().max() <= 1.0
    assert out.std() > 0.001


@torch.inference_mode()
def test_a_model_without_memory_gives_the_same_with_and_without_one():
    config = tiny(previous=False)
    net, (labels, extras, warped, valid) = generator(config), inputs(config)
    assert torch.equal(net(labels, extras, warped, valid), net(labels, extras, None, None))


@pytest.mark.parametrize("widths", [(8, 16), (8, 16, 24), (4, 6, 8, 10)])
def test_the_stride_is_what_the_levels_make_it(widths):
    config = tiny(widths=widths, blocks=(1,) * len(widths))
    assert config.stride_px == 2 ** len(widths)
    net = generator(config)
    with torch.inference_mode():
        assert net(*inputs(config, 1, config.stride_px, 2 * config.stride_px)).shape[2:] == (
            config.stride_px,
            2 * config.stride_px,
        )
        if len(widths) > 2:
            with pytest.raises(RuntimeError):
                net(*inputs(config, 1, config.stride_px + 2, config.stride_px))


@torch.inference_mode()
def test_the_norm_looks_at_one_pixel_only():
    norm = PixelNorm(6)
    nn.init.normal_(norm.norm.weight)
    nn.init.normal_(norm.norm.bias)
    x = torch.randn(2, 6, 5, 7)
    other = x.clone()
    other[:, :, 2, 3] += 10 * torch.randn(2, 6)
    changed = (norm(x) != norm(other)).any(dim=1)
    assert changed[:, 2, 3].all()
    assert changed.sum() == 2
    bare = PixelNorm(6)(x)
    assert torch.allclose(bare.mean(dim=1), torch.zeros(2, 5, 7), atol=1e-5)
    assert torch.allclose(bare.std(dim=1, unbiased=False), torch.ones(2, 5, 7), atol=1e-2)


@torch.inference_mode()
def test_a_change_far_away_changes_nothing_here():
    """No average over the picture anywhere: a car that enters on the left cannot change the sky on the right."""
    config = tiny(widths=(4, 6), blocks=(1, 1))
    net = generator(config)
    labels, extras, warped, valid = inputs(config, 1, 16, 256)
    other = labels.clone()
    other[..., :8] = other[..., :8].roll(1, dims=1)
    a, b = net(labels, extras, warped, valid), net(other, extras, warped, valid)
    assert not torch.equal(a[..., :8], b[..., :8])
    assert torch.equal(a[..., 128:], b[..., 128:])


@pytest.mark.parametrize("junk", [0.0, 5.0, -1e6, float("nan"), float("inf")])
@torch.inference_mode()
def test_memory_that_is_not_valid_has_no_influence(junk):
    config = tiny()
    net, (labels, extras, warped, valid) = generator(config), inputs(config)
    spoilt = torch.where(valid > 0, warped, torch.full_like(warped, junk))
    a, b = net(labels, extras, warped, valid), net(labels, extras, spoilt, valid)
    assert torch.isfinite(b).all()
    assert torch.equal(a, b)
    nothing = torch.zeros_like(valid)
    assert torch.equal(
        net(labels, extras, warped, nothing), net(labels, extras, torch.full_like(warped, junk), nothing)
    )


@torch.inference_mode()
def test_valid_memory_is_blended_in():
    config = tiny()
    net, (labels, extras, warped, _) = generator(config), inputs(config)
    whole = torch.ones(1, 1, 16, 32)
    net.head.out.bias[3] = 50.0  # keep everything
    assert torch.allclose(net(labels, extras, warped, whole), warped, atol=1e-5)
    net.head.out.bias[3] = -50.0  # keep nothing
    assert (net(labels, extras, warped, whole) - warped).abs().mean() > 0.1


@torch.inference_mode()
@pytest.mark.parametrize("which", [0, 1])
def test_labels_and_extras_matter(which):
    config = tiny()
    net, values = generator(config), list(inputs(config))
    before = net(*values)
    values[which] = values[which].roll(1, dims=1)
    assert (net(*values) - before).abs().max() > 1e-3


def test_every_weight_learns():
    config = tiny()
    net = generator(config).train()
    net(*inputs(config)).square().sum().backward()
    still = [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == []


def test_the_shape_of_street_fits_into_sixteen_megabytes_at_half_precision():
    with torch.device("meta"):
        net = Generator(GeneratorConfig(classes=12, width=512, height=256))
    assert net.config.input_channels == 13 + 3 + 2 + 4
    assert count_parameters(net) == sum(v.numel() for v in net.state_dict().values())
    assert count_parameters(net) > 4_000_000
    assert 2 * count_parameters(net) <= 16_000_000 - 100_000  # the rest is for header and instance colours


# --- critic and losses ------------------------------------------------------------------------------------------


def test_the_critic_judges_patches_at_two_scales():
    critic = MultiScaleDiscriminator(7, width=4)
    views = critic(torch.randn(2, 7, 64, 96))
    assert [len(v) for v in views] == [5, 5]
    assert [tuple(v[-1].shape) for v in views] == [(2, 1, 8, 12), (2, 1, 4, 6)]


def verdicts(value):
    return [[torch.zeros(1, 2, 2, 2), torch.full((1, 1, 2, 2), value)], [torch.full((1, 1, 1, 1), value)]]


def test_hinge_losses_at_known_values():
    assert critic_hinge(verdicts(1.0), verdicts(-1.0)).item() == 0.0
    assert critic_hinge(verdicts(0.0), verdicts(0.0)).item() == 2.0
    assert critic_hinge(verdicts(-1.0), verdicts(3.0)).item() == 6.0
    assert generator_hinge(verdicts(0.75)).item() == -0.75


def test_feature_matching_takes_no_gradient_through_the_truth_and_leaves_the_verdict_out():
    real = [[torch.ones(1, 2, 2, 2, requires_grad=True), torch.zeros(1, 1, 2, 2)]]
    fake = [[torch.full((1, 2, 2, 2), 3.0, requires_grad=True), torch.full((1, 1, 2, 2), 100.0)]]
    loss = feature_matching(real, fake)
    assert loss.item() == 2.0
    loss.backward()
    assert real[0][0].grad is None
    assert fake[0][0].grad is not None


def test_a_slim_network_reads_the_same_maps_with_a_fifth_of_the_weights():
    config = GeneratorConfig(classes=12, width=512, height=256, trust=True)
    share = count_parameters(Generator(config.slim())) / count_parameters(Generator(config))
    assert 0.15 < share < 0.25
    assert (config.slim().input_channels, config.slim().stride_px) == (config.input_channels, config.stride_px)


def test_steadiness_counts_only_where_the_truth_is_steady():
    output, warped = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    steady = torch.zeros(1, 1, 4, 4)
    assert steadiness(output, warped, steady).item() == 0.0
    steady[..., :2, :] = 1.0
    warped[..., 2:, :] = 1000.0
    assert steadiness(output, warped, steady).item() == pytest.approx(24 / 25)


def test_precision_is_full_where_half_is_not_fast(monkeypatch):
    cpu = torch.device("cpu")
    for fast in (True, False):
        has_fast_bfloat16.cache_clear()
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast, raising=False)
        with fast_precision(cpu):
            made = torch.ones(2, 2) @ torch.ones(2, 2)
        assert made.dtype == (torch.bfloat16 if fast else torch.float32)
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    has_fast_bfloat16.cache_clear()
