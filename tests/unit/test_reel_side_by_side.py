# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a group at the same time: each after those that it leans on, whatever the number of makers."""

from __future__ import annotations

import threading
import time

import pytest

from mapreel.core.nirvana.reel.hierarchy import BEFORE, hierarchy
from mapreel.core.nirvana.reel.side_by_side import LARGEST_PX, make_in_order, makers_of


@pytest.mark.parametrize("makers", [1, 2, 5])
@pytest.mark.parametrize("intra", [True, False])
def test_every_frame_is_made_once_after_those_it_leans_on(makers, intra):
    plan, there, made = hierarchy(24, intra), set() if intra else {BEFORE}, []
    finished, lock, busy, most = set(there), threading.Lock(), [0], [0]

    def make(frame):
        assert finished.issuperset(frame.refs)
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.002 * (frame.place % 3))
        with lock:
            busy[0] -= 1
        return frame.place * 2

    def finish(frame, value):
        assert value == frame.place * 2
        finished.add(frame.place)
        made.append(frame.place)

    make_in_order(plan, there, make, finish, makers)
    assert sorted(made) == list(range(24))
    assert 1 <= most[0] <= makers
    assert makers == 1 or most[0] > 1


def test_an_error_ends_it():
    def make(frame):
        if frame.place == 4:
            raise ValueError("frame 4")
        return frame

    with pytest.raises(ValueError, match="frame 4"):
        make_in_order(hierarchy(24, True), set(), make, lambda *_: None, 2)


def test_large_frames_are_made_one_after_the_other():
    assert makers_of(LARGEST_PX + 1) == 1
    assert makers_of(1) >= 1
