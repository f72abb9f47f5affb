# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of profile reel, written once by version 2, that must open for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mapreel.core.nirvana.archive import Archive

GOLDEN = Path(__file__).with_name("nirvana_golden") / "reel_v2.nirv"
SYMBOLS = (1743862334, 1977834947)


def test_symbols_are_exact_and_pictures_within_a_step():
    """Eight frames of 50 x 34 px in two groups: references on both sides, motion, a group that leans on another."""
    with Archive(GOLDEN) as opened:
        assert opened.header.profile == "reel"
        assert tuple(opened.symbols_crc(group) for group in range(2)) == SYMBOLS
        assert opened.verify().whole
        pictures = np.stack([picture for _, picture in opened.frames()])
    expected = np.load(GOLDEN.with_suffix(".npz"))["pictures"]
    assert pictures.shape == expected.shape == (8, 34, 50, 3)
    assert np.abs(pictures.astype(int) - expected).max() <= 1
