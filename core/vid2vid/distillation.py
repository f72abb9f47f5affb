# SPDX-License-Identifier: GPL-3.0-or-later
"""A teacher's frames of the training shots, made once, so that a student can learn from them beside the truth.

The teacher makes every frame of a shot, the student only every few (its streams have gaps), so one look into these
frames serves spatial and temporal distillation (Zhuo et al., ECCV 2022, sections 3.2 and 3.3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mapreel.core.contract.errors import ModelMismatchError
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.takes import write_atomically
from mapreel.core.media.drawing import conditions
from mapreel.core.media.warping import agreement, warp_picture
from mapreel.core.vid2vid.checkpoint import load_model, open_model
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import TrainingShot
from mapreel.core.vid2vid.inputs import ClassTable, tensor_to_picture
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import CompositeGenerator
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.renderer import to_pixels
from mapreel.core.vid2vid.samples import draw_frame
from mapreel.core.vid2vid.teacher_inputs import label_frame
from mapreel.core.vid2vid.teacher_model import load_teacher
from mapreel.core.vid2vid.timeline import ANCHOR_EVERY

FOLDER = "taught"
Frames = NDArray[np.uint8]  # [T, H, W, 3] sRGB
Draw = Callable[[TrainingShot, int, Frames, bool], Frames]
"""Makes frame `index` [H, W, 3] of a shot after those made before it; the flag says that it starts a chain."""


class Teacher:
    """A model of either kind that makes the frames of a training shot, which knows the true colours."""

    def __init__(
        self, name: str, table: ClassTable, device: torch.device, student: GeneratorConfig | None = None
    ) -> None:
        """Load a teacher for shots whose class indices are those of `table`, and a student that reads their maps.

        Raises:
            PickleRefusedError, MissingModelError, DamagedModelError: see `load_model`.
            ModelMismatchError: it does not know all of the classes, or reads other maps than the student.
        """
        self._device = device
        if open_model(name).is_teacher:
            composite = load_teacher(name)
            network = composite.generator.to(device)
            config: GeneratorConfig | PaperConfig = composite.config
            own, self.sha256 = composite.table, composite.sha256
            self._draw: Draw = lambda *given: composite_frame(network, device, *given)
        else:
            model = load_model(name)
            generator = model.generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            own, self.sha256, config = model.table, model.sha256, model.config
            self._draw = lambda *given: _frame(generator, device, *given)
        if student is not None:
            _refuse_other_maps(name, config, student)
        missing = [i for i in table.ids if i not in own.ids]
        if missing:
            raise ModelMismatchError(
                f"the teacher {name} does not know the class {missing[0]}",
                "take a teacher that was trained on the same classes",
            )
        self._places = np.array([own.ids.index(i) for i in table.ids], np.uint8)
        self._classes = len(own.ids)

    def frames(self, shot: TrainingShot, finished: Callable[[], None] = lambda: None) -> Frames:
        """All frames of a shot; the chain starts afresh from true frames at every anchor. Calls `finished` for each."""
        seen = self._as_seen(shot)
        made = np.empty_like(shot.colors)
        for index in range(len(shot)):
            made[index] = self._draw(seen, index, made, index % ANCHOR_EVERY == 0)
            finished()
        return made

    def _as_seen(self, shot: TrainingShot) -> TrainingShot:
        """The shot with class indices in the teacher's own order."""
        means = np.zeros((self._classes, *shot.means.shape[1:]), np.float32)
        means[self._places] = shot.means
        return replace(shot, classes=self._places[shot.classes], means=means)


def _refuse_other_maps(name: str, teacher: GeneratorConfig | PaperConfig, student: GeneratorConfig) -> None:
    """Raises ModelMismatchError for a teacher of another task, or of drawings with other channels."""
    if teacher.task != student.task:
        raise ModelMismatchError(
            f"the teacher {name} is of the task {teacher.task}, the training data of {student.task}",
            "take a teacher that was trained on the same task",
        )
    if teacher.conditions != student.conditions:
        raise ModelMismatchError(
            f"the teacher {name} reads drawings of {teacher.conditions} channels, the training data has "
            f"{student.conditions}",
            "prepare the data as the teacher's was prepared, from landmarks or by hand",
        )


