# SPDX-License-Identifier: GPL-3.0-or-later
"""MurmurHash3_32 (Austin Appleby, public domain), written from its description, and Cryptomatte's ids made of it."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
_EXPONENT_BIT = 1 << 23


def murmur3_32(data: bytes, seed: int = 0) -> int:
    """The hash of bytes, 0 to 2**32 - 1: four bytes at a time as little-endian numbers, then the rest, then the mix."""
    state = seed & _MASK
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        block = _scrambled(int.from_bytes(data[at : at + 4], "little"))
        state = _rotated(state ^ block, 13) * 5 + 0xE6546B64 & _MASK
    if whole < len(data):
        state ^= _scrambled(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & _MASK
    state = (state ^ state >> 13) * 0xC2B2AE35 & _MASK
    return state ^ state >> 16


def _scrambled(block: int) -> int:
    return _rotated(block * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _MASK


def float_bits(hashed: int) -> int:
    """A hash as the bits of a float that is a plain number: bit 23 is flipped where the exponent is 0 or 255.

    Done twice it changes nothing more. Source: Cryptomatte specification 1.2.0 (uint32_to_float32).
    """
    exponent = hashed >> 23 & 0xFF
    return hashed ^ _EXPONENT_BIT if exponent in (0, 0xFF) else hashed


def crypto_id(name: str) -> int:
    """The id of a name in a Cryptomatte, as the bits of its float."""
    return float_bits(murmur3_32(name.encode("utf-8")))
