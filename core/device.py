# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose where the networks run, with how many threads, and wait for that device when something is timed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from mapreel.core.contract.errors import MapreelError, UsageError


def pick_device(name: str | None = None) -> torch.device:
    """Return the device called `name`, or the fastest one there is when no name is given.

    name: "cpu", "cuda", "cuda:N" or "mps". Raises UsageError when that device is not on this machine.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"“{name}” is not the name of a device", "use cpu, cuda, cuda:0 or mps") from error
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if not present.get(device.type, False) or (device.index or 0) >= count:
        raise UsageError(f"this machine has no device “{name}”", "leave the choice to Mapreel or use cpu")
    return device


def thread_count() -> int:
    """Number of processor cores this process may use (containers and job objects count, not the bare machine)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def synchronize(device: torch.device) -> None:
    """Wait until everything queued on `device` is done, so that a clock read next tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def is_out_of_memory(error: Exception) -> bool:
    """True for what torch, Python and the card's libraries raise when memory is full; often a bare RuntimeError."""
    said = str(error).lower()
    full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return full or any(s in said for s in ("defaultcpuallocator", "out of memory", "alloc_failed"))


@contextlib.contextmanager
def memory_guard(doing: str) -> Iterator[None]:
    """Say in one sentence that the memory is full, which torch does on the processor by a RuntimeError.

    doing: "decode frames of 512 x 256 px". Raises MapreelError; anything else passes as it is.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MapreelError(
            f"there is not enough memory to {doing}", "close other programs or take a smaller size", detail=str(error)
        ) from error
