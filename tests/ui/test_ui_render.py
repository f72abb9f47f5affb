# SPDX-License-Identifier: GPL-3.0-or-later
"""The render form: what is chosen, what is wrong with it, and real renders by the shipped model."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PyQt6.QtCore import Qt

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import (
    DiskFullError,
)
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import ImageFormat, Quality
from mapreel.core.media.modelfacts import MODEL_FILE as FILE
from mapreel.core.media.modelfacts import shipped_models
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.state.jobs import Step
from mapreel.ui.state.render_choice import Range, colour_spaces, next_name, render_request
from mapreel.ui.state.shot import FoundShot, ShotKind
from mapreel.ui.views.render_view import RenderView

LIMIT_MS = 120_000


@pytest.fixture
def studio(studio):
    """Nothing is drafted here: a draft would start a service."""
    studio.drafts.enabled = False
    return studio


@pytest.fixture
def mute(studio, monkeypatch):
    """A service that is said to be there, and is never asked."""
    monkeypatch.setattr(studio.bridge, "ask", lambda *_, **__: 0)

    def appear():
        studio.bridge.state = ServiceState.HERE

    return appear


@pytest.fixture
def form(opened, qtbot):
    """The form of a studio with a shot open; no service."""
    qtbot.waitUntil(lambda: bool(opened.models.known), timeout=LIMIT_MS)
    return opened.render_form


def header_of(place):
    data = place.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_model(folder, **changes):
    header, rest = header_of(shipped_models()["street"] / FILE)
    header["__metadata__"].update(changes)
    text = json.dumps(header).encode()
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(len(text).to_bytes(8, "little") + text + rest)
    return folder


def test_a_folder_of_a_model_is_kept(studio, tmp_path, qtbot):
    folder = write_model(tmp_path / "mine", name="mine", licence="")
    qtbot.waitUntil(lambda: bool(studio.models.known), timeout=LIMIT_MS)
    studio.models.add(str(folder / FILE))
    qtbot.waitUntil(lambda: len(studio.models.known) == 2, timeout=LIMIT_MS)
    assert studio.render_form.model == str(folder)
    assert studio.preferences.kept("models") == [str(folder)]
    studio.models.refresh()
    qtbot.waitUntil(lambda: not studio.models.looking, timeout=LIMIT_MS)
    assert [model.name for model in studio.models.known] == ["street", "mine"]
    studio.models.remove(str(folder))
    assert [model.name for model in studio.models.known] == ["street"]
    studio.models.add(str(tmp_path))
    qtbot.waitUntil(lambda: bool(studio.messages.standing), timeout=LIMIT_MS)


# -- the form ----------------------------------------------------------------------------------------------------------


def test_the_reason_is_the_first_thing_in_the_way(studio, mute, form, tmp_path):
    assert form.reason == "The service is starting …"
    mute()
    assert form.reason == ""
    form.range, form.own_range = Range.OWN, "1001-11:3"
    assert "write the step as x" in form.reason
    form.range = Range.CUT
    form.model = "nowhere"
    assert form.reason == "Choose a model first."
    found = FoundShot(kind=ShotKind.FOOTAGE, name="f", source=str(tmp_path), numbers=(1, 2), size=(8, 8))
    studio.shots.add(found)
    assert "no label maps" in form.reason
    for shot in studio.shots.open:
        studio.shots.close_shot(shot)
    assert form.reason == "Open a shot first."


def test_a_model_that_lacks_the_quality_changes_it(studio, form, tmp_path, qtbot):
    teacher = write_model(tmp_path / "t", architecture="composite", config='{"student": false}')
    studio.models.add(str(teacher))
    qtbot.waitUntil(lambda: form.model == str(teacher), timeout=LIMIT_MS)
    assert form.quality is Quality.TEACHER
    view = RenderView(studio)
    qtbot.addWidget(view)
    items = view.quality.model()
    enabled = [items.item(place).isEnabled() for place in range(4)]
    assert enabled == [True, False, False, False]
    assert "no such quality" in items.item(1).toolTip()


def test_presets_are_kept_and_leave_the_shot_alone(studio, form):
    presets = studio.render_presets
    form.format, form.quality, form.handles = "exr-half-dwaa", Quality.FAST, 8
    folder = form.folder
    presets.save("mine")
    form.format, form.quality, form.handles = "png8", Quality.FULL, 0
    presets.load("mine")
    assert (form.format, form.quality, form.handles, form.folder) == ("exr-half-dwaa", Quality.FAST, 8, folder)
    presets.load("Review (MP4)")
    assert (form.format, form.quality) == ("h264", Quality.FAST)
    assert studio.preferences.kept("render presets")["mine"]["handles"] == 8
    presets.delete("mine")
    assert presets.own == ()
    form.apply({"quality": "best", "format": 7, "handles": -5, "model": None})  # of another version
    assert (form.format, form.handles) == ("h264", 0)


def test_a_preset_is_shown_as_long_as_it_holds(studio, form, qtbot):
    view = RenderView(studio)
    qtbot.addWidget(view)
    place = view.presets.findText("Review (MP4)")
    view.presets.setCurrentIndex(place)
    view.presets.activated.emit(place)
    assert (form.format, view.presets.chosen()) == ("h264", "Review (MP4)")
    form.handles = 5
    assert view.presets.chosen() == "Review (MP4)"  # it says nothing of handles
    form.format = "png16"
    assert (view.presets.chosen(), view.presets.last) == ("", "Review (MP4)")
    form.format = "h264"
    assert view.presets.chosen() == "Review (MP4)"


def test_each_shot_keeps_its_output(studio, form, tmp_path):
    first = studio.shots.current
    assert (form.folder, form.name) == (str(Path(first.source) / "render"), "beauty")
    form.folder, form.name = str(tmp_path / "elsewhere"), "look"
    studio.shots.add(FoundShot(kind=ShotKind.MAPS, name="b", source=str(tmp_path), numbers=(1,), size=(8, 8)))
    assert form.name == "beauty"
    studio.shots.current = first
    assert (form.folder, form.name) == (str(tmp_path / "elsewhere"), "look")


def test_references_are_files_by_frame(studio, form, qtbot, tmp_path):
    shot = studio.shots.current
    form.add_reference(1003, str(tmp_path / "b.png"))
    form.add_reference(1001, str(tmp_path / "a.png"))
    form.add_reference(1003, str(tmp_path / "c.png"))
    assert shot.references == ((1001, str(tmp_path / "a.png")), (1003, str(tmp_path / "c.png")))
    form.remove_reference(1001)
    form.use_truth(1005)
    qtbot.waitUntil(lambda: len(shot.references) == 2, timeout=LIMIT_MS)
    assert Path(shot.references[1][1]).name == "1005.png"
    assert Path(shot.references[1][1]).is_file()
    form.use_truth(2000)
    qtbot.waitUntil(lambda: bool(studio.messages.standing), timeout=LIMIT_MS)
    assert "no true picture of frame 2000" in studio.messages.standing[-1].what


def test_colour_spaces_come_out_of_the_config(form, qtbot):
    assert "ACEScg" in colour_spaces("")
    form.ask_spaces()
    qtbot.waitUntil(lambda: "ACEScg" in form.spaces, timeout=LIMIT_MS)


# -- the view ----------------------------------------------------------------------------------------------------------


def test_the_view_says_what_is_wrong_where_it_is_wrong(studio, mute, form, qtbot):
    view = RenderView(studio)
    qtbot.addWidget(view)
    view.resize(360, 800)
    view.show()
    mute()
    assert view.button.isEnabled()
    assert "Ctrl+R" in view.button.toolTip()
    form.range = Range.OWN
    view.range.own.clear()
    qtbot.keyClicks(view.range.own, "1001-1003x")
    assert "frame range" in view.range.problem.label.text()
    assert not view.button.isEnabled()
    assert "frame range" in view.button.toolTip()
    qtbot.keyClicks(view.range.own, "2")
    assert view.button.isEnabled()
    assert view.range.told.text() == "1001-1003x2 · 2 frames"
    view.output.name.clear()
    qtbot.keyClicks(view.output.name, "a/b")
    assert view.output.problem.label.text()
    assert not view.button.isEnabled()


def test_the_view_fits_a_narrow_column(studio, form, qtbot):
    view = RenderView(studio)
    qtbot.addWidget(view)
    view.resize(220, 700)
    view.show()
    assert view.minimumSizeHint().width() <= 220


# -- real renders ------------------------------------------------------------------------------------------------------


@pytest.fixture
def rendering(form, opened, qtbot, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MAPREEL_NICE", "1")
    opened.start()
    qtbot.waitUntil(lambda: opened.bridge.state is ServiceState.HERE, timeout=LIMIT_MS)
    return opened


def test_a_render_is_asked_for_followed_looked_at_and_estimated(rendering, qtbot):
    form, shot = rendering.render_form, rendering.shots.current
    view = RenderView(rendering)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitUntil(lambda: form.take == "beauty" and form.estimate is not None, timeout=LIMIT_MS)
    assert form.estimate.seconds is None
    form.quality = Quality.FAST
    qtbot.mouseClick(view.button, Qt.MouseButton.LeftButton)
    assert form.submitting
    assert not view.button.isEnabled()
    qtbot.waitUntil(lambda: form.job is not None and form.job.state.is_over, timeout=LIMIT_MS)
    assert form.job.state is JobState.FINISHED, form.job.error
    take = Path(shot.source) / "render" / "beauty"
    assert shot.takes == (str(take),)
    assert shot.result == str(take)
    qtbot.waitUntil(lambda: bool(rendering.key_frames.numbers), timeout=LIMIT_MS)
    assert rendering.key_frames.numbers[0] == 1001
    assert set(rendering.key_frames.numbers) < set(range(1001, 1009))
    frames = sorted(take.glob("*.png"))
    assert [int(frame.stem) for frame in frames] == list(range(1001, 1009))
    assert cv2.imread(str(frames[0])).shape == (32, 64, 3)
    assert "8 frames in" in view.progress.told.text()
    qtbot.waitUntil(lambda: form.take == "beauty_v002", timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: form.estimate.seconds is not None, timeout=LIMIT_MS)
    form.format, form.range, form.own_range = "h264", Range.OWN, "1001-1004"
    qtbot.waitUntil(lambda: form.take == "beauty.mp4", timeout=LIMIT_MS)
    first = form.job.id
    form.submit()
    qtbot.waitUntil(lambda: form.job.id != first and form.job.state.is_over, timeout=LIMIT_MS)
    assert form.job.state is JobState.FINISHED, form.job.error
    assert shot.takes[-1] == str(take.with_name("beauty.mp4"))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of some kilobytes, with what makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("only root may mount")
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,size=8m", str(folder)], check=True)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_cannot_be_written_is_said(small_disk):
    folder, _ = small_disk
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert next_name(str(folder / "beauty")) == (
        "beauty",
        f"{folder} may not be written; change its permissions or choose another folder.",
    )


def test_a_full_disk_is_one_sentence_and_a_retry_makes_the_rest(rendering, small_disk, qtbot):
    form, (folder, enlarge) = rendering.render_form, small_disk
    form.folder = str(folder)
    qtbot.waitUntil(lambda: form.free is not None and form.free <= 24 * 1024, timeout=LIMIT_MS)
    view = RenderView(rendering)
    qtbot.addWidget(view)
    form.submit()
    qtbot.waitUntil(lambda: form.job is not None and form.job.state.is_over, timeout=LIMIT_MS)
    assert (form.job.state, type(form.job.error)) == (JobState.FAILED, DiskFullError)
    assert "The disk is full" in view.progress.told.text()
    assert "ree some space" in view.progress.told.text()
    enlarge()
    assert rendering.jobs.take_step(Step.RETRY, [form.job.id]) == 1
    qtbot.waitUntil(lambda: form.job.state is JobState.FINISHED, timeout=LIMIT_MS)
    assert len(list(Path(form.job.take).glob("*.png"))) == 8
    assert rendering.shots.current.result == form.job.take


def test_a_folder_that_cannot_be_written_is_said_before_the_render(rendering, qtbot, tmp_path):
    form = rendering.render_form
    (tmp_path / "file").write_text("x")
    form.folder = str(tmp_path / "file")
    qtbot.waitUntil(lambda: "is a file and not a folder" in form.reason, timeout=LIMIT_MS)
    form.folder = str(tmp_path / "out")
    qtbot.waitUntil(lambda: form.reason == "", timeout=LIMIT_MS)


def test_a_shot_that_was_deleted_while_open_is_said(rendering, qtbot):
    form, shot = rendering.render_form, rendering.shots.current
    for path in Path(shot.labels).iterdir():
        path.unlink()
    form.folder = str(Path(shot.source).parent / "out")
    form.submit()
    qtbot.waitUntil(lambda: form.job is not None and form.job.state.is_over, timeout=LIMIT_MS)
    assert form.job.state is JobState.FAILED
    assert shot.takes == ()
    assert not rendering.takes.can_show(form.job)


def test_a_take_of_another_program_is_added_to_the_open_shot(rendering, state_root, qtbot, tmp_path):
    shot = rendering.shots.current
    request = render_request(replace(rendering.render_form.choice(), folder=str(tmp_path / "other"), frames="1001"))
    assert request.image_format is ImageFormat.PNG
    with ServiceClient(state_root, start=False) as client:
        job = client.submit(request)
    qtbot.waitUntil(lambda: shot.takes == (job.take,), timeout=LIMIT_MS)
    rendering.shots.close_shot(shot)
    rendering.takes.show(rendering.jobs.view(job.id))
    qtbot.waitUntil(lambda: rendering.shots.current is not None, timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: rendering.shots.current.result == job.take, timeout=LIMIT_MS)
    assert np.asarray(rendering.shots.current.numbers).size == 8
