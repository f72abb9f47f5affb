# SPDX-License-Identifier: GPL-3.0-or-later
"""Fast quality with nothing but a device: maps lie in its memory, frames come to lie there, and nobody waits between.

For a graphics card. The arithmetic is that of `renderer` and `compensation`, in operations whose shapes never depend on
what the maps hold, so that the processor can queue the whole shot ahead: weights in half precision, the network
captured as a graph. Two things differ: which frames are keys is known before (it is chosen while maps are read), and
what neither key brings is taken from both as if it counted, where the renderer looks for the nearest colour of the
class. A model's filler is not run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mapreel.core.vid2vid.checkpoint import Model
from mapreel.core.vid2vid.looks import GUESS
from mapreel.core.vid2vid.precision import has_fast_bfloat16
from mapreel.core.vid2vid.reference import paint_frame
from mapreel.core.vid2vid.renderer import STEADY, key_after
from mapreel.core.vid2vid.shot import Shot

_SMALL_HOLE = 0.15  # share of known pixels around one that is not, as `warping.invert` has it
_AROUND_PX = 5


@dataclass(frozen=True)
class DeviceMaps:
    """A shot in a device's memory."""

    classes: Tensor  # [T, 1, H, W] float, class indices
    instances: Tensor  # [T, 1, H, W] float, ids
    looks: Tensor  # [T, 3, H, W] sRGB 0..1, the colour the model gives each instance
    motions: Tensor  # [T, 2, H, W] px towards the frame before, x then y; the first is zero
    keys: tuple[int, ...]  # indices of the frames that the network makes, the first and the last among them

    def __len__(self) -> int:
        return int(self.classes.shape[0])


def upload(shot: Shot, model: Model, device: torch.device) -> DeviceMaps:
    """Read the planned frames' maps from the first to the last, choose the keys and bring all to the device.

    Raises what `shot.maps` raises.
    """
    first, last = (shot.timeline.numbers.index(number) for number in (min(shot.planned), max(shot.planned)))
    classes, instances, looks, motions, keys = [], [], [], [], [first]
    while keys[-1] < last:
        keys.append(key_after(shot, keys[-1], last))
    for index in range(first, last + 1):
        maps = shot.maps(index)
        ids = maps.classes if maps.instances is None else maps.instances
        classes.append(maps.classes.astype(np.float32)[None])
        instances.append(ids.astype(np.float32)[None])
        looks.append(paint_frame(model.looks, None, maps.classes, maps.instances)[0].transpose(2, 0, 1))
        nothing = np.zeros((*shot.size_px, 2), np.float32)
        step = shot.motion_between(shot.maps(index - 1), maps) if index > first else nothing
        motions.append(step.transpose(2, 0, 1).astype(np.float32))
    parts = [torch.from_numpy(np.stack(p)).to(device) for p in (classes, instances, looks, motions)]
    return DeviceMaps(parts[0], parts[1], parts[2], parts[3], tuple(key - first for key in keys))


