# SPDX-License-Identifier: GPL-3.0-or-later
"""Encode a shot: group after group, each started from the last, into one archive."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mapreel.core.contract.errors import UnsupportedFileError
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.takes import write_atomically
from mapreel.core.device import memory_guard
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.config import FitConfig, NetworkConfig, network_for
from mapreel.core.nirvana.decode import decode_pictures
from mapreel.core.nirvana.fit import fit_group
from mapreel.core.nirvana.groups import pack_group, unpack_group
from mapreel.core.nirvana.means import block_means, pack_means
from mapreel.core.nirvana.quantise import CodedGroup
from mapreel.core.nirvana.start import first_start, next_start
from mapreel.core.nirvana.work import FinishedGroup, WorkFolder, fingerprint

Picture = npt.NDArray[np.uint8]


class Source(Protocol):
    """Frames by number: `core.media.sequence.ShotSequence` is one."""

    @property
    def numbers(self) -> tuple[int, ...]: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def read(self, number: int) -> Picture: ...


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """All that decides the bytes of an archive besides the pictures (and the machine's arithmetic)."""

    fit: FitConfig
    fps: Fraction
    group_frames: int = 3  # the paper's
    intra_interval: int = 8  # a frame needs at most eight groups: one second at 24 frames a second
    psnr_db: float | None = None  # a group ends early when its pictures reach this
    seed: int = 0

    def network(self, size: tuple[int, int]) -> NetworkConfig:
        fit_a_group = max(1, bits.MAX_GROUP_PX // (size[0] * size[1]))  # very large frames: fewer share a network
        return network_for(*size, min(self.group_frames, fit_a_group))


def encode(source: Source, settings: EncodeSettings, path: Path, ctx: JobContext, device: torch.device) -> None:
    """Write `source` to the archive `path`, which appears whole or not at all.

    Groups that an interrupted call with the same settings and pictures finished are kept. Raises
    UnsupportedFileError for pictures that are too large, OutputError, and what the source and `ctx` raise.
    """
    encoder = _Encoder(source, settings, path, ctx, device)
    for group in range(encoder.header.groups):
        encoder.add(group)
    encoder.write()
    encoder.work.remove()


class _Encoder:
    """One attempt at an encode; between groups its state is the last group's symbols."""

    def __init__(
        self, source: Source, settings: EncodeSettings, path: Path, ctx: JobContext, device: torch.device
    ) -> None:
        height, width = source.size
        if max(height, width) > bits.MAX_SIDE_PX or height * width > bits.MAX_FRAME_PX:
            raise UnsupportedFileError(
                f"frames of {width} x {height} px are too large for an archive", "encode smaller ones"
            )
        if len(source.numbers) > bits.MAX_FRAMES:
            raise UnsupportedFileError(f"{len(source.numbers)} frames are too many", "encode the shot in parts")
        self.source, self.settings, self.path, self.ctx, self.device = source, settings, path, ctx, device
        self.header = bits.Header(
            total_bytes=0,
            width=width,
            height=height,
            frames=len(source.numbers),
            fps=settings.fps,
            network=settings.network(source.size),
            intra_interval=settings.intra_interval,
        )
        self.work = WorkFolder(path, _described(source, settings))
        self.sources: list[bytes] = []
        self.previous: CodedGroup | None = None
        self._remaining = RemainingTime()
        self._planned = [self._iterations(group) for group in range(self.header.groups)]
        self._kept = 0  # iterations that an earlier attempt has done

    def _iterations(self, group: int) -> int:
        fit = self.settings.fit
        return fit.first_iterations if self.header.is_intra(group) else fit.next_iterations

    def add(self, group: int) -> None:
        """Fit one group and keep it on disk, or take it from there."""
        self.ctx.check()
        pixels = np.stack([self.source.read(self.source.numbers[i]) for i in self.header.frames_of(group)])
        self.sources.append(fingerprint(pixels.tobytes()))
        finished = self.work.load(group, self.sources[-1])
        frames = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255.0
        previous = None if self.header.is_intra(group) else self.previous
        if finished is None:
            with memory_guard(f"encode frames of {self.header.width} x {self.header.height} px"):
                finished = self._fit(group, previous, frames)
            self.work.save(group, self.sources[-1], finished)
        elif group == self._kept:
            self._kept += 1
        self.previous = unpack_group(finished.payload, group, previous, self.header.network)
        self._report(group + 1, 0)

    def _fit(self, group: int, previous: CodedGroup | None, frames: Tensor) -> FinishedGroup:
        net, fit, seed = self.header.network, self.settings.fit, self.settings.seed + group
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
            check=lambda done: self._during(group, done),
        )
        payload = pack_group(fitted.coded, previous, net)
        # What is compared later is what a decoder makes of the bytes, not what the fit believed.
        stored = unpack_group(payload, group, previous, net)
        pictures = decode_pictures(
            net, stored, *self.source.size, len(frames), name=bits.chunk_name(bits.GROUP, group), device=self.device
        )
        return FinishedGroup(payload, pack_means(block_means(pictures)))

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
        frames = min(group * self.header.network.group_frames, self.header.frames)
        self.ctx.report(Progress(frames, self.header.frames, "encode", left))

    def write(self) -> None:
        """Join header, frame numbers, index and groups into the archive."""
        groups = self.header.groups
        sizes, mean_sizes, write_groups = self.work.write_groups(groups, self.sources)
        numbers = bits.pack_numbers(self.source.numbers)
        first = bits.PREFIX_BYTES + 3 * bits.CHUNK_OVERHEAD_BYTES + len(self.header.write()) + len(numbers)
        at = first + bits.index_bytes(groups)
        chunks, means = [], []
        for group, (size, mean_size) in enumerate(zip(sizes, mean_sizes, strict=True)):
            chunks.append(bits.Chunk(bits.GROUP, group, at, size))
            means.append(bits.Chunk(bits.MEANS, group, chunks[-1].end, mean_size))
            at = means[-1].end
        header = dataclasses.replace(self.header, total_bytes=at)
        front = [
            bits.pack_prefix(),
            bits.pack_chunk(bits.HEAD, 0, header.write()),
            bits.pack_chunk(bits.NUMBERS, 0, numbers),
            bits.pack_chunk(bits.INDEX, 0, bits.pack_index(chunks, list(means))),
        ]
        write_atomically(self.path, _joined(b"".join(front), write_groups))


def _joined(front: bytes, rest: Callable[[BinaryIO], None]) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        file.write(front)
        rest(file)

    return write


def _described(source: Source, settings: EncodeSettings) -> dict[str, object]:
    """Settings as JSON: groups made with others must not be mixed in."""
    described = dataclasses.asdict(settings)
    described["fps"] = str(settings.fps)
    return {"settings": described, "numbers": list(source.numbers), "size": list(source.size), "version": bits.VERSION}
