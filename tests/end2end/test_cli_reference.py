# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference frames as a user gives them."""

from __future__ import annotations

import numpy as np

from mapreel.core.media.images import read_color, write_png


def test_a_reference_stands_in_the_take(warm_mapreel, words, shot, tmp_path):
    look = tmp_path / "look.png"
    write_png(look, np.random.default_rng(1).integers(0, 256, (64, 128, 3), np.uint8))
    run = warm_mapreel(*words(shot, tmp_path / "out", "--reference", f"1002={look}", "--frames", "1001-1003"))
    assert run.code == 0, run.stderr
    assert np.array_equal(read_color(tmp_path / "out" / "1002.png"), read_color(look))
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
