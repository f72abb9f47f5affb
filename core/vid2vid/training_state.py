# SPDX-License-Identifier: GPL-3.0-or-later
"""How a training runs and lies on disk: one log line for each step, and a checkpoint that is whole or not there.

The checkpoint holds every tensor that is needed to go on. A kill costs the steps since the last one.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mapreel.core.contract.errors import CancelledError, DamagedModelError, InternalError, OutputError, disk_error
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.takes import write_atomically
from mapreel.core.device import memory_guard
from mapreel.core.vid2vid.checkpoint import load_strictly
from mapreel.core.vid2vid.models import LOG_FILE
from mapreel.core.vid2vid.training_log import trim_log

CHECKPOINT_FILE = "checkpoint.safetensors"
MOST_LOST = 20


class Trained(Protocol):
    """A trainer of any network."""

    folder: Path
    step: int

    @property
    def steps(self) -> int:
        """Steps in all."""

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""

    def advance(self) -> dict[str, float]:
        """One step; returns the loss terms."""

    def save(self) -> None:
        """Write the checkpoint."""


def train_to_the_end(
    trainer: Trained,
    context: JobContext,
    *,
    check: Callable[[], None] | None = None,
    draw: Callable[[], None] | None = None,
    logs: bool = True,
) -> None:
    """Train until `trainer.steps`; stops between two steps when the context says so, with a checkpoint written.

    An error in mid-step leaves the last checkpoint as it is: what the networks hold then may be half changed or no
    number. Lines of the log that a killed run wrote after its last checkpoint are taken out.

    Args:
        trainer: what is trained.
        context: hears of every step and may ask for a stop.
        check: asks for a stop in the context's place (several processes have to agree on it).
        draw: called after each checkpoint, for a sample sheet.
        logs: whether this process writes the log.

    Raises:
        InternalError: the loss is no number.
        MapreelError: the device has not enough memory.
    """
    remaining = RemainingTime()
    trainer.folder.mkdir(parents=True, exist_ok=True)
    if logs:
        trim_log(trainer.folder / LOG_FILE, trainer.step)
    try:
        while trainer.step < trainer.steps:
            (check or context.check)()
            started = time.perf_counter()
            with memory_guard("train this network"):
                terms = trainer.advance()
            _refuse_nan(trainer.step, terms)
            if logs:
                _log(trainer.folder, {"step": trainer.step, "seconds": time.perf_counter() - started, **terms})
            left = remaining.update(trainer.step, trainer.steps)
            context.report(Progress(trainer.step, trainer.steps, "train", left))
            if trainer.step % trainer.checkpoint_every == 0 and trainer.step < trainer.steps:
                trainer.save()
                if draw is not None:
                    draw()
    except (CancelledError, OutputError):
        trainer.save()
        raise
    trainer.save()
    if draw is not None:
        draw()


def _refuse_nan(step: int, terms: dict[str, float]) -> None:
    wrong = [name for name, value in terms.items() if not math.isfinite(value)]
    if wrong:
        raise InternalError(
            f"the training went astray at step {step}: {', '.join(wrong)} is no number",
            "go on from its last checkpoint with --resume",
        )


def step_within(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], largest: float, lost: int) -> int:
    """One step of an optimizer, its gradient no longer than `largest`; a gradient that is no number is left out.

    Flat pictures make such gradients: each norm multiplies what comes back by up to 300. Gives how many steps in a row
    were left out, `lost` of them before; raises InternalError at the twentieth.
    """
    length = nn.utils.clip_grad_norm_(parameters, largest)
    if torch.isfinite(length):
        optimizer.step()
        return 0
    if lost + 1 >= MOST_LOST:
        raise InternalError(
            f"{MOST_LOST} steps in a row had a gradient that is no number",
            "go on from the last checkpoint with --resume, with pictures that show more than one colour",
        )
    return lost + 1


def _log(folder: Path, entry: dict[str, float | int]) -> None:
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in entry.items()}
    try:
        with (folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
    except OSError as exc:
        raise disk_error(exc, folder / LOG_FILE) from exc


def save_state(
    path: Path, modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer], header: dict[str, str]
) -> None:
    """Write weights and moments under a temporary name, then rename. Raises OutputError."""
    tensors: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        tensors |= {f"{prefix}.{k}": v for k, v in module.state_dict().items()}
    for prefix, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{prefix}.{index}.{k}": v for k, v in state.items()}
    # a copy, because averaged and trained weights may share memory layouts safetensors refuses
    own = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    write_atomically(path, safetensors.torch.save(own, metadata=header))


def weights_digest(network: nn.Module) -> str:
    """One hash for all weights of a network, the same on every device."""
    told = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        told.update(name.encode())
        told.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return told.hexdigest()


def read_state(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors of a checkpoint. Raises DamagedModelError when it cannot be read."""
    try:
        with safetensors.safe_open(str(path), "pt") as file:
            return file.metadata() or {}, {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError, ValueError) as exc:
        raise damaged_state(path, exc) from exc


def damaged_state(path: Path, cause: Exception) -> DamagedModelError:
    """The sentence for a checkpoint that cannot be read."""
    return DamagedModelError(
        f"the checkpoint {path} cannot be read", "remove it to start anew", detail=str(cause), file=str(path)
    )


def beside(before: str | None, now: str | None) -> str:
    """How a digest of before differs from that of now, as a word before what it is of."""
    return "without a" if before is None else "with a" if now is None else "with another"


def restore(
    path: Path,
    tensors: dict[str, Tensor],
    modules: dict[str, nn.Module],
    optimizers: dict[str, torch.optim.Optimizer],
) -> None:
    """Take up weights and moments. Raises DamagedModelError when weights are missing, too many or of another shape."""
    for prefix, module in modules.items():
        load_strictly(module, _under(tensors, prefix), path)
    for prefix, optimizer in optimizers.items():
        _load_optimizer(optimizer, _under(tensors, prefix))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Take up the moments; fused Adam walks through memory, so they must lie there as their weights do."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        weight = weights[int(index)]
        laid = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        state.setdefault(int(index), {})[name] = laid.detach()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
