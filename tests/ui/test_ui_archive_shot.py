# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive opened like a movie: what it holds and its frames come from the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapreel.ui.state.shot import Layer, ShotKind

GOLDEN = Path(__file__).parents[1] / "integration" / "nirvana_golden" / "reel_v2.nirv"
LIMIT_MS = 120_000


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_an_archive_is_opened_and_scrubbed(studio, qtbot):
    studio.start()
    studio.shots.open_paths([str(GOLDEN)])
    qtbot.waitUntil(lambda: studio.shots.current is not None, timeout=LIMIT_MS)
    shot = studio.shots.current
    assert shot.kind is ShotKind.ARCHIVE
    assert shot.numbers
    assert studio.viewer.layer_a is Layer.ARCHIVE
    assert Layer.DRAFT not in studio.viewer.layers
    last = shot.numbers[-1]
    studio.playback.go(last)
    qtbot.waitUntil(lambda: studio.frames.has(shot, Layer.ARCHIVE, last), timeout=LIMIT_MS)
    assert studio.frames.get(shot, Layer.ARCHIVE, last).shape == (shot.size[1], shot.size[0], 3)


def test_a_damaged_archive_is_one_sentence(studio, qtbot, tmp_path):
    cut = tmp_path / "cut.nirv"
    cut.write_bytes(GOLDEN.read_bytes()[:100])
    studio.start()
    studio.shots.open_paths([str(cut)])
    qtbot.waitUntil(lambda: bool(studio.messages.standing), timeout=LIMIT_MS)
    assert "cut.nirv" in studio.messages.standing[-1].text
    assert studio.messages.standing[-1].remedy
    assert studio.shots.open == ()
    assert studio.shots.opening == ()
