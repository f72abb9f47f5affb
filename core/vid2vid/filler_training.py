# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of a filler: a finished model and shots with true frames in, the same model with a filler out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapreel.core.contract.errors import InputError, ModelMismatchError
from mapreel.core.contract.progress import JobContext, Progress
from mapreel.core.contract.takes import write_atomically
from mapreel.core.device import pick_device
from mapreel.core.quality import LpipsSqueeze, lpips_squeeze
from mapreel.core.vid2vid.checkpoint import FILLER, Model, ModelFile, load_model, open_model
from mapreel.core.vid2vid.filler import STRIDE_PX, Filler, FillerConfig, as_settings
from mapreel.core.vid2vid.filler_data import Sample, crop_size, gather_samples
from mapreel.core.vid2vid.losses import grid_print
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.train_job import refuse_folder
from mapreel.core.vid2vid.training_state import (
    CHECKPOINT_FILE,
    read_state,
    restore,
    save_state,
    train_to_the_end,
    weights_digest,
)


@dataclass(frozen=True)
class FillerPlan:
    """How a filler is trained.

    Attributes:
        steps: in all.
        checkpoint_every: steps between checkpoints.
        crop_px: side of the windows it sees.
        batch: windows in a step.
        rate: of Adam at first; it falls evenly to nothing.
        perceptual: weight of LPIPS, `absolute` of L1.
        calm: weight of changes of the mean of 4x4 pixels: the filler mends, it does not repaint.
        grid: weight of patterns of two pixels, which LPIPS rewards and pixel shuffle prints (see `losses.grid_print`).
    """

    steps: int
    checkpoint_every: int = 250
    crop_px: int = 128
    batch: int = 4
    rate: float = 2e-3
    perceptual: float = 1.0
    absolute: float = 0.3
    calm: float = 0.2
    grid: float = 5.0


MIRRORED = 0.3
_WARM_UP = 50


class FillerTrainer:
    """Everything that changes while a filler is trained. What a step sees depends on its number alone."""

    def __init__(
        self,
        folder: Path,
        config: FillerConfig,
        plan: FillerPlan,
        samples: list[Sample],
        model_sha256: str,
        device: torch.device,
        judge: LpipsSqueeze | None,
    ) -> None:
        torch.manual_seed(0)
        self.folder, self.plan, self.step = folder, plan, 0
        self._samples, self._model_sha256, self._device, self._judge = samples, model_sha256, device, judge
        self.filler = Filler(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._adam = torch.optim.Adam(self.filler.parameters(), plan.rate, betas=(0.9, 0.99))
        self._crop_px = crop_size(samples, plan.crop_px)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.plan.steps

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""
        return self.plan.checkpoint_every

    def advance(self) -> dict[str, float]:
        """One step; returns the loss terms."""
        rate = self.plan.rate * min(1.0, (self.step + 1) / _WARM_UP) * max(0.01, 1 - self.step / self.steps)
        self._adam.param_groups[0]["lr"] = rate
        picture, codes, differ, place, truth = self._batch(np.random.default_rng((self.step, 1)))
        made = self.filler(picture, codes, differ, place)
        terms = self._terms(made, picture, truth, self.step)
        self._adam.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.filler.parameters(), 1.0)
        self._adam.step()
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()}

    def _batch(self, random: np.random.Generator) -> list[Tensor]:
        crops = [self._crop(random) for _ in range(self.plan.batch)]
        return [torch.stack(parts).to(self._device) for parts in zip(*crops, strict=True)]

    def _crop(self, random: np.random.Generator) -> tuple[Tensor, ...]:
        sample = self._samples[int(random.integers(len(self._samples)))]
        (h, w), (height, width) = self._crop_px, sample.codes.shape
        top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
        return sample.crop(top, left, (h, w), mirrored=bool(random.random() < MIRRORED))

    def _terms(self, made: Tensor, picture: Tensor, truth: Tensor, step: int) -> dict[str, Tensor]:
        plan = self.plan
        terms = {
            "absolute": plan.absolute * (made - truth).abs().mean(),
            "calm": plan.calm * F.avg_pool2d(made - picture, STRIDE_PX).abs().mean(),
            "grid": plan.grid * grid_print(made, truth),
        }
        if self._judge is not None:  # begins with strides of two: what it sees moves by a pixel from step to step
            top, left = step % 2, step // 2 % 2
            seen, true = (self._judge.features((frames[..., top:, left:] + 1) / 2) for frames in (made, truth))
            terms["perceptual"] = plan.perceptual * self._judge.between(seen, true).mean()
        return terms

    def save(self) -> None:
        """Write the checkpoint. Raises OutputError."""
        header = {
            "step": str(self.step),
            "config": json.dumps(as_settings(self.filler.config)),
            "model": self._model_sha256,
        }
        save_state(self.folder / CHECKPOINT_FILE, {"filler": self.filler}, {"adam": self._adam}, header)

    def resume(self) -> None:
        """Go on from the checkpoint. Raises ModelMismatchError for that of another model, DamagedModelError."""
        path = self.folder / CHECKPOINT_FILE
        header, tensors = read_state(path)
        if header.get("model") != self._model_sha256:
            raise ModelMismatchError(
                f"the checkpoint {path} is of a filler for another model",
                "give the same --model, or choose another --out",
                file=str(path),
            )
        restore(path, tensors, {"filler": self.filler}, {"adam": self._adam})
        self.step = int(header["step"])