class ResidentRenderer:
    """A model of ours for label maps on one device."""

    def __init__(self, model: Model, device: torch.device, size_px: tuple[int, int]) -> None:
        """size_px: (H, W) of the pictures."""
        self._config, self._device = model.config, device
        self.kind = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
        network = copy.deepcopy(model.generator)
        if device.type == "meta":
            network = network.to_empty(device=device)
        self._network = network.to(device, self.kind, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        h, w = size_px
        self._size_px, stride = size_px, model.config.stride_px
        self._pad = (0, -w % stride, 0, -h % stride)
        self._x = torch.arange(w, device=device, dtype=torch.float32)[None, None, :]
        self._y = torch.arange(h, device=device, dtype=torch.float32)[None, :, None]
        self._ids = torch.arange(model.config.classes, device=device, dtype=torch.float32)[None, :, None, None]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._output = torch.empty(0)

    @torch.inference_mode()
    def frames(self, maps: DeviceMaps) -> Iterator[Tensor]:
        """All frames in order, each [3, H, W] uint8 sRGB on the device; nothing waits for the device."""
        before = self._key(maps, maps.keys[0], None)
        yield _pixels(before)
        for first, last in zip(maps.keys, maps.keys[1:], strict=False):
            picture = self._key(maps, last, (first, before))
            yield from (_pixels(made) for made in self._between(maps, (first, before), (last, picture)))
            yield _pixels(picture)
            before = picture

    # --- key frames ---------------------------------------------------------------------------------------------

    def _key(self, maps: DeviceMaps, index: int, memory: tuple[int, Tensor] | None) -> Tensor:
        """The network's frame, steadied by the key before: [1, 3, H, W] -1..1."""
        h, w = self._size_px
        given = [F.pad(part, self._pad, mode="replicate") for part in self._encoded(maps, index)]
        picture = self._run([part.to(self.kind, memory_format=torch.channels_last) for part in given])[..., :h, :w]
        if memory is None:
            return picture.clone()
        motion = self._way(maps, index, memory[0])
        stays = self._agreement(maps, motion, index, memory[0])
        share = STEADY ** (index - memory[0])
        return picture + stays * share * (self._carried(memory[1], motion, "bicubic") - picture)

    def _encoded(self, maps: DeviceMaps, index: int) -> list[Tensor]:
        """As `encode_frame`, on the device; no memory, as where no reference is given."""
        config, (h, w) = self._config, self._size_px
        here = slice(index, index + 1)
        labels = [(maps.classes[here] == self._ids).float()]
        if config.edges:
            labels.append(_edges(maps.instances[here]))
        extras = [maps.looks[here] * 2 - 1] if config.looks else []
        if config.position:
            extras += [
                ((self._y + 0.5) / h * 2 - 1).expand(1, 1, h, w),
                ((self._x + 0.5) / w * 2 - 1).expand(1, 1, h, w),
            ]
        if config.trust:
            extras.append(torch.full((1, 1, h, w), float(GUESS) * 2 - 1, device=self._device))
        nothing = torch.zeros(1, 4, h, w, device=self._device)
        return [torch.cat(labels, dim=1), torch.cat(extras, dim=1), nothing[:, :3], nothing[:, 3:]]

    def _run(self, inputs: list[Tensor]) -> Tensor:
        if self._device.type != "cuda":
            return self._network(*inputs).float()  # type: ignore[no-any-return]
        if self._graph is None:
            self._capture(inputs)
        assert self._graph is not None
        for place, given in zip(self._inputs, inputs, strict=True):
            place.copy_(given)
        self._graph.replay()
        return self._output

    def _capture(self, inputs: list[Tensor]) -> None:
        """Record the network's kernels once, so that a frame costs one launch."""
        self._inputs = [given.clone() for given in inputs]
        beside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(beside):
            for _ in range(3):  # what libraries choose and allocate at first must not be recorded
                self._network(*self._inputs)
        torch.cuda.current_stream(self._device).wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = self._network(*self._inputs).float()

    # --- in-betweens --------------------------------------------------------------------------------------------

    def _between(self, maps: DeviceMaps, first: tuple[int, Tensor], last: tuple[int, Tensor]) -> Iterator[Tensor]:
        """The frames between two keys, as `compensation` blends them."""
        for index in range(first[0] + 1, last[0]):
            to_first = self._way(maps, index, first[0])
            earlier = self._agreement(maps, to_first, index, first[0])
            to_last, known = self._inverted(maps, self._way(maps, last[0], index), last[0], index)
            later = self._agreement(maps, to_last, index, last[0]) * known
            nearness = (last[0] - index) / (last[0] - first[0])
            shares = (earlier * nearness, later * (1 - nearness))
            total = shares[0] + shares[1]
            share = torch.where(total > 0, shares[0] / total.clamp(min=1e-6), nearness)
            pictures = [self._carried(p, m, "bicubic") for p, m in ((first[1], to_first), (last[1], to_last))]
            yield torch.lerp(pictures[1], pictures[0], share)

    def _way(self, maps: DeviceMaps, index: int, before: int) -> Tensor:
        """Motion of one frame all the way to an earlier one: [1, 2, H, W] px."""
        motion = maps.motions[index : index + 1]
        for between in range(index - 1, before, -1):
            motion = motion + self._carried(maps.motions[between : between + 1], motion, "bilinear")
        return motion

    def _carried(self, picture: Tensor, motion: Tensor, mode: str) -> Tensor:
        """[1, C, H, W] taken along [1, 2, H, W] px, borders held."""
        h, w = self._size_px
        x, y = self._x + motion[:, 0], self._y + motion[:, 1]
        grid = torch.stack([2 * x / max(1, w - 1) - 1, 2 * y / max(1, h - 1) - 1], dim=-1)
        return F.grid_sample(picture, grid, mode=mode, padding_mode="border", align_corners=True)

    def _agreement(self, maps: DeviceMaps, motion: Tensor, here: int, there: int) -> Tensor:
        """[1, 1, H, W], 1 where a carried pixel came from inside and class and instance agree."""
        h, w = self._size_px
        x, y = self._x + motion[:, 0], self._y + motion[:, 1]
        valid = ((x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1))[:, None]
        for ids in (maps.classes, maps.instances):
            valid = valid & (ids[here : here + 1] == self._carried(ids[there : there + 1], motion, "nearest"))
        return valid.float()

    def _inverted(self, maps: DeviceMaps, motion: Tensor, here: int, there: int) -> tuple[Tensor, Tensor]:
        """As `warping.invert`: motion [1, 2, H, W] of the frame `there` towards `here`, and where it is known."""
        h, w = self._size_px
        counts = self._agreement(maps, motion, here, there)
        x, y = (self._x + motion[:, 0]).round().clamp(0, w - 1), (self._y + motion[:, 1]).round().clamp(0, h - 1)
        nowhere = torch.full_like(x, h * w)  # one place more than the picture has, for what does not count
        target = torch.where(counts[:, 0] > 0, y * w + x, nowhere).long().flatten()
        back = torch.zeros(3, h * w + 1, device=self._device)
        values = torch.cat([-motion[0], torch.ones(1, h, w, device=self._device)]).flatten(1)
        back = back.scatter(1, target.expand(3, -1), values)[:, :-1].view(1, 3, h, w)
        known = back[:, 2:]
        around = F.avg_pool2d(back, _AROUND_PX, 1, _AROUND_PX // 2)
        holes = (known == 0) & (around[:, 2:] > _SMALL_HOLE)
        filled = torch.where(holes, around[:, :2] / around[:, 2:].clamp(min=1e-6), back[:, :2])
        return filled, ((known > 0) | holes).float()


def _edges(instances: Tensor) -> Tensor:
    """As `instance_edges`: [1, 1, H, W] float."""
    across = (instances[..., 1:] != instances[..., :-1]).float()
    down = (instances[..., 1:, :] != instances[..., :-1, :]).float()
    sides = [F.pad(across, (1, 0)), F.pad(across, (0, 1)), F.pad(down, (0, 0, 1, 0)), F.pad(down, (0, 0, 0, 1))]
    return torch.stack(sides).amax(dim=0)


def _pixels(picture: Tensor) -> Tensor:
    """[1, 3, H, W] -1..1 -> [3, H, W] uint8, rounded."""
    return (picture[0] * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
