# SPDX-License-Identifier: GPL-3.0-or-later
"""Several chains of groups at once: from one intra group to the next nothing leans on anything else.

How many run at once, and with how many threads each, follows from the shot and the machine alone, never from what is
done already or what else the machine does: sums depend on the number of threads, and the same settings give the same
bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import torch

from mapreel.core.contract.errors import CancelledError
from mapreel.core.nirvana.header import Header

PIXELS_AT_ONCE = 6 << 20  # of all groups that are fitted at once on a processor, where a fit takes about 1 kB for each


class _AnotherFailedError(CancelledError):
    """This chain has ended because another one has failed, whose error is the one to tell."""


def chains_of(header: Header) -> list[range]:
    """The groups of each chain."""
    step = header.intra_interval
    return [range(first, min(first + step, header.groups)) for first in range(0, header.groups, step)]


def devices_for(device: torch.device, header: Header) -> list[torch.device]:
    """A device for each chain that runs at the same time."""
    chains = len(chains_of(header))
    if device.type == "cuda":
        return [torch.device("cuda", k) for k in range(min(chains, torch.cuda.device_count()))]
    if device.type != "cpu":
        return [device]
    room = PIXELS_AT_ONCE // (header.width * header.height * min(header.group_frames, header.frames))
    return [device] * max(1, min(chains, torch.get_num_threads(), room))


def run_chains(
    chains: Sequence[range],
    devices: Sequence[torch.device],
    run: Callable[[range, torch.device, Callable[[], None]], None],
) -> None:
    """`run` every chain on some device; the first that fails stops the others, and its error is raised.

    run: is given a function to call now and then, which raises CancelledError when another chain has failed.
    """
    if len(devices) == 1:
        for chain in chains:
            run(chain, devices[0], lambda: None)
        return
    free, failed = list(devices), threading.Event()

    def check() -> None:
        if failed.is_set():
            raise _AnotherFailedError("another part of the shot cannot be encoded")

    def one(chain: range) -> None:
        check()
        device = free.pop()
        try:
            run(chain, device, check)
        except BaseException:
            failed.set()
            raise
        finally:
            free.append(device)

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // len(devices)))  # new threads begin with it
    try:
        with ThreadPoolExecutor(len(devices), "mapreel-chain") as pool:
            begun = [pool.submit(one, chain) for chain in chains]
            try:
                wait(begun, return_when=FIRST_EXCEPTION)
            except BaseException:
                failed.set()
                raise
    finally:
        torch.set_num_threads(threads)
    errors = [error for future in begun if (error := future.exception()) is not None]
    if errors:
        raise next((error for error in errors if not isinstance(error, _AnotherFailedError)), errors[0])
