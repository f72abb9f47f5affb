# SPDX-License-Identifier: GPL-3.0-or-later
"""What the viewer shows, pixel by pixel: layers, comparisons, colours, what the mouse reads, what is still to come."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapreel.core.media.colour import to_light
from mapreel.core.media.palettes import load_palette
from mapreel.core.media.writers import write_exr
from mapreel.ui.state.shot import Layer
from mapreel.ui.state.viewer_plan import Mode
from tests.ui.conftest import LIMIT_MS, write_labels, write_pictures

SRGB, FILM = "sRGB - Display", "ACES 2.0 - SDR 100 nits (Rec.709)"


@pytest.fixture(autouse=True)
def quiet(studio):
    """Nobody drafts: that would start a service."""
    studio.drafts.enabled = False


@pytest.fixture
def looking(opened, qtbot):
    """The shot of label/ and color/, open in the viewer, its labels shown."""
    qtbot.waitUntil(lambda: shown(opened) is not None and bool(opened.viewer.classes), timeout=LIMIT_MS)
    return opened


def shown(studio):
    return studio.viewer.shown


def picture(studio, pane=0):
    """What is on the screen, RGB."""
    return studio.viewer.shown.panes[pane].pixels[..., 2::-1]


def wait_for(qtbot, condition):
    qtbot.waitUntil(lambda: bool(condition()), timeout=LIMIT_MS)


def is_like(studio, wanted):
    """A condition: every pixel is as wanted."""
    return lambda: np.array_equal(picture(studio), wanted)


def is_unlike(studio, other):
    return lambda: not np.array_equal(picture(studio), other)


def settle(studio, qtbot, number=None):
    """Until the playhead's frame is shown as the state wants it, by the exact way."""
    viewer, number = studio.viewer, studio.playback.frame if number is None else number

    def there():
        plan, now = viewer.plan(), viewer.shown
        return (
            now is not None and (now.number, now.mode, now.layers) == (number, plan.mode, plan.panes()) and plan.exact
        )

    qtbot.waitUntil(there, timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: viewer.rests, timeout=LIMIT_MS)


