# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel bench archive` writes, decodes and compares; what one codec cannot do costs the others nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapreel.core.media.images import write_png


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
    words = ["--source", shot, "--frames", "1001-1003", "--crop", "64x32", "--crf", "8,24", "--at", "35"]
    plot = tmp_path / "curves.png"
    run = warm_mapreel("bench", "archive", *words, "--codecs", "x264,x264-444", "--plot", plot, "--json")
    assert run.code == 0, run.stderr
    found = run.data["archive"]
    assert (found["clip"]["frames"], found["clip"]["width"], found["clip"]["height"]) == (3, 64, 32)
    for figures in found["codecs"].values():
        assert len(figures["points"]) == 2
        for point in figures["points"]:
            check(point)
    assert set(found["bd_rate"]["x264-444"]) == {"x264"}
    assert set(found["bits_at"]["x264-444"]) == {"35"}
    drawn = cv2.imread(str(plot))
    assert drawn is not None
    assert drawn.std() > 5


def check(point):
    """Figures of three frames of 64 x 32 px belong together."""
    assert point["bits_per_pixel"] == pytest.approx(8 * point["bytes"] / (3 * 64 * 32))
    assert point["psnr_db"] >= point["psnr_db_worst_frame"] > 10
    assert point["encode_frames_per_second"] == pytest.approx(3 / point["encode_seconds"])
    assert point["decode_cpu_seconds"] > 0
    assert point["decode_peak_mb"] is None or point["decode_peak_mb"] > 20


def test_our_profiles(warm_mapreel, shot):
    words = ["--source", shot, "--frames", "1001-1003", "--crop", "64x32", "--psnr", "12", "--codecs", "nirvana"]
    run = warm_mapreel("bench", "archive", *words, "--json")
    assert run.code == 0, run.stderr
    found = run.data["archive"]["codecs"]["nirvana"]
    assert [point["target_db"] for point in found["points"]] == [12.0]
    check(found["points"][0])
    assert found["iteration"]["flop"] > 1e6
    assert found["iteration"]["pixels"] == 3 * 64 * 32


def test_what_cannot_be_encoded_is_said_and_the_rest_is_measured(warm_mapreel, shot):
    words = ["--source", shot, "--crop", "63x33", "--scale", "61x31", "--crf", "20", "--codecs", "x264,x264-444"]
    run = warm_mapreel("bench", "archive", *words)
    assert run.code == 0, run.stderr
    assert "cannot be 4:2:0" in run.stdout
    assert "x264-444  crf 20" in run.stdout


@pytest.mark.parametrize(
    "wrong",
    [("--crop", "9999x8"), ("--codecs", "vp9"), ("--crf", "99")],
)
def test_wrong_options(warm_mapreel, shot, wrong):
    run = warm_mapreel("bench", "archive", "--source", shot, *wrong)
    assert run.code == 2
    assert run.sentence.count(";") == 1
