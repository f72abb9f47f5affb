# SPDX-License-Identifier: GPL-3.0-or-later
"""Block means of decoded pictures: what `verify` compares, since a network's last bit differs between machines.

One number for each 8 by 8 block (its mean over all pixels and the three channels), a few hundredths of a bit a pixel.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapreel.core.nirvana.bitstream import MEANS, chunk_name
from mapreel.core.nirvana.entropy import ByteReader, ProbabilityTable, SymbolDecoder, SymbolEncoder

BLOCK_PX = 8
TOLERANCE = 1  # 8-bit steps between stored and seen
_IN_FRAME, _IN_TIME = 0, 1

Means = npt.NDArray[np.int32]


def block_means(frames: npt.NDArray[np.uint8]) -> Means:
    """Frames [T, H, W, 3] -> [T, ceil(H / 8), ceil(W / 8)], rounded, halves up; edge blocks are smaller."""
    rows = np.arange(0, frames.shape[1], BLOCK_PX)
    cols = np.arange(0, frames.shape[2], BLOCK_PX)
    sums = np.add.reduceat(np.add.reduceat(frames.sum(axis=3, dtype=np.int64), rows, axis=1), cols, axis=2)
    heights = np.diff(np.append(rows, frames.shape[1]))
    widths = np.diff(np.append(cols, frames.shape[2]))
    count = 3 * heights[:, None] * widths[None, :]
    means: Means = ((2 * sums + count) // (2 * count)).astype(np.int32)
    return means


def _differences(means: Means, mode: int) -> Means:
    """To the left neighbour (the first column: to the one above); in time: to the frame before, but for the first."""
    left = means.copy()
    left[:, :, 1:] -= means[:, :, :-1]
    left[:, 1:, 0] -= means[:, :-1, 0]
    if mode == _IN_TIME:
        left[1:] = means[1:] - means[:-1]
    return left


def _summed(differences: Means, mode: int) -> Means:
    frames = differences.astype(np.int64)
    spatial = frames if mode == _IN_FRAME else frames[:1]
    spatial[:, :, 0] = np.cumsum(spatial[:, :, 0], axis=1)
    spatial[...] = np.cumsum(spatial, axis=2)
    return (np.cumsum(frames, axis=0) if mode == _IN_TIME else frames).astype(np.int32)


def pack_means(means: Means) -> bytes:
    """The smaller of both ways of taking differences: one byte for the way, the table, the range-coded differences."""
    packed = []
    for mode in (_IN_FRAME, _IN_TIME):
        encoder = SymbolEncoder()
        table = encoder.put(_differences(means, mode))
        packed.append(bytes([mode]) + table + encoder.finish())
    return min(packed, key=len)


def unpack_means(payload: bytes, number: int, frames: int, height: int, width: int) -> Means:
    """Inverse of pack_means; raises DamagedArchiveError for what cannot be means of such frames."""
    where = chunk_name(MEANS, number)
    reader = ByteReader(payload, where)
    mode = reader.take(1)[0]
    table = ProbabilityTable.read(reader)
    if mode > _IN_TIME or not -255 <= table.low <= table.low + len(table.counts) - 1 <= 255:
        raise reader.fail("differences that no picture has")
    shape = (frames, -(-height // BLOCK_PX), -(-width // BLOCK_PX))
    decoder = SymbolDecoder(reader.take(reader.left), where)
    means = _summed(decoder.get(table, int(np.prod(shape))).reshape(shape), mode)
    decoder.finish()
    if int(means.min()) < 0 or int(means.max()) > 255:
        raise reader.fail("means outside 0 to 255")
    return means
