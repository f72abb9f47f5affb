# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of checksums: a group of another archive is noticed when it is decoded, and a damaged list costs nothing."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import DamagedArchiveError
from mapreel.core.contract.progress import SilentContext
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.encode import EncodeSettings, encode
from mapreel.core.nirvana.reel.fit import ReelFit

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
import nirvana_mutations


class Shot:
    """Grey frames with a stripe."""

    numbers, size = (1, 2, 3), (16, 24)

    def __init__(self, level):
        self.level = level

    def read(self, number):
        picture = np.full((16, 24, 3), self.level, np.uint8)
        picture[:, 4 * number : 4 * number + 4] = 255
        return picture


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    made = []
    for level in (40, 160):
        path = tmp_path_factory.mktemp("sums") / f"{level}.nirv"
        settings = EncodeSettings(fit=ReelFit(iterations=0), fps=Fraction(24), group_frames=1, intra_interval=1)
        encode(Shot(level), settings, path, SilentContext(), torch.device("cpu"))
        made.append(nirvana_mutations.Whole(path.read_bytes()))
    return made


def swapped(two, *, sums):
    first, second = two
    parts = first.copies()
    for part, other in zip(parts, second.parts, strict=True):
        if part.kind in (bits.GROUP, bits.MEANS) and part.number == 1:
            part.payload = other.payload
    return first.joined(parts, sums=sums)


def test_a_group_of_another_archive_is_noticed(two, tmp_path):
    path = tmp_path / "swapped.nirv"
    path.write_bytes(swapped(two, sums=False))
    with Archive(path) as archive:
        with pytest.raises(DamagedArchiveError, match=r"group 1 .* does not belong"):
            archive.frame(2)
        assert abs(int(archive.frame(1)[0, 0, 0]) - 40) < 20
        assert archive.verify().lost_frames == (2,)
    path.write_bytes(swapped(two, sums=True))  # what the list is there for
    with Archive(path) as archive:
        assert abs(int(archive.frame(2)[0, 0, 0]) - 160) < 20


def test_a_damaged_list_costs_no_picture(two, tmp_path):
    whole, path = two[0], tmp_path / "damaged.nirv"
    at = next(start for start, part in zip(whole.starts, whole.parts, strict=True) if part.kind == bits.SUMS)
    data = bytearray(whole.data)
    data[at + 17] ^= 1
    path.write_bytes(data)
    with Archive(path) as archive:
        assert len(list(archive.frames())) == 3
        assert "list of checksums" in archive.verify().faults[0]
    parts = [part for part in whole.copies() if part.kind != bits.SUMS]
    path.write_bytes(whole.joined(parts))
    with Archive(path) as archive:
        assert archive.verify().whole


def test_a_list_of_another_length_is_told(two, tmp_path):
    whole, path = two[0], tmp_path / "short.nirv"
    parts = whole.copies()
    next(part for part in parts if part.kind == bits.SUMS).payload = b"1234"
    path.write_bytes(whole.joined(parts, sums=False))
    with Archive(path) as archive:
        assert len(list(archive.frames())) == 3
        assert "another length" in archive.info.faults[0]
