# SPDX-License-Identifier: GPL-3.0-or-later
"""Integers to bytes and back: range coding under probability tables that are integers on every machine.

Every table entry that reaches the coder is a whole number and all of them add up to 2^24, so that encoder and decoder
agree bit for bit whatever the device, the number of threads or the floating-point unit. docs/format.md, "Symbols".
"""

from __future__ import annotations

from dataclasses import dataclass

import constriction
import numpy as np
import numpy.typing as npt

from mapreel.core.contract.errors import DamagedArchiveError

PRECISION_BITS = 24
MAX_ALPHABET = 1 << 16
_TABLE_TOTAL = 1 << 12  # counts are brought down to about this: finer tables cost more than they save
_MAX_VARINT_BYTES = 5

Symbols = npt.NDArray[np.int32]


class ByteReader:
    """Takes numbers off the front of a payload; raises DamagedArchiveError naming `where` when it is too short."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data = data
        self._at = 0
        self._where = where

    def fail(self, why: str) -> DamagedArchiveError:
        return DamagedArchiveError(f"{self._where} of the archive is damaged ({why})", "copy the file again")

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count < 0 or count > self.left:
            raise self.fail("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def unsigned(self) -> int:
        """LEB128: seven bits a byte, lowest first, the top bit says that more follow; at most 5 bytes."""
        value = 0
        for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise self.fail("a number is too long")

    def signed(self) -> int:
        """Zigzag over `unsigned`: 0, -1, 1, -2, …"""
        value = self.unsigned()
        return -((value + 1) >> 1) if value & 1 else value >> 1

    def finish(self) -> None:
        if self.left:
            raise self.fail(f"{self.left} bytes too many")


def unsigned(value: int) -> bytes:
    """LEB128 of a whole number that is not negative."""
    assert value >= 0, value
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    """Zigzag, then LEB128."""
    return unsigned(-2 * value - 1 if value < 0 else 2 * value)


@dataclass(frozen=True)
class ProbabilityTable:
    """Relative frequencies of the symbols low, low + 1, …; an entry may be 0 and is codable all the same."""

    low: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, symbols: Symbols) -> ProbabilityTable:
        """The table that suits `symbols`, brought down to about 4096 counts; a symbol that occurs keeps at least 1."""
        low, high = int(symbols.min()), int(symbols.max())
        if high - low >= MAX_ALPHABET:
            raise ValueError(f"{high - low + 1} different symbols, at most {MAX_ALPHABET} can be coded")
        seen = np.bincount(symbols.astype(np.int64).reshape(-1) - low)
        total = int(seen.sum())
        scaled = seen if total <= _TABLE_TOTAL else np.maximum((seen * _TABLE_TOTAL + total // 2) // total, seen > 0)
        return cls(low, tuple(scaled.tolist()))

    def write(self) -> bytes:
        return signed(self.low) + unsigned(len(self.counts)) + b"".join(unsigned(count) for count in self.counts)

    @classmethod
    def read(cls, reader: ByteReader) -> ProbabilityTable:
        """Raises DamagedArchiveError on an empty or huge table, and on one whose counts are all zero or too large."""
        low, size = reader.signed(), reader.unsigned()
        if not 1 <= size <= min(MAX_ALPHABET, reader.left):
            raise reader.fail(f"a probability table of {size} entries")
        counts = tuple(reader.unsigned() for _ in range(size))
        if not 0 < sum(counts) < 1 << PRECISION_BITS:
            raise reader.fail("a probability table that adds up to nothing")
        return cls(low, counts)

    def probabilities(self) -> npt.NDArray[np.int64]:
        """Whole numbers above 0 that add up to 2^24: 1 each, and the rest shared out in proportion, rounded down.

        What rounding leaves over goes to the first of the largest counts.
        """
        counts = np.asarray(self.counts, dtype=np.int64)
        free = (1 << PRECISION_BITS) - len(counts)
        shares = counts * free // int(counts.sum())
        shares[int(counts.argmax())] += free - int(shares.sum())
        return shares + 1

    def model(self) -> object:
        # Weights that are whole and add up to exactly 2^24 minus their number: the library adds 1 to each and scales
        # by exactly 1.0, so what it codes with is `probabilities()` itself, with no rounding anywhere.
        weights = (self.probabilities() - 1).astype(np.float64)
        return constriction.stream.model.Categorical(weights, perfect=False)


def coded_bytes(symbols: Symbols) -> int:
    """About how many bytes `symbols` take with their table (entropy under the table, rounded up)."""
    table = ProbabilityTable.of(symbols)
    seen = np.bincount(symbols.astype(np.int64).reshape(-1) - table.low)
    bits = -(seen * np.log2(table.probabilities() / 2.0**PRECISION_BITS)).sum()
    return len(table.write()) + int(np.ceil(bits / 8))


class SymbolEncoder:
    """Collects layers of symbols into one range-coded stream."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def put(self, symbols: Symbols) -> bytes:
        """Code one layer, any shape; gives its table, which the caller stores."""
        table = ProbabilityTable.of(symbols)
        if len(table.counts) > 1:  # a single symbol is known without a bit
            self._coder.encode((symbols.reshape(-1) - table.low).astype(np.int32), table.model())
        return table.write()

    def finish(self) -> bytes:
        """32-bit words, lowest byte first."""
        words: npt.NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype("<u4").tobytes()


class SymbolDecoder:
    """Reads layers of symbols back in the order they were put."""

    def __init__(self, data: bytes, where: str) -> None:
        self._where = where
        if len(data) % 4:
            raise self._damaged("its stream is no whole number of words")
        words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def _damaged(self, why: str) -> DamagedArchiveError:
        return DamagedArchiveError(f"{self._where} of the archive is damaged ({why})", "copy the file again")

    def get(self, table: ProbabilityTable, count: int) -> Symbols:
        """`count` symbols, flat. Raises DamagedArchiveError when the stream does not fit the table."""
        if len(table.counts) == 1:
            return np.full(count, table.low, dtype=np.int32)
        try:
            decoded = self._coder.decode(table.model(), count)
        except AssertionError as error:
            raise self._damaged("its stream does not fit its tables") from error
        return (np.asarray(decoded, dtype=np.int64) + table.low).astype(np.int32)

    def finish(self) -> None:
        if not self._coder.maybe_exhausted():
            raise self._damaged("its stream is longer than its symbols")
