# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a shot: maps in, frames out in order, with explicit state and fixed anchors.

Full quality synthesises every frame on the compensated frame before. Fast quality synthesises key frames and carries
them to the frames between. In both the state starts afresh at anchors, at fixed places of the shot, so that a chunk
and a resumed job give the pixels of the whole.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import starmap
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from mapreel.core.contract.errors import MapreelError
from mapreel.core.contract.requests import Quality
from mapreel.core.media.labels import instance_edges
from mapreel.core.media.warping import agreement, insideness, warp_picture
from mapreel.core.vid2vid.checkpoint import Model
from mapreel.core.vid2vid.compensation import Motion, Picture, carried_from, motion_to, start_in_betweens
from mapreel.core.vid2vid.filler import Carried, Filling
from mapreel.core.vid2vid.inputs import encode_frame, picture_to_tensor, tensor_to_picture
from mapreel.core.vid2vid.keyframes import LONGEST_GAP, next_key
from mapreel.core.vid2vid.pipeline import Finished, Finishing, leave_a_core, worker_pool
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.prepared import PreparedGenerator, can_prepare
from mapreel.core.vid2vid.reference import Colours, paint_frame
from mapreel.core.vid2vid.reference_memory import Sight, Trail, at_reference, see_reference
from mapreel.core.vid2vid.shot import FrameMaps, Shot
from mapreel.core.vid2vid.supported import refuse_teacher
from mapreel.core.vid2vid.timeline import Segment
from mapreel.core.vid2vid.windows import Windows

STEADY = 0.75
"""Share that the frame before keeps in the next one, to the power of the frames between. The network itself is shown
nothing but references as its memory: fed with its own frames for long it smears what moves (measured on the street of
the demo: LPIPS over paint 0.81 where frames of their own have 0.65)."""


Pixels = NDArray[Any]  # uint8 or uint16


@dataclass(frozen=True)
class Memory:
    """The recurrent state: the last synthesised frame and where it stands in the timeline."""

    index: int
    picture: Picture  # [H, W, 3] -1..1
    trail: Trail | None = None  # back to the reference frame the chain came from


@dataclass(frozen=True)
class RenderedFrame:
    """One finished frame."""

    number: int
    pixels: Pixels  # [H, W, 3] sRGB
    is_key: bool


