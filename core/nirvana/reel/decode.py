# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile reel: from a group's payload to its pictures, a few frames at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mapreel.core.nirvana.bitstream import GROUP, chunk_name, damaged, unsupported
from mapreel.core.nirvana.profile import PictureShape, Show, Tile, View
from mapreel.core.nirvana.reel.config import QUALITY_STEPS, padded
from mapreel.core.nirvana.reel.hierarchy import BEFORE, Frame, hierarchy
from mapreel.core.nirvana.reel.payload import Deltas, GroupSymbols, symbols_crc, unpack_group
from mapreel.core.nirvana.reel.pictures import group_tensors, make_pictures
from mapreel.core.nirvana.reel.prior import Prior, load_prior
from mapreel.core.nirvana.reel.weights import weights_of

_PIXELS_AT_ONCE = 1 << 20  # of frames made together: about 250 MB of layers


@dataclass(frozen=True)
class ReelState:
    """What the next group leans on: the network's differences from the prior and the last picture, within 0..1."""

    deltas: Deltas
    picture: Tensor  # [1, 3, H, W], padded
    crc: int


class ReelDecoder:
    """Groups of one plane set; see `profile.GroupDecoder`."""

    def __init__(self, shape: PictureShape, prior: Prior) -> None:
        self.shape, self.prior = shape, prior

    @classmethod
    def from_settings(cls, settings: bytes, shape: PictureShape) -> ReelDecoder:
        """Raises UnsupportedArchiveError for an archive that starts from another prior than the one at hand."""
        prior = load_prior()
        if settings != prior.fingerprint:
            raise unsupported("this archive starts from another prior network than this Mapreel has")
        return cls(shape, prior)

    def decode(
        self,
        payload: bytes,
        number: int,
        previous: ReelState | None,
        frames: int,
        device: torch.device,
        show: Show | None,
        view: View,
    ) -> ReelState:
        """See profile.GroupDecoder. Frames that nobody asked for and nothing leans on are not made."""
        where = chunk_name(GROUP, number)
        size = self.shape.height, self.shape.width
        deltas = None if previous is None else previous.deltas
        group = unpack_group(payload, size, frames, deltas, self.prior, where)
        wanted = frozenset(range(frames)) if view.frames is None else view.frames
        before = None if previous is None else previous.picture.to(device)
        last: list[Tensor] = []

        def take(frame: Frame, picture: Tensor) -> None:
            if frame.place == frames - 1:
                last.append(picture.clamp(0.0, 1.0))
            if show is not None and frame.place in wanted:
                shown = picture[0, :, : size[0], : size[1]].permute(1, 2, 0)
                show(Tile(shown[None], frame.place, 0, 0))

        needed = _needed(hierarchy(frames, previous is None), (wanted if show else frozenset()) | {frames - 1})
        with torch.inference_mode():
            self._make(group, needed, before, device, take)
        if not bool(torch.isfinite(last[0]).all()):
            raise damaged(where, "its weights lead to no picture")
        return ReelState(group.deltas, last[0], symbols_crc(group))

    def symbols_crc(self, state: ReelState) -> int:
        return state.crc

    def _make(
        self,
        group: GroupSymbols,
        plan: Sequence[Frame],
        before: Tensor | None,
        device: torch.device,
        take: Callable[[Frame, Tensor], None],
    ) -> None:
        tensors = group_tensors(group, self.prior, device)
        intra = weights_of(self.prior, group.deltas, False, device) if before is None else None
        weights = intra, weights_of(self.prior, group.deltas, True, device)
        quality = torch.full((1, 1, 1, 1), group.quality / QUALITY_STEPS, device=device)
        height, width = padded((self.shape.height, self.shape.width))
        most = max(1, _PIXELS_AT_ONCE // (height * width))
        for frames, made in make_pictures(plan, tensors, weights, quality, before, most=most):
            for k, frame in enumerate(frames):
                take(frame, made[k : k + 1])


def _needed(plan: Sequence[Frame], wanted: frozenset[int]) -> list[Frame]:
    """Frames that are wanted and all that they lean on, for pictures or for motion."""
    needed = set(wanted)
    for frame in reversed(plan):
        if frame.place in needed:
            needed |= {ref for ref in frame.refs if ref != BEFORE}
            if frame.known is not None:
                needed.add(frame.known.of)
    return [frame for frame in plan if frame.place in needed]