def stored(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_labels_are_painted_by_the_palette(looking, qtbot, shot_folder):
    settle(looking, qtbot)
    ids = stored(shot_folder / "label/1001.png")
    colors = {entry.id: entry.color for entry in load_palette("street").classes}
    assert (picture(looking) == np.array([colors[i] for i in range(5)], np.uint8)[ids]).all()
    assert looking.viewer.layers[:3] == (Layer.LABELS, Layer.DRAFT, Layer.TRUTH)


def test_another_layer_and_another_frame(looking, qtbot, shot_folder):
    looking.viewer.layer_a = Layer.TRUTH
    looking.playback.go(1006)
    settle(looking, qtbot)
    assert (picture(looking) == stored(shot_folder / "color/1006.png")[..., ::-1]).all()


def test_wipe_and_side_show_both(looking, qtbot, shot_folder):
    looking.viewer.layer_a, looking.viewer.layer_b = Layer.TRUTH, Layer.LABELS
    for mode in (Mode.WIPE, Mode.SIDE):
        looking.viewer.mode = mode
        settle(looking, qtbot)
        assert shown(looking).layers == (Layer.TRUTH, Layer.LABELS)
        assert (picture(looking) == stored(shot_folder / "color/1001.png")[..., ::-1]).all()
        assert (picture(looking, 1) != picture(looking)).any()
    looking.viewer.swap()
    settle(looking, qtbot)
    assert shown(looking).layers == (Layer.LABELS, Layer.TRUTH)


def test_a_difference_is_measured_and_multiplied(looking, qtbot, shot_folder):
    shot, truth = looking.shots.current, stored(shot_folder / "color/1001.png")[..., ::-1]
    looking.frames.put(shot, Layer.DRAFT, 1001, np.clip(truth.astype(int) - 5, 0, 255).astype(np.uint8))
    looking.viewer.layer_a, looking.viewer.layer_b, looking.viewer.mode = Layer.TRUTH, Layer.DRAFT, Mode.DIFFERENCE
    looking.viewer.gain = 3.0
    settle(looking, qtbot)
    assert shown(looking).measure == pytest.approx(np.minimum(truth, 5).mean(), abs=0.01)
    assert (picture(looking) == np.minimum(truth, 5) * 3).all()


def test_flicker_is_measured_against_the_frame_before(looking, qtbot):
    looking.viewer.layer_a, looking.viewer.mode = Layer.TRUTH, Mode.FLICKER
    settle(looking, qtbot)
    assert shown(looking).measure is None  # nothing comes before the first frame
    looking.playback.go(1004)
    settle(looking, qtbot)
    assert shown(looking).measure is not None


def test_a_better_draft_is_shown_when_it_comes(looking, qtbot):
    shot, viewer = looking.shots.current, looking.viewer
    viewer.layer_a = Layer.DRAFT
    qtbot.waitUntil(lambda: viewer.shown is not None and viewer.shown.panes == (None,), timeout=LIMIT_MS)
    for quality, value in ((0, 60), (2, 90)):
        looking.frames.put(shot, Layer.DRAFT, 1001, np.full((32, 64, 3), value, np.uint8), quality=quality)
        qtbot.waitUntil(
            lambda value=value: viewer.shown.panes[0] is not None and (picture(looking) == value).all(),
            timeout=LIMIT_MS,
        )


def test_light_of_an_exr_looks_like_its_picture_and_a_stop_doubles_it(studio, qtbot, tmp_path):
    (tmp_path / "plate").mkdir()
    codes = np.random.default_rng(3).integers(20, 120, (24, 32, 3)).astype(np.uint8)
    for number in (1, 2):
        write_exr(tmp_path / f"plate/{number:04d}.exr", to_light(codes.astype(np.float32) / 255))
    studio.shots.open_paths([str(tmp_path / "plate")])
    qtbot.waitUntil(lambda: shown(studio) is not None, timeout=LIMIT_MS)
    settle(studio, qtbot)
    assert np.abs(picture(studio).astype(int) - codes).max() <= 1
    studio.viewer.exposure = 1.0
    settle(studio, qtbot)
    brighter = to_light(picture(studio).astype(np.float32) / 255) / to_light(codes.astype(np.float32) / 255)
    assert np.median(brighter) == pytest.approx(2.0, rel=0.05)


def test_a_view_of_a_display_is_shown_exactly_at_rest_and_remembered(looking, qtbot):
    viewer = looking.viewer
    viewer.start()
    qtbot.waitUntil(lambda: bool(viewer.displays), timeout=LIMIT_MS)
    viewer.layer_a = Layer.TRUTH
    settle(looking, qtbot)
    plain = picture(looking).copy()
    viewer.choose_view(SRGB, FILM)
    wait_for(qtbot, is_unlike(looking, plain))
    assert looking.preferences.kept("viewer") == {"display": SRGB, "view": FILM}
    viewer.choose_view("", "")
    wait_for(qtbot, is_like(looking, plain))


def test_a_colour_config_that_is_not_there_is_told(looking, qtbot):
    looking.viewer.config = "/nowhere/config.ocio"
    looking.viewer.start()
    qtbot.waitUntil(lambda: "config.ocio" in looking.viewer.trouble, timeout=LIMIT_MS)
    assert looking.viewer.displays == ()


def test_a_view_that_is_not_there_is_told_and_plain_srgb_shown(looking, qtbot, shot_folder):
    viewer = looking.viewer
    viewer.layer_a = Layer.TRUTH
    viewer.choose_view(SRGB, "no such view")
    qtbot.waitUntil(lambda: "no such view" in viewer.trouble, timeout=LIMIT_MS)
    settle(looking, qtbot)
    assert (picture(looking) == stored(shot_folder / "color/1001.png")[..., ::-1]).all()


def test_labels_over_the_picture_and_patterns_on_them(looking, qtbot, shot_folder):
    viewer = looking.viewer
    settle(looking, qtbot)
    labels = picture(looking).copy()
    viewer.layer_a, viewer.overlay = Layer.TRUTH, 0.5
    settle(looking, qtbot)
    truth = stored(shot_folder / "color/1001.png")[..., ::-1]
    qtbot.waitUntil(
        lambda: np.abs(picture(looking).astype(int) - (truth.astype(int) + labels) / 2).max() <= 1, timeout=LIMIT_MS
    )
    viewer.layer_a = Layer.LABELS
    looking.preferences.patterns = True
    qtbot.waitUntil(
        lambda: picture(looking).shape == labels.shape and (picture(looking) != labels).any(), timeout=LIMIT_MS
    )


def test_what_lies_under_the_mouse(looking, qtbot, shot_folder):
    viewer = looking.viewer
    viewer.layer_a = Layer.TRUTH
    settle(looking, qtbot)
    viewer.pointer = (40, 9)
    qtbot.waitUntil(lambda: viewer.read_out is not None and viewer.read_out.class_id is not None, timeout=LIMIT_MS)
    wanted = stored(shot_folder / "color/1001.png")[9, 40, ::-1]
    assert viewer.read_out.colors == ((Layer.TRUTH, tuple(float(part) for part in wanted)),)
    label = int(stored(shot_folder / "label/1001.png")[9, 40])
    assert (viewer.read_out.class_id, viewer.read_out.class_name) == (label, load_palette("street").names[label])
    viewer.pointer = None
    assert viewer.read_out is None


def test_a_take_is_looked_at_and_its_frames_come_as_they_are_written(looking, qtbot, tmp_path):
    viewer, shot = looking.viewer, looking.shots.current
    write_pictures(tmp_path / "take", [1001])
    shot.add_take(str(tmp_path / "take"))
    settle(looking, qtbot)
    assert viewer.layer_a is Layer.RESULT
    looking.playback.go(1002)
    qtbot.waitUntil(lambda: viewer.shown.number == 1002 and viewer.shown.panes == (None,), timeout=LIMIT_MS)
    write_pictures(tmp_path / "take", [1002])
    qtbot.waitUntil(lambda: viewer.shown.number == 1002 and viewer.shown.panes != (None,), timeout=LIMIT_MS)


def test_a_shot_that_vanishes_is_told_and_the_viewer_goes_on(looking, qtbot, shot_folder):
    (shot_folder / "label/1005.png").unlink()
    looking.shots.current.maps_version += 1
    looking.playback.go(1005)
    viewer = looking.viewer
    qtbot.waitUntil(lambda: viewer.shown.number == 1005 and "1005" in "".join(viewer.shown.notes), timeout=LIMIT_MS)
    looking.playback.go(1006)
    settle(looking, qtbot)


def test_maps_that_change_on_disk_change_on_the_screen(looking, qtbot, shot_folder):
    settle(looking, qtbot)
    old = picture(looking).copy()
    write_labels(shot_folder / "label", [1001], classes=3)
    looking.shots.current.maps_version += 1
    wait_for(qtbot, is_unlike(looking, old))


def test_an_edited_palette_is_seen_at_once(looking, qtbot):
    settle(looking, qtbot)
    editor = looking.palette_editor
    qtbot.waitUntil(lambda: bool(editor.document.classes), timeout=LIMIT_MS)
    editor.document = editor.document.recolored(0, (1, 2, 3))
    qtbot.waitUntil(lambda: (picture(looking) == (1, 2, 3)).all(axis=2).any(), timeout=LIMIT_MS)


def test_playing_shows_frames_in_order_and_none_that_has_not_come(looking, qtbot):
    viewer, numbers = looking.viewer, []
    viewer.layer_a = Layer.TRUTH
    settle(looking, qtbot)
    viewer.shown_changed.connect(lambda now: numbers.append(now.number))
    looking.playback.looping = False
    looking.playback.play()
    qtbot.waitUntil(lambda: not looking.playback.playing and viewer.shown.number == 1008, timeout=LIMIT_MS)
    assert numbers == sorted(numbers)
    assert all(pane is not None for pane in viewer.shown.panes)


def test_frames_that_come_too_late_are_shown_late_rather_than_never(looking, qtbot):
    viewer, playback, shot = looking.viewer, looking.playback, looking.shots.current
    viewer.layer_a = Layer.DRAFT
    numbers = []
    viewer.shown_changed.connect(lambda now: numbers.append(now.number) if now.panes[0] is not None else None)
    blank = np.zeros((32, 64, 3), np.uint8)
    playback.frame_changed.connect(lambda frame: looking.frames.put(shot, Layer.DRAFT, frame - 2, blank))
    playback.looping = False
    playback.play()
    qtbot.waitUntil(lambda: not playback.playing, timeout=LIMIT_MS)
    assert numbers
    assert numbers == sorted(numbers)
    assert max(numbers) < 1008


def test_no_shot_shows_nothing(looking, qtbot):
    looking.shots.close_shot(looking.shots.current)
    assert looking.viewer.shown is None
    assert looking.viewer.layers == ()
    looking.viewer.pointer = (1, 1)
    assert looking.viewer.read_out is None