class Renderer:
    """A model on a device; holds no state between frames, but for the window its memory allows."""

    def __init__(self, model: Model, device: torch.device, *, peak: int = 255) -> None:
        """peak: of the pixels that are delivered, 255 or 65535."""
        self.model, self.device, self.peak = model, device, peak
        generator = model.generator.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._generator = PreparedGenerator(generator, model.ranges) if can_prepare(generator, device) else generator
        self.windows = Windows(self._generator, model.config.stride_px)
        self._filling = Filling(model.filler, device) if model.filler is not None else None

    @property
    def notes(self) -> list[str]:
        """What the artist should know of how frames were made, one sentence each."""
        return self.windows.notes

    def render_frame(self, shot: Shot, index: int, memory: Memory | None) -> tuple[Picture, Memory]:
        """Synthesise the frame at timeline index `index` on what `memory` holds (None: afresh, or from a reference).

        A reference frame is its picture.

        Returns:
            The frame [H, W, 3] float32 sRGB in -1..1, and the memory for the frame after.
        """
        if shot.references is not None and _is_given(shot, index):
            picture = shot.references.picture(index)
            return picture, Memory(index, picture, at_reference(index, shot.size_px))
        maps = shot.maps(index)
        motion = motion_to(shot, index, memory.index) if memory is not None else None
        seen = see_reference(shot, index, motion, memory.trail if memory else None)
        picture = self._synthesise(maps, seen, shot.reference_colours)
        if memory is not None and motion is not None:
            stays = agreement(motion, maps.ids, shot.maps(memory.index).ids)[..., None]
            share = np.float32(STEADY ** abs(index - memory.index)) * insideness(motion)[..., None]
            picture = picture + stays * share * (warp_picture(memory.picture, motion) - picture)
        if seen is None:
            return picture, Memory(index, picture)
        picture = seen.stands_in(picture)
        return picture, Memory(index, picture, seen.trail)

    @torch.inference_mode()
    def _synthesise(self, maps: FrameMaps, seen: Sight | None, colours: Colours | None) -> Picture:
        """The network's frame [H, W, 3], told what it sees of a reference and the colours references have shown."""
        config, size_px = self.model.config, maps.classes.shape
        carried = seen.picture if seen else np.zeros((*size_px, 3), np.float32)
        valid = seen.valid if seen else np.zeros(size_px, np.bool_)
        edges = self._edges(maps)
        looks, trust = None, None
        if config.looks or config.trust:
            looks, trust = paint_frame(self.model.looks, colours, maps.classes, maps.instances)
        inputs = encode_frame(config, maps.classes, edges, looks, trust=trust, condition=maps.condition)
        tensors = [
            inputs.labels,
            inputs.extras,
            picture_to_tensor(carried),
            picture_to_tensor(valid[..., None].astype(np.float32)),
        ]
        h, w = size_px
        pad = (0, -w % config.stride_px, 0, -h % config.stride_px)
        padded = [F.pad(t, pad, mode="replicate") if any(pad) else t for t in tensors]
        ready = [t.to(self.device, memory_format=torch.channels_last) for t in padded]
        with fast_precision(self.device):
            output = self.windows(*ready)
        return tensor_to_picture(output[..., :h, :w].cpu())

    def finished(self, maps: FrameMaps, carried: Carried) -> Pixels:
        """What is delivered of a frame, gone over by the model's filler if it has one: [H, W, 3] sRGB."""
        if self._filling is None:
            return self._pixels(carried.picture)
        return self._pixels(self._filling(carried, maps.classes, self._edges(maps)))

    def delivered(self, shot: Shot, index: int, picture: Picture) -> Pixels:
        """The frame at `index`, made by the network; a reference frame stays as it is."""
        return self._pixels(self._gone_over(shot, index, picture))

    def _pixels(self, picture: Picture) -> Pixels:
        return to_pixels(picture, self.peak)

    def _edges(self, maps: FrameMaps) -> NDArray[np.bool_] | None:
        return instance_edges(maps.instances) if self.model.config.edges and maps.instances is not None else None

    # --- qualities ----------------------------------------------------------------------------------------------

    def render(
        self, shot: Shot, segment: Segment, quality: Quality, memory: Memory | None = None
    ) -> Generator[RenderedFrame, None, Memory | None]:
        """All frames of a segment in order; returns what the next segment may go on with (it gives the same pixels).

        Raises:
            UsageError: a quality this model has no network for.
        """
        if quality is Quality.FULL:
            return (yield from self._full(shot, segment, memory))
        refuse_teacher(quality)
        yield from (self._fast if quality is Quality.FAST else self._draft)(shot, segment)
        return None

    def _full(
        self, shot: Shot, segment: Segment, memory: Memory | None
    ) -> Generator[RenderedFrame, None, Memory | None]:
        """Every frame by the network; the next segment's chain fades in at the end."""
        following: Memory | None = None
        for index in range(segment.run_in if memory is None else segment.start, segment.end):
            picture, memory = self.render_frame(shot, index, memory)
            if index < segment.start:
                continue
            share = segment.share_of_next(index)
            if share > 0:
                other, following = self.render_frame(shot, index, following)
                picture = picture + np.float32(share) * (other - picture)
            yield RenderedFrame(shot.timeline.numbers[index], self.delivered(shot, index, picture), True)
        return following

    def _fast(self, shot: Shot, segment: Segment) -> Iterator[RenderedFrame]:
        """Key frames by the network, the others carried from both neighbouring keys; the next anchor is a key, too.

        While the network makes a key, other threads read maps ahead and finish the frames before the key before.
        """
        numbers, last = shot.timeline.numbers, min(segment.end, len(shot.timeline) - 1)
        finishing = Finishing()
        with worker_pool() as pool:
            try:
                key, picture, memory = segment.start, *self._key(shot, segment.start, None)
                yield RenderedFrame(numbers[key], self._pixels(picture), True)
                while key < last:
                    due = key_after(shot, key, last)
                    shot.read_ahead(range(due + 1, min(due + LONGEST_GAP, last) + 1), pool)
                    following, memory = self._key(shot, due, memory if due < segment.end else None)
                    before = len(finishing)
                    for work in start_in_betweens(shot, (key, picture), (due, following), _steps(shot, key, due), pool):
                        key += 1
                        finishing.add(pool.submit(self._between, numbers[key], work))
                    key, picture = due, following
                    if key < segment.end:
                        finishing.add_done((numbers[key], self._pixels(picture), True))
                    yield from starmap(RenderedFrame, finishing.take(before))
            except MapreelError:
                yield from starmap(
                    RenderedFrame, finishing.take(len(finishing))
                )  # what was made before the error is not lost
                raise
            yield from starmap(RenderedFrame, finishing.take(len(finishing)))

    def _between(self, number: int, carried: Future[Carried]) -> Finished:
        return number, self._pixels(carried.result().picture), False

    def _key(self, shot: Shot, index: int, memory: Memory | None) -> tuple[Picture, Memory]:
        """The key as frames are carried from it: gone over by the filler, which memory never is."""
        with leave_a_core(self.device):
            picture, memory = self.render_frame(shot, index, memory)
            return self._gone_over(shot, index, picture), memory

    def _gone_over(self, shot: Shot, index: int, picture: Picture) -> Picture:
        if self._filling is None or _is_given(shot, index):
            return picture
        maps = shot.maps(index)
        return self._filling(Carried.of_key(picture), maps.classes, self._edges(maps))

    def _draft(self, shot: Shot, segment: Segment) -> Iterator[RenderedFrame]:
        """Key frames as in fast quality, the others carried from the earlier key alone: no look-ahead."""
        numbers, last = shot.timeline.numbers, min(segment.end, len(shot.timeline) - 1)
        key, memory = segment.start, None
        while key < segment.end:
            picture, memory = self.render_frame(shot, key, memory)
            yield RenderedFrame(numbers[key], self.delivered(shot, key, picture), True)
            due = key_after(shot, key, last) if key < last else segment.end
            for index in range(key + 1, due):
                pixels = self.finished(shot.maps(index), carried_from(shot, index, key, picture))
                yield RenderedFrame(numbers[index], pixels, False)
            key = due


def key_after(shot: Shot, key: int, last: int) -> int:
    """The key frame after `key`, at most `last`: chosen from the maps, or a reference that comes before."""
    return next_key(shot, key, shot.references.next_after(key, last) if shot.references else last)


def _is_given(shot: Shot, index: int) -> bool:
    return shot.references is not None and index in shot.references.indices


def _steps(shot: Shot, first: int, last: int) -> list[Motion]:
    """Motion of every frame after `first` up to `last` towards the one before it."""
    return [shot.motion_between(shot.maps(i - 1), shot.maps(i)) for i in range(first + 1, last + 1)]


def to_pixels(picture: Picture, peak: int = 255) -> Pixels:
    """-1..1 float to sRGB in whole numbers from 0 to `peak` (255 or 65535), rounded."""
    half = np.float32(peak / 2)
    whole: Pixels = np.clip(np.rint(picture * half + half), 0, peak)
    return whole.astype(np.uint8 if peak == 255 else np.uint16)
