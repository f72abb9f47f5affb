# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the paper's student: what a teacher learns, and the teacher's frames (Zhuo et al., ECCV 2022).

First half, spatial distillation (section 3.2): the student makes every frame and is pulled to the teacher's. Second
half, temporal distillation (section 3.3): it makes every few frames of a clip, at least three, where the teacher has
made all. The local term pulls those frames to the teacher's; the global one compares features of the clip, with
gradient; and the frames that the student leaves out are filled from it as a render fills them, and compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mapreel.core.quality import LpipsSqueeze
from mapreel.core.vid2vid.dataset import TrainingShot
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.losses import Verdicts, carried, feature_matching, in_between
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import FLOW_PX, CompositeFrame, start_from
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.ranks import Ranks
from mapreel.core.vid2vid.streams import changed
from mapreel.core.vid2vid.teacher_model import TeacherModel
from mapreel.core.vid2vid.teacher_streams import SPACINGS, Lesson, SequenceSample
from mapreel.core.vid2vid.teacher_trainer import TeacherPlan, TeacherTrainer

GAPS = (2, 3, 4)
"""From one frame of a part-time student to the next, drawn for each clip."""
LEAST_MADE = 3
"""Frames the student makes of a clip, where the shots are long enough; else it makes every frame."""


@dataclass(frozen=True, kw_only=True)
class PaperStudentPlan(TeacherPlan):
    """How hard the teacher pulls; the rest is as in the teacher's own training."""

    taught: float = 10.0
    """On the teacher's frame."""
    taught_perceptual: float = 10.0
    """Used only when perceptual weights are given."""
    between: float = 5.0
    """On true in-betweens, through the compensation."""
    taught_between: float = 5.0
    """On the teacher's in-betweens, through the compensation."""
    taught_clip: float = 10.0
    """Features of three frames in a row, as the temporal critics see them."""


class PaperStudentTrainer(TeacherTrainer):
    """Trains the spatially low-demand generator on shots that hold a teacher's frames."""

    plan: PaperStudentPlan

    def __init__(
        self,
        folder: Path,
        config: PaperConfig,
        plan: PaperStudentPlan,
        shots: list[TrainingShot],
        table: ClassTable,
        device: torch.device,
        perceptual: LpipsSqueeze | None = None,
        ranks: Ranks | None = None,
        *,
        teacher: TeacherModel,
    ) -> None:
        """Begin with all weights of the teacher that have the student's shapes; `shots` hold its frames."""
        super().__init__(folder, config, plan, shots, table, device, perceptual, ranks)
        self.begun_with = start_from(self.generator, teacher.generator)
        self.averaged.load_state_dict(self.generator.state_dict())
        self._teachers["teacher"] = teacher.sha256

    def _draw_gap(self, shortest: int) -> int:
        if 2 * self.step < self.plan.steps:
            return 1
        widest = (shortest - 1) // (self.config.previous + LEAST_MADE - 1)
        fitting = [gap for gap in GAPS if gap <= widest]
        return int(self._random.choice(fitting)) if fitting else 1

    def _more_terms(self, sample: SequenceSample, made: CompositeFrame, fake: dict[str, Verdicts]) -> dict[str, Tensor]:
        plan, lesson = self.plan, self._lesson()
        between = lesson.between
        middle = between.base + between.weight * carried(made.picture, between.motion)
        terms = {
            "taught": plan.taught * (made.picture - lesson.frame).abs().mean(),
            "between": plan.between * in_between(middle, between.truth, between.counts),
            "taught_between": plan.taught_between * in_between(middle, lesson.middle, between.counts),
            "taught_clip": plan.taught_clip * self._clip_distance(sample, lesson, fake),
        }
        if self.perceptual is not None:
            with fast_precision(self.device):
                distance = self.perceptual(made.picture * 0.5 + 0.5, lesson.frame * 0.5 + 0.5)
            terms["taught_perceptual"] = plan.taught_perceptual * distance.float().mean()
        return terms

    def _lesson(self) -> Lesson:
        def joined(tensors: list[Tensor]) -> Tensor:
            return torch.cat(tensors).to(self.device, memory_format=torch.channels_last, non_blocking=True)

        return changed([stream.lesson() for stream in self._streams], joined)

    def _clip_distance(self, sample: SequenceSample, lesson: Lesson, fake: dict[str, Verdicts]) -> Tensor:
        """Of the temporal critics' features of the student's clips from those of the teacher's."""
        total = torch.zeros((), device=self.device)
        for spacing, frames in zip(SPACINGS, (lesson.near, lesson.far), strict=True):
            if frames is None:
                continue
            name = f"clip{spacing}"
            with torch.no_grad(), fast_precision(self.device):
                wanted = self.critics[name](torch.cat([frames, sample.clips[spacing].flows / FLOW_PX], dim=1))
            total = total + feature_matching(wanted, fake[name]).float()
        return total

    def _write_model(self, path: Path, **facts: Any) -> None:
        story = {**facts.pop("story"), "begun_with": str(len(self.begun_with))}
        super()._write_model(path, story=story, **facts)
