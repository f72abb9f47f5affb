# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the paper's composite generator on an artist's own shots (Wang et al., NeurIPS 2018, sections 3 and 4).

One step makes one frame of every sequence in the batch, on the frames made before it. Gradients end at those frames,
as in the paper; the temporal critics see them all the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapreel.core.contract.errors import InputError, ModelMismatchError
from mapreel.core.contract.progress import JobContext
from mapreel.core.quality import LpipsSqueeze
from mapreel.core.vid2vid.dataset import TrainingShot, check_sizes
from mapreel.core.vid2vid.discriminator import MultiScaleDiscriminator
from mapreel.core.vid2vid.distillation import composite_frame
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.losses import Verdicts, carried, feature_matching
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import FLOW_PX, CompositeFrame, CompositeGenerator
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.ranks import Ranks
from mapreel.core.vid2vid.samples import drawn_sheet, write_sheet
from mapreel.core.vid2vid.teacher_losses import critic_squares, generator_squares, trusted_share, weighted_l1
from mapreel.core.vid2vid.teacher_model import save_teacher
from mapreel.core.vid2vid.teacher_streams import SPACINGS, Clip, SequenceSample, SequenceStream, joined
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

LENGTHS = (6, 12, 24, 28)
"""Frames of a sequence in each quarter of the run; a shot that is shorter gives what it has."""
FROM_NOTHING = 0.2
"""Share of sequences that begin without true frames: an artist may have none to give."""


@dataclass(frozen=True, kw_only=True)
class TeacherPlan:
    """How long and how hard to train; weights and rates are the paper's."""

    steps: int
    sequences: int = 1
    """Sequences in a batch: instance norm makes of one picture what batch norm makes of eight."""
    crop_px: tuple[int, int] | None = None
    """(H, W) of the window; None: the whole picture, over which instance norm averages when it renders, too."""
    rate: float = 2e-4
    """Of both Adams, held for half of the run, then falling evenly towards nothing."""
    critic_width: int = 32
    adversarial: float = 1.0
    matching: float = 10.0
    flow: float = 10.0
    warp: float = 10.0
    mask: float = 1.0
    perceptual: float = 10.0
    """Used only when perceptual weights are given."""
    average: float = 0.999
    """Decay of the averaged weights, which are what is exported."""
    checkpoint_every: int = 250
    seed: int = 1


