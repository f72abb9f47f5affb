# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains of groups encoded at the same time: the same bytes, errors of their own, and going on after a stop."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import CancelledError, InputError
from mapreel.core.contract.progress import SilentContext
from mapreel.core.nirvana import chains
from mapreel.core.nirvana import encode as encode_module
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.config import FitConfig
from mapreel.core.nirvana.encode import EncodeSettings, encode
from mapreel.core.nirvana.reel.fit import ReelFit

CPU = torch.device("cpu")
FITS = {
    "nirvana": FitConfig(first_iterations=6, next_iterations=4, first_search=10, next_search=5),
    "reel": ReelFit(iterations=2),
}


class Shot:
    """A moving ramp of eight frames: four groups, two chains."""

    numbers = tuple(range(1, 9))
    size = (24, 32)

    def read(self, number):
        rows, cols = np.mgrid[:24, :32]
        return (np.stack([cols * 7 + 5 * number, rows * 9, (rows + cols) * 4], axis=-1) % 256).astype(np.uint8)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def settings(profile, **more):
    return EncodeSettings(fit=FITS[profile], fps=Fraction(24), group_frames=2, intra_interval=2, **more)


def one_after_the_other(path, profile, **more):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        encode(Shot(), settings(profile, **more), path, SilentContext(), CPU)
    finally:
        torch.set_num_threads(before)
    return path.read_bytes()


@pytest.mark.parametrize("profile", ["nirvana", "reel"])
def test_at_once_or_in_turn_gives_the_same_bytes(tmp_path, two_threads, profile):
    seen = set()

    class Listens(SilentContext):
        def check(self):
            seen.add(threading.current_thread().name)

    encode(Shot(), settings(profile), tmp_path / "both.nirv", Listens(), CPU)
    assert len(seen) == 2
    assert torch.get_num_threads() == 2
    assert (tmp_path / "both.nirv").read_bytes() == one_after_the_other(tmp_path / "one.nirv", profile)


def test_a_size_is_kept_by_both(tmp_path, two_threads):
    path = tmp_path / "both.nirv"
    free = one_after_the_other(tmp_path / "free.nirv", "reel")
    most = int(0.9 * len(free))
    encode(Shot(), settings("reel", most_bytes=most), path, SilentContext(), CPU)
    assert path.stat().st_size <= most


def test_the_first_error_stops_all_and_is_told(tmp_path, two_threads):
    class Torn(Shot):
        def read(self, number):
            if number == 7:
                raise InputError("frame 7 cannot be read", "render it again", frame=7)
            return super().read(number)

    with pytest.raises(InputError, match="frame 7"):
        encode(Torn(), settings("reel"), tmp_path / "torn.nirv", SilentContext(), CPU)
    assert not (tmp_path / "torn.nirv").exists()


def test_stopped_chains_go_on_with_the_same_bytes(tmp_path, two_threads):
    class Stops(SilentContext):
        def __init__(self):
            self.done = []

        def report(self, progress):
            self.done.append(progress.done)

        def check(self):
            if self.done and self.done[-1] >= 4:
                raise CancelledError("stopped")

    stops, path = Stops(), tmp_path / "shot.nirv"
    with pytest.raises(CancelledError, match="stopped"):
        encode(Shot(), settings("nirvana"), path, stops, CPU)
    assert stops.done == sorted(stops.done)
    kept = {one.name: one.stat().st_mtime_ns for one in (tmp_path / ".shot.nirv.work").glob("*.grp")}
    assert len(kept) in (2, 3)
    encode(Shot(), settings("nirvana"), path, SilentContext(), CPU)
    assert path.read_bytes() == one_after_the_other(tmp_path / "one.nirv", "nirvana")
    with Archive(path) as archive:
        assert archive.verify().whole


def test_large_groups_run_one_at_a_time(monkeypatch, two_threads):
    head = settings("reel").header(Shot())
    assert len(chains.devices_for(CPU, head)) == 2
    monkeypatch.setattr(chains, "PIXELS_AT_ONCE", 2 * 24 * 32 * 2 - 1)
    assert len(chains.devices_for(CPU, head)) == 1
    assert [list(chain) for chain in chains.chains_of(head)] == [[0, 1], [2, 3]]
    assert encode_module.chains_of is chains.chains_of
