# SPDX-License-Identifier: GPL-3.0-or-later
"""Encode a shot: group after group, each started from the last, into one archive."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mapreel.core.contract.errors import UnsupportedFileError
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.device import memory_guard
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.config import FitConfig, NetworkConfig, network_for, write_settings
from mapreel.core.nirvana.decode import NirvanaDecoder
from mapreel.core.nirvana.fit import fit_group
from mapreel.core.nirvana.groups import pack_group, unpack_group
from mapreel.core.nirvana.header import MAX_FRAME_PX, MAX_FRAMES, MAX_GROUP_PX, MAX_SIDE_PX, Header
from mapreel.core.nirvana.means import pack_means, picture_means
from mapreel.core.nirvana.pictures import decode_samples
from mapreel.core.nirvana.profile import PictureShape
from mapreel.core.nirvana.quantise import CodedGroup
from mapreel.core.nirvana.samples import PictureFormat, Samples
from mapreel.core.nirvana.start import first_start, next_start
from mapreel.core.nirvana.work import WorkFolder, fingerprint
from mapreel.core.nirvana.writer import FinishedGroup, OtherChunk, Parts, write_archive


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

    fit: FitConfig
    fps: Fraction
    group_frames: int = 3  # the paper's
    intra_interval: int = 8  # a frame needs at most eight groups: one second at 24 frames a second
    psnr_db: float | None = None  # a group ends early when its pictures reach this
    seed: int = 0
    pictures: PictureFormat = field(default_factory=PictureFormat)
    notes: tuple[OtherChunk, ...] = ()  # optional chunks, see `metadata`

    def network(self, size: tuple[int, int]) -> NetworkConfig:
        fit_a_group = max(1, MAX_GROUP_PX // (size[0] * size[1]))  # very large frames: fewer share a network
        return network_for(*size, min(self.group_frames, fit_a_group))


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
        self.network = settings.network(source.size)
        self.header = Header(
            total_bytes=0,
            width=width,
            height=height,
            frames=len(source.numbers),
            fps=settings.fps,
            group_frames=self.network.group_frames,
            intra_interval=settings.intra_interval,
            pictures=settings.pictures,
        )
        self.work = WorkFolder(path, _described(source, settings))
        self.sources: list[bytes] = []
        planes = settings.pictures.planes
        self.previous: list[CodedGroup | None] = [None] * planes
        self._remaining = RemainingTime()
        self._planned = [planes * self._iterations(group) for group in range(self.header.groups)]
        self._kept = 0  # iterations that an earlier attempt has done

    def _iterations(self, group: int) -> int:
        fit = self.settings.fit
        return fit.first_iterations if self.header.is_intra(group) else fit.next_iterations

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
                finished = self._fit_planes(group, samples)
            self.work.save(group, self.sources[-1], finished)
        elif group == self._kept:
            self._kept += 1
        payloads = (finished.payload, finished.alpha)[: len(self.previous)]
        self.previous = [
            unpack_group(payload, group, previous, self.network)
            for payload, previous in zip(payloads, self.previous, strict=True)
        ]
        self._report(group + 1, 0)

    def _fit_planes(self, group: int, samples: Samples) -> FinishedGroup:
        """Fit colours and alpha, and decode them again for the block means."""
        payloads, decoded = [], []
        for plane, previous in enumerate(self.previous):
            codes = torch.from_numpy(self.settings.pictures.codes(samples, plane))
            payloads.append(self._fit(group, plane, previous, codes.to(self.device).permute(0, 3, 1, 2).contiguous()))
            # What is compared later is what a decoder makes of the bytes, not what the fit believed.
            decoded.append(self._decoded(group, plane, previous, payloads[-1], len(samples)))
        pictures = decoded[0] if len(decoded) == 1 else np.concatenate(decoded, axis=3)
        means = pack_means(picture_means(pictures, self.settings.pictures))
        return FinishedGroup(payloads[0], means, *payloads[1:])

    def _decoded(self, group: int, plane: int, previous: CodedGroup | None, payload: bytes, frames: int) -> Samples:
        shape = PictureShape(height=self.header.height, width=self.header.width, group_frames=self.header.group_frames)
        samples, _ = decode_samples(
            NirvanaDecoder(self.network, shape),
            payload,
            previous,
            number=group,
            frames=frames,
            shape=shape,
            form=self.settings.pictures,
            name=bits.chunk_name((bits.GROUP, bits.ALPHA)[plane], group),
            device=self.device,
            plane=plane,
        )
        return samples

    def _fit(self, group: int, plane: int, previous: CodedGroup | None, frames: Tensor) -> bytes:
        net, fit, seed = self.network, self.settings.fit, self.settings.seed + group
        if previous is None:
            start = first_start(net, fit, frames, seed, self.ctx.check)
        else:
            start = next_start(net, fit, previous, frames, self.ctx.check)
        target = None if self.settings.psnr_db is None else 10.0 ** (-self.settings.psnr_db / 10.0)
        fitted = fit_group(
            net,
            fit,
            start,
            frames,
            iterations=self._iterations(group),
            seed=seed,
            target_mse=target,
            check=lambda done: self._during(group, plane * self._iterations(group) + done),
        )
        return pack_group(fitted.coded, previous, net)

    def _during(self, group: int, done: int) -> None:
        self.ctx.check()
        if done % self.settings.fit.check_every == 0:
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
        planes = self.settings.pictures.planes
        parts = Parts(
            header=self.header,
            numbers=self.source.numbers,
            settings=(write_settings(self.network),) * planes,
            groups=self.work.groups(self.sources),
            notes=self.settings.notes,
            maps=maps,
        )
        write_archive(self.path, parts)


def _described(source: Source, settings: EncodeSettings) -> dict[str, object]:
    """Settings as JSON: groups made with others must not be mixed in. Notes touch no group."""
    described = dataclasses.asdict(dataclasses.replace(settings, notes=()))
    described["fps"] = str(settings.fps)
    described["pictures"] = repr(settings.pictures)
    return {"settings": described, "numbers": list(source.numbers), "size": list(source.size), "version": bits.VERSION}
