# SPDX-License-Identifier: GPL-3.0-or-later
"""Header, frame numbers and settings belong together: a whole part of another archive is refused."""

from __future__ import annotations

import struct

import pytest

from mapreel.core.contract.errors import DamagedArchiveError
from mapreel.core.nirvana.header import bound, check_bond, unbound

HEAD, NUMBERS, SETTINGS = bytes(range(60)), b"\1\x02\x00\x04", [b"first plane", b"alpha"]


def test_what_was_written_together_passes():
    payload = bound(HEAD, NUMBERS, tuple(SETTINGS))
    assert unbound(payload, 2) == HEAD
    check_bond(payload, 2, NUMBERS, SETTINGS)
    longer = struct.pack("<Q", 12345) + payload[8:]  # the file's size is known last
    check_bond(longer, 2, NUMBERS, SETTINGS)
    check_bond(HEAD, 1, b"", [])  # version 1 had no bond
    assert unbound(HEAD, 1) == HEAD


@pytest.mark.parametrize("place", [8, 30, 59, 60, 63])
def test_another_header_is_refused(place):
    payload = bytearray(bound(HEAD, NUMBERS, tuple(SETTINGS)))
    payload[place] ^= 1
    with pytest.raises(DamagedArchiveError, match="the header"):
        check_bond(bytes(payload), 2, NUMBERS, SETTINGS)


def test_other_numbers_or_settings_are_refused():
    payload = bound(HEAD, NUMBERS, tuple(SETTINGS))
    for numbers, settings in (
        (NUMBERS + b"\0", SETTINGS),
        (NUMBERS, [*SETTINGS, b"x"]),
        (NUMBERS, [b"First", b"alpha"]),
    ):
        with pytest.raises(DamagedArchiveError, match="does not belong"):
            check_bond(payload, 2, numbers, settings)
