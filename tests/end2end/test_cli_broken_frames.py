# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps that break inside a shot, through the service: their frames fail with a sentence, all else lives."""

from __future__ import annotations

import numpy as np
import pytest

from mapreel.core.media.images import write_png


def cut(path):
    """The file as a full disk or a renderer that died leaves it."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def scrambled(path):
    """The header is right, what follows is not."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3 :] = bytes((7 * i + 91) % 256 for i in range(len(data) - len(data) // 3))
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("kind", "ending", "spoil"), [("label", "png", cut), ("instance", "png", scrambled), ("motion", "exr", scrambled)]
)
def test_a_broken_frame_fails_alone_and_with_a_sentence(warm_mapreel, words, shot, tmp_path, kind, ending, spoil):
    before = warm_mapreel.facts()
    spoil(shot / kind / f"1004.{ending}")
    run = warm_mapreel(*words(shot, tmp_path / "out"))
    assert run.code == 1, run.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
    for word in ("frame 1004", f"1004.{ending}", "; "):
        assert word in run.sentence
    assert not list(tmp_path.glob("out*/*.tmp*")), "half files"
    assert warm_mapreel.facts()["pid"] == before.get("pid", warm_mapreel.facts()["pid"]), "another service answers"


def test_the_next_job_works_and_its_spoilt_take_is_told(warm_mapreel, words, shot, tmp_path):
    take = tmp_path / "take"
    run = warm_mapreel(*words(shot, take))
    assert run.code == 0, run.stderr
    assert sorted(path.stem for path in take.glob("*.png")) == [str(number) for number in range(1001, 1007)]
    (take / "1002.png").unlink()
    write_png(take / "1003.png", np.zeros((64, 128, 3), np.uint8))
    run = warm_mapreel("verify", take)
    assert run.code == 1
    for number in ("1002", "1003"):
        assert number in run.stdout + run.stderr
