# SPDX-License-Identifier: GPL-3.0-or-later
"""The streams of crops that training reads from its shots.

A stream follows one crop through a shot with the network's own output as memory, so that training sees what rendering
sees: frames that stand on dozens of frames the network made itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapreel.core.media.drawing import conditions
from mapreel.core.media.labels import instance_edges
from mapreel.core.media.warping import agreement, compose, invert, warp_picture
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import TrainingShot
from mapreel.core.vid2vid.inputs import FrameInputs, encode_frame, picture_to_tensor

R = TypeVar("R")
MIRRORED = 0.3
"""Share of streams that are mirrored left to right, coordinates included: more facades and cars from the same shot."""
KNOWN = 0.35
"""Share of streams that are told the true colour of every instance, as a reference frame tells it."""
LEAST_KNOWN = 0.6
"""Trust in a hint is drawn from 0 to this where the true colours are not told."""
FROM_TRUTH = 0.25
"""Share of streams whose memory begins with a true frame, as a shot with reference frames does."""
GAPS = (1, 1, 1, 2, 3, 4)
"""Frames from one frame of a stream to the next, drawn for each stream: fast quality makes every few frames only."""
LONGEST = 10
"""A stream follows its crop for 1 to so many of its own frames, unless the training plan lets them grow."""


@dataclass(frozen=True)
class Between:
    """A frame between memory and this frame, as fast quality fills it; weights are zero where there is none.

    The in-between is `base + weight * carried`, where `carried` is the network's frame taken along `motion`: so the
    loss on it reaches the network through the compensation.
    """

    motion: Tensor  # [1, 2, h, w] px, from the in-between to this frame, x then y
    weight: Tensor  # [1, 1, h, w] share of this frame
    base: Tensor  # [1, 3, h, w] -1..1, what the memory brings, times its share
    truth: Tensor  # [1, 3, h, w] -1..1, the true in-between
    counts: Tensor  # [1, 1, h, w] 1 where either brings something

    @classmethod
    def none(cls, h: int, w: int) -> Between:
        """No in-between: nothing counts."""
        one, two, three = (torch.zeros(1, n, h, w) for n in (1, 2, 3))
        return cls(two, one, three, three, one)


@dataclass(frozen=True)
class History:
    """The stream's frame before and the one before that, compensated to this frame; zero where they do not count."""

    true_before: Tensor  # [1, 3, h, w] -1..1
    true_earlier: Tensor  # [1, 3, h, w] -1..1
    earlier: Tensor  # [1, 3, h, w] -1..1, the network's own; the one before is the sample's `warped`
    valid: Tensor  # [1, 1, h, w] where `earlier` counts; nowhere in the first two frames of a stream


@dataclass(frozen=True)
class Taught:
    """What a teacher made of the same frames; the last two compensated as in `History`."""

    frame: Tensor  # [1, 3, h, w] -1..1
    middle: Tensor  # [1, 3, h, w] -1..1, the frame that `Between` fills
    before: Tensor  # [1, 3, h, w] -1..1
    earlier: Tensor  # [1, 3, h, w] -1..1


@dataclass(frozen=True)
class StreamSample:
    """One crop of one frame with its memory; everything batch of one."""

    inputs: FrameInputs
    warped: Tensor  # [1, 3, h, w] -1..1, compensated own output of the frame before
    valid: Tensor  # [1, 1, h, w]
    truth: Tensor  # [1, 3, h, w] -1..1
    steady: Tensor  # [1, 1, h, w] 0..1, how well the true frame before predicts this one along the motion
    between: Between
    history: History | None = None
    taught: Taught | None = None

    def mirrored(self) -> StreamSample:
        """Left and right exchanged in everything, also in the coordinates: the sun stays on its side of the street."""
        flipped = changed([self], lambda tensors: tensors[0].flip(-1))
        motion = flipped.between.motion * torch.tensor([-1.0, 1.0])[None, :, None, None]
        return dataclasses.replace(flipped, between=dataclasses.replace(flipped.between, motion=motion))


