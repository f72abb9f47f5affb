# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame group as bytes: its quality, how its network differs from the group's before, motion and latents."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mapreel.core.nirvana.entropy import ByteReader, unsigned
from mapreel.core.nirvana.reel.config import (
    CHANNELS,
    CONTEXT_STEPS,
    FRACTIONS,
    HIGHEST_LOG_SCALE,
    LONGEST_PREDICTION,
    LOWEST_LOG_SCALE,
    MOTION_CHANNELS,
    MOTION_LEVELS,
    PATCH_PX,
    QUALITY_STEPS,
    SCALES,
    padded,
    tensors_of,
)
from mapreel.core.nirvana.reel.context import GridContext, PlaceCoder, run_grid
from mapreel.core.nirvana.reel.hierarchy import Frame, hierarchy
from mapreel.core.nirvana.reel.places import PlaceDecoder, PlaceEncoder
from mapreel.core.nirvana.reel.prior import Prior
from mapreel.core.nirvana.reel.reach import reach_of, run_reach, spread

Ints = npt.NDArray[np.int32]
Deltas = dict[str, Ints]  # steps by which a synthesis tensor differs from the prior's, by "intra." or "inter." + name

_HEAD = struct.Struct("<BIb4B")  # 0 intra or 1 predicted, CRC of the symbols, quality, finer levels, span
_OFFSET_SCALE, _LEVEL_SCALE = 18, 36  # tables for offsets and scales of deltas
_NOTHING = 0  # scale of a tensor that does not differ


@dataclass
class GroupSymbols:
    """All whole numbers of a group. Frames with references stand in coding order, those with none first."""

    quality: int
    finer: tuple[int, ...]  # of frames of level 0, 1 and 2: so much is taken from the quality
    intra: Ints  # [1 or 0, C, h, w], at 1/8
    inter: Ints  # [T, C, h, w]
    motion: tuple[Ints, Ints]  # [T, 4, h, w] at 1/8 and 1/16
    offsets: dict[str, Ints] = field(default_factory=dict)  # steps on scales, for each channel: intra, inter, motion
    deltas: Deltas = field(default_factory=dict)
    span: int = LONGEST_PREDICTION  # frames from one anchor to the next

    @property
    def plan(self) -> tuple[Frame, ...]:
        """Who leans on whom."""
        return hierarchy(len(self.intra) + len(self.inter), len(self.intra) > 0, self.span)


def offset_counts() -> dict[str, int]:
    """How many steps on scales a group stores: one for each channel."""
    return {"intra": CHANNELS, "inter": CHANNELS, "motion": MOTION_LEVELS * MOTION_CHANNELS}


def context_quality(quality: int) -> int:
    """A stored quality as context models see it."""
    return quality // (QUALITY_STEPS // CONTEXT_STEPS)


