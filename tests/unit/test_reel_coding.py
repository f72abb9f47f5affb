# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile reel: who leans on whom, symbols in and out exactly, and estimates that agree with the coded size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import DamagedArchiveError
from mapreel.core.nirvana.reel.config import (
    CHANNELS,
    CONTEXT_STEPS,
    FRACTIONS,
    HIGHEST_LOG_SCALE,
    LONGEST_PREDICTION,
    LOWEST_LOG_SCALE,
    SCALES,
    SKIPPED_SCALES,
    STRIDE_PX,
)
from mapreel.core.nirvana.reel.context import PASSES, run_grid
from mapreel.core.nirvana.reel.hierarchy import BEFORE, hierarchy
from mapreel.core.nirvana.reel.payload import all_deltas, empty_group, pack_group, symbols_crc, unpack_group
from mapreel.core.nirvana.reel.places import PlaceDecoder, PlaceEncoder
from mapreel.core.nirvana.reel.prior import laplace_tables, load_prior, whole_numbers
from mapreel.core.nirvana.reel.rate import GridRate, nearly_rounded, symbol_bits
from mapreel.core.nirvana.reel.reach import levels, reach_of, run_reach, spread
from mapreel.core.nirvana.reel.transform import cosine_patches, for_shuffle

SIZE = (40, 56)


@pytest.mark.parametrize(("frames", "intra"), list(itertools.product([1, 2, 3, 4, 5, 9, 24, 32], [True, False])))
def test_every_frame_once_and_after_what_it_leans_on(frames, intra):
    plan = hierarchy(frames, intra)
    assert sorted(frame.place for frame in plan) == list(range(frames))
    coded = set() if intra else {BEFORE}
    for frame in plan:
        assert set(frame.refs) <= coded, frame
        assert all(abs(frame.place - ref) <= LONGEST_PREDICTION for ref in frame.refs)
        assert frame.known is None or frame.known.of in coded
        coded.add(frame.place)
    assert [frame.row for frame in plan if frame.refs] == list(range(frames - intra))
    assert [frame.place for frame in plan if not frame.refs] == ([0] if intra else [])


def some_group(seed, *, intra=True, frames=5, busy=0.05):
    random = np.random.default_rng(seed)
    group = empty_group(SIZE, frames, intra, quality=9)
    for grid in (group.intra, group.inter, *group.motion):
        there = random.random(grid.shape) < busy
        grid[there] = np.rint(random.laplace(0, 3, int(there.sum()))).astype(np.int32)
    group.deltas = all_deltas(intra)
    group.deltas["inter.out.weight"][0, 0] = 3
    group.offsets["inter"][:4] = (1, -2, 0, 5)
    return group


@pytest.mark.parametrize("intra", [True, False])
def test_symbols_come_back_exactly(intra):
    prior, group = load_prior(), some_group(1, intra=intra)
    group.inter[0, 0] = 2
    group.inter[0, 0, 1, 1] = 70_000  # more than a table holds
    previous = None if intra else all_deltas(True)
    payload = pack_group(group, previous, prior)
    found = unpack_group(payload, SIZE, 5, previous, prior, "group 0")
    assert symbols_crc(found) == symbols_crc(group)
    assert int(found.inter[0, 0, 1, 1]) == 70_000
    np.testing.assert_array_equal(found.motion[1], group.motion[1])
    np.testing.assert_array_equal(found.inter, group.inter)


def test_a_group_must_lean_where_it_says_so():
    prior = load_prior()
    payload = pack_group(some_group(2), None, prior)
    with pytest.raises(DamagedArchiveError, match="leans"):
        unpack_group(payload, SIZE, 5, all_deltas(True), prior, "group 3")


def test_any_flipped_bit_is_seen():
    prior = load_prior()
    payload = pack_group(some_group(3), None, prior)
    for at in [*range(12), *range(12, len(payload), 53)]:
        broken = bytearray(payload)
        broken[at] ^= 1 << at % 8
        with pytest.raises(DamagedArchiveError, match="group 3"):
            unpack_group(bytes(broken), SIZE, 5, None, prior, "group 3")


def test_a_group_cut_anywhere_is_seen():
    prior = load_prior()
    payload = pack_group(some_group(4), None, prior)
    for end in [*range(12), *range(12, len(payload), 101)]:
        with pytest.raises(DamagedArchiveError):
            unpack_group(payload[:end], SIZE, 5, None, prior, "group 0")


def test_a_symbol_that_is_all_but_certain_is_not_coded():
    tables = load_prior().tables
    encoder = PlaceEncoder(tables)
    certain = np.full(4, (SKIPPED_SCALES - 1) * FRACTIONS, np.int32)
    kept = encoder.run(certain, np.zeros(4, np.int32), np.array([0, 1, 0, -2], np.int32))
    assert kept.tolist() == [0, 0, 0, 0]
    assert encoder.finish() == (b"", b"")


def test_values_that_no_table_holds_are_kept_beside_the_stream():
    tables = load_prior().tables
    numbers = np.array([60, 61, 188, 60], np.int32)
    values = np.array([3, -900, 20_000, 0], np.int32)
    encoder = PlaceEncoder(tables)
    encoder.run(numbers, np.zeros(4, np.int32), values)
    stream, rare = encoder.finish()
    assert rare
    decoder = PlaceDecoder(tables, stream, rare, "group 0")
    assert decoder.run(numbers, np.zeros(4, np.int32), None).tolist() == values.tolist()
    decoder.finish()


