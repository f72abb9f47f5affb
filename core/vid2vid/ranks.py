# SPDX-License-Identifier: GPL-3.0-or-later
"""Training on several devices at once: one process for each, started by `torchrun`, gradients averaged after each step.

Every process follows streams of its own and holds the whole network; the first one alone writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from mapreel.core.device import pick_device


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone by default."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes checkpoints, log and model."""
        return self.rank == 0

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the mean of all processes' gradients in place of this one's; none counts as zero."""
        if self.world == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        for p in trained:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        joined = torch.cat([p.grad.flatten() for p in trained if p.grad is not None])
        distributed.all_reduce(joined)
        joined /= self.world
        parts = torch.split(joined, [p.numel() for p in trained])
        for p, part in zip(trained, parts, strict=True):
            assert p.grad is not None
            p.grad.copy_(part.view(p.grad.shape))

    def share(self, modules: Iterable[nn.Module]) -> None:
        """Give every process the first one's weights and buffers."""
        for module in modules:
            self._share([*module.parameters(), *module.buffers()])

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the first one's buffers: those of spectral norm move with every look at a picture."""
        self._share(list(module.buffers()))

    def _share(self, tensors: list[Tensor]) -> None:
        if self.world == 1 or not tensors:
            return
        joined = torch.cat([t.detach().flatten() for t in tensors])
        distributed.broadcast(joined, 0)
        for tensor, part in zip(tensors, torch.split(joined, [t.numel() for t in tensors]), strict=True):
            tensor.detach().copy_(part.view(tensor.shape))

    def any(self, here: bool, device: torch.device) -> bool:
        """Whether it holds in any of the processes."""
        if self.world == 1:
            return here
        flag = torch.tensor(float(here), device=device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag > 0)

    @contextlib.contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """The first process runs the block alone, then all others do (and find what it left on disk)."""
        if self.world > 1 and not self.first:
            distributed.barrier()
        yield
        if self.world > 1 and self.first:
            distributed.barrier()


@contextlib.contextmanager
def join_ranks() -> Iterator[tuple[Ranks, torch.device]]:
    """Meet the other processes that torchrun started, if it did, and take a device of one's own."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or "RANK" not in os.environ:
        yield Ranks(), pick_device()
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = pick_device(f"cuda:{local}" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # a day, because the first may draw a teacher's frames while the others wait
    day = timedelta(days=1)
    if device.type == "cuda":  # told its card, or a barrier guesses one by the rank
        distributed.init_process_group("nccl", timeout=day, device_id=device)
    else:
        distributed.init_process_group("gloo", timeout=day)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
        distributed.barrier()  # who leaves while others still talk to it breaks their connection
    finally:
        distributed.destroy_process_group()
