# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile reel: from a group's payload to its pictures, a few frames (on a processor: a few rows) at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.contract.errors import DamagedArchiveError
from mapreel.core.nirvana.bitstream import GROUP, chunk_name, damaged, unsupported
from mapreel.core.nirvana.profile import PictureShape, Show, Tile, View
from mapreel.core.nirvana.reel.config import PATCH_PX, QUALITY_STEPS, padded
from mapreel.core.nirvana.reel.hierarchy import BEFORE, Frame
from mapreel.core.nirvana.reel.network import intra_pictures
from mapreel.core.nirvana.reel.payload import Deltas, GroupSymbols, symbols_crc, unpack_group
from mapreel.core.nirvana.reel.pictures import gains_of, group_tensors, make_pictures, qualities_of, quality_tensors
from mapreel.core.nirvana.reel.prior import Prior, load_prior
from mapreel.core.nirvana.reel.show import STRIP, Floats, InterShow, LowMotion, Reference, Workshop
from mapreel.core.nirvana.reel.side_by_side import make_in_order, makers_of
from mapreel.core.nirvana.reel.weights import weights_of

_PIXELS_AT_ONCE = 1 << 20  # of frames made together: about 250 MB of layers


@dataclass(frozen=True)
class ReelState:
    """What the next group leans on: the network's differences from the prior and the last picture, within 0..1."""

    deltas: Deltas
    picture: Tensor  # [1, 3, H, W], padded
    crc: int


class _Ahead:
    """Symbols of the next group, read by a thread of their own while pictures are made."""

    def __init__(
        self, key: tuple[bytes, int, int], size: tuple[int, int], prior: Prior, previous: Deltas | None
    ) -> None:
        self.key, self.previous = key, previous
        self._found: GroupSymbols | DamagedArchiveError | MemoryError | None = None
        self._thread = threading.Thread(target=self._read, args=(size, prior, previous), daemon=True)
        self._thread.start()

    def _read(self, size: tuple[int, int], prior: Prior, previous: Deltas | None) -> None:
        payload, number, frames = self.key
        try:
            self._found = unpack_group(payload, size, frames, previous, prior, chunk_name(GROUP, number))
        except (DamagedArchiveError, MemoryError) as error:
            self._found = error

    def symbols(self) -> GroupSymbols:
        """Waits. Raises what reading raised."""
        self._thread.join()
        assert self._found is not None
        if isinstance(self._found, GroupSymbols):
            return self._found
        raise self._found


