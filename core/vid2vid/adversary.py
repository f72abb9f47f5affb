# SPDX-License-Identifier: GPL-3.0-or-later
"""What the generator is trained against: critics of single frames (two kinds) and a critic of three frames in a row."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import torch
from torch import Tensor, nn

from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.discriminator import MultiScaleDiscriminator
from mapreel.core.vid2vid.losses import Verdicts, critic_hinge, feature_matching, generator_hinge
from mapreel.core.vid2vid.oasis import (
    SegmentationDiscriminator,
    class_weights,
    fake_verdict,
    mixing_mask,
    pixel_verdict,
)
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.streams import StreamSample

Shift = Callable[[Tensor], Tensor]  # leaves out the first row, the first column, both or none
LABEL_MIX = 10.0
"""Weight of LabelMix consistency (section 3.2 of the OASIS paper)."""
CLIP_CHANNELS = 3 + 4 + 4
"""A frame, and the two before it compensated to it, each with the mask of where it counts."""


class Critic(StrEnum):
    """Kinds of critics of single frames; docs/decisions/0007-training.md says what is known of them."""

    PATCH = "patch"
    OASIS = "oasis"


class Adversary(Protocol):
    """A critic and the two losses that belong to it."""

    critic: nn.Module

    def critic_loss(self, batch: StreamSample, made: Tensor, shift: Shift) -> tuple[Tensor, Verdicts]:
        """What the critic learns from true and made frames [N, 3, H, W], and its view of the true ones, detached."""

    def generator_terms(self, batch: StreamSample, made: Tensor, real: Verdicts, shift: Shift) -> dict[str, Tensor]:
        """What the generator learns: unweighted terms by name."""


class PatchAdversary:
    """PatchGAN at several scales that sees the maps, hinge loss and feature matching."""

    def __init__(self, config: GeneratorConfig, critic: nn.Module | None = None) -> None:
        self._looks = config.looks
        self.critic = critic or MultiScaleDiscriminator(3 + config.label_channels + 3 * config.looks)

    def critic_loss(self, batch: StreamSample, made: Tensor, shift: Shift) -> tuple[Tensor, Verdicts]:
        context = self._context(batch)
        real, fake = _halves(self._judge(torch.cat([batch.truth, made]), torch.cat([context, context]), shift))
        return critic_hinge(real, fake), [[f.detach() for f in scale] for scale in real]

    def generator_terms(self, batch: StreamSample, made: Tensor, real: Verdicts, shift: Shift) -> dict[str, Tensor]:
        fake = self._judge(made, self._context(batch), shift)
        return {"adversarial": generator_hinge(fake).float(), "matching": feature_matching(real, fake).float()}

    def _context(self, batch: StreamSample) -> Tensor:
        parts = [batch.inputs.labels, *([batch.inputs.extras[:, :3]] if self._looks else [])]
        return torch.cat(parts, dim=1)

    def _judge(self, pictures: Tensor, context: Tensor, shift: Shift) -> Verdicts:
        with fast_precision(pictures.device):
            return self.critic(shift(torch.cat([pictures, context], dim=1)))  # type: ignore[no-any-return]


class OasisAdversary:
    """The critic that labels pixels: classes from the maps, LabelMix consistency, no feature matching."""

    def __init__(self, config: GeneratorConfig, critic: nn.Module | None = None) -> None:
        self._classes = config.classes
        self.critic = critic or SegmentationDiscriminator(config.classes)

    def critic_loss(self, batch: StreamSample, made: Tensor, shift: Shift) -> tuple[Tensor, Verdicts]:
        classes, truth, made = self._labels(batch, shift), shift(batch.truth), shift(made)
        mask = mixing_mask(classes, self._classes)
        scores = self._judge(torch.cat([truth, made, torch.where(mask, truth, made)]))
        real, fake, mixed = scores.chunk(3)
        consistency = (mixed - torch.where(mask, real, fake)).square().mean()
        told = pixel_verdict(real, classes, class_weights(classes, self._classes)) + fake_verdict(fake)
        return told + LABEL_MIX * consistency, []

    def generator_terms(
        self,
        batch: StreamSample,
        made: Tensor,
        real: Verdicts,  # noqa: ARG002 - nothing is matched
        shift: Shift,
    ) -> dict[str, Tensor]:
        classes = self._labels(batch, shift)
        weights = class_weights(classes, self._classes)
        return {"adversarial": pixel_verdict(self._judge(shift(made)), classes, weights)}

    def _labels(self, batch: StreamSample, shift: Shift) -> Tensor:
        return shift(batch.inputs.labels[:, : self._classes]).argmax(dim=1)

    def _judge(self, pictures: Tensor) -> Tensor:
        with fast_precision(pictures.device):
            scores: Tensor = self.critic(pictures)
        return scores.float()


class TemporalAdversary:
    """PatchGAN on three frames of a stream in a row, those before compensated to the last one.

    vid2vid (section 3.3) gives its temporal critic frames and flows; compensated frames say the same more plainly: what
    flickers is what differs. Only the last frame takes gradient, for the others are memory. Frames without two frames
    before them are left out.
    """

    def __init__(self, critic: nn.Module | None = None) -> None:
        self.critic = critic or MultiScaleDiscriminator(CLIP_CHANNELS, width=24)

    def critic_loss(self, batch: StreamSample, made: Tensor, shift: Shift) -> tuple[Tensor, Verdicts]:
        """As `Adversary`; a loss of zero and no view where no frame has two before it."""
        rows = _with_history(batch)
        if not len(rows):
            return torch.zeros((), device=made.device), []
        real, fake = _halves(self._judge(torch.cat([true_clip(batch)[rows], made_clip(batch, made)[rows]]), shift))
        return critic_hinge(real, fake), [[f.detach() for f in scale] for scale in real]

    def generator_terms(self, batch: StreamSample, made: Tensor, real: Verdicts, shift: Shift) -> dict[str, Tensor]:
        """As `Adversary`; with a teacher also the distance of the clip's features from those of the teacher's clip."""
        none = torch.zeros((), device=made.device)
        rows = _with_history(batch)
        terms = {"temporal": none, "temporal_matching": none}
        if batch.taught is not None:
            terms["taught_clip"] = none
        if not len(rows):
            return terms
        fake = self._judge(made_clip(batch, made)[rows], shift)
        terms["temporal"] = generator_hinge(fake).float()
        terms["temporal_matching"] = feature_matching(real, fake).float()
        if batch.taught is not None:
            with torch.no_grad():
                wanted = self._judge(taught_clip(batch)[rows], shift)
            terms["taught_clip"] = feature_matching(wanted, fake).float()
        return terms

    def _judge(self, clips: Tensor, shift: Shift) -> Verdicts:
        with fast_precision(clips.device):
            return self.critic(shift(clips))  # type: ignore[no-any-return]


def made_clip(batch: StreamSample, made: Tensor) -> Tensor:
    """The network's own three frames with masks: [N, CLIP_CHANNELS, H, W]."""
    assert batch.history is not None
    return _clip(batch, made, batch.warped.masked_fill(batch.valid == 0, 0.0), batch.history.earlier)


def true_clip(batch: StreamSample) -> Tensor:
    """The true frames in their place."""
    assert batch.history is not None
    return _clip(batch, batch.truth, batch.history.true_before, batch.history.true_earlier)


def taught_clip(batch: StreamSample) -> Tensor:
    """The teacher's frames in their place."""
    assert batch.taught is not None
    return _clip(batch, batch.taught.frame, batch.taught.before, batch.taught.earlier)


def _clip(batch: StreamSample, frame: Tensor, before: Tensor, earlier: Tensor) -> Tensor:
    assert batch.history is not None
    return torch.cat([frame, before, batch.valid, earlier, batch.history.valid], dim=1)


def _with_history(batch: StreamSample) -> Tensor:
    assert batch.history is not None
    return batch.history.valid.flatten(1).any(dim=1).nonzero()[:, 0]


def _halves(both: Verdicts) -> tuple[Verdicts, Verdicts]:
    """What a critic says of true and made pictures that were judged in one pass."""
    n = both[0][0].shape[0] // 2
    return [[f[:n] for f in scale] for scale in both], [[f[n:] for f in scale] for scale in both]
