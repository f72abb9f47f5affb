# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a .nirv archive: what it holds, any frame of it, and whether all of it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from mapreel.core.contract.errors import ArchiveError, DamagedArchiveError, InputError
from mapreel.core.device import memory_guard
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.container import Container
from mapreel.core.nirvana.info import ArchiveInfo, archive_info
from mapreel.core.nirvana.labels import Ids, unpack_ids
from mapreel.core.nirvana.means import TOLERANCE, every_nth, picture_means, steps_away, unpack_means
from mapreel.core.nirvana.metadata import read_notes
from mapreel.core.nirvana.pictures import decode_samples
from mapreel.core.nirvana.profile import WHOLE, GroupDecoder, State, View, profile_named
from mapreel.core.nirvana.samples import Samples
from mapreel.core.nirvana.views import Window, checked_view, view_size


@dataclass(frozen=True)
class Verdict:
    """Outcome of `Archive.verify`: one sentence for each fault, and the frame numbers that cannot be trusted."""

    faults: tuple[str, ...]
    lost_frames: tuple[int, ...]
    groups: int
    groups_compared: int  # with stored block means

    @property
    def whole(self) -> bool:
        return not self.faults


@dataclass
class _Chain:
    """One plane set, read group after group: going on from the last one costs one group, not those since its intra.

    before, after: states around the group `number`, so that it can be shown again in another view.
    """

    decoder: GroupDecoder
    number: int = -1
    before: State | None = None
    after: State | None = None
    lost: dict[int, DamagedArchiveError] = field(default_factory=dict)