class ReelDecoder:
    """Groups of one plane set; see `profile.GroupDecoder`."""

    def __init__(self, shape: PictureShape, prior: Prior) -> None:
        self.shape, self.prior = shape, prior
        self._shop = Workshop(*padded((shape.height, shape.width)))
        self._next: tuple[tuple[bytes, int, int], bool] | None = None
        self._ahead: _Ahead | None = None

    @classmethod
    def from_settings(cls, settings: bytes, shape: PictureShape) -> ReelDecoder:
        """Raises UnsupportedArchiveError for an archive that starts from another prior than the one at hand."""
        prior = load_prior()
        if settings != prior.fingerprint:
            raise unsupported("this archive starts from another prior network than this Mapreel has")
        return cls(shape, prior)

    def expect(self, payload: bytes, number: int, frames: int, intra: bool) -> None:
        """See profile.GroupDecoder: symbols are read."""
        self._next = (payload, number, frames), intra

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
        group = self._symbols(payload, number, previous, frames)
        wanted = frozenset(range(frames)) if view.frames is None else view.frames
        asked = wanted if show else frozenset()
        plan = _needed(group.plan, asked | {frames - 1})
        last = _Last((self.shape.height, self.shape.width), frames - 1, asked, show)
        before = None if previous is None else previous.picture.to(device)
        with torch.inference_mode():
            if device.type == "cpu":
                self._by_strips(group, plan, before, last)
            else:
                self._by_frames(group, plan, before, device, last)
        if not bool(torch.isfinite(last.picture).all()):
            raise damaged(chunk_name(GROUP, number), "its weights lead to no picture")
        return ReelState(group.deltas, last.picture, symbols_crc(group))

    def symbols_crc(self, state: ReelState) -> int:
        return state.crc

    @property
    def reads_ahead(self) -> bool:
        """Whether the next group's symbols are being read, or wait."""
        return self._ahead is not None

    def _symbols(self, payload: bytes, number: int, previous: ReelState | None, frames: int) -> GroupSymbols:
        """The group's symbols; those of the next one are begun."""
        size = self.shape.height, self.shape.width
        deltas = None if previous is None else previous.deltas
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.key == (payload, number, frames) and ahead.previous is deltas:
            group = ahead.symbols()
        else:
            group = unpack_group(payload, size, frames, deltas, self.prior, chunk_name(GROUP, number))
        if self._next is not None and self._next[0][1] == number + 1:
            key, intra = self._next
            self._ahead = _Ahead(key, size, self.prior, None if intra else group.deltas)
        self._next = None
        return group

    def _by_frames(
        self, group: GroupSymbols, plan: Sequence[Frame], before: Tensor | None, device: torch.device, last: _Last
    ) -> None:
        tensors = group_tensors(group, self.prior, device)
        intra = weights_of(self.prior, group.deltas, False, device) if before is None else None
        weights = intra, weights_of(self.prior, group.deltas, True, device)
        height, width = padded((self.shape.height, self.shape.width))
        most = max(1, _PIXELS_AT_ONCE // (height * width))
        for frames, made in make_pictures(plan, tensors, weights, before, most=most):
            for k, frame in enumerate(frames):
                last.take(frame, 0, made[k].clamp(0.0, 1.0).permute(1, 2, 0))
                last.keep(frame, made[k : k + 1])

    def _by_strips(self, group: GroupSymbols, plan: Sequence[Frame], before: Tensor | None, last: _Last) -> None:
        """Frames some rows at a time, several frames at once; pictures are kept while others lean on them."""
        pictures = {} if before is None else {BEFORE: Reference(_four(before).numpy(), self._shop)}
        motions: dict[int, LowMotion] = {}
        for frame in plan:
            if frame.refs:
                fine, coarse = (grid[frame.row] for grid in group.motion)
                motions[frame.place] = LowMotion.of(frame, coarse, fine, motions)
        networks = self._networks(group)
        leaning = Counter(ref for frame in plan for ref in set(frame.refs))

        def make(frame: Frame) -> Floats:
            if not frame.refs:
                return self._shown(frame, self._intra_strips(group), last)
            motion, refs = motions[frame.place], [pictures[ref] for ref in frame.refs]
            seen = [ref.moved(motion, slot) for slot, ref in enumerate(refs)]
            inter = networks[frame.row]
            symbols = group.inter[frame.row, : inter.channels]
            made = self._shown(frame, inter.strips(symbols, seen[0], seen[1] if len(seen) > 1 else None), last)
            for array, ref in zip(seen, refs, strict=True):
                if array is not ref.picture:
                    self._shop.give(array)
            return made

        def finish(frame: Frame, made: Floats) -> None:
            last.keep(frame, torch.from_numpy(made)[..., :3].permute(2, 0, 1)[None])
            if frame.place in leaning:
                pictures[frame.place] = Reference(made, self._shop)
            else:
                self._shop.give(made)
            leaning.subtract(set(frame.refs))
            for ref in set(frame.refs):
                if not leaning[ref]:
                    pictures.pop(ref).done()

        makers = makers_of(self.shape.height * self.shape.width)
        make_in_order(plan, set(pictures), make, finish, makers)

    def _shown(self, frame: Frame, strips: Iterator[tuple[int, Tensor]], last: _Last) -> Floats:
        """A whole picture [H, W, 4] of its strips, each handed on as it is made."""
        made = self._shop.picture()
        for top, strip in strips:
            last.take(frame, top, strip)
            made[top : top + len(strip)] = strip.numpy()
        return made

    def _networks(self, group: GroupSymbols) -> list[InterShow]:
        """The network of each frame with references, by row: few qualities, so few of them."""
        plan = group.plan
        weights = weights_of(self.prior, group.deltas, True, torch.device("cpu"))
        channels = 1 + max((c for c in range(group.inter.shape[1]) if group.inter[:, c].any()), default=0)
        qualities = qualities_of(plan, True, group.quality, group.finer)
        made = {
            quality: InterShow(weights, self.prior.gains(True, quality), quality / QUALITY_STEPS, channels)
            for quality in set(qualities)
        }
        return [made[quality] for quality in qualities]

    def _intra_strips(self, group: GroupSymbols) -> Iterator[tuple[int, Tensor]]:
        """The frame without references [rows, W, 4], from the top."""
        cpu = torch.device("cpu")
        plan = group.plan
        gains = gains_of(plan, False, group.quality, group.finer, self.prior, cpu)
        latents = torch.from_numpy(group.intra).float() / gains
        weights = {
            name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
            for name, value in weights_of(self.prior, group.deltas, False, cpu).items()
        }
        quality = quality_tensors(plan, group.quality, group.finer, cpu)[0]
        rows = latents.shape[2]
        for top in range(0, rows, 2 * STRIP):
            end = min(top + 2 * STRIP, rows)
            begin, behind = max(top - _REACH, 0), min(end + _REACH, rows)
            part = latents[:, :, begin:behind].contiguous(memory_format=torch.channels_last)
            made = _four(intra_pictures(weights, part, quality).clamp_(0.0, 1.0))
            yield top * PATCH_PX, made[(top - begin) * PATCH_PX : (end - begin) * PATCH_PX]


_REACH = 2  # rows of patches that what is around a patch may depend on


class _Last:
    """Hands pictures on and keeps that of the last frame, on which the next group leans."""

    def __init__(self, size: tuple[int, int], place: int, asked: frozenset[int], show: Show | None) -> None:
        self._size, self._place, self._asked, self._show = size, place, asked, show
        self.picture = torch.zeros(0)

    def take(self, frame: Frame, top: int, rows: Tensor) -> None:
        """Some rows of a frame [rows, W, 3 or 4], padded."""
        if self._show is not None and frame.place in self._asked and top < self._size[0]:
            self._show(Tile(rows[None, : self._size[0] - top, : self._size[1]], frame.place, top, 0))

    def keep(self, frame: Frame, picture: Tensor) -> None:
        """A whole frame [1, 3, H, W], padded."""
        if frame.place == self._place:
            self.picture = picture.clamp(0.0, 1.0)


def _four(picture: Tensor) -> Tensor:
    """[1, 3, H, W] -> [H, W, 4], the last channel 0."""
    return F.pad(picture[0].permute(1, 2, 0), (0, 1)).contiguous()


def _needed(plan: Sequence[Frame], wanted: frozenset[int]) -> list[Frame]:
    """Frames that are wanted and all that they lean on, for pictures or for motion."""
    needed = set(wanted)
    for frame in reversed(plan):
        if frame.place in needed:
            needed |= {ref for ref in frame.refs if ref != BEFORE}
            if frame.known is not None:
                needed.add(frame.known.of)
    return [frame for frame in plan if frame.place in needed]
