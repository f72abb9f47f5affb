# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a shot with a teacher, as its paper does: one chain of frames from the first to the last.

The chain begins with the reference frames when the first frames of the shot are given, else with nothing. There are
no anchors in it: a chunk is rendered from the shot's first frame on, and so gives the pixels of the whole.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import Quality
from mapreel.core.device import memory_guard
from mapreel.core.vid2vid.compensation import Picture, in_betweens
from mapreel.core.vid2vid.inputs import picture_to_tensor, tensor_to_picture
from mapreel.core.vid2vid.pipeline import worker_pool
from mapreel.core.vid2vid.precision import fast_precision
from mapreel.core.vid2vid.renderer import Memory, RenderedFrame, key_after, to_pixels
from mapreel.core.vid2vid.shot import Shot
from mapreel.core.vid2vid.teacher_inputs import label_frame
from mapreel.core.vid2vid.teacher_model import TeacherModel
from mapreel.core.vid2vid.timeline import Segment


@dataclass(frozen=True)
class Chain:
    """The recurrent state: the newest frames, oldest first, as many as the network sees or there are."""

    pictures: tuple[Picture, ...] = ()  # each [H, W, 3] -1..1


class TeacherRenderer:
    """A teacher on a device; holds no state between frames."""

    def __init__(self, model: TeacherModel, device: torch.device, *, peak: int = 255) -> None:
        """peak: of the pixels that are delivered, 255 or 65535."""
        self.model, self.device, self._peak = model, device, peak
        self.notes: list[str] = []  # none: instance norm looks at the whole picture, so it cannot be made in parts
        self._generator = model.generator.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def render(
        self, shot: Shot, segment: Segment, quality: Quality, memory: Memory | None = None
    ) -> Generator[RenderedFrame, None, Memory | None]:
        """All frames of the segment, which is the whole shot, in order.

        Raises:
            UsageError: another quality than that of the teacher; a student also has fast quality, which is the paper's
                motion-aware inference.
        """
        if quality is Quality.FAST and self.model.config.student:
            yield from self._part_time(shot, segment)
            return None
        if quality is not Quality.TEACHER or memory is not None:
            raise UsageError(f"the model {self.model.name} holds a teacher network", "choose the quality teacher")
        chain = Chain()
        for index in range(segment.start, segment.end):
            picture, chain = self.render_frame(shot, index, chain)
            yield RenderedFrame(shot.timeline.numbers[index], to_pixels(picture, self._peak), True)
        return None

    def _part_time(self, shot: Shot, segment: Segment) -> Iterator[RenderedFrame]:
        """Key frames by the network, each on the key frames before it; the others carried from both neighbours."""
        numbers, last = shot.timeline.numbers, segment.end - 1
        key, (picture, chain) = segment.start, self.render_frame(shot, segment.start, Chain())
        yield RenderedFrame(numbers[key], to_pixels(picture, self._peak), True)
        with worker_pool() as pool:
            while key < last:
                due = key_after(shot, key, last)
                following, chain = self.render_frame(shot, due, chain)
                made = in_betweens(shot, (key, picture), (due, following), pool)
                for index, between in enumerate(made, start=key + 1):
                    yield RenderedFrame(numbers[index], to_pixels(between.picture, self._peak), False)
                key, picture = due, following
                yield RenderedFrame(numbers[key], to_pixels(picture, self._peak), True)

    def render_frame(self, shot: Shot, index: int, chain: Chain) -> tuple[Picture, Chain]:
        """Make the frame at timeline index `index` on the frames before; a reference frame is its picture.

        Returns:
            The frame [H, W, 3] float32 sRGB in -1..1, and the chain for the frame after.
        """
        if shot.references is not None and index in shot.references.indices:
            picture = shot.references.picture(index)
        else:
            picture = self._synthesise(shot, index, chain.pictures)
        return picture, Chain((*chain.pictures, picture)[-self.model.config.previous :])

    @torch.inference_mode()
    def _synthesise(self, shot: Shot, index: int, pictures: tuple[Picture, ...]) -> Picture:
        config, (h, w) = self.model.config, shot.size_px
        seen = [shot.maps(max(0, i)) for i in range(index - config.previous, index + 1)]
        labels = np.concatenate([label_frame(config, m.classes, m.instances, m.condition) for m in seen])
        nothing = [np.zeros((h, w, 3), np.float32)] * (config.previous - len(pictures))
        previous = torch.cat([picture_to_tensor(p) for p in (*nothing, *pictures)], dim=1)
        known = torch.full((1, 1, 1, 1), float(bool(pictures)))
        inputs = [self._padded(torch.from_numpy(labels)[None]), self._padded(previous)]
        with memory_guard(f"render frames of {w} x {h} px with a teacher"), fast_precision(self.device):
            made = self._generator(*inputs, known.to(self.device))
        return tensor_to_picture(made.picture[..., :h, :w].cpu())

    def _padded(self, x: Tensor) -> Tensor:
        """Sides as the network needs them, the last rows and columns repeated; on the device."""
        config, (h, w) = self.model.config, (int(n) for n in x.shape[-2:])
        rows, columns = (max(config.smallest_px, n + -n % config.stride_px) - n for n in (h, w))
        x = F.pad(x, (0, columns, 0, rows), mode="replicate") if rows or columns else x
        return x.to(self.device, memory_format=torch.channels_last)