class Archive:
    """An open archive; use it as a context manager. Frames are named by frame number, as the shot had them.

    Raises MissingInputError, UnsupportedArchiveError (no archive, a newer one, sizes beyond what is read) or
    DamagedArchiveError (cut off, altered header) when opened. A damaged group costs its own frames and those of the
    groups that lean on it, up to the next intra group; nothing else.
    """

    def __init__(self, path: Path | str, device: torch.device | str = "cpu") -> None:
        self.path = Path(path)
        self._device = torch.device(device)
        self.container = Container(path)
        self.header, self.numbers = self.container.header, self.container.numbers
        self._place = {number: index for index, number in enumerate(self.numbers)}
        self._kept: tuple[int, View, dict[int, Samples]] = (-1, WHOLE, {})  # group, view, its frames by place in it
        self._expected: frozenset[int] = frozenset()  # indices
        profile = profile_named(self.header.profile)
        self._means_every = profile.means_every
        shape = self.container.shape
        try:
            self._chains = [_Chain(profile.open(settings, shape)) for settings in self.container.settings]
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.container.close()

    @property
    def info(self) -> ArchiveInfo:
        return archive_info(self.container)

    def frame(self, number: int, *, region: Window | None = None, scale: int = 1) -> Samples:
        """One frame by its frame number: [H, W, 3 or 4] uint8, uint16 (peak 2^bits - 1) or float16 scene-linear.

        region: x, y, width, height in pixels. scale: 1, 2, 4 or 8: sides divided by it, rounded up; pixels are means
        of blocks from the region's corner. Reads the groups from the last intra group to its own, none after. Raises
        InputError for a number that the archive does not hold, UsageError for a region or scale that cannot be,
        DamagedArchiveError naming the group that cannot be read.
        """
        index = self._index(number)
        view = checked_view(self.header.width, self.header.height, region, scale)
        group, place = divmod(index, self.header.group_frames)
        if self._kept[:2] != (group, view) or place not in self._kept[2]:
            self._keep(group, place, view)
        return self._kept[2][place]

    def expect(self, numbers: Iterable[int]) -> None:
        """Say which frames will be asked for, in whatever order: a codec that can makes only those of their groups.

        Without that a frame out of the blue is made alone, and the whole group for who reads on.
        """
        self._expected = frozenset(self._place[number] for number in numbers if number in self._place)

    def _keep(self, group: int, place: int, view: View) -> None:
        """Make a frame and those of its group that are likely to be asked for next."""
        here = self.header.frames_of(group)
        wanted = frozenset(range(len(here)))
        if here.start + place in self._expected:
            wanted = frozenset(index - here.start for index in here if index in self._expected)
        elif self._kept[:2] != (group, view) and self._chains[0].number != group - 1:
            wanted = frozenset({place})
        self._kept = (-1, WHOLE, {})  # before the next ones are made: two groups of large frames are a lot of memory
        pictures = self._pictures(group, view if len(wanted) == len(here) else replace(view, frames=wanted))
        self._kept = (group, view, dict(zip(sorted(wanted), pictures, strict=True)))

    def frames(
        self, numbers: Iterable[int] | None = None, *, region: Window | None = None, scale: int = 1
    ) -> Iterator[tuple[int, Samples]]:
        """Frame numbers and pictures, all or those asked for, in that order."""
        wanted = self.numbers if numbers is None else tuple(numbers)
        self.expect(wanted)
        for number in wanted:
            yield number, self.frame(number, region=region, scale=scale)

    def labels(self, number: int) -> Ids | None:
        """The label map of a frame [H, W] uint8, uint16 or uint32; None where none is kept. Raises as `frame`."""
        return self._map(bits.LABELS, number)

    def instances(self, number: int) -> Ids | None:
        """The instance map of a frame; see `labels`."""
        return self._map(bits.INSTANCES, number)

    def _map(self, kind: bytes, number: int) -> Ids | None:
        index = self._index(number)
        payload = self.container.optional(kind, index)
        return None if payload is None else unpack_ids(payload, kind, index)

    def _index(self, number: int) -> int:
        if number not in self._place:
            raise InputError(f"the archive holds no frame {number}", "ask for one that it lists", frame=number)
        return self._place[number]

    def view_size(self, *, region: Window | None = None, scale: int = 1) -> tuple[int, int]:
        """Height and width of what `frame` gives. Raises UsageError as it does."""
        view = checked_view(self.header.width, self.header.height, region, scale)
        return view_size(self.container.shape, view)

    def symbols_crc(self, group: int, plane: int = 0) -> int:
        """CRC-32 of the exact numbers in a group (0-based): the same on every machine. Raises DamagedArchiveError."""
        chain = self._chains[plane]
        return chain.decoder.symbols_crc(self._state(chain, plane, group))

    def _state(self, chain: _Chain, plane: int, group: int) -> State:
        """What the group after `group` leans on."""
        first = group - group % self.header.intra_interval
        if chain.number == group:
            return chain.after
        if first <= chain.number < group:
            first = chain.number + 1
        for number in range(first, group + 1):
            self._advance(chain, plane, number)
        return chain.after

    def _advance(self, chain: _Chain, plane: int, number: int, view: View = WHOLE, into: Samples | None = None) -> None:
        """Read group `number`, the one behind the chain's own, an intra group, or the chain's own again.

        into: takes the pictures [T, h, w, 3 or 1]; None: only the state is wanted.
        """
        intra = number - number % self.header.intra_interval
        for lost in range(intra, number + 1):
            if lost in chain.lost:
                raise chain.lost[lost]
        before = chain.before if number == chain.number else chain.after
        if intra == number:
            before = None
        try:
            after = self._read(chain, plane, number, before, view, into)
        except DamagedArchiveError as error:
            chain.lost[number] = error
            raise
        chain.number, chain.before, chain.after = number, before, after

    def _read(
        self, chain: _Chain, plane: int, number: int, before: State | None, view: View, into: Samples | None
    ) -> State:
        chunk = self.container.groups[number].planes[plane]
        payload = self.container.payload(chunk)
        frames = len(self.header.frames_of(number))
        self._look_ahead(chain, plane, number + 1)
        if into is None:
            return chain.decoder.decode(payload, number, before, frames, self._device, None, view)
        _, after = decode_samples(
            chain.decoder,
            payload,
            before,
            number=number,
            frames=frames,
            shape=self.container.shape,
            form=self.header.pictures,
            name=chunk.name,
            device=self._device,
            plane=plane,
            view=view,
            into=into,
        )
        return after

    def _look_ahead(self, chain: _Chain, plane: int, number: int) -> None:
        """Tell the codec of the next group where frames of it are sure to be wanted."""
        if number >= self.header.groups:
            return
        here = self.header.frames_of(number)
        if self._expected.isdisjoint(here):
            return
        try:
            payload = self.container.payload(self.container.groups[number].planes[plane])
        except ArchiveError:
            return  # whoever asks for it will be told
        chain.decoder.expect(payload, number, len(here), self.header.is_intra(number))

    def _pictures(self, group: int, view: View = WHOLE) -> Samples:
        """The pictures of a group [T, h, w, C], all or those of the view."""
        form = self.header.pictures
        frames = len(self.header.frames_of(group)) if view.frames is None else len(view.frames)
        with memory_guard(f"decode frames of {self.header.width} x {self.header.height} px"):
            size = (frames, *view_size(self.container.shape, view), form.channels)
            pictures: Samples = np.zeros(size, form.samples.dtype)
        for plane, chain in enumerate(self._chains):
            if chain.number != group and not self.header.is_intra(group):
                self._state(chain, plane, group - 1)
            self._advance(chain, plane, group, view, pictures[..., 3:] if plane else pictures[..., :3])
        return pictures

    def verify(self, before_group: Callable[[int], None] = lambda _: None) -> Verdict:
        """Read everything again: checksums, symbols, and pictures by their block means within one 8-bit step."""
        faults = list(self.container.faults)
        lost: list[int] = []
        compared = 0
        self.expect(self.numbers)
        for group in range(self.header.groups):
            before_group(group)
            why, had_means = self._fault(group)
            compared += had_means
            if why:
                faults.append(why)
                lost += [self.numbers[index] for index in self.header.frames_of(group)]
        faults += self._faults_of_others()
        return Verdict(tuple(faults), tuple(lost), self.header.groups, compared)

    def _faults_of_others(self) -> list[str]:
        """Optional parts: their checksums, and what stands behind them in those that this version knows."""
        faults = list(self.container.other_faults())
        damaged = set(faults)
        notes: list[str] = []
        read_notes(self.container, notes)
        faults += [fault for fault in notes if fault not in damaged]
        for kind, index in self.container.others:
            if kind in (bits.LABELS, bits.INSTANCES):
                try:
                    unpack_ids(self.container.payload(self.container.others[kind, index]), kind, index)
                except ArchiveError as error:
                    if str(error) not in damaged:
                        faults.append(str(error))
        return faults

    def _fault(self, group: int) -> tuple[str | None, bool]:
        """What is wrong with a group, and whether its block means could be compared."""
        head, chunks = self.header, self.container.groups[group]
        try:
            for chunk in chunks.all:
                self.container.compare_head(chunk)
            pictures = self._pictures(group)
            if chunks.means is None:
                return None, False
            payload = self.container.payload(chunks.means)
            stored = unpack_means(
                payload, group, len(pictures) * head.pictures.planes, head.height, head.width, self._means_every
            )
        except ArchiveError as error:
            return str(error), False
        away = steps_away(every_nth(picture_means(pictures, head.pictures), self._means_every), stored)
        if away > TOLERANCE:
            other = f"group {group} decodes to other pictures than where it was written"
            return f"{other} (a block is {away} or more steps away).", True
        return None, True
