# SPDX-License-Identifier: GPL-3.0-or-later
"""Archiving from the panel: requests out of choices, and encode, verify, measure and decode with a real service."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PyQt6.QtCore import Qt

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import EncodeRequest, Preset
from mapreel.ui.state.archive_choice import (
    Aim,
    DecodeChoice,
    EncodeChoice,
    decode_problems,
    decode_request,
    encode_problems,
    encode_request,
    meaning,
    target_bits,
    target_bytes,
)
from mapreel.ui.state.archive_look import recipe_of
from mapreel.ui.state.shot import Layer, ShotKind
from mapreel.ui.views.archive_view import ArchiveView
from tests.ui.conftest import write_labels

GOLDEN = Path(__file__).parents[1] / "integration" / "nirvana_golden" / "reel_v2.nirv"
LIMIT_MS = 240_000  # an encode of some seconds on a machine that others use
CHOICE = EncodeChoice(source="/s/color", numbers=tuple(range(1001, 1011)), size=(64, 32), folder="/s", name="shot")


# -- requests ----------------------------------------------------------------------------------------------------------


def test_one_target_is_asked_for():
    asked = encode_request(CHOICE)
    assert (asked.psnr_db, asked.bits_per_pixel, asked.size_mb) == (38.0, None, None)
    asked = encode_request(replace(CHOICE, aim=Aim.BITS, bits_per_pixel=0.5))
    assert (asked.psnr_db, asked.bits_per_pixel, asked.size_mb) == (None, 0.5, None)
    asked = encode_request(replace(CHOICE, aim=Aim.SIZE, size_mb=2.5))
    assert (asked.psnr_db, asked.bits_per_pixel, asked.size_mb) == (None, None, 2.5)
    assert asked.out == "/s/shot.nirv"


def test_what_an_archive_weighs_is_exact_where_it_is_asked_for():
    assert target_bytes(CHOICE) is None
    assert target_bytes(replace(CHOICE, aim=Aim.BITS, bits_per_pixel=0.5)) == 10 * 64 * 32 * 0.5 / 8
    assert target_bytes(replace(CHOICE, aim=Aim.BITS, bits_per_pixel=0.5, frames="1001-1004")) == 4 * 64 * 32 * 0.5 / 8
    assert target_bytes(replace(CHOICE, aim=Aim.SIZE, size_mb=1.5)) == 1_500_000
    assert target_bits(replace(CHOICE, aim=Aim.SIZE, size_mb=0.00256)) == pytest.approx(1.0)


def test_maps_bring_their_names_and_spaces_their_config_along():
    asked = encode_request(replace(CHOICE, labels="/s/label", palette="street", colour_space="ACEScg", ocio="ocio://x"))
    assert (asked.labels, asked.palette, asked.colour_space, asked.ocio) == ("/s/label", "street", "ACEScg", "ocio://x")
    asked = encode_request(replace(CHOICE, palette="street", ocio="ocio://x"))
    assert (asked.labels, asked.palette, asked.ocio) == (None, None, None)


@pytest.mark.parametrize(
    ("choice", "field", "words"),
    [
        (replace(CHOICE, source=""), "source", "no pictures to archive"),
        (replace(CHOICE, frames="1001-1020"), "frames", "1011-1020 are not there"),
        (replace(CHOICE, frames="soon"), "frames", "soon"),
        (replace(CHOICE, folder=" "), "out", "No folder is chosen"),
        (replace(CHOICE, name="a/b"), "out", "is no name for a file"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(choice, field, words):
    told = encode_problems(choice)
    assert list(told) == [field]
    assert words in told[field]
    with pytest.raises(UsageError):
        encode_request(choice)


def test_a_movie_of_maps_is_refused_and_gets_its_ending():
    choice = DecodeChoice(archive="/a.nirv", numbers=(1, 2), folder="/o", name="out", format="h264")
    assert decode_request(choice).out == "/o/out.mp4"
    assert "holds no maps" in decode_problems(replace(choice, maps=True))["rest"]
    assert decode_request(replace(choice, format="exr", scale=2)).out == "/o/out"


def test_each_aim_has_a_plain_meaning():
    qualities = {meaning(replace(CHOICE, psnr_db=value)) for value in (25, 30, 35, 40, 50)}
    assert len(qualities) == 5
    assert "48" in meaning(replace(CHOICE, aim=Aim.BITS, bits_per_pixel=0.5))
    assert "1 bits a pixel" in meaning(replace(CHOICE, aim=Aim.SIZE, size_mb=0.00256))


def test_the_recipe_lies_beside_a_take(tmp_path):
    assert recipe_of(str(tmp_path)) == ""
    (tmp_path / "mapreel.json").write_text("{}")
    (tmp_path / "x.mp4").write_bytes(b"")
    (tmp_path / "x.mp4.json").write_text("{}")
    assert recipe_of(str(tmp_path)) == str(tmp_path / "mapreel.json")
    assert recipe_of(str(tmp_path / "####.png")) == str(tmp_path / "mapreel.json")
    assert recipe_of(str(tmp_path / "x.mp4")) == str(tmp_path / "x.mp4.json")


# -- the form ----------------------------------------------------------------------------------------------------------


def test_the_form_offers_what_the_shot_has(opened, qtbot, tmp_path):
    form, shot = opened.archive_form, opened.shots.current
    assert form.layers() == (Layer.TRUTH,)
    qtbot.waitUntil(lambda: form.choice().numbers == shot.numbers, timeout=LIMIT_MS)
    assert form.choice().size == (64, 32)
    assert form.choice().labels == shot.labels
    assert (form.folder, form.name) == (str(tmp_path), "shot")
    take = tmp_path / "beauty"
    shutil.copytree(tmp_path / "shot" / "color", take)
    shot.add_take(str(take))
    assert form.layers() == (Layer.RESULT, Layer.TRUTH)
    form.layer = Layer.RESULT
    qtbot.waitUntil(lambda: form.choice().source == str(take), timeout=LIMIT_MS)
    shot.cut_in, shot.cut_out = 1002, 1005
    assert form.frames == "1002-1005"
    form.aim = Aim.BITS
    form.bits_per_pixel = 1.0
    assert form.weight == 4 * 64 * 32 / 8


def test_a_shot_without_pictures_says_so(studio, qtbot, tmp_path):
    write_labels(tmp_path / "maps" / "label", range(1, 4))
    view = ArchiveView(studio)
    qtbot.addWidget(view)
    assert "No shot" in view.encode.button.toolTip()
    studio.shots.open_paths([str(tmp_path / "maps" / "label")])
    qtbot.waitUntil(lambda: studio.shots.current is not None, timeout=LIMIT_MS)
    assert "no pictures to archive" in studio.archive_form.reason
    assert not view.encode.button.isEnabled()
    assert "no pictures to archive" in view.encode.button.toolTip()


def test_choices_are_remembered(studio, state_root, qapp):
    from mapreel.ui.state.studio import Studio

    studio.archive_form.aim = Aim.SIZE
    studio.archive_form.size_mb = 12.5
    studio.archive_form.preset = Preset.BEST
    studio.preferences.save()
    again = Studio(state=state_root)
    try:
        form = again.archive_form
        assert (form.aim, form.size_mb, form.preset) == (Aim.SIZE, 12.5, Preset.BEST)
    finally:
        again.close()


# -- with the service --------------------------------------------------------------------------------------------------


@pytest.fixture
def served(studio, qtbot, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MAPREEL_NICE", "1")  # else a busy machine lets the test wait for ages
    studio.start()
    return studio


def soft_pictures(folder, numbers, size=(48, 32)):
    folder.mkdir(parents=True)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    for number in numbers:
        wave = 128 + 90 * np.sin((x + number) / 7.0) * np.cos(y / 9.0)
        cv2.imwrite(str(folder / f"{number:04d}.png"), np.stack([wave, wave[::-1], 255 - wave], 2).astype(np.uint8))


def test_a_shot_is_archived_opened_measured_verified_and_decoded(served, qtbot, tmp_path):
    """One way through with clicks: every part works on what the part before made."""
    soft_pictures(tmp_path / "shot" / "color", range(11, 13), size=(32, 32))
    write_labels(tmp_path / "shot" / "label", range(11, 13), size=(32, 32))
    view = ArchiveView(served)
    qtbot.addWidget(view)
    view.show()
    served.shots.open_paths([str(tmp_path / "shot")])
    form = served.archive_form
    form.psnr_db, form.preset = 20.0, Preset.DRAFT
    qtbot.waitUntil(lambda: view.encode.button.isEnabled() and bool(form.take), timeout=LIMIT_MS)
    qtbot.mouseClick(view.encode.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: form.encoding.view is not None and form.encoding.view.state.is_over, timeout=LIMIT_MS)
    done = form.encoding.view
    assert done.state is JobState.FINISHED, done.error
    assert "2 frames" in view.encode.card.told.text()
    assert "dB" in view.encode.card.told.text()
    assert Path(done.take).name == "shot.nirv"
    qtbot.mouseClick(view.encode.card.look_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: form.facts is not None, timeout=LIMIT_MS)
    assert served.shots.current.kind is ShotKind.ARCHIVE
    assert view.stack.currentWidget() is view.opened
    assert (form.facts.frames, form.facts.maps) == (2, 2)
    assert form.facts.file_bytes == Path(done.take).stat().st_size
    assert sum(len(group.numbers) for group in form.facts.groups) == 2
    assert "Group 1 of" in view.opened.group.text()
    assert form.measure.original == str(tmp_path / "shot" / "color")
    qtbot.mouseClick(view.opened.measure_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(form.measure.total) and not form.measure.running, timeout=LIMIT_MS)
    assert form.measure.trouble == ""
    mean = np.mean([value for value in form.measure.psnr_db if value is not None])
    assert mean == pytest.approx(done.result["psnr_db"], abs=1.5)
    assert not view.opened._charts.rate.isHidden()
    qtbot.mouseClick(view.opened.verify_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: form.verifying.view is not None and form.verifying.view.state.is_over, timeout=LIMIT_MS)
    assert view.opened.verdict.told.text().startswith("The archive is whole: 2 frames in")
    form.decode_folder, form.decode_format, form.decode_maps = str(tmp_path), "png", True
    qtbot.mouseClick(view.opened.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: form.decoding.view is not None and form.decoding.view.state.is_over, timeout=LIMIT_MS)
    assert form.decoding.view.state is JobState.FINISHED, form.decoding.view.error
    out = Path(form.decoding.view.take)
    assert sorted(path.name for path in out.glob("*.png")) == ["0011.png", "0012.png"]


def test_a_damaged_archive_is_told_group_by_group(served, qtbot, tmp_path):
    broken = tmp_path / "broken.nirv"
    data = bytearray(GOLDEN.read_bytes())
    place = len(data) // 2
    data[place : place + 8] = bytes(8)
    broken.write_bytes(data)
    view = ArchiveView(served)
    qtbot.addWidget(view)
    view.show()
    served.shots.open_paths([str(broken)])
    form = served.archive_form
    qtbot.waitUntil(lambda: form.facts is not None, timeout=LIMIT_MS)
    form.verify()
    qtbot.waitUntil(lambda: form.verifying.view is not None and form.verifying.view.state.is_over, timeout=LIMIT_MS)
    assert form.verifying.view.state is JobState.FAILED
    assert "Group" in view.opened.verdict.told.text()
    assert view.opened.damage.isVisible()
    assert view.opened.damage.text()


def test_an_encode_is_cancelled(served, qtbot, tmp_path):
    soft_pictures(tmp_path / "shot" / "color", range(1, 9), size=(160, 96))
    served.shots.open_paths([str(tmp_path / "shot")])
    form = served.archive_form
    form.preset, form.psnr_db = Preset.BEST, 45.0
    qtbot.waitUntil(lambda: not form.reason and bool(form.choice().source), timeout=LIMIT_MS)
    view = ArchiveView(served)
    qtbot.addWidget(view)
    form.encode()
    qtbot.waitUntil(lambda: form.encoding.view is not None, timeout=LIMIT_MS)
    assert served.jobs.request(form.encoding.view.id)["psnr_db"] == 45.0
    qtbot.mouseClick(view.encode.card.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: form.encoding.view.state.is_over, timeout=LIMIT_MS)
    assert form.encoding.view.state is JobState.CANCELLED
    assert not list(tmp_path.glob("*.nirv"))
    form.encoding.put_away()
    assert view.encode.card.isHidden()


def test_requests_are_those_of_the_contract():
    assert isinstance(encode_request(CHOICE), EncodeRequest)
    assert encode_request(replace(CHOICE, depth="half", alpha=False)).depth == "half"
