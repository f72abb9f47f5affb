# SPDX-License-Identifier: GPL-3.0-or-later
"""Encode a shot: group after group, each started from the last, into one archive."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
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
from mapreel.core.nirvana.config import FitConfig, network_for
from mapreel.core.nirvana.groupencoder import GroupEncoder, NirvanaEncoder, Target
from mapreel.core.nirvana.header import MAX_FRAME_PX, MAX_FRAMES, MAX_GROUP_PX, MAX_SIDE_PX, Header
from mapreel.core.nirvana.means import BLOCK_PX, pack_means, picture_means
from mapreel.core.nirvana.pictures import decode_samples
from mapreel.core.nirvana.profile import WHOLE, PictureShape, State
from mapreel.core.nirvana.reel.encode import GROUP_FRAMES as REEL_FRAMES
from mapreel.core.nirvana.reel.encode import GROUP_PX as REEL_PX
from mapreel.core.nirvana.reel.encode import INTRA_INTERVAL as REEL_INTERVAL
from mapreel.core.nirvana.reel.encode import ReelEncoder
from mapreel.core.nirvana.reel.fit import ReelFit
from mapreel.core.nirvana.samples import PictureFormat, Samples
from mapreel.core.nirvana.work import WorkFolder, fingerprint
from mapreel.core.nirvana.writer import FinishedGroup, OtherChunk, Parts, overhead_bytes, write_archive

NIRVANA_FRAMES = 3  # the paper's
NIRVANA_INTERVAL = 8  # a frame needs at most eight groups: one second at 24 frames a second


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
        return "reel" if isinstance(self.fit, ReelFit) else "nirvana"

    def header(self, source: Source) -> Header:
        """What the archive says of itself, before its size is known."""
        height, width = source.size
        frames, interval, most_px = NIRVANA_FRAMES, NIRVANA_INTERVAL, MAX_GROUP_PX
        if isinstance(self.fit, ReelFit):
            frames, interval, most_px = REEL_FRAMES, REEL_INTERVAL, REEL_PX
        fit_a_group = max(1, most_px // (height * width))  # large frames: fewer share a network
        return Header(
            total_bytes=0,
            width=width,
            height=height,
            frames=len(source.numbers),
            fps=self.fps,
            group_frames=min(self.group_frames or frames, fit_a_group),
            intra_interval=self.intra_interval or interval,
            profile=self.profile,
            pictures=self.pictures,
        )

    def encoder(self, shape: PictureShape) -> GroupEncoder:
        """Who fits the groups of one plane set."""
        if isinstance(self.fit, ReelFit):
            return ReelEncoder(self.fit, shape, self.seed)
        network = network_for(shape.height, shape.width, shape.group_frames)
        return NirvanaEncoder(network, self.fit, shape, self.seed)


def encode(
    source: Source,
    settings: EncodeSettings,
    path: Path,
    ctx: JobContext,
    device: torch.device,
    maps: Iterable[OtherChunk] = (),
) -> None:
    """Write `source` to the archive `path`, which appears whole or not at all; maps: label maps, taken one at a time.

    Groups that an interrupted call with the same settings and pictures finished are kept. Raises
    UnsupportedFileError for pictures that are too large, OutputError, and what the source and `ctx` raise.
    """
    encoder = _Encoder(source, settings, path, ctx, device)
    for group in range(encoder.header.groups):
        encoder.add(group)
    encoder.write(maps)
    encoder.work.remove()


class _Encoder:
    """One attempt at an encode; between groups its state is the last group's symbols."""

    def __init__(
        self, source: Source, settings: EncodeSettings, path: Path, ctx: JobContext, device: torch.device
    ) -> None:
        height, width = source.size
        if max(height, width) > MAX_SIDE_PX or height * width > MAX_FRAME_PX:
            raise UnsupportedFileError(
                f"frames of {width} x {height} px are too large for an archive", "encode smaller ones"
            )
        if len(source.numbers) > MAX_FRAMES:
            raise UnsupportedFileError(f"{len(source.numbers)} frames are too many", "encode the shot in parts")
        self.source, self.settings, self.path, self.ctx, self.device = source, settings, path, ctx, device
        self.header = settings.header(source)
        self.shape = PictureShape(height=height, width=width, group_frames=self.header.group_frames)
        self.encoder = settings.encoder(self.shape)
        self.work = WorkFolder(path, _described(source, settings))
        self.sources: list[bytes] = []
        planes = settings.pictures.planes
        self.previous: list[State | None] = [None] * planes
        self._spent = 0  # bytes of finished groups
        self._remaining = RemainingTime()
        self._planned = [planes * self._iterations(group) for group in range(self.header.groups)]
        self._kept = 0  # iterations that an earlier attempt has done

    def _iterations(self, group: int) -> int:
        return self.encoder.iterations(self.header.is_intra(group))

    def add(self, group: int) -> None:
        """Fit one group and keep it on disk, or take it from there."""
        self.ctx.check()
        samples = np.stack([self.source.read(self.source.numbers[i]) for i in self.header.frames_of(group)])
        self.sources.append(fingerprint(samples.tobytes()))
        finished = self.work.load(group, self.sources[-1])
        if self.header.is_intra(group):
            self.previous = [None] * len(self.previous)
        if finished is None:
            with memory_guard(f"encode frames of {self.header.width} x {self.header.height} px"):
                finished, states = self._fit_planes(group, samples)
            self.work.save(group, self.sources[-1], finished)
        else:
            self._kept += group == self._kept
            states = [
                self.encoder.decoder.decode(payload, group, previous, len(samples), self.device, None, WHOLE)
                for payload, previous in zip(finished.planes, self.previous, strict=False)
            ]
        self.previous = states
        self._spent += sum(len(part) + bits.CHUNK_OVERHEAD_BYTES for part in (*finished.planes, finished.means))
        self._report(group + 1, 0)

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
            before = plane * self._iterations(group)
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
        """Bytes that this plane of this group may take: what is left, shared by frames and planes."""
        if self.settings.most_bytes is None:
            return None
        left = range(group, self.header.groups)
        frames = sum(len(self.header.frames_of(other)) for other in left)
        chunks = len(left) * (len(self.previous) + 1) * bits.CHUNK_OVERHEAD_BYTES
        means = frames * self._mean_bytes
        free = self.settings.most_bytes - overhead_bytes(self._parts(())) - self._spent - chunks - means - spent
        mine = free * len(self.header.frames_of(group)) / frames / planes
        return max(1, int(mine))

    @property
    def _mean_bytes(self) -> float:
        """About what the means of a frame's blocks take."""
        blocks = math.ceil(self.header.height / BLOCK_PX) * math.ceil(self.header.width / BLOCK_PX)
        return 3 / 8 * len(self.previous) * blocks / self.encoder.block_means + 12 / self.header.group_frames

    def _decoded(
        self, group: int, plane: int, previous: State | None, payload: bytes, frames: int
    ) -> tuple[Samples, State]:
        samples, state = decode_samples(
            self.encoder.decoder,
            payload,
            previous,
            number=group,
            frames=frames,
            shape=self.shape,
            form=self.settings.pictures,
            name=bits.chunk_name((bits.GROUP, bits.ALPHA)[plane], group),
            device=self.device,
            plane=plane,
        )
        assert samples is not None
        return samples, state

    def _during(self, group: int, done: int) -> None:
        self.ctx.check()
        if done % self.encoder.check_every == 0:
            self._report(group, done)

    def _report(self, group: int, done: int) -> None:
        """`group` groups are finished and `done` iterations of the next: time goes by iterations."""
        left = None
        if group >= self._kept:
            spent = sum(self._planned[self._kept : group]) + done
            left = self._remaining.update(spent, sum(self._planned[self._kept :]))
        frames = min(group * self.header.group_frames, self.header.frames)
        self.ctx.report(Progress(frames, self.header.frames, "encode", left))

    def write(self, maps: Iterable[OtherChunk]) -> None:
        """Join header, frame numbers, index and groups into the archive."""
        write_archive(self.path, self._parts(maps))

    def _parts(self, maps: Iterable[OtherChunk]) -> Parts:
        return Parts(
            header=self.header,
            numbers=self.source.numbers,
            settings=(self.encoder.settings,) * self.settings.pictures.planes,
            groups=self.work.groups(self.sources),
            notes=self.settings.notes,
            maps=maps,
        )


def _described(source: Source, settings: EncodeSettings) -> dict[str, object]:
    """Settings as JSON: groups made with others must not be mixed in. Notes touch no group."""
    described = dataclasses.asdict(dataclasses.replace(settings, notes=()))
    described["fps"] = str(settings.fps)
    described["pictures"] = repr(settings.pictures)
    return {"settings": described, "numbers": list(source.numbers), "size": list(source.size), "version": bits.VERSION}