def changed(records: Sequence[R], change: Callable[[list[Tensor]], Tensor]) -> R:
    """One record from records of one kind: tensor by tensor, in records within records too; None stays None."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(records[0]):  # type: ignore[arg-type]
        parts = [getattr(record, field.name) for record in records]
        if dataclasses.is_dataclass(parts[0]):
            values[field.name] = changed(parts, change)
        else:
            values[field.name] = None if parts[0] is None else change(parts)
    return type(records[0])(**values)


@dataclass(frozen=True)
class _Way:
    """From the stream's present frame to an earlier one, within the window."""

    index: int
    motion: NDArray[np.float32]  # [h, w, 2] px
    valid: NDArray[np.bool_]  # [h, w]

    def bring(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """A picture [h, w, C] of the earlier frame, carried here; zero where it does not count."""
        return warp_picture(picture, self.motion) * self.valid[..., None]


def middle_from_both(
    memory: NDArray[np.float32], ways: tuple[NDArray[np.float32], ...], ids: Sequence[tuple[Any, ...]], nearness: float
) -> tuple[NDArray[np.float32], ...]:
    """What is known of an in-between before its later key is made.

    Args:
        memory: the earlier key [h, w, 3].
        ways: motion [h, w, 2] px of the in-between to the earlier key, and of the later key to the in-between.
        ids: maps [h, w] of the earlier key, the in-between and the later key.
        nearness: of the earlier key, 0..1.

    Returns:
        As `Between` has them: motion to the later key, its share, the earlier key times its share, where either counts.
    """
    first = agreement(ways[0], ids[1], ids[0])
    to_last, known = invert(ways[1], ids[2], ids[1])
    last = agreement(to_last, ids[1], ids[2]) & known
    shares = np.stack([first * np.float32(nearness), last * np.float32(1 - nearness)], axis=-1)
    shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1e-6)
    base = shares[..., :1] * warp_picture(memory, ways[0])
    return to_last, shares[..., 1:], base, (first | last)[..., None].astype(np.float32)


