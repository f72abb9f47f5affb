# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading ahead keeps the order, stays within its depth, hands errors over and ends when asked."""

from __future__ import annotations

import threading
import time

import pytest

from mapreel.core.media.prefetch import prefetch


def test_everything_comes_in_order():
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([], 1)) == []


def test_an_error_comes_where_its_item_would_have_come():
    def frames():
        yield 1
        yield 2
        raise ValueError("frame 3 is damaged")

    ahead = prefetch(frames(), 2)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="frame 3"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)


def test_it_runs_ahead_by_its_depth_and_no_further():
    taken = []

    def frames():
        for number in range(50):
            taken.append(number)
            yield number

    with prefetch(frames(), 3) as ahead:
        deadline = time.monotonic() + 5
        while len(taken) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert taken == [0, 1, 2, 3]  # three wait in the queue, one in the thread's hand
        assert next(ahead) == 0


def test_an_early_end_closes_the_source_and_its_thread():
    closed = threading.Event()

    def frames():
        try:
            yield from range(1000)
        finally:
            closed.set()

    with prefetch(frames(), 2) as ahead:
        assert next(ahead) == 0
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "mapreel-prefetch"]
    ahead.close()
    with pytest.raises(StopIteration):
        next(ahead)


def test_the_work_happens_beside_the_consumer():
    names = set()

    def frames():
        for number in range(3):
            names.add(threading.current_thread().name)
            yield number

    list(prefetch(frames(), 1))
    assert names == {"mapreel-prefetch"}


def test_no_depth_is_no_prefetch():
    with pytest.raises(ValueError, match="depth"):
        prefetch([], 0)
