# SPDX-License-Identifier: GPL-3.0-or-later
"""A training shot in memory, and the streams of crops that training reads from it.

A shot is a folder with `color/` (true frames), `label/`, and where there are any `instance/` and `motion/`, numbered
alike. A stream follows one crop through the shot with the network's own output as memory, so that training sees what
rendering sees: frames that stand on dozens of frames the network made itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapreel.core.contract.errors import GapError, InputError, MissingInputError, MixedSizesError
from mapreel.core.contract.frames import FoundSequence, find_sequence
from mapreel.core.media.images import read_color
from mapreel.core.media.labels import instance_edges, read_instance_map, read_label_map
from mapreel.core.media.motion import read_motion
from mapreel.core.media.sequence import counted
from mapreel.core.media.warping import agreement, compose, invert, warp_picture
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.inputs import ClassTable, FrameInputs, encode_frame, picture_to_tensor
from mapreel.core.vid2vid.looks import instance_means

MIRRORED = 0.3
"""Share of streams that are mirrored left to right, coordinates included: more facades and cars from the same shot."""
KNOWN = 0.35
"""Share of streams that are told the true colour of every instance, as a reference frame tells it."""
LEAST_KNOWN = 0.6
"""Trust in a hint is drawn from 0 to this where the true colours are not told."""
FROM_TRUTH = 0.25
"""Share of streams whose memory begins with a true frame, as a shot with reference frames does."""
STREAM_FRAMES = 10
"""A stream follows its crop for 1 to so many frames."""
MAX_CLASSES = 256
"""A shot in memory keeps class indices in 8 bits."""


@dataclass(frozen=True)
class TrainingShot:
    """All frames of one shot, decoded once."""

    colors: NDArray[np.uint8]  # [T, H, W, 3] sRGB
    classes: NDArray[np.uint8]  # [T, H, W] class indices
    instances: NDArray[np.uint16]  # [T, H, W] ids; the class indices where the shot has no instance maps
    motions: NDArray[np.float16] | None  # [T, H, W, 2] px, prev_to_cur
    means: NDArray[np.float32]  # [classes, ids, 3] sRGB 0..1, mean colour of each instance
    pixels: NDArray[np.int64]  # [classes, ids] how many pixels each had

    @property
    def size_px(self) -> tuple[int, int]:
        """(H, W)."""
        return self.classes.shape[1], self.classes.shape[2]

    def __len__(self) -> int:
        return len(self.classes)


def load_shot(folder: Path, table: ClassTable) -> TrainingShot:
    """Decode a training shot.

    Raises:
        InputError: more classes than MAX_CLASSES.
        MissingInputError: `color` or `label` is not there, or a frame has no instance map or no motion.
        GapError: a frame of `color` or `label` has no partner, or motion maps lead over frames that are not there.
        MixedSizesError: not all pictures have one size.
        UnknownLabelError: labels outside the class table.
    """
    if len(table.ids) > MAX_CLASSES:
        raise InputError(
            f"a model can be trained on {MAX_CLASSES} classes at most, not on {len(table.ids)}",
            "join classes in the label maps and the palette",
        )
    color = find_sequence(folder / "color")
    label = find_sequence(folder / "label")
    numbers = tuple(sorted(set(color.numbers) & set(label.numbers)))
    if len(numbers) < 2:
        raise MissingInputError(
            f"the training shot {folder} has {len(numbers)} frames that are in both color and label",
            "give at least two frames with the same numbers in both folders",
            file=str(folder),
        )
    _refuse_unpaired(color, label)
    _refuse_unpaired(label, color)
    classes = []
    for n in numbers:
        path = label.pattern.path(n)
        classes.append(table.indices(read_label_map(path, frame=n), file=str(path), frame=n).astype(np.uint8))
    colors = [read_color(color.pattern.path(n), frame=n) for n in numbers]
    _same_size(folder, numbers, [(c.shape[:2], "color") for c in colors], classes[0].shape)
    _same_size(folder, numbers, [(c.shape[:2], "label") for c in classes], classes[0].shape)
    stacked = np.stack(classes)
    instances = _instances(folder, numbers, stacked)
    motions = _motions(folder, numbers, classes[0].shape)
    means, pixels = instance_means(np.stack(colors), stacked, instances, len(table.ids))
    return TrainingShot(np.stack(colors), stacked, instances, motions, means, pixels)


def _refuse_unpaired(here: FoundSequence, other: FoundSequence) -> None:
    alone = sorted(set(here.numbers) - set(other.numbers))
    if alone:
        raise GapError(
            f"{counted(alone)} missing from {other.pattern.format()}",
            "give every frame in both color and label",
            file=str(other.pattern.path(alone[0])),
            frame=alone[0],
        )


def _same_size(
    folder: Path, numbers: tuple[int, ...], shapes: list[tuple[tuple[int, ...], str]], wanted: tuple[int, ...]
) -> None:
    for number, (shape, kind) in zip(numbers, shapes, strict=True):
        if shape != wanted:
            raise MixedSizesError(
                f"{kind} frame {number} of {folder} is {shape[1]}x{shape[0]} but the shot is {wanted[1]}x{wanted[0]}",
                "bring all pictures of a training shot to one size",
                file=str(folder),
                frame=number,
            )


def _instances(folder: Path, numbers: tuple[int, ...], classes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    if not (folder / "instance").is_dir():
        return classes.astype(np.uint16)
    found = find_sequence(folder / "instance")
    maps = [read_instance_map(found.pattern.path(n), frame=n) for n in numbers]
    _same_size(folder, numbers, [(m.shape, "instance") for m in maps], classes[0].shape)
    return np.stack(maps).astype(np.uint16)


def _motions(folder: Path, numbers: tuple[int, ...], size_px: tuple[int, ...]) -> NDArray[np.float16] | None:
    """Motion of every frame; the first leads out of the shot, so nobody needs its file."""
    if not (folder / "motion").is_dir():
        return None
    gaps = [n for n, after in pairwise(numbers) if after != n + 1]
    if gaps:
        raise GapError(
            f"the training shot {folder} has a gap after frame {gaps[0]}, but its motion leads from frame to frame",
            "give every frame in color and label, or take the motion folder away",
            file=str(folder),
            frame=gaps[0],
        )
    found = find_sequence(folder / "motion")
    maps = [read_motion(found.pattern.path(n), frame=n).astype(np.float16) for n in numbers[1:]]
    _same_size(folder, numbers[1:], [(m.shape[:2], "motion") for m in maps], size_px)
    return np.stack([np.zeros((*size_px, 2), np.float16), *maps])


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

    def mirrored(self) -> Between:
        """Left and right exchanged; motion changes its sign along x."""
        flipped = [t.flip(-1) for t in (self.motion, self.weight, self.base, self.truth, self.counts)]
        flipped[0] = flipped[0] * torch.tensor([-1.0, 1.0])[None, :, None, None]
        return Between(*flipped)

    @classmethod
    def none(cls, h: int, w: int) -> Between:
        """No in-between: nothing counts."""
        one, two, three = (torch.zeros(1, n, h, w) for n in (1, 2, 3))
        return cls(two, one, three, three, one)


@dataclass(frozen=True)
class StreamSample:
    """One crop of one frame with its memory; everything batch of one."""

    inputs: FrameInputs
    warped: Tensor  # [1, 3, h, w] -1..1, compensated own output of the frame before
    valid: Tensor  # [1, 1, h, w]
    truth: Tensor  # [1, 3, h, w] -1..1
    steady: Tensor  # [1, 1, h, w] 0..1, how well the true frame before predicts this one along the motion
    between: Between

    def mirrored(self) -> StreamSample:
        """Left and right exchanged in everything, also in the coordinates: the sun stays on its side of the street."""
        inputs = FrameInputs(self.inputs.labels.flip(-1), self.inputs.extras.flip(-1))
        warped, valid, truth, steady = (t.flip(-1) for t in (self.warped, self.valid, self.truth, self.steady))
        return StreamSample(inputs, warped, valid, truth, steady, self.between.mirrored())


class CropStream:
    """Follows one crop through a shot; `next()` gives the sample, `keep()` takes the network's answer back."""

    def __init__(
        self, shots: list[TrainingShot], config: GeneratorConfig, crop_px: tuple[int, int], random: np.random.Generator
    ) -> None:
        self._shots, self._config, self._crop_px, self._random = shots, config, crop_px, random
        self._left = 0
        self._restart()

    def _restart(self) -> None:
        # a still brings one frame where a moving shot brings a stream: each frame shall come equally often
        mean_frames = (1 + STREAM_FRAMES) / 2
        weights = np.array([len(s) * (1.0 if s.motions is not None else mean_frames) for s in self._shots])
        self._shot = self._shots[self._random.choice(len(self._shots), p=weights / weights.sum())]
        h, w = self._shot.size_px
        stride = self._config.stride_px
        ch, cw = (min(crop, side) // stride * stride for crop, side in zip(self._crop_px, (h, w), strict=True))
        y, x = int(self._random.integers(0, h - ch + 1)), int(self._random.integers(0, w - cw + 1))
        y, x = y - y % 2, x - x % 2
        self._window = (slice(y, y + ch), slice(x, x + cw))
        self._mirrored = bool(self._random.random() < MIRRORED)
        self._gap = int(self._random.choice([1, 1, 1, 2, 3, 4]))
        self._index = int(self._random.integers(0, len(self._shot)))
        self._left = int(self._random.integers(1, STREAM_FRAMES + 1))
        self._memory: NDArray[np.float32] | None = None
        self._before = self._index
        self._trust = 1.0 if self._random.random() < KNOWN else float(self._random.uniform(0, LEAST_KNOWN))
        self._hints = self._shot.means if self._trust == 1.0 else self._draw_hints()
        if self._random.random() < FROM_TRUTH and self._shot.motions is not None and self._index >= self._gap:
            self._before = self._index - self._gap
            self._memory = self._true(self._before)

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

    def _true(self, index: int) -> NDArray[np.float32]:
        true: NDArray[np.float32] = self._shot.colors[index][self._window].astype(np.float32) / 127.5 - 1.0
        return true

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
        )
        truth = self._true(index)
        warped, valid, steady = self._compensate(truth)
        sample = StreamSample(
            inputs,
            picture_to_tensor(warped),
            picture_to_tensor(valid[..., None].astype(np.float32)),
            picture_to_tensor(truth),
            picture_to_tensor(steady[..., None].astype(np.float32)),
            self._between(),
        )
        return sample.mirrored() if self._mirrored else sample

    def _compensate(
        self, truth: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
        nothing = np.zeros(truth.shape[:2], np.bool_)
        if self._memory is None or self._shot.motions is None:
            return np.zeros_like(truth), nothing, nothing.astype(np.float32)
        shot, window = self._shot, self._window
        motion = self._motion(self._index, self._before)
        here = (shot.classes[self._index][window], shot.instances[self._index][window])
        there = (shot.classes[self._before][window], shot.instances[self._before][window])
        valid = agreement(motion, here, there)
        before = self._true(self._before)
        change = np.abs(warp_picture(before, motion) - truth).mean(axis=2)
        return warp_picture(self._memory, motion), valid, np.exp(-12.0 * change) * valid

    def _between(self) -> Between:
        """The middle one of the frames that a gap leaves out, filled from both sides (see `compensation`)."""
        window, shot = self._window, self._shot
        h, w = (side.stop - side.start for side in window)
        middle = (self._before + self._index) // 2
        if self._memory is None or shot.motions is None or middle == self._before:
            return Between.none(h, w)
        to_first = self._motion(middle, self._before)
        ids = [(shot.classes[i][window], shot.instances[i][window]) for i in (self._before, middle, self._index)]
        first = agreement(to_first, ids[1], ids[0])
        to_last, known = invert(self._motion(self._index, middle), ids[2], ids[1])
        last = agreement(to_last, ids[1], ids[2]) & known
        nearness = (self._index - middle) / (self._index - self._before)
        shares = np.stack([first * np.float32(nearness), last * np.float32(1 - nearness)], axis=-1)
        shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1e-6)
        base = shares[..., :1] * warp_picture(self._memory, to_first)
        return Between(
            picture_to_tensor(to_last),
            picture_to_tensor(shares[..., 1:]),
            picture_to_tensor(base),
            picture_to_tensor(self._true(middle)),
            picture_to_tensor((first | last)[..., None].astype(np.float32)),
        )

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
        self._memory = np.ascontiguousarray(output[:, ::-1]) if self._mirrored else output
        self._before, self._index = self._index, following


def check_shots(shots: list[TrainingShot], config: GeneratorConfig) -> None:
    """All shots must have the size the model is made for, and room for a crop of the network's stride.

    Raises:
        InputError: a shot has another size, or is too small.
    """
    for shot in shots:
        h, w = shot.size_px
        if (h, w) != (config.height, config.width):
            raise InputError(
                f"a training shot is {w}x{h} but the model is made for {config.width}x{config.height}",
                "scale all training shots to one size",
            )
        if min(h, w) < config.stride_px:
            raise InputError(
                f"a training shot is {w}x{h}, smaller than the {config.stride_px} pixels the network needs",
                "give larger pictures",
            )
