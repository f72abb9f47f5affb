# SPDX-License-Identifier: GPL-3.0-or-later
"""Encode a shot: group after group, each started from the last, into one archive."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from mapreel.core.contract.errors import UnsupportedFileError
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.device import memory_guard
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.chains import chains_of, devices_for, run_chains
from mapreel.core.nirvana.config import FitConfig
from mapreel.core.nirvana.groupencoder import GroupEncoder, Target
from mapreel.core.nirvana.header import MAX_FRAME_PX, MAX_FRAMES, MAX_SIDE_PX, Header
from mapreel.core.nirvana.kinds import kind_of
from mapreel.core.nirvana.means import BLOCK_PX, pack_means, picture_means
from mapreel.core.nirvana.pictures import decode_samples
from mapreel.core.nirvana.profile import WHOLE, PictureShape, State
from mapreel.core.nirvana.reel.fit import ReelFit
from mapreel.core.nirvana.samples import PictureFormat, Samples
from mapreel.core.nirvana.work import WorkFolder, fingerprint
from mapreel.core.nirvana.writer import FinishedGroup, OtherChunk, Parts, overhead_bytes, write_archive


class Source(Protocol):
    """Frames by number, in the samples of the archive: [H, W, 3 or 4], see `samples.PictureFormat`."""

    @property
    def numbers(self) -> tuple[int, ...]: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def read(self, number: int) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """All that decides the bytes of an archive besides the pictures (and the machine's arithmetic)."""

    fit: FitConfig | ReelFit  # its kind is the profile
    fps: Fraction
    group_frames: int | None = None  # None: the profile's
    intra_interval: int | None = None  # a frame needs at most so many groups; None: the profile's
    psnr_db: float | None = None  # nirvana: a group ends early when its pictures reach it; reel: met and hardly passed
    most_bytes: int | None = None  # of the whole archive, profile reel only
    seed: int = 0
    pictures: PictureFormat = field(default_factory=PictureFormat)
    notes: tuple[OtherChunk, ...] = ()  # optional chunks, see `metadata`

    @property
    def profile(self) -> str:
        return kind_of(self.fit).profile

    def header(self, source: Source) -> Header:
        """What the archive says of itself, before its size is known."""
        height, width = source.size
        kind = kind_of(self.fit)
        fit_a_group = max(1, kind.group_px // (height * width))  # large frames: fewer share a network
        return Header(
            total_bytes=0,
            width=width,
            height=height,
            frames=len(source.numbers),
            fps=self.fps,
            group_frames=min(self.group_frames or kind.group_frames, fit_a_group),
            intra_interval=self.intra_interval or kind.intra_interval,
            profile=self.profile,
            pictures=self.pictures,
        )

    def encoder(self, shape: PictureShape) -> GroupEncoder:
        """Who fits the groups of one plane set."""
        return kind_of(self.fit).encoder(self.fit, shape, self.seed)


def encode(
    source: Source,
    settings: EncodeSettings,
    path: Path,
    ctx: JobContext,
    device: torch.device,
    maps: Iterable[OtherChunk] = (),
) -> None:
    """Write `source` to the archive `path`, which appears whole or not at all; maps: label maps, taken one at a time.

    Several chains of groups are fitted at once where the machine has room. Groups that an interrupted call with the
    same settings and pictures finished are kept. Raises UnsupportedFileError for pictures that are too large,
    OutputError, and what the source and `ctx` raise.
    """
    job = _Job(source, settings, path, ctx)
    run_chains(
        chains_of(job.header),
        devices_for(device, job.header),
        lambda groups, on, check: _Chain(job, groups, on, check).run(),
    )
    job.write(maps)
    job.work.remove()


class _Job:
    """One attempt at an encode: what all chains share. Chains may call from threads of their own."""

    def __init__(self, source: Source, settings: EncodeSettings, path: Path, ctx: JobContext) -> None:
        height, width = source.size
        if max(height, width) > MAX_SIDE_PX or height * width > MAX_FRAME_PX:
            raise UnsupportedFileError(
                f"frames of {width} x {height} px are too large for an archive", "encode smaller ones"
            )
        if len(source.numbers) > MAX_FRAMES:
            raise UnsupportedFileError(f"{len(source.numbers)} frames are too many", "encode the shot in parts")
        self.source, self.settings, self.path, self.ctx = source, settings, path, ctx
        self.header = settings.header(source)
        self.shape = PictureShape(height=height, width=width, group_frames=self.header.group_frames)
        self.encoder = settings.encoder(self.shape)
        self.work = WorkFolder(path, _described(source, settings))
        self.planes = settings.pictures.planes
        self.sources: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._remaining = RemainingTime()
        self._done = [0] * self.header.groups  # iterations
        self._frames = 0  # of finished groups
        self._left = sum(self.iterations(group) for group in range(self.header.groups))  # without what was kept

    def iterations(self, group: int) -> int:
        """About how many a group takes with all its planes."""
        return self.planes * self.encoder.iterations(self.header.is_intra(group))

    def read(self, group: int) -> tuple[Samples, bytes]:
        """Samples of a group's frames and their fingerprint."""
        with self._lock:
            samples = np.stack([self.source.read(self.source.numbers[i]) for i in self.header.frames_of(group)])
        self.sources[group] = fingerprint(samples.tobytes())
        return samples, self.sources[group]

    def check(self) -> None:
        with self._lock:
            self.ctx.check()

    def during(self, group: int, done: int) -> None:
        """So many iterations of a group are done."""
        with self._lock:
            self._done[group] = done
            self._report()

    def finished(self, group: int, kept: bool) -> None:
        """A group is on disk; kept: it was from an earlier attempt."""
        with self._lock:
            self._done[group] = 0 if kept else self.iterations(group)
            self._left -= self.iterations(group) if kept else 0
            self._frames += len(self.header.frames_of(group))
            self._report()

    def _report(self) -> None:
        """Time goes by iterations."""
        left = self._remaining.update(sum(self._done), self._left) if self._left else 0.0
        self.ctx.report(Progress(self._frames, self.header.frames, "encode", left))

    def budget(self, groups: range) -> float | None:
        """Bytes that the groups of a chain may take with their means: its share of all, by frames."""
        if self.settings.most_bytes is None:
            return None
        free = self.settings.most_bytes - overhead_bytes(self._parts(()))
        return free * self.frames_of(groups) / self.header.frames

    def frames_of(self, groups: range) -> int:
        return sum(len(self.header.frames_of(group)) for group in groups)

    @property
    def mean_bytes(self) -> float:
        """About what the means of a frame's blocks take."""
        blocks = math.ceil(self.header.height / BLOCK_PX) * math.ceil(self.header.width / BLOCK_PX)
        return 3 / 8 * self.planes * blocks / self.encoder.block_means + 12 / self.header.group_frames

    def write(self, maps: Iterable[OtherChunk]) -> None:
        """Join header, frame numbers, index and groups into the archive."""
        write_archive(self.path, self._parts(maps))

    def _parts(self, maps: Iterable[OtherChunk]) -> Parts:
        return Parts(
            header=self.header,
            numbers=self.source.numbers,
            settings=(self.encoder.settings,) * self.planes,
            groups=self.work.groups([self.sources[group] for group in sorted(self.sources)]),
            notes=self.settings.notes,
            maps=maps,
        )


class _Chain:
    """The groups from an intra group to the next one; between groups its state is that of the last."""

    def __init__(self, job: _Job, groups: range, device: torch.device, check: Callable[[], None]) -> None:
        self.job, self.groups, self.device, self._check = job, groups, device, check
        self.header, self.settings = job.header, job.settings
        self.encoder = job.settings.encoder(job.shape)
        self.previous: list[State | None] = [None] * job.planes
        self._free = job.budget(groups)
        self._spent = 0  # bytes of finished groups

    def run(self) -> None:
        """Fit the groups that are not on disk yet, and keep them there."""
        for group in self.groups:
            self._add(group)

    def _add(self, group: int) -> None:
        self._check()
        self.job.check()
        samples, source = self.job.read(group)
        finished = self.job.work.load(group, source)
        kept = finished is not None
        if finished is None:
            with memory_guard(f"encode frames of {self.header.width} x {self.header.height} px"):
                finished, states = self._fit_planes(group, samples)
            self.job.work.save(group, source, finished)
        else:
            states = [
                self.encoder.decoder.decode(payload, group, previous, len(samples), self.device, None, WHOLE)
                for payload, previous in zip(finished.planes, self.previous, strict=False)
            ]
        self.previous = states
        self._spent += sum(len(part) + bits.CHUNK_OVERHEAD_BYTES for part in (*finished.planes, finished.means))
        self.job.finished(group, kept)

    def _fit_planes(self, group: int, samples: Samples) -> tuple[FinishedGroup, list[State]]:
        """Fit colours and alpha, and decode them again for the block means."""
        payloads: list[bytes] = []
        decoded, states = [], []
        planes = len(self.previous)
        for plane, previous in enumerate(self.previous):
            codes = torch.from_numpy(self.settings.pictures.codes(samples, plane)).to(self.device)
            target = Target(
                psnr_db=self.settings.psnr_db,
                most_bytes=self._budget(group, planes - plane, sum(map(len, payloads))),
            )
            before = plane * self.job.iterations(group) // planes
            payloads.append(
                self.encoder.fit(
                    codes.permute(0, 3, 1, 2).contiguous(),
                    group,
                    previous,
                    target,
                    lambda done, before=before: self._during(group, before + done),  # type: ignore[misc]
                )
            )
            # What is compared later is what a decoder makes of the bytes, not what the fit believed.
            shown, state = self._decoded(group, plane, previous, payloads[-1], len(samples))
            decoded.append(shown)
            states.append(state)
        pictures = decoded[0] if planes == 1 else np.concatenate(decoded, axis=3)
        means = pack_means(picture_means(pictures, self.settings.pictures), self.encoder.block_means)
        return FinishedGroup(payloads[0], means, *payloads[1:]), states

    def _budget(self, group: int, planes: int, spent: int) -> int | None:
        """Bytes that this plane of this group may take: what is left of the chain's, shared by frames and planes."""
        if self._free is None:
            return None
        left = range(group, self.groups.stop)
        frames = self.job.frames_of(left)
        chunks = len(left) * (len(self.previous) + 1) * bits.CHUNK_OVERHEAD_BYTES
        free = self._free - self._spent - chunks - frames * self.job.mean_bytes - spent
        mine = free * len(self.header.frames_of(group)) / frames / planes
        return max(1, int(mine))

    def _decoded(
        self, group: int, plane: int, previous: State | None, payload: bytes, frames: int
    ) -> tuple[Samples, State]:
        samples, state = decode_samples(
            self.encoder.decoder,
            payload,
            previous,
            number=group,
            frames=frames,
            shape=self.job.shape,
            form=self.settings.pictures,
            name=bits.chunk_name((bits.GROUP, bits.ALPHA)[plane], group),
            device=self.device,
            plane=plane,
        )
        assert samples is not None
        return samples, state

    def _during(self, group: int, done: int) -> None:
        self._check()
        self.job.check()
        if done % self.encoder.check_every == 0:
            self.job.during(group, done)


def _described(source: Source, settings: EncodeSettings) -> dict[str, object]:
    """Settings as JSON: groups made with others must not be mixed in. Notes touch no group."""
    described = dataclasses.asdict(dataclasses.replace(settings, notes=()))
    described["fps"] = str(settings.fps)
    described["pictures"] = repr(settings.pictures)
    return {"settings": described, "numbers": list(source.numbers), "size": list(source.size), "version": bits.VERSION}
