# SPDX-License-Identifier: GPL-3.0-or-later
"""The viewer as a hand uses it: keys, wheel, drags, timeline, full screen; and what is drawn where."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import QPoint, QPointF, QSizeF, Qt
from PyQt6.QtGui import QImage, QWheelEvent
from PyQt6.QtTest import QSignalSpy
from PyQt6.QtWidgets import QApplication, QWidget

from mapreel.ui.state.shot import FoundShot, Layer, ShotKind
from mapreel.ui.state.viewer_plan import Mode
from mapreel.ui.state.viewport import Viewport
from mapreel.ui.views.viewer_view import ViewerView
from tests.ui.conftest import LIMIT_MS

KEYS = Qt.Key


@pytest.fixture(autouse=True)
def quiet(studio):
    """Nobody drafts: that would start a service."""
    studio.drafts.enabled = False


@pytest.fixture
def home(opened, qtbot, in_window):
    """A viewer inside a window, with the shot of frames 1001-1008 and 64x32 pixels."""
    view = in_window(ViewerView(opened))
    qtbot.waitUntil(lambda: painted(view), timeout=LIMIT_MS)
    view.canvas.setFocus()
    return view


def painted(view):
    now = view._viewer.shown
    return now is not None and all(now.panes) and view._viewer.rests


def press(qtbot, view, *keys, modifier=Qt.KeyboardModifier.NoModifier):
    for key in keys:
        qtbot.keyClick(view.canvas, key, modifier)


def grabbed(widget):
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    data = image.constBits().asarray(image.sizeInBytes())
    rows = np.frombuffer(data, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def wheel(canvas, at, notches):
    event = QWheelEvent(
        QPointF(at),
        QPointF(canvas.mapToGlobal(at)),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def test_keys_move_the_playhead(home, opened, qtbot):
    playback = opened.playback
    press(qtbot, home, KEYS.Key_Right, KEYS.Key_Right)
    assert playback.frame == 1003
    press(qtbot, home, KEYS.Key_I)
    press(qtbot, home, KEYS.Key_Right, KEYS.Key_Right, KEYS.Key_O, KEYS.Key_Home)
    assert (playback.frame, playback.shot.cut_in, playback.shot.cut_out) == (1003, 1003, 1005)
    press(qtbot, home, KEYS.Key_End)
    assert playback.frame == 1005
    press(qtbot, home, KEYS.Key_L, KEYS.Key_L)
    assert (playback.playing, playback.speed) == (True, 2)
    press(qtbot, home, KEYS.Key_K)
    assert not playback.playing
    press(qtbot, home, KEYS.Key_Space)
    assert playback.playing
    press(qtbot, home, KEYS.Key_Space)
    assert not playback.playing
    press(qtbot, home, KEYS.Key_L, modifier=Qt.KeyboardModifier.ShiftModifier)
    assert not playback.looping


def test_keys_change_what_is_seen(home, opened, qtbot):
    viewer = opened.viewer
    for key, mode in (
        (KEYS.Key_W, Mode.WIPE),
        (KEYS.Key_B, Mode.SIDE),
        (KEYS.Key_D, Mode.DIFFERENCE),
        (KEYS.Key_H, Mode.FLICKER),
        (KEYS.Key_S, Mode.SINGLE),
    ):
        press(qtbot, home, key)
        assert viewer.mode is mode
        assert home.tools.modes[mode].isChecked()
        assert home.tools.layer_b.isEnabled() == viewer.two
    press(qtbot, home, KEYS.Key_Down)
    assert viewer.layer_a is Layer.DRAFT
    press(qtbot, home, KEYS.Key_1)
    assert (viewer.fit, viewer.zoom) == (False, pytest.approx(1.0))
    press(qtbot, home, KEYS.Key_Plus)
    assert viewer.zoom == pytest.approx(1.25)
    press(qtbot, home, KEYS.Key_F)
    assert viewer.fit


def test_a_text_field_keeps_its_letters(home, opened, qtbot):
    field = home.transport.number
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "1006")
    qtbot.keyClick(field, KEYS.Key_Return)
    assert opened.playback.frame == 1006
    assert opened.viewer.fit


def test_the_picture_is_drawn_where_the_viewport_says(home, opened, qtbot):
    opened.viewer.layer_a = Layer.TRUTH
    press(qtbot, home, KEYS.Key_1)
    qtbot.waitUntil(lambda: painted(home) and opened.viewer.shown.layers == (Layer.TRUTH,), timeout=LIMIT_MS)
    rect = home.canvas.viewport().rects()[0].toRect()
    seen = grabbed(home.canvas)
    inside = seen[rect.top() : rect.top() + 32, rect.left() : rect.left() + 64]
    assert np.array_equal(inside, opened.frames.get(opened.shots.current, Layer.TRUTH, 1001))
    assert (seen[:4, :4] == seen[0, 0]).all()


def test_the_wheel_zooms_about_the_mouse_and_a_double_click_fits(home, opened, qtbot):
    canvas = home.canvas
    at = QPoint(200, 150)
    before = canvas.viewport().pixel_at(QPointF(at))
    wheel(canvas, at, 3)
    assert not opened.viewer.fit
    assert canvas.viewport().pixel_at(QPointF(at)) == before
    assert canvas.shown_zoom() == pytest.approx(canvas.viewport().scale())
    qtbot.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=at)
    assert opened.viewer.fit


def test_a_drag_pans(home, opened, qtbot):
    canvas = home.canvas
    before = canvas.viewport().rects()[0].topLeft()
    qtbot.mousePress(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(100, 100))
    qtbot.mouseMove(canvas, QPoint(130, 90))
    qtbot.mouseRelease(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(130, 90))
    after = canvas.viewport().rects()[0].topLeft()
    assert (after - before).toPoint() == QPoint(30, -10)


def test_the_wipe_is_taken_by_its_handle_and_turned_by_its_knob(home, opened, qtbot):
    viewer, canvas = opened.viewer, home.canvas
    viewer.layer_b, viewer.mode = Layer.TRUTH, Mode.WIPE
    rect = canvas.viewport().rects()[0]
    start = rect.center().toPoint()
    goal = QPoint(round(rect.left() + rect.width() / 4), start.y())
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(canvas, goal)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=goal)
    assert viewer.wipe_at[0] == pytest.approx(0.25, abs=0.01)
    knob = goal + QPoint(0, -90)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=knob)
    qtbot.mouseMove(canvas, goal + QPoint(90, 0))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=goal + QPoint(90, 0))
    assert viewer.wipe_angle == 90.0
    press(qtbot, home, KEYS.Key_BracketRight)
    assert viewer.wipe_angle == 105.0
    assert viewer.fit


def test_a_wipe_draws_a_on_the_left_and_b_on_the_right(home, opened, qtbot):
    viewer, shot = opened.viewer, opened.shots.current
    opened.frames.put(shot, Layer.DRAFT, 1001, np.full((32, 64, 3), (250, 10, 10), np.uint8))
    opened.frames.put(shot, Layer.ARCHIVE, 1001, np.full((32, 64, 3), (10, 10, 250), np.uint8))
    viewer.layer_a, viewer.layer_b, viewer.mode = Layer.DRAFT, Layer.ARCHIVE, Mode.WIPE
    qtbot.waitUntil(lambda: painted(home) and viewer.shown.layers == (Layer.DRAFT, Layer.ARCHIVE), timeout=LIMIT_MS)
    rect = home.canvas.viewport().rects()[0].toRect()
    for angle, left, right in ((0.0, 0, 2), (180.0, 2, 0)):
        viewer.wipe_angle = angle
        row = grabbed(home.canvas)[rect.center().y() + 40]
        assert row[rect.left() + 20].argmax() == left
        assert row[rect.right() - 20].argmax() == right


def test_the_timeline_scrubs_and_its_brackets_cut(home, opened, qtbot):
    timeline, playback = home.timeline, opened.playback
    y = timeline.height() - 6
    at = QPoint(round(timeline.place_of(1004)), 4)
    qtbot.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=at)
    assert playback.frame == 1004
    edge = QPoint(2, y)
    qtbot.mousePress(timeline, Qt.MouseButton.LeftButton, pos=edge)
    qtbot.mouseMove(timeline, QPoint(round(timeline.place_of(1003)), y))
    qtbot.mouseRelease(timeline, Qt.MouseButton.LeftButton, pos=QPoint(round(timeline.place_of(1003)), y))
    assert playback.shot.cut_in == 1003
    assert playback.frame == 1004


def test_a_long_shot_draws_its_timeline_once(studio, qtbot):
    found = FoundShot(
        kind=ShotKind.FOOTAGE, name="long", source="long", numbers=tuple(range(1, 5001)), size=(64, 32), gaps=(17,)
    )
    studio.shots.add(found)
    view = ViewerView(studio)
    qtbot.addWidget(view)
    view.resize(900, 700)
    view.show()
    qtbot.waitUntil(lambda: view.timeline._still is not None, timeout=LIMIT_MS)
    still = view.timeline._still
    for number in (100, 2500, 4999):
        studio.playback.go(number)
        view.timeline.repaint()
        assert view.timeline._still is still
        assert view.timeline.number_at(view.timeline.place_of(number)) == number


def test_what_the_mouse_reads_is_told(home, opened, qtbot):
    opened.viewer.layer_a = Layer.TRUTH
    rect = home.canvas.viewport().rects()[0]
    qtbot.mouseMove(home.canvas, rect.center().toPoint())
    qtbot.waitUntil(lambda: "class" in home.reads.toolTip(), timeout=LIMIT_MS)
    assert home.reads.toolTip().startswith("x 32  y 16")


def test_full_screen_and_back(home, opened, qtbot):
    window = home.parentWidget()
    window.layout().addWidget(QWidget())  # what stands below stays below
    press(qtbot, home, KEYS.Key_F11)
    assert home.is_full_screen
    assert home.parentWidget() is None
    press(qtbot, home, KEYS.Key_Escape)
    assert not home.is_full_screen
    assert home.parentWidget() is window
    assert window.layout().indexOf(home) == 0
    qtbot.waitUntil(home.isVisible, timeout=LIMIT_MS)


def test_nothing_is_painted_while_nothing_changes(home, opened, qtbot):
    qtbot.waitUntil(lambda: opened.viewer.rests, timeout=LIMIT_MS)
    QApplication.processEvents()
    paints = QSignalSpy(home.canvas.painted)
    opened.viewer.exposure = 0.0
    opened.playback.go(opened.playback.frame)
    opened.frames.came.emit(opened.shots.current, Layer.MOTION, 1)
    for _ in range(20):
        QApplication.processEvents()
    assert len(paints) == 0


@pytest.mark.parametrize("panes", [1, 2])
@pytest.mark.parametrize("zoom", [None, 0.5, 3.0])
@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_points_and_pixels_lead_to_each_other(panes, zoom, ratio):
    viewport = Viewport(QSizeF(800, 500), (640, 360), panes, zoom, (0.4, 0.6), ratio)
    for area, rect in zip(viewport.areas(), viewport.rects(), strict=True):
        for pixel in ((0, 0), (300, 200), (639, 359)):
            x = rect.left() + (pixel[0] + 0.5) / 640 * rect.width()
            y = rect.top() + (pixel[1] + 0.5) / 360 * rect.height()
            if area.contains(QPointF(x, y)):
                assert viewport.pixel_at(QPointF(x, y)) == pixel
        assert (rect.left() * ratio).is_integer()
    assert viewport.pixel_at(QPointF(-5, -5)) is None


def test_a_picture_that_fits_fills_one_side():
    wide = Viewport(QSizeF(800, 500), (640, 360))
    assert wide.rects()[0].width() == 800
    tall = Viewport(QSizeF(800, 500), (100, 400))
    assert tall.rects()[0].height() == 500
    assert len(Viewport(QSizeF(800, 500), (100, 400), 2).areas()) == 2
