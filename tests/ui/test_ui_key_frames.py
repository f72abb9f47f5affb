# SPDX-License-Identifier: GPL-3.0-or-later
"""Key frames of the take that is looked at: read from its record, marked, and reached by keys and buttons."""

from __future__ import annotations

import json

import pytest
from PyQt6.QtCore import QPoint, Qt

from mapreel.ui.state.key_frames import read_key_frames
from mapreel.ui.views.viewer_view import ViewerView

LIMIT_MS = 60_000


@pytest.fixture
def take(tmp_path, make_pictures):
    """A take of frames 1001-1008 with key frames 1001, 1004 and 1008."""
    folder = make_pictures(tmp_path / "take", range(1001, 1009))
    record(folder, keys=[1001, 1004, 1008])
    return folder


def record(folder, **changes):
    told = {"format": "mapreel-take", "version": 1, "frames": "1001-1008", "keys": [], **changes}
    (folder / "mapreel.json").write_text(json.dumps(told), encoding="utf-8")


def test_what_the_record_tells(take, tmp_path):
    assert read_key_frames(str(take)) == (1001, 1004, 1008)
    record(take, keys=list(range(1001, 1009)))  # full quality: nothing to tell apart
    assert read_key_frames(str(take)) == ()
    for broken in ({"keys": "x"}, {"keys": [None]}, {"frames": "1-"}):
        record(take, **broken)
        assert read_key_frames(str(take)) == ()
    (take / "mapreel.json").write_bytes(b"\xff{")
    assert read_key_frames(str(take)) == ()
    assert read_key_frames(str(tmp_path / "beauty.mp4")) == ()


def test_keys_and_buttons_go_from_key_frame_to_key_frame(opened, take, qtbot, in_window):
    opened.drafts.enabled = False
    view = in_window(ViewerView(opened))
    transport, playback = view.transport, opened.playback
    assert not transport.key_on.isEnabled()
    assert "no key frames" in transport.key_on.toolTip()
    opened.shots.current.add_take(str(take))
    opened.shots.current.references = ((1006, str(take / "1006.png")),)
    qtbot.waitUntil(lambda: opened.key_frames.numbers == (1001, 1004, 1008), timeout=LIMIT_MS)
    view.canvas.setFocus()
    for key, number in (
        (Qt.Key.Key_PageDown, 1004),
        (Qt.Key.Key_PageDown, 1008),
        (Qt.Key.Key_PageDown, 1008),
        (Qt.Key.Key_PageUp, 1004),
    ):
        qtbot.keyClick(view.canvas, key)
        assert playback.frame == number
    qtbot.mouseClick(transport.key_back, Qt.MouseButton.LeftButton)
    assert playback.frame == 1001
    assert transport.key_back.accessibleName() == "To the key frame before"
    timeline = view.timeline
    for number, words in ((1004, "Key frame 1004"), (1006, "1006.png"), (1002, "Drag to scrub")):
        qtbot.mouseMove(timeline, QPoint(round(timeline.place_of(number)), 20))
        assert words in timeline.toolTip()
    opened.shots.current.result = ""
    assert opened.key_frames.numbers == ()
    assert not transport.key_on.isEnabled()


def test_a_key_frame_is_drawn(opened, take, qtbot):
    opened.drafts.enabled = False
    view = ViewerView(opened)
    qtbot.addWidget(view)
    view.resize(900, 700)
    view.show()
    opened.playback.go(1002)
    before = view.timeline.grab().toImage()
    opened.shots.current.takes = (str(take),)
    opened.key_frames.numbers = (1004,)
    after = view.timeline.grab().toImage()
    x = round(view.timeline.place_of(1004))
    changed = {
        column
        for column in range(after.width())
        if any(before.pixel(column, row) != after.pixel(column, row) for row in range(after.height()))
    }
    assert changed
    assert changed <= {x - 1, x, x + 1}
