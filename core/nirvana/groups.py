# SPDX-License-Identifier: GPL-3.0-or-later
"""The payload of one frame group: which layers are residuals, their steps and tables, then all symbols."""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np

from mapreel.core.nirvana.bitstream import GROUP, chunk_name
from mapreel.core.nirvana.config import NetworkConfig
from mapreel.core.nirvana.entropy import (
    ByteReader,
    ProbabilityTable,
    SymbolDecoder,
    SymbolEncoder,
    Symbols,
    coded_bytes,
)
from mapreel.core.nirvana.quantise import SYMBOL_LIMIT, CodedGroup

_STEP = struct.Struct("<f")
_CRC = struct.Struct("<I")
_MAX_STEP = 2.0**16
_DIRECT, _RESIDUAL = 0, 1
_INTRA, _PREDICTED = 0, 1


def symbols_crc(group: CodedGroup, config: NetworkConfig) -> int:
    """CRC-32 of each layer's step and its symbols, in file order, as 32-bit numbers, lowest byte first."""
    crc = 0
    for layer in config.layers:
        crc = zlib.crc32(_STEP.pack(group.steps[layer.name]), crc)
        crc = zlib.crc32(group.symbols[layer.name].astype("<i4").tobytes(), crc)
    return crc


def pack_group(group: CodedGroup, previous: CodedGroup | None, config: NetworkConfig) -> bytes:
    """Write each layer as it is or as the residual to `previous`, whichever is smaller; None: leans on no other."""
    encoder = SymbolEncoder()
    layers = bytearray()
    for layer in config.layers:
        symbols = group.symbols[layer.name]
        mode = _DIRECT
        if previous is not None:
            residual: Symbols = symbols - previous.symbols[layer.name]
            if coded_bytes(residual) < coded_bytes(symbols):
                mode, symbols = _RESIDUAL, residual
        layers += bytes([mode]) + _STEP.pack(group.steps[layer.name]) + encoder.put(symbols)
    kind = _INTRA if previous is None else _PREDICTED
    return bytes([kind]) + _CRC.pack(symbols_crc(group, config)) + bytes(layers) + encoder.finish()


def unpack_group(payload: bytes, number: int, previous: CodedGroup | None, config: NetworkConfig) -> CodedGroup:
    """Inverse of pack_group. `previous` must be given exactly for groups that lean on the one before.

    Raises DamagedArchiveError naming the group for anything that the writer cannot have written.
    """
    where = chunk_name(GROUP, number)
    reader = ByteReader(payload, where)
    kind = reader.take(1)[0]
    if kind != (_INTRA if previous is None else _PREDICTED):
        raise reader.fail("it leans on another group where it must not, or the other way round")
    (crc,) = _CRC.unpack(reader.take(_CRC.size))
    modes, steps, tables = [], {}, []
    for layer in config.layers:
        modes.append(reader.take(1)[0])
        steps[layer.name] = _read_step(reader)
        tables.append(_read_table(reader))
        if modes[-1] > (_DIRECT if previous is None else _RESIDUAL):
            raise reader.fail("an unknown way of coding a layer")
    decoder = SymbolDecoder(reader.take(reader.left), where)
    symbols: dict[str, Symbols] = {}
    for layer, mode, table in zip(config.layers, modes, tables, strict=True):
        values = decoder.get(table, layer.size).reshape(layer.shape)
        if mode == _RESIDUAL and previous is not None:
            values = values + previous.symbols[layer.name]
        if int(np.abs(values).max()) > SYMBOL_LIMIT:
            raise reader.fail("a symbol out of range")
        symbols[layer.name] = values
    decoder.finish()
    group = CodedGroup(symbols, steps)
    if symbols_crc(group, config) != crc:
        raise reader.fail("its symbols do not match their checksum")
    return group


def _read_step(reader: ByteReader) -> float:
    step: float = _STEP.unpack(reader.take(_STEP.size))[0]
    if not (math.isfinite(step) and 0 < step <= _MAX_STEP):
        raise reader.fail("a step that is no positive number")
    return step


def _read_table(reader: ByteReader) -> ProbabilityTable:
    table = ProbabilityTable.read(reader)
    if max(abs(table.low), abs(table.low + len(table.counts))) > 2 * SYMBOL_LIMIT + 1:
        raise reader.fail("a probability table out of range")
    return table
