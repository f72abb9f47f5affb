# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors are one sentence on one line, and survive the way through JSON."""

from __future__ import annotations

import errno
import json

import pytest

from mapreel.core.contract import errors
from mapreel.core.contract.errors import DiskFullError, GapError, MapreelError, OutputError, disk_error, error_from_dict


def every_error():
    found, waiting = [], [MapreelError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += [k for k in kind.__subclasses__() if k.__module__ == errors.__name__]
    return found


def test_sentence_and_round_trip():
    error = GapError("frame 1005 of /shots/a.####.exr is missing.", "render it or pass --missing hold", frame=1005)
    assert str(error) == "frame 1005 of /shots/a.####.exr is missing; render it or pass --missing hold."
    again = error_from_dict(json.loads(json.dumps(error.to_dict())))
    assert (type(again), str(again), again.frame) == (GapError, str(error), 1005)


def test_a_file_name_cannot_forge_a_line():
    error = MapreelError("the file a\nERROR forged\x1b[31m\u202e is bad")
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert "\u202e" not in str(error)
    assert "a\\nERROR forged\\x1b[31m\\u202e" in str(error)


def test_codes_are_unique_and_exit_codes_are_those_of_the_contract():
    kinds = every_error()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert {kind.exit_code for kind in kinds} == {1, 2}
    assert all(issubclass(kind, errors.UsageError) == (kind.exit_code == 2) for kind in kinds)
    assert all(type(error_from_dict(kind("x").to_dict())) is kind for kind in kinds)


def test_an_unknown_code_becomes_a_plain_error():
    assert type(error_from_dict({"code": "from the future", "what": "x"})) is MapreelError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EIO, None])
def test_disk_errors_name_file_and_remedy(number):
    error = disk_error(OSError(number, "said the system"), "/out/0001.png")
    assert isinstance(error, DiskFullError) == (number == errno.ENOSPC)
    assert isinstance(error, OutputError)
    assert "/out/0001.png" in str(error)
    assert error.remedy