class TeacherTrainer(TrainingRun[TeacherPlan, CompositeGenerator]):
    """Everything that changes while a teacher is trained, and how it is kept on disk."""

    def __init__(
        self,
        folder: Path,
        config: PaperConfig,
        plan: TeacherPlan,
        shots: list[TrainingShot],
        table: ClassTable,
        device: torch.device,
        perceptual: LpipsSqueeze | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        """Raises InputError when the shots do not have the size of the config, or are too small for the network."""
        crop = plan.crop_px or (config.height, config.width)
        _check_sizes(shots, config, crop)
        torch.manual_seed(plan.seed)
        self.folder, self.config, self.plan, self.shots, self.table = folder, config, plan, shots, table
        self.device, self.perceptual, self.ranks, self.step = device, perceptual, ranks or Ranks(), 0
        self.generator, self.averaged = CompositeGenerator(config).to(device), CompositeGenerator(config).to(device)
        self.averaged.load_state_dict(self.generator.state_dict())
        self.averaged.eval().requires_grad_(False)
        self.critics = nn.ModuleDict({"image": MultiScaleDiscriminator(3 + config.label_channels, plan.critic_width)})
        for spacing in SPACINGS:  # three pictures and the two motions between them
            self.critics[f"clip{spacing}"] = MultiScaleDiscriminator(9 + 4, plan.critic_width)
        self.critics.to(device)
        for module in (self.generator, self.averaged, self.critics):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        adam = {"betas": (0.5, 0.999), "fused": True}
        self.optimizer = torch.optim.Adam(self.generator.parameters(), plan.rate, **adam)  # type: ignore[arg-type]
        self.critic_optimizer = torch.optim.Adam(self.critics.parameters(), plan.rate, **adam)  # type: ignore[arg-type]
        self._crop_px = crop
        self._teachers: dict[str, str | None] = {"perceptual": weights_digest(perceptual) if perceptual else None}
        self._start_streams()

    def run(self, context: JobContext) -> None:
        """Train to the end; raises as `train_to_the_end`. A sequence that a stop has cut is not gone on with."""
        self._start_streams()
        self.ranks.share([self.generator, self.averaged, self.critics])
        train_to_the_end(
            self, context, check=lambda: self._check(context), draw=self.draw_samples, logs=self.ranks.first
        )

    def _start_streams(self) -> None:
        """Streams that depend on nothing but the seed and the step.

        How long sequences are is drawn alike in all processes, so that they stand at the same place of theirs and train
        the same critics; what the sequences show is drawn for each. Two processes are a batch of twice the size.
        """
        seed, mine = self.plan.seed, self.plan.sequences * self.ranks.rank
        self._random = np.random.default_rng([seed, self.step])
        self._streams = [
            SequenceStream(self.shots, self.config, self._crop_px, np.random.default_rng([seed, self.step, mine + i]))
            for i in range(self.plan.sequences)
        ]
        self._left = 0

    def draw_samples(self) -> None:
        """Write the sample sheet of this step: single frames on the true ones before them. Raises OutputError."""
        if not self.ranks.first:
            return

        def draw(shot: TrainingShot, index: int) -> NDArray[np.uint8]:
            return composite_frame(self.averaged, self.device, shot, index, shot.colors, True)

        write_sheet(self.folder, self.step, drawn_sheet(self.shots, draw))

    # --- one step -----------------------------------------------------------------------------------------------

    def advance(self) -> dict[str, float]:
        """One update of critics and generator on the next frame of every sequence; returns the loss terms."""
        if self._left <= 0:
            self._begin()
        sample = joined([s.next() for s in self._streams], self.device)
        for optimizer in (self.optimizer, self.critic_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = self.plan.rate * min(1.0, 2.0 * (1.0 - self.step / max(1, self.plan.steps)) + 0.01)
        with fast_precision(self.device):
            made = self.generator(sample.labels, sample.previous, sample.known)
        critic, real = self._update_critics(sample, made)
        terms = self._terms(sample, made, real)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.ranks.average(self.generator.parameters())
        self._lost = step_within(self.optimizer, list(self.generator.parameters()), 20.0, self._lost)
        self._average()
        for stream, picture in zip(self._streams, made.picture.detach().cpu().split(1), strict=True):
            stream.keep(picture)
        self._left -= 1
        self.step += 1
        values = torch.stack([critic, loss.detach(), *(t.detach() for t in terms.values())]).tolist()
        return dict(zip(["critic", "total", *terms], values, strict=True))

    def _begin(self) -> None:
        """New sequences for all streams, of the length this part of the run asks for."""
        wanted = LENGTHS[min(len(LENGTHS) - 1, len(LENGTHS) * self.step // max(1, self.plan.steps))]
        shortest = min(len(s) for s in self.shots)
        gap = self._draw_gap(shortest)
        length = min(wanted, (shortest - 1) // gap + 1)
        given = 0 if self._random.random() < FROM_NOTHING else min(self.config.previous, length - 1)
        for stream in self._streams:
            stream.restart(length, given, gap)
        self._left = length - given

    def _draw_gap(self, shortest: int) -> int:  # noqa: ARG002 - a teacher makes every frame
        """Frames of the shot from one frame of a sequence to the next; the shortest shot has so many."""
        return 1

    def _update_critics(self, sample: SequenceSample, made: CompositeFrame) -> tuple[Tensor, dict[str, Verdicts]]:
        """One update of all critics; returns their loss and their view of the truth, which matching needs, too."""
        self.critics.requires_grad_(True)
        self.ranks.share_buffers(self.critics)
        truth = {"image": _image(sample, sample.truth)} | {_name(s): _true_clip(c) for s, c in sample.clips.items()}
        fake = self._shown(sample, made.picture.detach(), made.synthesised.detach())
        with fast_precision(self.device):
            real = {name: self.critics[name](shown) for name, shown in truth.items()}
            verdicts = {name: self.critics[name](shown) for name, shown in fake.items()}
        loss = torch.stack([critic_squares(real[name], verdicts[name]).float() for name in truth]).sum()
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for name in truth:  # the others have no gradient, here or in any other process
            self.ranks.average(self.critics[name].parameters())
        self.critic_optimizer.step()
        return loss.detach(), {n: [[f.detach() for f in scale] for scale in scales] for n, scales in real.items()}

    def _shown(self, sample: SequenceSample, picture: Tensor, synthesised: Tensor) -> dict[str, Tensor]:
        """What the critics are shown of a made frame: the frame and its synthesised part, and the frame in its clips.

        The synthesised part is judged for itself, or nothing would teach it where the warped frame is taken.
        """
        shown = {"image": torch.cat([_image(sample, picture), _image(sample, synthesised)])}
        for spacing, clip in sample.clips.items():
            shown[_name(spacing)] = torch.cat([clip.earlier, picture, clip.flows / FLOW_PX], dim=1)
        return shown

    def _terms(self, sample: SequenceSample, made: CompositeFrame, real: dict[str, Verdicts]) -> dict[str, Tensor]:
        plan = self.plan
        self.critics.requires_grad_(False)
        shown = self._shown(sample, made.picture, made.synthesised)
        with fast_precision(self.device):
            fake = {name: self.critics[name](picture) for name, picture in shown.items()}
        twice = {**real, "image": [[torch.cat([f, f]) for f in scale] for scale in real["image"]]}
        moved = carried(sample.before, made.flow)
        terms = {
            "adversarial": plan.adversarial * torch.stack([generator_squares(f).float() for f in fake.values()]).sum(),
            "matching": plan.matching
            * torch.stack([feature_matching(twice[n], f).float() for n, f in fake.items()]).sum(),
            "flow": plan.flow * weighted_l1(made.flow, sample.flow, sample.confidence),
            "warp": plan.warp * weighted_l1(moved, sample.truth, sample.confidence),
            "mask": plan.mask * trusted_share(made.weight, sample.confidence),
        }
        if self.perceptual is not None:
            pictures = torch.cat([made.picture, made.synthesised]) * 0.5 + 0.5
            with fast_precision(self.device):
                distance = self.perceptual(pictures, sample.truth.repeat(2, 1, 1, 1) * 0.5 + 0.5)
            terms["perceptual"] = plan.perceptual * distance.float().mean()
        return terms | self._more_terms(sample, made, fake)

    def _more_terms(
        self,
        sample: SequenceSample,  # noqa: ARG002
        made: CompositeFrame,  # noqa: ARG002
        fake: dict[str, Verdicts],  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """What else is learnt, weighted: a teacher has the truth alone."""
        return {}

    # --- on disk ------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint: all that is needed to go on. Raises OutputError."""
        if not self.ranks.first:
            return
        header = {
            "step": str(self.step),
            "config": json.dumps(asdict(self.config)),
            "classes": json.dumps(self.table.listed()),
            "plan": json.dumps(asdict(self.plan)),
            **{name: json.dumps(sha256) for name, sha256 in self._teachers.items()},
        }
        save_state(self.folder / CHECKPOINT_FILE, self._modules(), self._optimizers(), header)

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            DamagedModelError: the checkpoint cannot be read.
            ModelMismatchError: it belongs to another network or to other classes, or was trained with another
                perceptual network or teacher.
        """
        path = self.folder / CHECKPOINT_FILE
        header, tensors = read_state(path)
        try:
            step, config, classes = int(header["step"]), json.loads(header["config"]), json.loads(header["classes"])
            found = {name: json.loads(header[name]) for name in self._teachers if name in header}
        except (KeyError, ValueError) as exc:
            raise damaged_state(path, exc) from exc
        if config != json.loads(json.dumps(asdict(self.config))) or classes != self.table.listed():
            raise ModelMismatchError(
                f"the checkpoint {path} belongs to another network or to other classes",
                "give the same options, shots and --palette, or train into another folder",
                file=str(path),
            )
        for name, before in found.items():  # older checkpoints do not say it
            if before != self._teachers[name]:
                told = {"perceptual": "perceptual network"}.get(name, name)
                raise ModelMismatchError(
                    f"the checkpoint {path} was trained {beside(before, self._teachers[name])} {told}",
                    f"give the same --{name} as before or train into another folder",
                    file=str(path),
                )
        restore(path, tensors, self._modules(), self._optimizers())
        self.step = step

    def _modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "averaged": self.averaged, "critics": self.critics}

    def _write_model(self, path: Path, **facts: Any) -> None:
        save_teacher(path, generator=self.averaged, **facts)


def _image(sample: SequenceSample, picture: Tensor) -> Tensor:
    """A picture and the labels it was made for, as the image critic sees them."""
    channels = sample.labels.shape[1] // (sample.previous.shape[1] // 3 + 1)
    return torch.cat([picture, sample.labels[:, -channels:]], dim=1)


def _true_clip(clip: Clip) -> Tensor:
    return torch.cat([clip.truth, clip.flows / FLOW_PX], dim=1)


def _name(spacing: int) -> str:
    return f"clip{spacing}"


def _check_sizes(shots: list[TrainingShot], config: PaperConfig, crop_px: tuple[int, int]) -> None:
    check_sizes(shots, config)
    for shot in shots:
        h, w = shot.size_px
        ch, cw = min(h, crop_px[0]), min(w, crop_px[1])
        if min(ch, cw) < config.smallest_px:
            raise InputError(
                f"the training pictures are {cw}x{ch}, smaller than the {config.smallest_px} pixels the network needs",
                "give larger pictures",
            )
