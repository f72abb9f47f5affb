# SPDX-License-Identifier: GPL-3.0-or-later
"""What every training of a generator against critics is, whatever its networks: averaged weights, two optimizers, a
model at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from mapreel.core.contract.errors import CancelledError
from mapreel.core.contract.progress import JobContext
from mapreel.core.vid2vid.dataset import TrainingShot
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import gather_looks
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.ranks import Ranks


class Plan(Protocol):
    """How long a training is, and how slowly its average follows."""

    @property
    def steps(self) -> int:
        """Steps in all."""

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""

    @property
    def average(self) -> float:
        """Decay of the averaged weights, which are what is exported."""


P = TypeVar("P", bound=Plan)
N = TypeVar("N", bound=nn.Module)


class TrainingRun(ABC, Generic[P, N]):
    """Everything that changes while training; subclasses make the networks and say what a step is."""

    plan: P
    shots: list[TrainingShot]
    table: ClassTable
    step: int
    device: torch.device
    ranks: Ranks
    generator: N
    averaged: N
    optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    _lost: int = 0  # steps in a row whose gradient was no number

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.plan.steps

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""
        return self.plan.checkpoint_every

    def _check(self, context: JobContext) -> None:
        """Stop between two steps when this process or another one that trains along was asked to."""
        asked: CancelledError | None = None
        try:
            context.check()
        except CancelledError as exc:
            asked = exc
        if self.ranks.any(asked is not None, self.device):
            raise asked or CancelledError("cancelled")

    @torch.no_grad()
    def _average(self) -> None:
        """Let the averaged weights follow by one step; quickly at first, so that they forget how they began."""
        decay = min(self.plan.average, (1 + self.step) / (10 + self.step))
        kept: list[Tensor] = list(self.averaged.parameters())
        new: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(kept, new, 1 - decay)

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"adam": self.optimizer, "critic_adam": self.critic_optimizer}

    def export(self, path: Path, *, name: str, licence: str, story: dict[str, str]) -> Path:
        """Write the averaged weights as a model that renders; `path` is its folder. Raises OutputError."""
        path.mkdir(parents=True, exist_ok=True)
        self._write_model(
            path / MODEL_FILE,
            name=name,
            table=self.table,
            looks=gather_looks([(s.means, s.pixels) for s in self.shots]),
            licence=licence,
            story={**story, "steps": str(self.step)},
        )
        return path / MODEL_FILE

    @abstractmethod
    def _write_model(self, path: Path, **facts: Any) -> None:
        """Write the averaged weights and all that is known of them into one file."""
