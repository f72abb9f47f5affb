# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of a generator on an artist's own shots: resumable, with a line of JSON for each step."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mapreel.core.contract.errors import ModelMismatchError
from mapreel.core.contract.progress import JobContext
from mapreel.core.quality import LpipsSqueeze
from mapreel.core.vid2vid.adversary import Adversary, Critic, OasisAdversary, PatchAdversary, TemporalAdversary
from mapreel.core.vid2vid.checkpoint import save_model
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import TrainingShot, check_shots
from mapreel.core.vid2vid.inputs import ClassTable, tensor_to_picture
from mapreel.core.vid2vid.losses import Verdicts, carried, grid_print, in_between, steadiness
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.ranges import measure_ranges
from mapreel.core.vid2vid.ranks import Ranks
from mapreel.core.vid2vid.samples import write_samples
from mapreel.core.vid2vid.streams import CropStream, StreamSample, changed
from mapreel.core.vid2vid.training_run import TrainingRun
from mapreel.core.vid2vid.training_state import (
    CHECKPOINT_FILE,
    beside,
    damaged_state,
    read_state,
    restore,
    save_state,
    step_within,
    train_to_the_end,
    weights_digest,
)

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How long and how hard to train; the weights were found on the street shots (docs/decisions/0002-renderer.md)."""

    steps: int
    streams: int = 4
    """Crops in a batch."""
    crop_px: tuple[int, int] = (128, 256)
    """(H, W) of a crop: a quarter of a 512x256 frame, so that a batch of four sees as many pixels as one frame."""
    learning_rate: float = 4e-4
    critic_rate: float = 6e-4
    """Higher than the generator's (Heusel et al., 2017), for spectral norm holds the critic back."""
    l1: float = 4.0
    perceptual: float = 4.0
    """Used only when perceptual weights are given."""
    matching: float = 10.0
    adversarial: float = 1.0
    steady: float = 2.0
    between: float = 3.0
    """On in-betweens, through the compensation: key frames shall agree with each other where they are carried."""
    grid: float = 5.0
    """Against the grid that a pixel shuffle prints and that strided networks do not see."""
    critic: Critic = Critic.PATCH
    """PatchGAN, or the segmentation-style critic of OASIS."""
    temporal: float = 0.0
    """Of the critic of three frames in a row; 0 trains without one."""
    temporal_matching: float = 10.0
    taught: float = 2.0
    """With a teacher: on its frame (spatial distillation; the local term of temporal distillation)."""
    taught_perceptual: float = 2.0
    taught_between: float = 1.5
    """With a teacher: on its in-between, through the compensation."""
    taught_clip: float = 10.0
    """With a teacher: features of three frames in a row (the global term of temporal distillation)."""
    lengths: tuple[int, ...] = (6, 12, 24, 28)
    """Frames of a stream at most, in equal parts of the training: first pictures, then pictures that last."""
    average: float = 0.999
    """Decay of the averaged weights, which are what is exported."""
    checkpoint_every: int = 250
    seed: int = 1

    def longest(self, step: int) -> int:
        """Frames of a stream that begins at `step`, at most."""
        return self.lengths[min(step * len(self.lengths) // max(1, self.steps), len(self.lengths) - 1)]


class Trainer(TrainingRun[TrainingPlan, Generator]):
    """Everything that changes while training, and how it is kept on disk."""

    def __init__(
        self,
        folder: Path,
        config: GeneratorConfig,
        plan: TrainingPlan,
        shots: list[TrainingShot],
        table: ClassTable,
        device: torch.device,
        perceptual: LpipsSqueeze | None = None,
        ranks: Ranks | None = None,
        teacher_sha256: str | None = None,
    ) -> None:
        """`teacher_sha256`: of the weights that made the shots' `taught` frames, None where there are none."""
        check_shots(shots, config)
        torch.manual_seed(plan.seed)
        self.folder, self.config, self.plan, self.shots, self.device = folder, config, plan, shots, device
        self.table, self.perceptual, self.ranks = table, perceptual, ranks or Ranks()
        self.generator = _to(Generator(config), device)
        self.averaged = _to(Generator(config), device).eval().requires_grad_(False)
        self.averaged.load_state_dict(self.generator.state_dict())
        self.adversaries = _adversaries(config, plan)
        self.critics = nn.ModuleDict({k: _to(a.critic, device) for k, a in self.adversaries.items()})
        self.optimizer = torch.optim.Adam(
            self.generator.parameters(), plan.learning_rate, betas=(0.5, 0.99), fused=True
        )
        self.critic_optimizer = torch.optim.Adam(
            self.critics.parameters(), plan.critic_rate, betas=(0.5, 0.99), fused=True
        )
        self.step = 0
        self._teachers = {"perceptual": perceptual and weights_digest(perceptual), "teacher": teacher_sha256}
        self._streams: list[CropStream] = []

    # --- one step -----------------------------------------------------------------------------------------------

    def train_step(self, streams: list[CropStream]) -> dict[str, float]:
        """One update of the critics and the generator on the next frame of every stream; returns the loss terms."""
        batch = _batch([s.next() for s in streams], self.device)
        self._set_rates()
        with fast_precision(self.device):
            output = self.generator(batch.inputs.labels, batch.inputs.extras, batch.warped, batch.valid)
        critic_loss, views = self._critic_update(batch, output.detach())
        terms = self._generator_terms(batch, output, views)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.ranks.average(self.generator.parameters())
        self._lost = step_within(self.optimizer, list(self.generator.parameters()), 5.0, self._lost)
        self._average()
        shown = output.detach().cpu()
        for index, stream in enumerate(streams):
            stream.longest = self.plan.longest(self.step)
            stream.keep(tensor_to_picture(shown[index : index + 1]))
        self.step += 1
        values = torch.stack([critic_loss, loss.detach(), *(t.detach() for t in terms.values())]).tolist()
        return dict(zip(["critic", "total", *terms], values, strict=True))

    def _set_rates(self) -> None:
        rate = _rate(self.step, self.plan.steps)
        for optimizer, base in (
            (self.optimizer, self.plan.learning_rate),
            (self.critic_optimizer, self.plan.critic_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = base * rate

    def _critic_update(self, batch: StreamSample, fake: Tensor) -> tuple[Tensor, list[Verdicts]]:
        """One update of all critics; returns their loss and their views of the true frames, which matching needs."""
        self.critics.requires_grad_(True)
        self.ranks.share_buffers(self.critics)
        learnt = [adversary.critic_loss(batch, fake, self._shifted) for adversary in self.adversaries.values()]
        loss = torch.stack([given for given, _ in learnt]).sum()
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.ranks.average(self.critics.parameters())
        self.critic_optimizer.step()
        return loss.detach().float(), [view for _, view in learnt]

    def _shifted(self, pictures: Tensor) -> Tensor:
        """Leave out the first row, the first column, both or none, in turn.

        Critic and perceptual network begin with strides of two: always on the same grid they cannot see a pattern that
        repeats every two pixels, and the generator prints one.
        """
        return pictures[..., self.step // 2 % 2 :, self.step // 4 % 2 :]

    def _generator_terms(self, batch: StreamSample, output: Tensor, views: list[Verdicts]) -> dict[str, Tensor]:
        """Every term of the generator's loss by name, times the weight of that name in the plan."""
        self.critics.requires_grad_(False)
        middle = batch.between.base + batch.between.weight * carried(output, batch.between.motion)
        terms = {"l1": (output - batch.truth).abs().mean()}
        for adversary, view in zip(self.adversaries.values(), views, strict=True):
            terms |= adversary.generator_terms(batch, output, view, self._shifted)
        terms |= {
            "grid": grid_print(output, batch.truth),
            "between": in_between(middle, batch.between.truth, batch.between.counts),
            "steady": steadiness(output, batch.warped, batch.steady),
        }
        if batch.taught is not None:
            terms["taught"] = (output - batch.taught.frame).abs().mean()
            terms["taught_between"] = in_between(middle, batch.taught.middle, batch.between.counts)
        if self.perceptual is not None:
            terms["perceptual"] = self._perceptual_distance(output, batch.truth)
            if batch.taught is not None:
                terms["taught_perceptual"] = self._perceptual_distance(output, batch.taught.frame)
        return {name: getattr(self.plan, name) * value for name, value in terms.items()}

    def _perceptual_distance(self, output: Tensor, truth: Tensor) -> Tensor:
        """LPIPS of half of the crops, in turn: the dearest term, and every other step is enough."""
        assert self.perceptual is not None
        turn = slice(self.step % 2, None, 2) if len(output) > 1 else slice(None)
        with fast_precision(self.device):
            with torch.no_grad():
                wanted = self.perceptual.features(self._shifted(truth[turn]) * 0.5 + 0.5)
            given = self.perceptual.features(self._shifted(output[turn]) * 0.5 + 0.5)
            distances = [
                nn.functional.conv2d((a - b).square(), head).float().mean()
                for a, b, head in zip(given, wanted, self.perceptual.heads, strict=True)
            ]
        return torch.stack(distances).sum()

    # --- the whole run ------------------------------------------------------------------------------------------

    def run(self, context: JobContext, streams_seed: int | None = None) -> None:
        """Train until `plan.steps`; stops between two steps when the context says so, with a checkpoint written.

        An error in mid-step leaves the last checkpoint as it is: what the networks hold then may be half changed or no
        number. Raises InternalError when the loss is no number.
        """
        seed = self.plan.seed if streams_seed is None else streams_seed
        random = np.random.default_rng([seed, self.step, self.ranks.rank])
        self._streams = [self._stream(random) for _ in range(self.plan.streams)]
        self.ranks.share([self.generator, self.averaged, self.critics])
        train_to_the_end(
            self, context, check=lambda: self._check(context), draw=self.draw_samples, logs=self.ranks.first
        )

    def advance(self) -> dict[str, float]:
        """One step on the streams of this run."""
        return self.train_step(self._streams)

    def _stream(self, random: np.random.Generator) -> CropStream:
        history = "temporal" in self.adversaries
        longest = self.plan.longest(self.step)
        return CropStream(self.shots, self.config, self.plan.crop_px, random, history=history, longest=longest)

    def draw_samples(self) -> None:
        """Write the sample sheet of this step."""
        if self.ranks.first:
            write_samples(self.folder, self.step, self.averaged, self.shots, self.device)

    # --- checkpoints --------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint: all that is needed to go on."""
        if self.ranks.first:
            save_state(self.folder / CHECKPOINT_FILE, self._modules(), self._optimizers(), self._header())

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            DamagedModelError: the checkpoint cannot be read.
            ModelMismatchError: it belongs to a generator of another shape, to other classes, other critics, other
                perceptual weights or another teacher.
        """
        path = self.folder / CHECKPOINT_FILE
        header, tensors = read_state(path)
        wanted = {k: json.loads(v) for k, v in self._header().items()}
        try:
            found: dict[str, Any] = {k: json.loads(header[k]) for k in wanted if k in header and k != "plan"}
            step, _ = int(found["step"]), found["config"]
        except (KeyError, ValueError, TypeError) as exc:
            raise damaged_state(path, exc) from exc
        _refuse_others(path, found, wanted)
        restore(path, tensors, self._modules(), self._optimizers())
        self.step = step

    def _header(self) -> dict[str, str]:
        critics = [self.plan.critic.value, *(name for name in self.adversaries if name != "critic")]
        return {
            "step": str(self.step),
            "config": json.dumps(asdict(self.config)),
            "classes": json.dumps(self.table.listed()),
            "critics": json.dumps(critics),
            **{name: json.dumps(sha256) for name, sha256 in self._teachers.items()},
            "plan": json.dumps(asdict(self.plan)),
        }

    def _modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "averaged": self.averaged, **self.critics}

    def _write_model(self, path: Path, **facts: Any) -> None:
        ranges = measure_ranges(self.averaged, self.config, self.shots, self.device)
        save_model(path, generator=self.averaged, ranges=ranges, **facts)


def _to(module: M, device: torch.device) -> M:
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _adversaries(config: GeneratorConfig, plan: TrainingPlan) -> dict[str, Adversary]:
    image: Adversary = PatchAdversary(config) if plan.critic is Critic.PATCH else OasisAdversary(config)
    found = {"critic": image}
    if plan.temporal:
        found["temporal"] = TemporalAdversary()
    return found


def _refuse_others(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = {**wanted, "critics": [Critic.PATCH.value], **found}  # older checkpoints do not say all of it
    before, now = (" and ".join(map(str, critics)) for critics in (found["critics"], wanted["critics"]))
    sentences = {
        "config": ("belongs to a generator of another shape", "train into another folder or use the same settings"),
        "classes": (
            "was trained on classes with other ids or names",
            "give the same shots and the same --palette or train into another folder",
        ),
        "critics": (
            f"was trained with other critics ({before} instead of {now})",
            "give the same --critic and --teacher as before or train into another folder",
        ),
        "perceptual": (
            f"was trained {beside(found['perceptual'], wanted['perceptual'])} perceptual network",
            "give the same --perceptual as before or train into another folder",
        ),
        "teacher": (
            f"was trained {beside(found['teacher'], wanted['teacher'])} teacher",
            "give the same --teacher as before or train into another folder",
        ),
    }
    for key, (what, remedy) in sentences.items():
        if found[key] != wanted[key]:
            raise ModelMismatchError(f"the checkpoint {path} {what}", remedy, file=str(path))


def _rate(step: int, steps: int) -> float:
    """Warm up over 200 steps, then half a cosine down to one twentieth."""
    warm = min(1.0, (step + 1) / 200)
    return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))))


def _batch(samples: list[StreamSample], device: torch.device) -> StreamSample:
    def joined(tensors: list[Tensor]) -> Tensor:
        return torch.cat(tensors).to(device, memory_format=torch.channels_last, non_blocking=True)

    return changed(samples, joined)
