# SPDX-License-Identifier: GPL-3.0-or-later
"""What `bench archive` makes of its points: ratios at the very same PSNR, times to the same PSNR, a table."""

from __future__ import annotations

import pytest

from mapreel.core.benchmarks_archive import _bits, _ratios, _time
from mapreel.core.benchmarks_archive_clip import parse_size
from mapreel.core.benchmarks_archive_codecs import _Watched
from mapreel.core.commands.bench_archive import _codecs, _numbers, _presets, archive_lines
from mapreel.core.contract.errors import CancelledError, UsageError
from mapreel.core.contract.progress import Progress


def point(psnr_db, bits_per_pixel, seconds=1.0, **setting):
    figures = dict.fromkeys(("encode_frames_per_second", "decode_frames_per_second", "encode_peak_mb"), 1.0)
    own = {"psnr_db": psnr_db, "bits_per_pixel": bits_per_pixel, "encode_seconds": seconds, "bytes": 1}
    return {**figures, "decode_peak_mb": None, **own, **setting}


def ours(psnr_db, bits_per_pixel, seconds, target_db):
    return point(psnr_db, bits_per_pixel, seconds, preset="draft", target_db=target_db)


X264 = [point(30.0, 0.1, crf=30), point(34.0, 0.4, crf=20)]


def test_bits_are_compared_at_our_own_quality():
    rows = _ratios([ours(32.0, 0.1, 1.0, 32.0), ours(29.0, 0.1, 1.0, 29.0)], {"x264": X264})
    assert rows[0]["x264"] == pytest.approx(0.5)  # a straight line in log-bits: 0.2 at 32 dB
    assert rows[1]["x264"] is None  # below what was measured
    assert rows[0]["x265"] is None  # not measured at all
    assert _bits(X264, 32.0) == pytest.approx(0.2)


def test_the_quickest_encode_that_gets_there_counts():
    slow = {
        "points": [ours(30.1, 1.0, 50.0, 30.0), ours(31.0, 1.0, 40.0, 31.0), ours(29.0, 1.0, 5.0, 30.0)],
        "stopped": [],
    }
    quick = {"points": [ours(30.0, 0.1, 2.0, 30.0), ours(29.9, 0.1, 1.0, 30.0)], "stopped": []}
    found = _time(30.0, {"nirvana": slow, "reel": quick})
    assert (found["nirvana"], found["reel"], found["ratio"], found["at_least"]) == (40.0, 2.0, 20.0, False)


def test_an_encode_that_never_gets_there_is_a_lower_bound():
    stopped = [{"preset": "best", "target_db": 33.0, "encode_seconds": 600.0, "frames_done": 3}]
    slow = {"points": [ours(30.1, 1.0, 50.0, 33.0)], "stopped": stopped}
    quick = {"points": [ours(33.1, 0.3, 6.0, 33.0)], "stopped": []}
    found = _time(33.0, {"nirvana": slow, "reel": quick})
    assert (found["ratio"], found["at_least"]) == (100.0, True)
    assert _time(33.0, {"nirvana": slow, "reel": slow})["ratio"] is None


def test_the_table_has_everything_and_guesses_nothing():
    slow = {"points": [ours(30.1, 1.0, 50.0, 30.0)], "stopped": [], "iteration": {"ms": 9.0, "flop": 2e9, "pixels": 7}}
    found = {
        "clip": {"source": "shot", "frames": 24, "width": 320, "height": 160},
        "codecs": {"nirvana": slow, "x264": {"points": X264, "stopped": []}, "x265": {"refused": "It has no codec."}},
        "bd_rate": {"nirvana": {"x264": None}},
        "bits_at": {"nirvana": {"30.5": None}, "x264": {"30.5": 0.12}},
        "ratios": {"nirvana": [{"psnr_db": 30.1, "bits_per_pixel": 1.0, "x264": 9.5}]},
        "times": [{"target_db": 30.0, "nirvana": 600.0, "reel": 6.0, "ratio": 100.0, "at_least": True}],
    }
    text = "\n".join(archive_lines(found))
    assert "x265: It has no codec." in text
    assert "9.00 ms, 2.00 GFLOP" in text
    assert "more than 100.0 times" in text
    assert "x264        0.1200" in text


@pytest.mark.parametrize("text", ["64", "64x", "0x4", "-1x4", "64x32x3", "99999x1"])
def test_sizes_that_are_none(text):
    with pytest.raises(UsageError, match="--crop"):
        parse_size("--crop", text)


def test_lists_of_options():
    assert parse_size("--crop", "1280X640") == (640, 1280)
    assert _numbers("--psnr", "27, 30.5,27") == (27.0, 30.5)
    assert _codecs("x264, reel") == ("x264", "reel")
    for wrong in (lambda: _numbers("--psnr", "x"), lambda: _numbers("--crf", "99", most=51), lambda: _presets("x")):
        with pytest.raises(UsageError):
            wrong()


def test_the_time_limit_stops_an_encode_and_knows_how_far_it_was():
    shown = []
    within, over = _Watched(shown.append, 60.0), _Watched(shown.append, -1.0)
    within.check()
    over.report(Progress(7, 24, "encode"))
    with pytest.raises(CancelledError):
        over.check()
    assert over.done == shown[0].done == 7
