# SPDX-License-Identifier: GPL-3.0-or-later
"""What the teacher's training reads: a window that follows a shot frame by frame, with the network's own past."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapreel.core.media.drawing import conditions, drawing_motion
from mapreel.core.media.warping import agreement, compose, estimate_motion, warp_picture
from mapreel.core.vid2vid.dataset import TrainingShot
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.streams import Between, middle_from_both
from mapreel.core.vid2vid.teacher_inputs import label_frame

SPACINGS = (1, 3)
"""Frames between the three pictures that a temporal critic sees (Wang et al., NeurIPS 2018, section 3.1)."""
DOUBT = 12.0
"""How fast trust in a motion falls with the change of colour along it: a tenth of the range leaves a third."""


@dataclass(frozen=True)
class Clip:
    """Three frames at one spacing, oldest first; the newest made one is not in it, for the network makes it now."""

    truth: Tensor  # [N, 9, h, w] -1..1
    earlier: Tensor  # [N, 6, h, w] -1..1, what was made of the first two (the truth where it was given)
    flows: Tensor  # [N, 4, h, w] px, of the middle one to the oldest and of the newest to the middle one


@dataclass(frozen=True)
class SequenceSample:
    """One frame of a batch of sequences."""

    labels: Tensor  # [N, (previous + 1) * label_channels, h, w]
    previous: Tensor  # [N, 3 * previous, h, w] -1..1, made ones, zeros before the sequence
    known: Tensor  # [N, 1, 1, 1], 1 where there is a frame before
    truth: Tensor  # [N, 3, h, w] -1..1
    before: Tensor  # [N, 3, h, w] -1..1, the true frame before
    flow: Tensor  # [N, 2, h, w] px towards it
    confidence: Tensor  # [N, 1, h, w] 0..1, how far this motion is to be believed
    clips: dict[int, Clip]  # of every spacing that the sequence is long enough for


@dataclass(frozen=True)
class Lesson:
    """What a teacher made of one frame of a batch of sequences, and of the frames around it."""

    frame: Tensor  # [N, 3, h, w] -1..1
    middle: Tensor  # [N, 3, h, w] -1..1, the frame that `between` fills
    between: Between  # nothing counts where the sequence leaves no frames out
    near: Tensor | None  # [N, 9, h, w] -1..1, three frames of the sequence, this one last, at the first of SPACINGS
    far: Tensor | None  # the same at the second


class SequenceStream:
    """Follows one window through one sequence at a time; all streams of a batch are at the same place of theirs."""

    def __init__(
        self, shots: list[TrainingShot], config: PaperConfig, crop_px: tuple[int, int], random: np.random.Generator
    ) -> None:
        self._shots, self._config, self._crop_px, self._random = shots, config, crop_px, random

    def restart(self, length: int, given: int, gap: int = 1) -> None:
        """Begin a sequence of `length` frames at a place drawn by chance, the first `given` of them true.

        gap: frames of the shot from one frame of the sequence to the next; every shot must be long enough.
        """
        whole = (length - 1) * gap
        weights = np.array([max(1, len(s) - whole) for s in self._shots], np.float64)
        self._shot = self._shots[self._random.choice(len(self._shots), p=weights / weights.sum())]
        self._first, self._gap = int(self._random.integers(0, len(self._shot) - whole)), gap
        stride = self._config.stride_px
        sides = zip(self._shot.size_px, self._crop_px, strict=True)
        sizes = [min(side, crop) // stride * stride for side, crop in sides]
        corners = [int(self._random.integers(0, s - n + 1)) for s, n in zip(self._shot.size_px, sizes, strict=True)]
        self._window = tuple(slice(c, c + n) for c, n in zip(corners, sizes, strict=True))
        self._flip = bool(self._random.random() < 0.5)
        self._made: list[Tensor] = [self._true(position) for position in range(given)]

    def next(self) -> SequenceSample:
        """The frame that is due; batch of one."""
        position = len(self._made)
        reach = range(position - self._config.previous, position)
        nothing = torch.zeros_like(self._true(position))
        flow, confidence = self._flow(position)
        return SequenceSample(
            torch.cat([self._labels(max(0, p)) for p in (*reach, position)], dim=1),
            torch.cat([self._made[p] if p >= 0 else nothing for p in reach], dim=1),
            torch.full((1, 1, 1, 1), float(position > 0)),
            self._true(position),
            self._true(max(0, position - 1)),
            flow,
            confidence,
            {s: self._clip(position, s) for s in SPACINGS if position >= 2 * s},
        )

    def keep(self, picture: Tensor) -> None:
        """Take what the network made of the frame, [1, 3, h, w]."""
        self._made.append(picture)

    def lesson(self) -> Lesson:
        """What a teacher made of the frame that is due (the shots must have its frames); batch of one."""
        position = len(self._made)
        before, index = self._index(max(0, position - 1)), self._index(position)
        middle = (before + index) // 2
        return Lesson(
            self._taught(index),
            self._taught(middle),
            self._between(before, middle, index) if before < middle else Between.none(*self._size_px()),
            *(
                torch.cat([self._taught(self._index(position - n * s)) for n in (2, 1, 0)], dim=1)
                if position >= 2 * s
                else None
                for s in SPACINGS
            ),
        )

    def _taught(self, index: int) -> Tensor:
        frames = self._shot.taught
        assert frames is not None
        return self._placed(frames[index][self._window].astype(np.float32) / 127.5 - 1.0)

    def _between(self, before: int, middle: int, index: int) -> Between:
        """The middle one of the frames that a gap leaves out, filled from both sides (see `compensation`)."""
        shot, window = self._shot, self._window
        ids = [(shot.classes[i][window], shot.instances[i][window]) for i in (before, middle, index)]
        memory = self._made[-1][0].permute(1, 2, 0).numpy()
        memory = np.ascontiguousarray(memory[:, ::-1] if self._flip else memory)
        ways = tuple(np.ascontiguousarray(self._way(*pair)[window]) for pair in ((middle, before), (index, middle)))
        nearness = (index - middle) / (index - before)
        motion, *rest = middle_from_both(memory, ways, ids, nearness)
        weight, base, counts = map(self._placed, rest)
        truth = self._placed(shot.colors[middle][window].astype(np.float32) / 127.5 - 1.0)
        return Between(self._placed(motion, moving=True), weight, base, truth, counts)

    def _size_px(self) -> tuple[int, int]:
        h, w = (side.stop - side.start for side in self._window)
        return h, w

    def _clip(self, position: int, spacing: int) -> Clip:
        oldest, middle = position - 2 * spacing, position - spacing
        return Clip(
            torch.cat([self._true(p) for p in (oldest, middle, position)], dim=1),
            torch.cat([self._made[oldest], self._made[middle]], dim=1),
            torch.cat([self._placed(self._motion(p, p - spacing), moving=True) for p in (middle, position)], dim=1),
        )

    def _true(self, position: int) -> Tensor:
        picture = self._shot.colors[self._index(position)][self._window]
        return self._placed(picture.astype(np.float32) / 127.5 - 1.0)

    def _index(self, position: int) -> int:
        """Where a frame of the sequence stands in its shot."""
        return self._first + position * self._gap

    def _labels(self, position: int) -> Tensor:
        index = self._index(position)
        shot = self._shot
        condition = None if shot.drawings is None else conditions(shot.drawings[index])
        frame = label_frame(self._config, shot.classes[index].astype(np.intp), shot.instances[index], condition)
        return self._placed(frame.transpose(1, 2, 0)[self._window])

    def _flow(self, position: int) -> tuple[Tensor, Tensor]:
        """Motion towards the frame before, and how far to believe it: labels must agree, the truth must not change."""
        if position == 0:
            h, w = self._size_px()
            return torch.zeros(1, 2, h, w), torch.zeros(1, 1, h, w)
        index, earlier, shot = self._index(position), self._index(position - 1), self._shot
        motion = self._motion(position, position - 1, whole=True)
        valid = agreement(motion, *((shot.classes[i], shot.instances[i]) for i in (index, earlier)))
        now, before = (shot.colors[i].astype(np.float32) / 127.5 - 1.0 for i in (index, earlier))
        change = np.abs(warp_picture(before, motion) - now).mean(axis=2)
        confidence = (np.exp(-DOUBT * change) * valid).astype(np.float32)
        return self._placed(motion[self._window], moving=True), self._placed(confidence[self._window][..., None])

    def _motion(self, position: int, before: int, *, whole: bool = False) -> NDArray[np.float32]:
        """Motion of one frame of the sequence all the way to an earlier one: [h, w, 2] px."""
        motion = self._way(self._index(position), self._index(before))
        kept: NDArray[np.float32] = motion if whole else motion[self._window]
        return kept

    def _way(self, index: int, before: int) -> NDArray[np.float32]:
        """Motion of one frame of the shot all the way to an earlier one: [H, W, 2] px."""
        motion = self._step(index)
        for between in range(index - 1, before, -1):
            motion = compose(motion, self._step(between))
        return motion

    def _step(self, index: int) -> NDArray[np.float32]:
        shot = self._shot
        if shot.motions is not None:
            known: NDArray[np.float32] = shot.motions[index].astype(np.float32)
            return known
        if shot.drawings is not None:
            return drawing_motion(shot.drawings[index], shot.drawings[index - 1])
        here, there = ((shot.classes[i], shot.instances[i]) for i in (index, index - 1))
        return estimate_motion(here, there)

    def _placed(self, values: NDArray[np.float32], *, moving: bool = False) -> Tensor:
        """[h, w, C] -> [1, C, h, w], left and right exchanged when this sequence is mirrored."""
        if self._flip:
            values = values[:, ::-1]
            if moving:
                values = values * np.array([-1.0, 1.0], np.float32)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def joined(samples: list[SequenceSample], device: torch.device) -> SequenceSample:
    """One batch of samples that stand at the same place of their sequences, on the device."""
    if not samples:
        raise ValueError("a batch needs a sample")

    def cat(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts).to(device, memory_format=torch.channels_last, non_blocking=True)

    clips = {
        spacing: Clip(*(cat([getattr(s.clips[spacing], f.name) for s in samples]) for f in fields(Clip)))
        for spacing in samples[0].clips
    }
    tensors = {f.name: cat([getattr(s, f.name) for s in samples]) for f in fields(SequenceSample) if f.name != "clips"}
    return SequenceSample(clips=clips, **tensors)
