# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel bench archive` writes, decodes and compares; what one codec cannot do costs the others nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapreel.core.media.images import write_png

OURS = ("--psnr", "12")


@pytest.fixture
def shot(tmp_path):
    """Four frames of 64 x 48 px of noise with large and small forms, moving."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 80, 3)).astype(np.uint8)
    forms = cv2.GaussianBlur(noise, (0, 0), 4) // 2 + cv2.GaussianBlur(noise, (0, 0), 1.5) // 2
    (tmp_path / "shot").mkdir()
    for number in range(4):
        write_png(tmp_path / "shot" / f"{1001 + number}.png", forms[:, 3 * number : 64 + 3 * number])
    return tmp_path / "shot"


def test_side_by_side(warm_mapreel, shot, tmp_path):
    words = ["--source", shot, "--frames", "1001-1003", "--crop", "64x32", *OURS, "--crf", "8,24", "--at", "38"]
    plot = tmp_path / "curves.png"
    run = warm_mapreel("bench", "archive", *words, "--codecs", "nirvana,x264-444,x265-444", "--plot", plot, "--json")
    assert run.code == 0, run.stderr
    found = run.data["archive"]
    assert (found["clip"]["frames"], found["clip"]["width"], found["clip"]["height"]) == (3, 64, 32)
    for codec, figures in found["codecs"].items():
        for point in figures["points"]:
            assert point["bits_per_pixel"] == pytest.approx(8 * point["bytes"] / (3 * 64 * 32))
            assert point["psnr_db"] >= point["psnr_db_worst_frame"] > 10
            assert point["encode_frames_per_second"] == pytest.approx(3 / point["encode_seconds"])
            assert point["decode_peak_mb"] > 20
        assert len(figures["points"]) == (1 if codec == "nirvana" else 2)
    assert found["codecs"]["nirvana"]["iteration"]["flop"] > 1e6
    assert set(found["bd_rate"]["x265-444"]) == {"x264-444"}
    assert abs(found["bd_rate"]["x265-444"]["x264-444"]) < 1.5
    assert found["bits_at"]["x264-444"]["38"] > 0
    drawn = cv2.imread(str(plot))
    assert drawn is not None
    assert drawn.std() > 5


def test_what_cannot_be_encoded_is_said_and_the_rest_is_measured(warm_mapreel, shot):
    words = ["--source", shot, "--crop", "63x33", "--scale", "61x31", "--crf", "20", "--codecs", "x264,x264-444"]
    run = warm_mapreel("bench", "archive", *words)
    assert run.code == 0, run.stderr
    assert "cannot be 4:2:0" in run.stdout
    assert "x264-444  crf 20" in run.stdout


def test_an_encode_that_takes_too_long_is_given_up(warm_mapreel, shot):
    words = ["--source", shot, "--psnr", "60", "--preset", "best", "--limit", "1", "--codecs", "nirvana"]
    run = warm_mapreel("bench", "archive", *words)
    assert run.code == 0, run.stderr
    assert "given up after" in run.stdout


@pytest.mark.parametrize(
    "wrong",
    [("--crop", "9999x8"), ("--codecs", "vp9"), ("--crf", "99")],
)
def test_wrong_options(warm_mapreel, shot, wrong):
    run = warm_mapreel("bench", "archive", "--source", shot, *wrong)
    assert run.code == 2
    assert run.sentence.count(";") == 1