@pytest.mark.parametrize("channels", [1, 4, 64, 192])
def test_every_block_keeps_enough_channels(channels):
    steps = levels(channels)
    assert steps[0] == 0
    assert steps[-1] == channels
    assert (np.diff(steps) > 0).all()
    random = np.random.default_rng(channels)
    grid = (random.random((3, channels, 19, 9)) < 0.003).astype(np.int32)
    blocks = reach_of(grid)
    reach = spread(blocks, channels, grid.shape[2:])
    assert not grid[np.broadcast_to(np.arange(channels)[None, :, None, None], grid.shape) >= reach[:, None]].any()
    tables = load_prior().tables
    encoder = PlaceEncoder(tables)
    run_reach(encoder, blocks.copy(), channels, True)
    decoder = PlaceDecoder(tables, *encoder.finish(), "group 0")
    found = np.zeros_like(blocks)
    run_reach(decoder, found, channels, False)
    np.testing.assert_array_equal(found, blocks)


def test_places_without_channels_change_nothing():
    """Work goes with what is there: an empty half of a frame takes no bits."""
    prior = load_prior()
    small, large = some_group(6), empty_group((40, 120), 5, True, 9)
    for name in ("intra", "inter"):
        getattr(large, name)[..., :6, :8] = getattr(small, name)
    large.offsets, large.deltas = small.offsets, small.deltas
    assert len(pack_group(large, None, prior)) < len(pack_group(small, None, prior)) + 60


class Watching:
    """Keeps the tables and means that a grid is coded with."""

    def __init__(self):
        self.seen = []

    def run(self, tables, means, values):
        self.seen.append((tables, means))
        return values


def test_whole_numbers_agree_with_the_real_model():
    prior, group = load_prior(), some_group(5, busy=0.2)
    watching = Watching()
    grid = group.inter.copy()
    everywhere = np.full((len(grid), *grid.shape[2:]), CHANNELS, np.int32)
    run_grid(prior.contexts(True)[0], watching, grid, None, 2, [0] * CHANNELS, everywhere, True)
    with torch.no_grad():
        quality = torch.full((1, 1, 1, 1), 2 / CONTEXT_STEPS)
        mean, log_scale = prior.coder(True).context(torch.from_numpy(group.inter).float(), None, quality)
    scale = (log_scale - LOWEST_LOG_SCALE) / (HIGHEST_LOG_SCALE - LOWEST_LOG_SCALE) * (SCALES - 1)
    passes = itertools.product(range(CHANNELS), PASSES)
    for (tables, means), (channel, (top, left)) in zip(watching.seen, passes, strict=True):
        wanted = scale[:, channel, top::2, left::2].reshape(-1).numpy()
        assert np.abs(tables // FRACTIONS - wanted).max() < 0.75
        wanted = mean[:, channel, top::2, left::2].reshape(-1).numpy()
        assert np.abs(means + tables % FRACTIONS / FRACTIONS - wanted).max() < 0.2


def test_probabilities_depend_on_what_came_before_only():
    """Whatever stands at a later place must not move an earlier symbol's table."""
    torch.manual_seed(0)
    rate = GridRate(3, 0, signed=True)
    grid = torch.randint(-3, 4, (1, 3, 6, 6)).float()
    quality = torch.zeros(1, 1, 1, 1)
    mean, scale = rate(grid, None, quality)
    changed = grid.clone()
    changed[:, 1, 1, 0] += 2  # of the last pass of channel 1
    mean_after, scale_after = rate(changed, None, quality)
    torch.testing.assert_close(mean[:, :2], mean_after[:, :2], rtol=0, atol=0)
    torch.testing.assert_close(scale[:, :2], scale_after[:, :2], rtol=0, atol=0)
    assert not torch.equal(mean[:, 2], mean_after[:, 2])


def test_tables_add_up():
    tables = laplace_tables()
    at = 0
    for size in tables["tables.sizes"].tolist():
        counts = tables["tables.counts"][at : at + size]
        assert int(counts.sum()) == (1 << 24) - size
        assert int(counts.min()) >= 0
        at += size
    assert at == len(tables["tables.counts"])


def test_weights_too_large_for_exact_sums_are_refused():
    rate = GridRate(2, 0, signed=False)
    with torch.no_grad():
        rate.own += 1000.0
    with pytest.raises(ValueError, match="too large"):
        whole_numbers(rate)


def test_the_transform_is_orthonormal_and_in_the_order_of_the_network():
    rows = cosine_patches()
    torch.testing.assert_close(rows @ rows.t(), torch.eye(CHANNELS), atol=1e-5, rtol=0)
    picture = torch.arange(3 * 64, dtype=torch.float32).view(1, 3, 8, 8)
    twice = torch.nn.functional.pixel_unshuffle(torch.nn.functional.pixel_unshuffle(picture, 2), 4)
    torch.testing.assert_close(for_shuffle(picture.reshape(1, -1)).view(-1), twice.view(-1))


def test_soft_rounding_draws_towards_whole_numbers():
    values = torch.tensor([0.05, 0.3, 0.95, -1.2])
    drawn = nearly_rounded(values, 12.0, torch.Generator().manual_seed(1))
    assert float((drawn - values.round()).abs().max()) < 0.2
    cost = symbol_bits(torch.tensor([0.0, 1.0, 2.0]), torch.zeros(3), torch.full((3,), -1.0))
    assert cost[0] < cost[1] < cost[2]


def test_sizes_are_brought_up_to_the_coarsest_cell():
    group = empty_group((1, 1), 2, True, 0)
    assert group.intra.shape == (1, CHANNELS, STRIDE_PX // 8, STRIDE_PX // 8)
    assert group.motion[1].shape == (1, 4, 1, 1)
