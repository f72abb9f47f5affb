# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of a generator on an artist's own shots: resumable, with a line of JSON for each step."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from mapreel.core.contract.errors import (
    CancelledError,
    DamagedModelError,
    InternalError,
    ModelMismatchError,
    OutputError,
    disk_error,
)
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.takes import write_atomically
from mapreel.core.quality import LpipsSqueeze
from mapreel.core.vid2vid.checkpoint import load_strictly, save_model
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import Between, CropStream, StreamSample, TrainingShot, check_shots
from mapreel.core.vid2vid.discriminator import MultiScaleDiscriminator
from mapreel.core.vid2vid.inputs import ClassTable, FrameInputs, tensor_to_picture
from mapreel.core.vid2vid.looks import VARIETY, gather_looks
from mapreel.core.vid2vid.losses import (
    carried,
    critic_hinge,
    feature_matching,
    generator_hinge,
    grid_print,
    in_between,
    steadiness,
)
from mapreel.core.vid2vid.models import LOG_FILE, MODEL_FILE
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.precision import fast_precision

M = TypeVar("M", bound=nn.Module)
CHECKPOINT_FILE = "checkpoint.safetensors"


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
    average: float = 0.999
    """Decay of the averaged weights, which are what is exported."""
    checkpoint_every: int = 250
    seed: int = 1


