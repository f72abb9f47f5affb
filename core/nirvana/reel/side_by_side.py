# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a group made at the same time, each by one core: those whose references are there.

Two cores that share the layers of one frame wait for each other at every strip; two frames have nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from mapreel.core.nirvana.reel.hierarchy import Frame

Made = TypeVar("Made")
LARGEST_PX = 1 << 21
"""Frames of more pixels are made one after the other by all cores: each takes a dozen arrays of its size."""


def makers_of(pixels: int) -> int:
    """How many frames of this size are made at once: as many as this thread may use cores."""
    return torch.get_num_threads() if pixels <= LARGEST_PX else 1


def make_in_order(
    plan: Sequence[Frame],
    there: set[int],
    make: Callable[[Frame], Made],
    finish: Callable[[Frame, Made], None],
    makers: int,
) -> None:
    """Make the frames of a plan, each after those that it leans on.

    there: places of pictures that are there already. make: called in threads. finish: called in this thread, before
    anybody leans on the frame. Raises the first error of either.
    """
    if makers == 1:
        for frame in plan:
            finish(frame, make(frame))
        return
    waiting, running, there = list(plan), dict[Future[Made], Frame](), set(there)
    with _pool(makers) as pool:
        try:
            while waiting or running:
                for frame in [frame for frame in waiting if there.issuperset(frame.refs)][: makers - len(running)]:
                    waiting.remove(frame)
                    running[pool.submit(_inferring, make, frame)] = frame
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    frame = running.pop(future)
                    finish(frame, future.result())
                    there.add(frame.place)
        finally:
            for future in running:
                future.cancel()


def _inferring(make: Callable[[Frame], Made], frame: Frame) -> Made:
    with torch.inference_mode():  # each thread has its own
        return make(frame)


@contextmanager
def _pool(makers: int) -> Iterator[ThreadPoolExecutor]:
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(makers, "frame", partial(torch.set_num_threads, 1)) as pool:
        try:
            yield pool
        finally:
            torch.set_num_threads(threads)  # a thread that sets its own count also sets that of later threads
