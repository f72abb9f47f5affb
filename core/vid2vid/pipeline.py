# SPDX-License-Identifier: GPL-3.0-or-later
"""What works beside the network: frames that are being finished by other threads, and the core that is left to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray

from mapreel.core.device import thread_count

Finished = tuple[int, NDArray[Any], bool]  # frame number, pixels [H, W, 3], whether it is a key


@contextmanager
def worker_pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for what is done beside the network, half of the cores; each computes on its own core alone."""
    threads, size = torch.get_num_threads(), max(1, thread_count() // 2)
    with ThreadPoolExecutor(size, "beside", partial(torch.set_num_threads, 1)) as pool:
        try:
            yield pool
        finally:
            torch.set_num_threads(threads)  # a thread that sets its own count also sets that of later threads


@contextmanager
def leave_a_core(device: torch.device) -> Iterator[None]:
    """The network gives one core to the threads beside it: two that share a core wait for each other at every layer."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads < 2:
        yield
        return
    torch.set_num_threads(threads - 1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Finishing:
    """Frames in the order in which their work was started."""

    def __init__(self) -> None:
        self._waiting: deque[Future[Finished]] = deque()

    def add(self, work: Future[Finished]) -> None:
        """Queue what a thread is at."""
        self._waiting.append(work)

    def add_done(self, made: Finished) -> None:
        """Queue what is finished already."""
        done: Future[Finished] = Future()
        done.set_result(made)
        self._waiting.append(done)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, count: int) -> Iterator[Finished]:
        """The oldest `count` frames, each when it is there; raises what its work raised."""
        for _ in range(count):
            yield self._waiting.popleft().result()