class Trainer:
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
    ) -> None:
        check_shots(shots, config)
        torch.manual_seed(plan.seed)
        self.folder, self.config, self.plan, self.shots, self.device = folder, config, plan, shots, device
        self.table, self.perceptual = table, perceptual
        self.generator = _to(Generator(config), device)
        self.averaged = _to(Generator(config), device).eval().requires_grad_(False)
        self.averaged.load_state_dict(self.generator.state_dict())
        self.critic = _to(MultiScaleDiscriminator(3 + config.label_channels + 3 * config.looks), device)
        self.optimizer = torch.optim.Adam(
            self.generator.parameters(), plan.learning_rate, betas=(0.5, 0.99), fused=True
        )
        self.critic_optimizer = torch.optim.Adam(
            self.critic.parameters(), plan.critic_rate, betas=(0.5, 0.99), fused=True
        )
        self.step = 0

    # --- one step -----------------------------------------------------------------------------------------------

    def train_step(self, streams: list[CropStream]) -> dict[str, float]:
        """One update of critic and generator on the next frame of every stream; returns the loss terms."""
        batch = _batch([s.next() for s in streams], self.device)
        rate = _rate(self.step, self.plan.steps)
        for optimizer, base in (
            (self.optimizer, self.plan.learning_rate),
            (self.critic_optimizer, self.plan.critic_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = base * rate
        with fast_precision(self.device):
            output = self.generator(batch.inputs.labels, batch.inputs.extras, batch.warped, batch.valid)
        critic_loss, real = self._critic_update(batch, output.detach())
        terms, loss = self._generator_loss(batch, output, real)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.generator.parameters(), 5.0)
        self.optimizer.step()
        self._average()
        shown = output.detach().cpu()
        for index, stream in enumerate(streams):
            stream.keep(tensor_to_picture(shown[index : index + 1]))
        self.step += 1
        values = torch.stack([critic_loss, loss.detach(), *(t.detach() for t in terms.values())]).tolist()
        return dict(zip(["critic", "total", *terms], values, strict=True))

    def _judge(self, batch: StreamSample, picture: Tensor) -> list[list[Tensor]]:
        context = [batch.inputs.labels]
        if self.config.looks:
            context.append(batch.inputs.extras[:, :3])
        with fast_precision(self.device):
            return self.critic(self._moved(torch.cat([picture, *context], dim=1)))  # type: ignore[no-any-return]

    def _critic_update(self, batch: StreamSample, fake: Tensor) -> tuple[Tensor, list[list[Tensor]]]:
        """One update of the critic; returns its loss and its view of the true frames, which matching needs too."""
        self.critic.requires_grad_(True)
        n = fake.shape[0]
        both = self._judge_twice(batch, torch.cat([batch.truth, fake]))
        real = [[f[:n] for f in scale] for scale in both]
        made = [[f[n:] for f in scale] for scale in both]
        loss = critic_hinge(real, made)
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.critic_optimizer.step()
        return loss.detach().float(), [[f.detach() for f in scale] for scale in real]

    def _moved(self, pictures: Tensor) -> Tensor:
        """Leave out the first row, the first column, both or none, in turn.

        Critic and perceptual network begin with strides of two: always on the same grid they cannot see a pattern that
        repeats every two pixels, and the generator prints one.
        """
        return pictures[..., self.step // 2 % 2 :, self.step // 4 % 2 :]

    def _judge_twice(self, batch: StreamSample, pictures: Tensor) -> list[list[Tensor]]:
        """The critic on true and made frames [2N, 3, H, W] of the same maps in one pass."""
        doubled = FrameInputs(batch.inputs.labels.repeat(2, 1, 1, 1), batch.inputs.extras.repeat(2, 1, 1, 1))
        return self._judge(replace(batch, inputs=doubled), pictures)

    def _generator_loss(
        self, batch: StreamSample, output: Tensor, real: list[list[Tensor]]
    ) -> tuple[dict[str, Tensor], Tensor]:
        plan = self.plan
        self.critic.requires_grad_(False)
        fake = self._judge(batch, output)
        terms = {
            "l1": plan.l1 * (output - batch.truth).abs().mean(),
            "adversarial": plan.adversarial * generator_hinge(fake).float(),
            "matching": plan.matching * feature_matching(real, fake).float(),
            "grid": plan.grid * grid_print(output, batch.truth),
            "between": plan.between * self._between(batch, output),
            "steady": plan.steady * steadiness(output, batch.warped, batch.steady),
        }
        if self.perceptual is not None:
            terms["perceptual"] = plan.perceptual * self._perceptual_distance(output, batch.truth)
        return terms, torch.stack(list(terms.values())).sum()

    def _between(self, batch: StreamSample, output: Tensor) -> Tensor:
        between = batch.between
        made = between.base + between.weight * carried(output, between.motion)
        return in_between(made, between.truth, between.counts)

    def _perceptual_distance(self, output: Tensor, truth: Tensor) -> Tensor:
        """LPIPS of half of the crops, in turn: the dearest term, and every other step is enough."""
        assert self.perceptual is not None
        turn = slice(self.step % 2, None, 2) if len(output) > 1 else slice(None)
        with fast_precision(self.device):
            with torch.no_grad():
                wanted = self.perceptual.features(self._moved(truth[turn]) * 0.5 + 0.5)
            given = self.perceptual.features(self._moved(output[turn]) * 0.5 + 0.5)
            distances = [
                nn.functional.conv2d((a - b).square(), head).float().mean()
                for a, b, head in zip(given, wanted, self.perceptual.heads, strict=True)
            ]
        return torch.stack(distances).sum()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.plan.average, (1 + self.step) / (10 + self.step))
        kept: list[Tensor] = list(self.averaged.parameters())
        new: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(kept, new, 1 - decay)

    # --- the whole run ------------------------------------------------------------------------------------------

    def run(self, context: JobContext, streams_seed: int | None = None) -> None:
        """Train until `plan.steps`; stops between two steps when the context says so, with a checkpoint written.

        An error in mid-step leaves the last checkpoint as it is: what the networks hold then may be half changed or no
        number. Raises InternalError when the loss is no number.
        """
        random = np.random.default_rng([self.plan.seed if streams_seed is None else streams_seed, self.step])
        streams = [CropStream(self.shots, self.config, self.plan.crop_px, random) for _ in range(self.plan.streams)]
        remaining = RemainingTime()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            while self.step < self.plan.steps:
                context.check()
                started = time.perf_counter()
                terms = self.train_step(streams)
                _refuse_nan(self.step, terms)
                self._log({"step": self.step, "seconds": time.perf_counter() - started, **terms})
                context.report(
                    Progress(self.step, self.plan.steps, "train", remaining.update(self.step, self.plan.steps))
                )
                if self.step % self.plan.checkpoint_every == 0:
                    self.save()
        except (CancelledError, OutputError):
            self.save()
            raise
        self.save()

    def _log(self, entry: dict[str, float | int]) -> None:
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in entry.items()}
        try:
            with (self.folder / LOG_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(rounded) + "\n")
        except OSError as exc:
            raise disk_error(exc, self.folder / LOG_FILE) from exc

    # --- checkpoints --------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint (all that is needed to go on) under a temporary name, then rename."""
        tensors: dict[str, Tensor] = {}
        for prefix, module in self._modules().items():
            tensors |= {f"{prefix}.{k}": v for k, v in module.state_dict().items()}
        for prefix, optimizer in self._optimizers().items():
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{prefix}.{index}.{k}": v for k, v in state.items()}
        header = {
            "step": str(self.step),
            "config": json.dumps(asdict(self.config)),
            "classes": json.dumps(self.table.listed()),
            "plan": json.dumps(asdict(self.plan)),
        }
        # a copy, because averaged and trained weights may share memory layouts safetensors refuses
        own = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
        write_atomically(self.folder / CHECKPOINT_FILE, safetensors.torch.save(own, metadata=header))

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            DamagedModelError: the checkpoint cannot be read.
            ModelMismatchError: it belongs to a generator of another shape or to other classes.
        """
        path = self.folder / CHECKPOINT_FILE
        try:
            with safetensors.safe_open(str(path), "pt") as file:
                header = file.metadata() or {}
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a mapping
            step, config = int(header["step"]), json.loads(header["config"])
            classes = json.loads(header.get("classes", "null"))  # older checkpoints do not say
        except (safetensors.SafetensorError, OSError, KeyError, ValueError) as exc:
            raise DamagedModelError(
                f"the checkpoint {path} cannot be read", "remove it to start anew", detail=str(exc), file=str(path)
            ) from exc
        if config != json.loads(json.dumps(asdict(self.config))):
            raise ModelMismatchError(
                f"the checkpoint {path} belongs to a generator of another shape",
                "train into another folder or use the same settings",
                file=str(path),
            )
        if classes is not None and classes != self.table.listed():
            raise ModelMismatchError(
                f"the checkpoint {path} was trained on classes with other ids or names",
                "give the same shots and the same --palette or train into another folder",
                file=str(path),
            )
        for prefix, module in self._modules().items():
            load_strictly(module, _under(tensors, prefix), path)
        for prefix, optimizer in self._optimizers().items():
            _load_optimizer(optimizer, _under(tensors, prefix))
        self.step = step

    def _modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "averaged": self.averaged, "critic": self.critic}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"adam": self.optimizer, "critic_adam": self.critic_optimizer}

    def export(self, path: Path, *, name: str, licence: str, story: dict[str, str]) -> Path:
        """Write the averaged weights as a model that renders; `path` is its folder."""
        path.mkdir(parents=True, exist_ok=True)
        save_model(
            path / MODEL_FILE,
            name=name,
            generator=self.averaged,
            table=self.table,
            looks=gather_looks([(s.means, s.pixels) for s in self.shots], 1.0 if self.config.trust else VARIETY),
            licence=licence,
            story={**story, "steps": str(self.step)},
        )
        return path / MODEL_FILE


def _to(module: M, device: torch.device) -> M:
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _refuse_nan(step: int, terms: dict[str, float]) -> None:
    wrong = [name for name, value in terms.items() if not math.isfinite(value)]
    if wrong:
        raise InternalError(
            f"the training went astray at step {step}: {', '.join(wrong)} is no number",
            "go on from its last checkpoint with --resume",
        )


def _rate(step: int, steps: int) -> float:
    """Warm up over 200 steps, then half a cosine down to one twentieth."""
    warm = min(1.0, (step + 1) / 200)
    return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))))


def _batch(samples: list[StreamSample], device: torch.device) -> StreamSample:
    def joined(tensors: list[Tensor]) -> Tensor:
        return torch.cat(tensors).to(device, memory_format=torch.channels_last, non_blocking=True)

    return StreamSample(
        FrameInputs(joined([s.inputs.labels for s in samples]), joined([s.inputs.extras for s in samples])),
        joined([s.warped for s in samples]),
        joined([s.valid for s in samples]),
        joined([s.truth for s in samples]),
        joined([s.steady for s in samples]),
        Between(
            joined([s.between.motion for s in samples]),
            joined([s.between.weight for s in samples]),
            joined([s.between.base for s in samples]),
            joined([s.between.truth for s in samples]),
            joined([s.between.counts for s in samples]),
        ),
    )


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
