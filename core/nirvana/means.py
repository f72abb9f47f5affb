# SPDX-License-Identifier: GPL-3.0-or-later
"""Block means of decoded pictures: what `verify` compares, since a network's last bit differs between machines.

One number for each 8 by 8 block: its mean over all pixels and the three channels (of alpha the one), in 8-bit codes.
Only its remainder modulo 8 is kept.
That is enough to see any block that is 2 to 6 steps away, and of many blocks that are further away five in eight,
at half the bits (a twentieth of a bit a pixel; the mean itself, predicted from its neighbours, took 5.6 bits a block).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapreel.core.nirvana.bitstream import MEANS, chunk_name
from mapreel.core.nirvana.entropy import ByteReader, ProbabilityTable, SymbolDecoder, SymbolEncoder
from mapreel.core.nirvana.samples import PictureFormat, Samples

BLOCK_PX = 8
TOLERANCE = 1  # 8-bit steps between stored and seen
MODULUS = 8

Means = npt.NDArray[np.int32]


def block_means(frames: npt.NDArray[np.uint8]) -> Means:
    """Frames [T, H, W, C] -> [T, ceil(H / 8), ceil(W / 8)], rounded, halves up; edge blocks are smaller."""
    rows = np.arange(0, frames.shape[1], BLOCK_PX)
    cols = np.arange(0, frames.shape[2], BLOCK_PX)
    sums = np.add.reduceat(np.add.reduceat(frames.sum(axis=3, dtype=np.int64), rows, axis=1), cols, axis=2)
    heights = np.diff(np.append(rows, frames.shape[1]))
    widths = np.diff(np.append(cols, frames.shape[2]))
    count = frames.shape[3] * heights[:, None] * widths[None, :]
    means: Means = ((2 * sums + count) // (2 * count)).astype(np.int32)
    return means


def picture_means(samples: Samples, form: PictureFormat) -> Means:
    """Block means of samples [T, H, W, 3 or 4] -> [T or 2 T, …]: those of the colours, then those of alpha."""
    shown = ((samples[frame : frame + 1], plane) for plane in range(form.planes) for frame in range(len(samples)))
    return np.concatenate([block_means(form.eight_bits(picture, plane)) for picture, plane in shown])


def every_nth(means: Means, every: int) -> Means:
    """Every so many blocks, counted frame by frame, row by row -> [n]."""
    return means.reshape(-1)[::every]


def pack_means(means: Means, every: int = 1) -> bytes:
    """Means of every so many blocks modulo 8: the table, then the range-coded remainders in the order of blocks."""
    encoder = SymbolEncoder()
    table = encoder.put(every_nth(means, every) % MODULUS)
    return table + encoder.finish()


def unpack_means(payload: bytes, number: int, frames: int, height: int, width: int, every: int = 1) -> Means:
    """Remainders [n] of every so many blocks; raises DamagedArchiveError when that cannot be."""
    where = chunk_name(MEANS, number)
    reader = ByteReader(payload, where)
    table = ProbabilityTable.read(reader)
    if not 0 <= table.low <= table.low + len(table.counts) - 1 < MODULUS:
        raise reader.fail("remainders that there are not")
    blocks = frames * -(-height // BLOCK_PX) * -(-width // BLOCK_PX)
    decoder = SymbolDecoder(reader.take(reader.left), where)
    means = decoder.get(table, -(-blocks // every))
    decoder.finish()
    return means


def steps_away(seen: Means, stored: Means) -> int:
    """Largest distance of means seen here from remainders stored there, the short way round the circle of 8."""
    around = (seen - stored) % MODULUS
    return int(np.minimum(around, MODULUS - around).max())
