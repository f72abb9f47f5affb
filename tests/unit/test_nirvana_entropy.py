# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbols survive, tables are integers, and a decoder written from docs/format.md alone reads the same."""

from __future__ import annotations

import numpy as np
import pytest

from mapreel.core.contract.errors import DamagedArchiveError
from mapreel.core.nirvana.entropy import (
    ByteReader,
    ProbabilityTable,
    SymbolDecoder,
    SymbolEncoder,
    coded_bytes,
    signed,
    unsigned,
)

MASK = (1 << 64) - 1


def strangers_decoder(data: bytes, probabilities: list[int], count: int) -> list[int]:
    """docs/format.md, "Range decoder", in whole numbers and nothing else."""
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)] + [0, 0]
    lower, width, point, at = 0, MASK, words[0] << 32 | words[1], 2
    ends = np.cumsum(probabilities).tolist()
    out = []
    for _ in range(count):
        scale = width >> 24
        slot = ((point - lower) & MASK) // scale
        symbol = next(i for i, end in enumerate(ends) if slot < end)
        out.append(symbol)
        lower = (lower + scale * (ends[symbol] - probabilities[symbol])) & MASK
        width = scale * probabilities[symbol]
        if width < 1 << 32:
            width <<= 32
            lower = lower << 32 & MASK
            point = (point << 32 | (words[at] if at < len(words) else 0)) & MASK
            at += 1
    return out


def laplace(count, spread, seed=0):
    return np.round(np.random.default_rng(seed).laplace(0, spread, count)).astype(np.int32)


@pytest.mark.parametrize("spread", [0.05, 1.0, 30.0])
def test_round_trip_near_the_entropy(spread):
    symbols = laplace(20_000, spread)
    encoder = SymbolEncoder()
    table = encoder.put(symbols)
    data = encoder.finish()
    reader = ByteReader(table, "group 0")
    decoder = SymbolDecoder(data, "group 0")
    assert np.array_equal(decoder.get(ProbabilityTable.read(reader), symbols.size), symbols)
    decoder.finish()
    reader.finish()
    _, seen = np.unique(symbols, return_counts=True)
    entropy_bytes = -(seen * np.log2(seen / symbols.size)).sum() / 8
    assert len(data) + len(table) < 1.02 * entropy_bytes + len(table) + 8
    assert len(data) + len(table) == pytest.approx(coded_bytes(symbols), abs=8)


def test_a_stranger_reads_the_same():
    symbols = laplace(500, 3.0)
    encoder = SymbolEncoder()
    table = ProbabilityTable.read(ByteReader(encoder.put(symbols), "group 0"))
    read = strangers_decoder(encoder.finish(), table.probabilities().tolist(), symbols.size)
    assert (np.array(read) + table.low).tolist() == symbols.tolist()


def test_probabilities_are_whole_positive_and_add_up():
    for counts in [(1,), (0, 1), (5, 0, 0, 1), tuple(range(1000)), (1,) * 65536]:
        probabilities = ProbabilityTable(0, counts).probabilities()
        assert probabilities.dtype == np.int64
        assert int(probabilities.sum()) == 1 << 24
        assert int(probabilities.min()) >= 1


def test_probabilities_of_the_documented_example():
    assert ProbabilityTable(-1, (1, 2, 0)).probabilities().tolist() == [5592405, 11184810, 1]


def test_one_symbol_costs_nothing():
    encoder = SymbolEncoder()
    table = ProbabilityTable.read(ByteReader(encoder.put(np.full(1000, -7, np.int32)), "group 0"))
    data = encoder.finish()
    assert data == b""
    assert SymbolDecoder(data, "group 0").get(table, 1000).tolist() == [-7] * 1000


def test_several_layers_share_a_stream():
    layers = [laplace(100, 2.0, 1), np.zeros(10, np.int32), laplace(300, 9.0, 2).reshape(3, 100)]
    encoder = SymbolEncoder()
    tables = [ProbabilityTable.read(ByteReader(encoder.put(layer), "group 0")) for layer in layers]
    decoder = SymbolDecoder(encoder.finish(), "group 0")
    for layer, table in zip(layers, tables, strict=True):
        assert np.array_equal(decoder.get(table, layer.size), layer.reshape(-1))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31])
def test_numbers_round_trip(value):
    assert ByteReader(unsigned(value), "x").unsigned() == value
    assert ByteReader(signed(-value), "x").signed() == -value
    assert ByteReader(signed(value), "x").signed() == value


@pytest.mark.parametrize(
    "table",
    [
        b"",
        signed(0) + unsigned(0),  # no entries
        signed(0) + unsigned(2) + unsigned(0) + unsigned(0),  # adds up to nothing
        signed(0) + unsigned(1 << 30),  # a million entries in no bytes
        signed(0) + unsigned(2) + unsigned(1 << 24) + unsigned(1),  # counts beyond the precision
        b"\xff" * 9,  # a number without end
    ],
)
def test_bad_tables_are_refused(table):
    with pytest.raises(DamagedArchiveError, match="group 5"):
        ProbabilityTable.read(ByteReader(table, "group 5"))


def test_bad_streams_are_refused_or_give_symbols_of_the_table():
    table = ProbabilityTable(0, (1, 5, 1))
    rng = np.random.default_rng(0)
    for length in range(40):
        try:
            symbols = SymbolDecoder(rng.bytes(length), "group 5").get(table, 1000)
        except DamagedArchiveError as error:
            assert "group 5" in str(error)  # noqa: PT017 - both outcomes are right
        else:
            assert set(symbols.tolist()) <= {0, 1, 2}
    decoder = SymbolDecoder(bytes(4000), "group 5")
    decoder.get(table, 1)
    with pytest.raises(DamagedArchiveError, match="longer"):
        decoder.finish()
