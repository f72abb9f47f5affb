# SPDX-License-Identifier: GPL-3.0-or-later
"""Large pictures strip by strip: the same values and gradients as all at once."""

from __future__ import annotations

import pytest
import torch

from mapreel.core.nirvana.reel import strips
from mapreel.core.nirvana.reel.config import CHANNELS, PATCH_PX
from mapreel.core.nirvana.reel.pictures import _inter, _intra
from mapreel.core.nirvana.reel.prior import load_prior


@pytest.mark.parametrize(
    ("rows", "cols", "frames", "places"), [(1, 1, 1, 1), (17, 8, 2, 64), (16, 3, 1, 10), (5, 9, 3, 1)]
)
def test_strips_cover_every_row_once_and_begin_even(monkeypatch, rows, cols, frames, places):
    monkeypatch.setattr(strips, "PLACES", places)
    found = strips.strips_of(rows, cols, frames)
    assert [row for strip in found for row in strip] == list(range(rows))
    assert all(strip.start % 2 == 0 for strip in found)


def both_ways(monkeypatch, compute, *planes):
    """Values and gradients at once and by strips of four rows or so."""
    made = []
    for places in (1 << 20, 64):
        monkeypatch.setattr(strips, "PLACES", places)
        inputs = [plane.clone().requires_grad_() for plane in planes]
        values = compute(*inputs)
        sum((value * (k + 1)).square().sum() for k, value in enumerate(values)).backward()
        made.append([*values, *(one.grad for one in inputs)])
    return zip(*made, strict=True)


def test_context_models(monkeypatch):
    torch.manual_seed(0)
    contexts = load_prior().coder(True)
    quality = torch.zeros(1, 1, 1, 1)
    latents = torch.randint(-2, 3, (2, 20, 18, 8)).float()
    for one, other in both_ways(monkeypatch, lambda x: contexts.context(x, None, quality), latents):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    fine, coarse = torch.randint(-3, 4, (2, 4, 18, 8)).float(), torch.randint(-3, 4, (2, 4, 9, 4)).float()
    for one, other in both_ways(monkeypatch, lambda a, b: contexts.motion_contexts[0](a, b, quality), fine, coarse):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_pictures(monkeypatch):
    torch.manual_seed(1)
    prior, quality = load_prior(), torch.full((1, 1, 1, 1), 0.1)
    latents = torch.randn(1, CHANNELS, 19, 8)
    for one, other in both_ways(monkeypatch, lambda x: (_intra(prior.weights(False), x, quality),), latents):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    first, second = torch.rand(2, 1, 3, 19 * PATCH_PX, 8 * PATCH_PX)

    def inter(x, a, b):
        return (_inter(prior.weights(True), x, quality, a, b),)

    for one, other in both_ways(monkeypatch, inter, latents, first, second):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
