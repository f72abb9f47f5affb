# SPDX-License-Identifier: GPL-3.0-or-later
"""All pictures of a frame group from its latents and motion, stage by stage, with or without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mapreel.core.nirvana.reel.config import CHANNELS, PATCH_PX, QUALITY_STEPS
from mapreel.core.nirvana.reel.hierarchy import BEFORE, Frame
from mapreel.core.nirvana.reel.network import Weights, dense_motion, enlarged, inter_pictures, intra_pictures, read_at
from mapreel.core.nirvana.reel.payload import GroupSymbols
from mapreel.core.nirvana.reel.prior import Prior
from mapreel.core.nirvana.reel.strips import by_strips, strips_of


@dataclass
class GroupTensors:
    """What a group's pictures are made of; inter frames in coding order, latents as numbers (symbols over gains)."""

    intra: Tensor  # [1 or 0, C, h, w]
    inter: Tensor  # [T, C, h, w]
    motion: tuple[Tensor, Tensor]  # symbols at 1/8 and 1/16 [T, 4, h, w]
    qualities: tuple[Tensor, Tensor]  # of each frame without and with references [N, 1, 1, 1]


class Stages:
    """Pictures made so far, and the motion that later frames begin from."""

    def __init__(self, before: Tensor | None) -> None:
        self.pictures: dict[int, Tensor] = {} if before is None else {BEFORE: before}
        self.motions: dict[int, Tensor] = {}
        self._enlarged: dict[int, Tensor] = {}

    def known_motion(self, frames: Sequence[Frame]) -> Tensor | None:
        """What the frames' own motion is added to [N, 4, H, W]; None when nothing is known of any."""
        some = next((self.motions[frame.known.of] for frame in frames if frame.known), None)
        if some is None:
            return None
        return torch.cat([self._known(frame, some) for frame in frames])

    def _known(self, frame: Frame, like: Tensor) -> Tensor:
        if frame.known is None:
            return torch.zeros_like(like)
        one = self.motions[frame.known.of][:, 2 * frame.known.slot : 2 * frame.known.slot + 2]
        return torch.cat([one * factor for factor in frame.known.factors], dim=1)

    def keep_motion(self, frames: Sequence[Frame], motion: Tensor) -> None:
        for k, frame in enumerate(frames):
            self.motions[frame.place] = motion[k : k + 1]

    def references(self, frames: Sequence[Frame], motion: Tensor) -> tuple[Tensor, Tensor]:
        """Both references of each frame, moved into place; frames with one see it twice."""
        a = read_at(self._large(frames, 0), motion[:, :2])
        if len(frames[0].refs) == 1:
            return a, a
        return a, read_at(self._large(frames, 1), motion[:, 2:])

    def _large(self, frames: Sequence[Frame], slot: int) -> Tensor:
        """One reference of each frame, enlarged once for all who lean on it."""
        places = [frame.refs[slot] for frame in frames]
        for place in places:
            if place not in self._enlarged:
                self._enlarged[place] = enlarged(self.pictures[place])
        return torch.cat([self._enlarged[place] for place in places])

    def reference(self, frames: Sequence[Frame], slot: int) -> Tensor:
        """One reference of each frame [N, 3, H, W]."""
        return torch.cat([self.pictures[frame.refs[slot]] for frame in frames])

    def keep_pictures(self, frames: Sequence[Frame], made: Tensor) -> None:
        """References are seen within 0..1."""
        for k, frame in enumerate(frames):
            self.pictures[frame.place] = made[k : k + 1].clamp(0.0, 1.0)


def batches(plan: Sequence[Frame], most: int) -> Iterator[list[Frame]]:
    """Frames that can be made at once: of one stage, with as many references, at most `most`."""
    held: list[Frame] = []
    for frame in sorted(plan, key=lambda f: (f.stage, len(f.refs))):
        if held and (len(held) == most or (held[0].stage, len(held[0].refs)) != (frame.stage, len(frame.refs))):
            yield held
            held = []
        held.append(frame)
    if held:
        yield held