def empty_group(
    size: tuple[int, int], frames: int, intra: bool, quality: int, finer: tuple[int, ...] = (0, 0, 0)
) -> GroupSymbols:
    """A group of zeros with the shapes that its frames ask for."""
    height, width = padded(size)
    h, w = height // PATCH_PX, width // PATCH_PX
    inter = frames - 1 if intra else frames
    return GroupSymbols(
        quality,
        finer,
        np.zeros((frames - inter, CHANNELS, h, w), np.int32),
        np.zeros((inter, CHANNELS, h, w), np.int32),
        (
            np.zeros((inter, MOTION_CHANNELS, h, w), np.int32),
            np.zeros((inter, MOTION_CHANNELS, h // 2, w // 2), np.int32),
        ),
        {name: np.zeros(count, np.int32) for name, count in offset_counts().items()},
    )


def all_deltas(intra: bool) -> Deltas:
    """No difference anywhere. Tensors of frames without references are there in intra groups only."""
    kinds = (("intra", False), ("inter", True)) if intra else (("inter", True),)
    return {f"{kind}.{name}": np.zeros(shape, np.int32) for kind, inter in kinds for name, shape in tensors_of(inter)}


def symbols_crc(group: GroupSymbols) -> int:
    """CRC-32 of the quality and of all symbols: of each part where it is not 0, and what stands there, as 32 bits."""
    crc = zlib.crc32(struct.pack("<5i", group.quality, *group.finer, group.span))
    for part in (
        *(group.offsets[name] for name in offset_counts()),
        *(group.deltas[name] for name in sorted(group.deltas)),
        *group.motion,
        group.intra,
        group.inter,
    ):
        flat = np.ascontiguousarray(part).reshape(-1)
        there = np.flatnonzero(flat)
        crc = zlib.crc32(there.astype("<u4").tobytes(), crc)
        crc = zlib.crc32(flat[there].astype("<i4").tobytes(), crc)
    return crc


def pack_group(group: GroupSymbols, previous: Deltas | None, prior: Prior) -> bytes:
    """Write a group; its latents and motion are changed in place where a decoder will have 0. None: it is intra."""
    coder = PlaceEncoder(prior.tables)
    _run_group(group, previous, prior, coder, known=True)
    stream, rare = coder.finish()
    kind = 0 if previous is None else 1
    head = _HEAD.pack(kind, symbols_crc(group), group.quality, *group.finer, group.span)
    return head + unsigned(len(rare)) + rare + stream


def unpack_group(
    payload: bytes, size: tuple[int, int], frames: int, previous: Deltas | None, prior: Prior, where: str
) -> GroupSymbols:
    """Inverse of pack_group. Raises DamagedArchiveError naming `where`."""
    reader = ByteReader(payload, where)
    kind, crc, quality, *finer, span = _HEAD.unpack(reader.take(_HEAD.size))
    if kind != (0 if previous is None else 1):
        raise reader.fail("it leans on another group where it must not, or the other way round")
    if not 1 <= span <= LONGEST_PREDICTION:
        raise reader.fail("its anchors are too far apart")
    rare = reader.take(reader.unsigned())
    coder = PlaceDecoder(prior.tables, reader.take(reader.left), rare, where)
    group = empty_group(size, frames, previous is None, quality, tuple(finer))
    group.span = span
    _run_group(group, previous, prior, coder, known=False)
    coder.finish()
    if symbols_crc(group) != crc:
        raise reader.fail("its symbols do not match their checksum")
    return group


def _run_group(group: GroupSymbols, previous: Deltas | None, prior: Prior, coder: PlaceCoder, *, known: bool) -> None:
    for name in offset_counts():
        values = group.offsets[name]
        values[...] = np.clip(_plainly(coder, values, _OFFSET_SCALE, known), 1 - SCALES, SCALES - 1)
    _run_deltas(group, previous, coder, known)
    latents, fine, coarse = prior.contexts(True)
    steps = group.offsets["motion"].tolist()
    quality, finest = context_quality(group.quality), context_quality(group.quality - group.finer[0])
    _run_grid(coarse, coder, group.motion[1], None, quality, steps[MOTION_CHANNELS:], known)
    _run_grid(fine, coder, group.motion[0], group.motion[1], quality, steps[:MOTION_CHANNELS], known)
    _run_grid(prior.contexts(False)[0], coder, group.intra, None, finest, group.offsets["intra"].tolist(), known)
    _run_grid(latents, coder, group.inter, None, quality, group.offsets["inter"].tolist(), known)


def _plainly(coder: PlaceCoder, values: Ints, scale: int, known: bool) -> Ints:
    """Symbols around 0 with one table for all."""
    tables = np.full(values.size, scale * FRACTIONS, np.int32)
    flat = np.ascontiguousarray(values).reshape(-1) if known else None
    return coder.run(tables, np.zeros(values.size, np.int32), flat).reshape(values.shape)


def _run_deltas(group: GroupSymbols, previous: Deltas | None, coder: PlaceCoder, known: bool) -> None:
    base = all_deltas(previous is None)
    if previous is not None:
        base.update({name: previous[name] for name in base})
    for name, start in base.items():
        changed = group.deltas.get(name, start) - start
        scale = np.array([_delta_scale(changed)], np.int32)
        scale = _plainly(coder, scale, _LEVEL_SCALE, known)
        level = min(max(int(scale[0]), 0), SCALES - 1)
        group.deltas[name] = start if level == _NOTHING else start + _plainly(coder, changed, level, known)


def _delta_scale(values: Ints) -> int:
    """The table that suits these values; _NOTHING when all are 0."""
    mean = float(np.abs(values).mean())
    if mean == 0.0:
        return _NOTHING
    step = (HIGHEST_LOG_SCALE - LOWEST_LOG_SCALE) / (SCALES - 1)
    return min(max(round((math.log(max(mean, 0.12)) - LOWEST_LOG_SCALE) / step), 11), SCALES - 1)


def _run_grid(
    context: GridContext,
    coder: PlaceCoder,
    grid: Ints,
    above: Ints | None,
    quality: int,
    offsets: list[int],
    known: bool,
) -> None:
    """A grid [T, C, h, w]. First, for each of its blocks, how many channels are there at all (the rest is 0)."""
    frames, channels, height, width = grid.shape
    if frames == 0:
        return
    blocks = reach_of(grid)
    run_reach(coder, blocks, channels, known)
    run_grid(context, coder, grid, above, quality, offsets, spread(blocks, channels, (height, width)), known)
