# SPDX-License-Identifier: GPL-3.0-or-later
"""Drafts in the panel, by a real service with the shipped model."""

from __future__ import annotations

import pytest

from mapreel.core.contract.errors import UnknownLabelError
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.state.shot import Layer

LIMIT_MS = 120_000


@pytest.fixture
def drafting(opened, qtbot, monkeypatch):
    """A studio whose service runs, with a shot open that the model knows."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    opened.start()
    qtbot.waitUntil(lambda: opened.bridge.state is ServiceState.HERE, timeout=LIMIT_MS)
    return opened


def test_the_frame_under_the_playhead_is_drafted_and_refined(drafting, qtbot):
    shot, drafts = drafting.shots.current, drafting.drafts
    qtbot.waitUntil(lambda: drafts.rank == 3, timeout=LIMIT_MS)
    assert drafting.frames.get(shot, Layer.DRAFT, 1001).shape == (32, 64, 3)
    drafting.playback.go(1004)
    drafting.playback.go(1006)
    qtbot.waitUntil(lambda: drafts.rank >= 1, timeout=LIMIT_MS)
    assert drafting.frames.has(shot, Layer.DRAFT, 1006)
    assert drafts.sentence == ""
    drafting.playback.go(1001)
    assert drafts.rank == 3  # it stands in memory
    shot.maps_version += 1
    assert not drafting.frames.has(shot, Layer.DRAFT, 1001)
    qtbot.waitUntil(lambda: drafts.rank == 3, timeout=LIMIT_MS)


def test_the_first_draft_is_looked_at_and_none_that_nobody_sees_is_asked_for(drafting, qtbot):
    viewer, drafts = drafting.viewer, drafting.drafts
    assert viewer.layer_a is Layer.LABELS
    qtbot.waitUntil(lambda: viewer.layer_a is Layer.DRAFT, timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: drafts.rank == 3, timeout=LIMIT_MS)
    viewer.layer_a = Layer.LABELS
    assert not drafts.watched
    drafting.playback.go(1005)
    assert drafts.rank == 0
    viewer.layer_a = Layer.DRAFT
    qtbot.waitUntil(lambda: drafts.rank >= 1, timeout=LIMIT_MS)


def test_a_better_draft_is_never_replaced_by_a_worse_one(drafting, qtbot):
    shot = drafting.shots.current
    qtbot.waitUntil(lambda: drafting.drafts.rank == 3, timeout=LIMIT_MS)
    best = drafting.frames.get(shot, Layer.DRAFT, 1001)
    assert not drafting.frames.put(shot, Layer.DRAFT, 1001, best * 0, quality=1)
    assert drafting.frames.get(shot, Layer.DRAFT, 1001) is best


def test_what_the_model_cannot_draw_is_said_once_and_asked_once(studio, qtbot, tmp_path, make_labels, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = make_labels(tmp_path / "strange", [1, 2, 3], classes=40)
    studio.start()
    studio.shots.open_paths([str(folder)])
    qtbot.waitUntil(lambda: bool(studio.messages.standing), timeout=LIMIT_MS)
    message = studio.messages.standing[-1]
    assert UnknownLabelError.code in message.detail
    studio.messages.put_away(message)
    studio.drafts.ask()
    assert studio.drafts.sentence == ""
    qtbot.wait(300)
    assert not studio.messages.standing


def test_no_draft_is_asked_for_when_they_are_off(studio, qtbot, shot_folder, state_root):
    studio.drafts.enabled = False
    studio.shots.open_paths([str(shot_folder)])
    qtbot.waitUntil(lambda: studio.shots.current is not None, timeout=LIMIT_MS)
    studio.playback.step()
    qtbot.wait(300)
    assert not (state_root / "service.json").exists()  # a question would have started one