def make_pictures(
    plan: Sequence[Frame],
    tensors: GroupTensors,
    weights: tuple[Weights | None, Weights],
    before: Tensor | None,
    *,
    most: int = 32,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[list[Frame], Tensor]]:
    """Batches of frames with their pictures [N, 3, H, W], not clamped, in coding order.

    weights: synthesis of frames without and with references. before: last picture of the group before [1, 3, H, W].
    dtype: of the synthesis (an encoder may search in bfloat16; decoders use float32).
    """
    stages = Stages(before)
    for frames in batches(plan, most):
        if not frames[0].refs:
            assert weights[0] is not None
            with torch.autocast(tensors.inter.device.type, dtype, enabled=dtype is not torch.float32):
                made = _intra(weights[0], tensors.intra, tensors.qualities[0])
        else:
            rows = [frame.row for frame in frames]
            own = dense_motion(tensors.motion[1][rows], tensors.motion[0][rows])
            known = stages.known_motion(frames)
            motion = own if known is None else own + known
            stages.keep_motion(frames, motion)
            first, second = stages.references(frames, motion)
            latents = tensors.inter[rows]
            with torch.autocast(tensors.inter.device.type, dtype, enabled=dtype is not torch.float32):
                made = _inter(weights[1], latents, tensors.qualities[1][rows], first, second)
        stages.keep_pictures(frames, made)
        yield frames, made


def _intra(weights: Weights, latents: Tensor, quality: Tensor) -> Tensor:
    def run(some: Tensor) -> tuple[Tensor]:
        return (intra_pictures(weights, some, quality).float(),)

    return by_strips(run, _strips(latents), (latents, 1), scale=PATCH_PX)[0]


def _inter(weights: Weights, latents: Tensor, quality: Tensor, first: Tensor, second: Tensor) -> Tensor:
    def run(some: Tensor, one: Tensor, other: Tensor) -> tuple[Tensor]:
        return (inter_pictures(weights, some, quality, one, other).float(),)

    return by_strips(run, _strips(latents), (latents, 1), (first, PATCH_PX), (second, PATCH_PX), scale=PATCH_PX)[0]


def _strips(latents: Tensor) -> list[range]:
    n, _, h, w = latents.shape
    return strips_of(h, w, n)


def group_tensors(group: GroupSymbols, prior: Prior, device: torch.device) -> GroupTensors:
    """Symbols as the networks see them; channels that are 0 in all frames are left out."""
    plan = group.plan
    latents = []
    for inter, grid in ((False, group.intra), (True, group.inter)):
        there = [c for c in range(grid.shape[1]) if grid[:, c].any()]
        used = max(there, default=0) + 1
        gains = gains_of(plan, inter, group.quality, group.finer, prior, device)[:, :used]
        latents.append(torch.from_numpy(grid[:, :used]).to(device).float() / gains)
    fine, coarse = (torch.from_numpy(grid).to(device).float() for grid in group.motion)
    return GroupTensors(
        latents[0], latents[1], (fine, coarse), quality_tensors(plan, group.quality, group.finer, device)
    )


def qualities_of(plan: Sequence[Frame], inter: bool, quality: int, finer: Sequence[int]) -> list[int]:
    """Stored quality of each frame with references, by row, or of the one without."""
    frames = sorted((frame for frame in plan if bool(frame.refs) == inter), key=lambda frame: frame.row)
    return [quality - (finer[frame.level] if frame.level < len(finer) else 0) for frame in frames]


def quality_tensors(
    plan: Sequence[Frame], quality: int, finer: Sequence[int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Qualities of frames without and with references as networks see them [N, 1, 1, 1]."""
    made = [torch.tensor(qualities_of(plan, inter, quality, finer), device=device) for inter in (False, True)]
    return made[0].view(-1, 1, 1, 1) / QUALITY_STEPS, made[1].view(-1, 1, 1, 1) / QUALITY_STEPS


def gains_of(
    plan: Sequence[Frame], inter: bool, quality: int, finer: Sequence[int], prior: Prior, device: torch.device
) -> Tensor:
    """Symbols for each unit of a latent of each frame [N, C, 1, 1]."""
    each = [prior.gains(inter, one) for one in qualities_of(plan, inter, quality, finer)]
    return torch.cat(each).to(device) if each else torch.ones(0, CHANNELS, 1, 1, device=device)