class CropStream:
    """Follows one crop through a shot; `next()` gives the sample, `keep()` takes the network's answer back.

    Attributes:
        longest: frames that a stream which begins from now on follows its crop at most.
    """

    def __init__(
        self,
        shots: list[TrainingShot],
        config: GeneratorConfig,
        crop_px: tuple[int, int],
        random: np.random.Generator,
        *,
        history: bool = False,
        longest: int = LONGEST,
    ) -> None:
        self._shots, self._config, self._crop_px, self._random = shots, config, crop_px, random
        self._with_history, self.longest = history, longest
        self._left = 0
        self._restart()

    def _restart(self) -> None:
        # a still brings one frame where a moving shot brings a stream: each frame shall come equally often
        mean_frames = (1 + self.longest) / 2
        weights = np.array([len(s) * (1.0 if s.motions is not None else mean_frames) for s in self._shots])
        self._shot = self._shots[self._random.choice(len(self._shots), p=weights / weights.sum())]
        h, w = self._shot.size_px
        stride = self._config.stride_px
        ch, cw = (min(crop, side) // stride * stride for crop, side in zip(self._crop_px, (h, w), strict=True))
        y, x = int(self._random.integers(0, h - ch + 1)), int(self._random.integers(0, w - cw + 1))
        y, x = y - y % 2, x - x % 2
        self._window = (slice(y, y + ch), slice(x, x + cw))
        self._mirrored = bool(self._random.random() < MIRRORED)
        self._gap = int(self._random.choice(GAPS))
        self._index = int(self._random.integers(0, len(self._shot)))
        self._left = int(self._random.integers(1, self.longest + 1))
        self._memory: NDArray[np.float32] | None = None
        self._earlier: tuple[int, NDArray[np.float32]] | None = None  # index and picture before the memory's
        self._before = self._index
        self._trust = 1.0 if self._random.random() < KNOWN else float(self._random.uniform(0, LEAST_KNOWN))
        self._hints = self._shot.means if self._trust == 1.0 else self._draw_hints()
        if self._random.random() < FROM_TRUTH and self._shot.motions is not None and self._index >= self._gap:
            self._before = self._index - self._gap
            self._memory = self._crop(self._shot.colors, self._before)

    def _draw_hints(self) -> NDArray[np.float32]:
        """Of every instance a mixture of its own colour and of another one of its class, by trust."""
        others = self._shot.means.copy()
        for kind, seen in enumerate(self._shot.pixels):
            known = np.flatnonzero(seen)
            if len(known):
                others[kind, known] = self._shot.means[kind, self._random.choice(known, len(known))]
        trust = np.float32(self._trust)
        hints: NDArray[np.float32] = trust * self._shot.means + (1 - trust) * others
        return hints

    def _crop(self, frames: NDArray[np.uint8], index: int) -> NDArray[np.float32]:
        """The window of one of `frames` [T, H, W, 3]: [h, w, 3] -1..1."""
        crop: NDArray[np.float32] = frames[index][self._window].astype(np.float32) / 127.5 - 1.0
        return crop

    def next(self) -> StreamSample:
        """The current crop with the compensated memory."""
        shot, window, index = self._shot, self._window, self._index
        classes = shot.classes[index][window].astype(np.intp)
        instances = shot.instances[index]
        inputs = encode_frame(
            self._config,
            classes,
            instance_edges(instances)[window],
            self._hints[classes, instances[window]],
            (window[0].start, window[1].start),
            shot.size_px,
            np.full(classes.shape, self._trust, np.float32),
            None if shot.drawings is None else conditions(shot.drawings[index])[window],
        )
        truth = self._crop(shot.colors, index)
        way = self._way(self._before) if self._memory is not None and shot.motions is not None else None
        warped, valid, steady = self._compensate(truth, way)
        before_that = self._way(self._earlier[0]) if self._with_history and way and self._earlier else None
        sample = StreamSample(
            inputs,
            picture_to_tensor(warped),
            picture_to_tensor(valid[..., None].astype(np.float32)),
            picture_to_tensor(truth),
            picture_to_tensor(steady[..., None].astype(np.float32)),
            self._between(way),
            self._history(way, before_that) if self._with_history else None,
            None if shot.taught is None else self._taught(shot.taught, way, before_that),
        )
        return sample.mirrored() if self._mirrored else sample

    def _way(self, before: int) -> _Way:
        motion = self._motion(self._index, before)
        return _Way(before, motion, agreement(motion, self._ids(self._index), self._ids(before)))

    def _ids(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        return self._shot.classes[index][self._window], self._shot.instances[index][self._window]

    def _compensate(
        self, truth: NDArray[np.float32], way: _Way | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
        if self._memory is None or way is None:
            nothing = np.zeros(truth.shape[:2], np.bool_)
            return np.zeros_like(truth), nothing, nothing.astype(np.float32)
        before = self._crop(self._shot.colors, self._before)
        change = np.abs(warp_picture(before, way.motion) - truth).mean(axis=2)
        return warp_picture(self._memory, way.motion), way.valid, np.exp(-12.0 * change) * way.valid

    def _history(self, way: _Way | None, before_that: _Way | None) -> History:
        colors = self._shot.colors
        h, w = (side.stop - side.start for side in self._window)
        earlier, valid = torch.zeros(1, 3, h, w), torch.zeros(1, 1, h, w)
        if before_that is not None and self._earlier is not None:
            earlier = picture_to_tensor(before_that.bring(self._earlier[1]))
            valid = picture_to_tensor(before_that.valid[..., None].astype(np.float32))
        return History(self._brought(colors, way), self._brought(colors, before_that), earlier, valid)

    def _taught(self, frames: NDArray[np.uint8], way: _Way | None, before_that: _Way | None) -> Taught:
        middle = (self._before + self._index) // 2
        return Taught(
            picture_to_tensor(self._crop(frames, self._index)),
            picture_to_tensor(self._crop(frames, middle)),
            self._brought(frames, way),
            self._brought(frames, before_that),
        )

    def _brought(self, frames: NDArray[np.uint8], way: _Way | None) -> Tensor:
        """One of `frames` [T, H, W, 3] carried along a way: [1, 3, h, w]; zeros without one."""
        if way is None:
            return torch.zeros(1, 3, *(side.stop - side.start for side in self._window))
        return picture_to_tensor(way.bring(self._crop(frames, way.index)))

    def _between(self, way: _Way | None) -> Between:
        """The middle one of the frames that a gap leaves out, filled from both sides (see `compensation`)."""
        h, w = (side.stop - side.start for side in self._window)
        middle = (self._before + self._index) // 2
        if self._memory is None or way is None or middle == self._before:
            return Between.none(h, w)
        to_first = self._motion(middle, self._before)
        ids = [self._ids(index) for index in (self._before, middle, self._index)]
        nearness = (self._index - middle) / (self._index - self._before)
        ways = (to_first, self._motion(self._index, middle))
        to_last, share, base, counts = middle_from_both(self._memory, ways, ids, nearness)
        truth = self._crop(self._shot.colors, middle)
        return Between(*map(picture_to_tensor, (to_last, share, base, truth, counts)))

    def _motion(self, index: int, before: int) -> NDArray[np.float32]:
        """Motion of one frame all the way to an earlier one, within the window: [h, w, 2] px."""
        motions = self._shot.motions
        assert motions is not None
        motion = motions[index].astype(np.float32)
        for between in range(index - 1, before, -1):
            motion = compose(motion, motions[between].astype(np.float32))
        return np.ascontiguousarray(motion[self._window])

    def keep(self, output: NDArray[np.float32]) -> None:
        """Take the network's answer [h, w, 3] (-1..1) as memory and step on; a new crop when this one is done."""
        self._left -= 1
        following = self._index + self._gap
        if self._left <= 0 or following >= len(self._shot) or self._shot.motions is None:
            self._restart()
            return
        self._earlier = (self._before, self._memory) if self._memory is not None else None
        self._memory = np.ascontiguousarray(output[:, ::-1]) if self._mirrored else output
        self._before, self._index = self._index, following