def teach(teacher: Teacher, shots: list[TrainingShot], folder: Path, context: JobContext) -> list[TrainingShot]:
    """The shots with the teacher's frames; they stay in the training's folder, so that a resume does not wait again.

    Raises:
        OutputError: the frames cannot be written.
        CancelledError: the context asked for it; the shots that are done are kept.
    """
    total, remaining, done = sum(len(s) for s in shots), RemainingTime(), 0

    def finished() -> None:
        nonlocal done
        done += 1
        context.report(Progress(done, total, "teach", remaining.update(done, total)))
        context.check()

    taught = []
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for shot in shots:
        path = folder / FOLDER / f"{teacher.sha256[:16]}_{_digest(shot)}.npy"
        frames = _kept(path, shot)
        if frames is None:
            frames = teacher.frames(shot, finished)
            _keep(path, frames)
        else:
            done += len(shot)
        taught.append(replace(shot, taught=frames))
    return taught


def _digest(shot: TrainingShot) -> str:
    """What the teacher's frames of a shot depend on: shots are given in any order, and several may be of one size."""
    told = hashlib.sha256()
    for part in (shot.colors, shot.classes, shot.instances, shot.motions):
        told.update(b"" if part is None else np.ascontiguousarray(part).data)
    return told.hexdigest()[:16]


def _kept(path: Path, shot: TrainingShot) -> Frames | None:
    """Frames of an earlier run; None when there are none or they are not those of this shot."""
    try:
        frames: Frames = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return frames if frames.shape == shot.colors.shape and frames.dtype == np.uint8 else None


def _keep(path: Path, frames: Frames) -> None:
    write_atomically(path, lambda file: np.save(file, frames, allow_pickle=False))


def _frame(
    generator: Generator, device: torch.device, shot: TrainingShot, index: int, made: Frames, fresh: bool
) -> Frames:
    """By a network of ours, told the true instance colours, on the true or the made frame before."""
    if index == 0 or shot.motions is None:
        return draw_frame(generator, shot, index, device)
    before = (shot.colors if fresh else made)[index - 1].astype(np.float32) / 127.5 - 1.0
    motion = shot.motions[index].astype(np.float32)
    ids = [(shot.classes[i], shot.instances[i]) for i in (index, index - 1)]
    return draw_frame(generator, shot, index, device, (warp_picture(before, motion), agreement(motion, *ids)))


def _condition(shot: TrainingShot, index: int) -> NDArray[np.float32] | None:
    return None if shot.drawings is None else conditions(shot.drawings[index])


@torch.no_grad()
def composite_frame(
    network: CompositeGenerator, device: torch.device, shot: TrainingShot, index: int, made: Frames, fresh: bool
) -> Frames:
    """By the paper's network, which is given the first frames as the paper gives them: true."""
    config = network.config
    reach = range(index - config.previous, index)
    if index < config.previous:
        given: Frames = shot.colors[index]
        return given
    source = shot.colors if fresh else made
    labels = [
        label_frame(config, shot.classes[i].astype(np.intp), shot.instances[i], _condition(shot, i))
        for i in (*reach, index)
    ]
    pictures = [source[i].astype(np.float32).transpose(2, 0, 1) / 127.5 - 1.0 for i in reach]
    h, w = shot.size_px
    rows, columns = (max(config.smallest_px, n + -n % config.stride_px) - n for n in (h, w))
    pad = (0, columns, 0, rows)

    def ready(parts: list[NDArray[np.float32]]) -> Tensor:
        return F.pad(torch.from_numpy(np.concatenate(parts))[None], pad, mode="replicate").to(device)

    with fast_precision(device):
        picture = network(ready(labels), ready(pictures)).picture
    return to_pixels(tensor_to_picture(picture[..., :h, :w].cpu()))
