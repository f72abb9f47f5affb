# SPDX-License-Identifier: GPL-3.0-or-later
"""What the encoder of profile reel chooses by cost: motion, whole latents, scales of channels, levels of quality."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mapreel.core.nirvana.reel.choose import best_offsets, rounded_by_cost
from mapreel.core.nirvana.reel.config import CHANNELS, MOTION_STEP_PX
from mapreel.core.nirvana.reel.hierarchy import hierarchy
from mapreel.core.nirvana.reel.motion import guess_motion
from mapreel.core.nirvana.reel.network import dense_motion, moved
from mapreel.core.nirvana.reel.pictures import qualities_of
from mapreel.core.nirvana.reel.prior import load_prior

HEIGHT, WIDTH = 64, 96
QUALITY = torch.zeros(1, 1, 1, 1)


def texture(seed=0):
    noise = torch.rand(1, 3, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, scale_factor=4, mode="bicubic").clamp(0, 1)


def still(x=0.0, y=0.0):
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, HEIGHT, WIDTH).contiguous()


@pytest.mark.parametrize("thorough", [True, False])
def test_motion_is_found_where_flow_is_a_little_wrong(thorough):
    reference = texture()
    wanted = moved(reference, still(2.5, -1.25))
    flow = torch.cat([still(2.25, -1.0), still()], dim=1)
    fine, coarse = guess_motion(flow, None, wanted, (reference,), torch.tensor([20.0]), thorough=thorough)
    assert fine.shape == (1, 4, HEIGHT // 8, WIDTH // 8)
    assert not fine[:, 2:].any()
    assert not coarse[:, 2:].any()
    found = dense_motion(coarse, fine)[:, :2, 8:-8, 8:-8]
    assert (found - torch.tensor([2.5, -1.25]).view(1, 2, 1, 1)).abs().mean() < MOTION_STEP_PX / 2


def test_motion_that_saves_nothing_is_not_sent():
    picture = torch.full((1, 3, HEIGHT, WIDTH), 0.4)
    flow = torch.cat([still(3.0, 2.0), still(-1.0, 0.5)], dim=1)
    fine, coarse = guess_motion(flow, None, picture, (picture, picture), torch.tensor([200.0]))
    assert not fine.any()
    assert not coarse.any()


def test_motion_costs_more_than_it_saves_at_a_high_price():
    reference = texture(1)
    wanted = moved(reference, still(0.25, 0.0))
    flow = torch.cat([still(0.25), still()], dim=1)
    fine, coarse = guess_motion(flow, None, wanted, (reference,), torch.tensor([1e9]))
    assert not fine.any()
    assert not coarse.any()


def some_latents(seed=3):
    generator = torch.Generator().manual_seed(seed)
    spread = torch.linspace(3.0, 0.2, CHANNELS).view(1, -1, 1, 1)
    return torch.randn(2, CHANNELS, 6, 8, generator=generator) * spread


def test_latents_are_rounded_to_neighbours_or_nothing_and_cost_less_than_rounded_plainly():
    context, values = load_prior().coder(True).context, some_latents()
    weights = torch.full((1, CHANNELS, 1, 1), 4.0)
    chosen = rounded_by_cost(context, values, QUALITY, weights, 0.35)
    whole = chosen.round()
    assert bool(((whole == 0) | ((whole - values).abs() < 1)).all())
    coder = load_prior().coder(True)

    def cost(symbols):
        bits = coder.latent_bits(symbols, symbols, QUALITY).sum()
        return float(bits + ((values - symbols).square() * weights).sum())

    assert cost(whole) < 0.97 * cost(values.round())


def test_errors_worth_everything_are_rounded_plainly():
    values = some_latents()
    weights = torch.full((1, CHANNELS, 1, 1), 1e6)
    chosen = rounded_by_cost(load_prior().coder(True).context, values, QUALITY, weights, 0.35)
    assert torch.equal(chosen.round(), values.round())


def test_offsets_never_cost_and_never_lose_a_symbol():
    context = load_prior().coder(True).context
    symbols = (some_latents() * 0.5).round()
    steps = best_offsets(context, symbols, None, QUALITY)
    assert steps.shape == (CHANNELS,)
    assert float(steps.abs().max()) <= 8
    assert steps.any()
    nothing = best_offsets(context, torch.zeros(1, CHANNELS, 4, 4), None, QUALITY)
    assert float(nothing.max()) <= 0  # narrower scales, if any


def test_what_others_lean_on_is_finer():
    plan = hierarchy(9, True)
    inter = sorted((f for f in plan if f.refs), key=lambda f: f.row)
    got = dict(zip((f.place for f in inter), qualities_of(plan, True, 30, (64, 40, 16)), strict=True))
    assert qualities_of(plan, False, 30, (64, 40, 16)) == [-34]
    assert got == {4: -10, 8: -10, 2: 14, 6: 14, 1: 30, 3: 30, 5: 30, 7: 30}
    assert np.all([f.level == 0 for f in plan if not f.refs])