def run_train_filler(
    data: list[Path],
    out: Path,
    *,
    model: str,
    steps: int,
    context: JobContext,
    resume: bool = False,
    perceptual: Path | None = None,
    story: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Train a filler for a model and write the model with it into `out/model`.

    Args:
        data: folders with color, label and, where there are any, instance and motion.
        out: folder of the training; must be new unless `resume`.
        model: name or path of the model; a filler that it has is left out and made anew.
        steps: steps in total, those before a resume included.
        perceptual: weights of LPIPS-SqueezeNet; without them only L1 counts, which blurs.
        story: more lines for the model's header.

    Returns:
        model (path of the weights), steps, samples, values (of the filler).

    Raises:
        InputError: the data cannot be used.
        ModelError: the model cannot be used, or the training to `resume` is of another one.
        MissingInputError, OutputExistsError: see `refuse_folder`.
        CancelledError: the context asked for it; a checkpoint is written when training had begun.
    """
    refuse_folder(out, resume=resume)
    if not data:
        raise InputError("no training data is given", "give at least one folder with color and label")
    file, plain = open_model(model), replace(load_model(model), filler=None)
    device = pick_device()
    samples = gather_samples(plain, data, device, _teller(context))
    if not samples:
        raise InputError("the training data holds no frame to learn from", "give shots of more than two frames")
    judge = lpips_squeeze(perceptual, device) if perceptual else None
    trainer = FillerTrainer(
        out, FillerConfig(plain.config.classes), FillerPlan(steps), samples, _weights_of(plain, file), device, judge
    )
    if resume:
        trainer.resume()
    train_to_the_end(trainer, context)
    path = out / "model" / MODEL_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    names = json.dumps([folder.name for folder in data])
    told = {f"filler_{key}": value for key, value in (story or {}).items()}
    write_with_filler(path, file, trainer.filler, {"filler_data": names, "filler_steps": str(trainer.step), **told})
    values = sum(p.numel() for p in trainer.filler.parameters())
    return {"model": str(path), "steps": trainer.step, "samples": len(samples), "values": values}


def write_with_filler(path: Path, file: ModelFile, filler: Filler, story: dict[str, str]) -> None:
    """Write a model's file once more with this filler, in half precision. Raises OutputError."""
    kept = {k: v for k, v in file.tensors.items() if not k.startswith(FILLER)}
    tensors = kept | {FILLER + k: v.detach().cpu().half().contiguous() for k, v in filler.state_dict().items()}
    header = {**file.header, **story, "filler": json.dumps(as_settings(filler.config))}
    write_atomically(path, safetensors.torch.save(tensors, metadata=header))


def _weights_of(model: Model, file: ModelFile) -> str:
    """What tells one model from another whether or not it has a filler: its name and its generator's weights."""
    return f"{file.name} {weights_digest(model.generator)}"


def _teller(context: JobContext) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        context.check()
        context.report(Progress(done, total, "render"))

    return tell
