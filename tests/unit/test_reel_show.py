# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile reel: pictures made by strips, with what a processor is good at, are those that the format's text gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mapreel.core.nirvana.profile import WHOLE, PictureShape, View
from mapreel.core.nirvana.reel.config import PATCH_PX, padded
from mapreel.core.nirvana.reel.decode import ReelDecoder, ReelState
from mapreel.core.nirvana.reel.hierarchy import hierarchy
from mapreel.core.nirvana.reel.network import enlarged as enlarged_planes
from mapreel.core.nirvana.reel.payload import all_deltas, empty_group, pack_group
from mapreel.core.nirvana.reel.pictures import group_tensors, make_pictures
from mapreel.core.nirvana.reel.prior import load_prior
from mapreel.core.nirvana.reel.show import STRIP, Workshop
from mapreel.core.nirvana.reel.weights import weights_of

CPU = torch.device("cpu")
FRAMES = 9


def lively_group(size, *, intra=True, seed=0):
    """Latents in some places, motion in a part of the picture, a changed network."""
    random = np.random.default_rng(seed)
    group = empty_group(size, FRAMES, intra, 9, (48, 32, 12))
    for grid, busy in ((group.intra, 0.2), (group.inter, 0.01)):
        there = random.random(grid.shape) < busy
        grid[there] = np.rint(random.laplace(0, 2, int(there.sum()))).astype(np.int32)
    for grid in group.motion:
        grid[..., : grid.shape[3] // 2] = random.integers(-9, 10, grid[..., : grid.shape[3] // 2].shape)
    group.inter[2] = 0
    group.deltas = all_deltas(intra)
    group.deltas["inter.out.bias"][13] = 40
    return group


def by_the_text(group, size, before):
    prior = load_prior()
    plan = hierarchy(FRAMES, before is None)
    weights = tuple(
        weights_of(prior, group.deltas, inter, CPU) if inter or before is None else None for inter in (False, True)
    )
    with torch.inference_mode():
        made = make_pictures(plan, group_tensors(group, prior, CPU), weights, before, most=1)
        return {frames[0].place: picture[0].clamp(0, 1).permute(1, 2, 0) for frames, picture in made}


# More rows of patches than a strip has, sides that are no multiples of anything, and less than a patch.
@pytest.mark.parametrize("size", [((2 * STRIP + 3) * PATCH_PX - 5, 52), (41, 104), (3, 5)])
@pytest.mark.parametrize("intra", [True, False])
def test_strips_show_what_whole_pictures_show(size, intra):
    group, prior = lively_group(size, intra=intra), load_prior()
    torch.manual_seed(1)
    before = None if intra else torch.rand(1, 3, *padded(size))
    decoder = ReelDecoder(PictureShape(height=size[0], width=size[1], group_frames=FRAMES), prior)
    previous = None if intra else ReelState(all_deltas(True), before, 0)
    payload = pack_group(group, None if intra else previous.deltas, prior)  # leaves out what no bits are spent on
    wanted = by_the_text(group, size, before)
    seen = torch.full((FRAMES, *size, 3), torch.nan)

    def show(tile):
        height, width = tile.pixels.shape[1:3]
        assert torch.isnan(seen[tile.frame, tile.top : tile.top + height, :width]).all(), "shown twice"
        seen[tile.frame, tile.top : tile.top + height, :width] = tile.pixels[0, ..., :3]

    state = decoder.decode(payload, 0, previous, FRAMES, CPU, show, WHOLE)
    for place, picture in wanted.items():
        away = (seen[place] - picture[: size[0], : size[1]]).abs().max()
        assert away < 0.1 / 255, (place, float(away) * 255)
    assert (state.picture[0].permute(1, 2, 0) - wanted[FRAMES - 1]).abs().max() < 0.1 / 255
    assert float(wanted[FRAMES - 1].std()) > 0.01


def test_a_frame_alone_is_as_among_all():
    size, shown = (40, 48), {}
    decoder = ReelDecoder(PictureShape(height=40, width=48, group_frames=FRAMES), load_prior())
    payload = pack_group(lively_group(size), None, load_prior())
    for view in (WHOLE, View(frames=frozenset({3}))):
        made = {}
        decoder.decode(payload, 0, None, FRAMES, CPU, lambda t, made=made: made.setdefault(t.frame, t.pixels), view)
        shown[view.frames] = made
    assert set(shown[None]) == set(range(FRAMES))
    assert set(shown[frozenset({3})]) == {3}
    torch.testing.assert_close(shown[None][3], shown[frozenset({3})][3], rtol=0, atol=0)


def test_both_ways_to_enlarge_agree():
    picture = torch.rand(17, 21, 4)
    planes = enlarged_planes(picture.permute(2, 0, 1)[None])
    np.testing.assert_allclose(Workshop(17, 21).enlarge(picture.numpy()), planes[0].permute(1, 2, 0).numpy(), atol=1e-5)
    assert torch.equal(planes[0, :, ::2, ::2], picture.permute(2, 0, 1))


def test_symbols_of_the_next_group_are_read_meanwhile():
    size, prior = (40, 48), load_prior()
    shape = PictureShape(height=40, width=48, group_frames=FRAMES)
    payloads = [pack_group(lively_group(size), None, prior)]
    first = ReelDecoder(shape, prior).decode(payloads[0], 0, None, FRAMES, CPU, None, WHOLE)
    payloads.append(pack_group(lively_group(size, intra=False, seed=2), first.deltas, prior))
    alone = ReelDecoder(shape, prior).decode(payloads[1], 1, first, FRAMES, CPU, None, WHOLE)
    decoder = ReelDecoder(shape, prior)
    decoder.expect(payloads[1], 1, FRAMES, False)
    state = decoder.decode(payloads[0], 0, None, FRAMES, CPU, None, WHOLE)
    assert decoder.reads_ahead
    ahead = decoder.decode(payloads[1], 1, state, FRAMES, CPU, None, WHOLE)
    assert not decoder.reads_ahead
    assert ahead.crc == alone.crc
    torch.testing.assert_close(ahead.picture, alone.picture, rtol=0, atol=0)
