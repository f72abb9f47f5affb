# SPDX-License-Identifier: GPL-3.0-or-later
"""Range coding of symbols whose tables are fixed: discretised Laplace distributions from the prior's resource."""

from __future__ import annotations

from functools import cache

import constriction
import numpy as np
import numpy.typing as npt

from mapreel.core.nirvana.entropy import PRECISION_BITS, ByteReader, signed
from mapreel.core.nirvana.reel.config import FRACTIONS, SKIPPED_SCALES

Ints = npt.NDArray[np.int32]
LIMIT = 1 << 20  # of a symbol's absolute value


class Tables:
    """Fixed probability tables: symbols from `lows[i]` on, the last entry says that the value stands elsewhere."""

    def __init__(self, lows: Ints, counts: tuple[npt.NDArray[np.int64], ...]) -> None:
        self.lows = lows
        self.sizes = np.array([len(one) for one in counts], np.int32)
        self._counts = counts
        self._model = cache(self._make)

    def _make(self, table: int) -> object:
        # Whole weights that add up to 2^24 minus their number: the library adds 1 to each and scales by 1 exactly.
        return constriction.stream.model.Categorical(self._counts[table].astype(np.float64), perfect=False)

    def model(self, table: int) -> object:
        return self._model(table)

    def bits(self, tables: Ints, values: Ints) -> npt.NDArray[np.float64]:
        """What `values` (relative to their means) cost under `tables`, without what escapes add."""
        entry = self.entries(tables, values)
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        costs = PRECISION_BITS - np.log2(np.concatenate(self._counts) + 1.0)
        out: npt.NDArray[np.float64] = costs[starts[tables] + entry]
        return out

    def entries(self, tables: Ints, values: Ints) -> Ints:
        """Entry of each value in its table; the last one for values that the table does not hold."""
        entry = values - self.lows[tables]
        last = self.sizes[tables] - 1
        return np.where((entry < 0) | (entry >= last), last, entry).astype(np.int32)


def _runs(tables: Ints) -> tuple[npt.NDArray[np.int64], list[tuple[int, int, int]]]:
    """An order that brings equal tables together, and (table, begin, end) of each run; skipped scales are left out."""
    order = np.argsort(tables.astype(np.uint8), kind="stable")  # small numbers are sorted by counting
    ordered = tables[order]
    skipped = int(np.searchsorted(ordered, SKIPPED_SCALES * FRACTIONS))
    order, ordered = order[skipped:], ordered[skipped:]
    edges = np.flatnonzero(np.diff(ordered)) + 1
    begins = [0, *edges.tolist()] if len(order) else []
    ends = [*edges.tolist(), len(order)] if len(order) else []
    return order, [(int(ordered[a]), a, b) for a, b in zip(begins, ends, strict=True)]


class PlaceEncoder:
    """Puts passes of symbols into one stream; values that no table holds go to a list of their own."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._coder = constriction.stream.queue.RangeEncoder()
        self._rare = bytearray()

    def run(self, tables: Ints, means: Ints, values: Ints | None) -> Ints:
        """Code `values`; gives them back with 0 where the scale says so."""
        assert values is not None
        order, runs = _runs(tables)
        kept = np.zeros_like(values)
        kept[order] = values[order]
        relative = values - means
        entries = self._tables.entries(tables, relative)[order]
        for table, begin, end in runs:
            self._coder.encode(entries[begin:end], self._tables.model(table))
        escaped = order[entries == self._tables.sizes[tables[order]] - 1]
        self._rare += b"".join(signed(int(value)) for value in relative[escaped])
        return kept

    def finish(self) -> tuple[bytes, bytes]:
        """The stream (32-bit words, lowest byte first) and the values that stand outside of it."""
        words: npt.NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype("<u4").tobytes(), bytes(self._rare)


class PlaceDecoder:
    """Inverse of PlaceEncoder; raises DamagedArchiveError naming `where`."""

    def __init__(self, tables: Tables, stream: bytes, rare: bytes, where: str) -> None:
        self._tables = tables
        self._reader = ByteReader(rare, where)
        if len(stream) % 4:
            raise self._reader.fail("its stream is no whole number of words")
        words = np.frombuffer(stream, dtype="<u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def run(self, tables: Ints, means: Ints, values: Ints | None) -> Ints:
        assert values is None
        order, runs = _runs(tables)
        entries = np.empty(len(order), np.int32)
        for table, begin, end in runs:
            try:
                entries[begin:end] = self._coder.decode(self._tables.model(table), end - begin)
            except AssertionError as error:
                raise self._reader.fail("its stream does not fit its tables") from error
        used = tables[order]
        relative = (entries + self._tables.lows[used]).astype(np.int64)
        for at in np.flatnonzero(entries == self._tables.sizes[used] - 1):
            relative[at] = self._reader.signed()
        found = relative + means[order]
        if found.size and int(np.abs(found).max()) > LIMIT:
            raise self._reader.fail("a symbol out of range")
        out = np.zeros(len(tables), np.int32)
        out[order] = found
        return out

    def finish(self) -> None:
        self._reader.finish()
        if not self._coder.maybe_exhausted():
            raise self._reader.fail("its stream is longer than its symbols")
