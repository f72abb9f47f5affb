# SPDX-License-Identifier: GPL-3.0-or-later
"""Drafts of the tiny model: what the network makes, what is carried, what is kept, and what a changed map undoes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.draft import DraftFrame, frame_from_answer
from mapreel.core.contract.errors import GapError, MapreelError, MissingModelError, UnknownLabelError, UsageError
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import DraftRequest, Quality, VerifyRequest
from mapreel.core.device import pick_device
from mapreel.core.media.images import read_color, write_png
from mapreel.core.media.labels import read_label_map
from mapreel.core.vid2vid import draft as draft_module
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.draft import DraftStudio
from mapreel.core.vid2vid.keyframes import LONGEST_GAP
from mapreel.core.vid2vid.renderer import Renderer, to_pixels

Ask = Callable[..., DraftFrame]


def request_for(maps: Path, model: Path | str, frame: int, **fields: object) -> DraftRequest:
    known: dict[str, object] = {
        "labels": str(maps / "label"),
        "instances": str(maps / "instance"),
        "motion": str(maps / "motion"),
    }
    return DraftRequest(model=str(model), frame=frame, **{**known, **fields})  # type: ignore[arg-type]


@pytest.fixture
def studio() -> DraftStudio:
    return DraftStudio()


@pytest.fixture
def ask(studio: DraftStudio, street: Path, model: Path) -> Ask:
    """Draft a frame of the street (or of other `maps`)."""

    def run(frame: int, maps: Path = street, net: Path | str = model, **fields: object) -> DraftFrame:
        return frame_from_answer(*studio.draft(request_for(maps, net, frame, **fields)))

    return run


def pixels(frame: DraftFrame) -> np.ndarray:
    return np.frombuffer(frame.pixels, np.uint8).reshape(frame.height, frame.width, 3)


def test_the_first_draft_says_that_it_loaded_and_is_the_networks_own_picture(ask: Ask, opened, street, model):
    first = ask(1010)
    assert first.facts["loading_seconds"] > 0
    assert (first.facts["is_key"], first.facts["source"], first.facts["again"]) == (True, None, False)
    picture, _ = Renderer(load_model(str(model)), pick_device()).render_frame(opened(street), 9, None)
    assert np.array_equal(pixels(first), to_pixels(picture))
    again = ask(1010)
    assert (again.facts["again"], again.facts["loading_seconds"], again.pixels) == (True, 0.0, first.pixels)


def test_playing_carries_what_it_can_and_a_key_is_due_in_time(ask: Ask):
    frames = [ask(number) for number in range(1001, 1015)]
    keys = [frame.number for frame in frames if frame.facts["is_key"]]
    assert keys[0] == 1001
    assert max(b - a for a, b in pairwise(keys)) <= LONGEST_GAP
    for frame in frames:
        if not frame.facts["is_key"]:
            assert frame.facts["source"] == max(key for key in keys if key < frame.number)
    later_keys = [frame for frame in frames[1:] if frame.facts["is_key"]]
    assert {frame.facts["source"] is not None for frame in later_keys} == {True}  # on the memory of the key before


def test_in_full_quality_every_frame_is_the_networks_on_the_memory_of_the_one_before(ask: Ask, opened, street, model):
    renderer, shot = Renderer(load_model(str(model)), pick_device()), opened(street)
    memory = None
    for index in range(3):
        picture, memory = renderer.render_frame(shot, index, memory)
        frame = ask(1001 + index, quality=Quality.FULL)
        assert np.array_equal(pixels(frame), to_pixels(picture))


def test_a_step_back_is_carried_from_the_later_key(ask: Ask):
    key = ask(1020)
    back = ask(1019)
    assert (back.facts["is_key"], back.facts["source"]) == (False, 1020)
    moved = pixels(key).astype(int)[:, 1:]  # the street passes by at one pixel a frame
    assert np.abs(pixels(back).astype(int)[:8, :-1] - moved[:8]).mean() < 1.0


def test_a_far_scrub_is_drawn_afresh(ask: Ask):
    ask(1001)
    far = ask(1030)
    assert (far.facts["is_key"], far.facts["source"]) == (True, None)


def test_a_first_look_is_quick_and_a_fine_one_takes_its_place(ask: Ask):
    quick = ask(1010, quick=True)
    assert (quick.facts["quick"], quick.facts["is_key"], quick.width, quick.height) == (True, True, 80, 48)
    beside = ask(1011, quick=True)
    assert (beside.facts["quick"], beside.facts["source"]) == (True, 1010)
    fine = ask(1010)
    assert (fine.facts["quick"], fine.facts["again"]) == (False, False)
    assert fine.pixels != quick.pixels
    assert ask(1010, quick=True).pixels == fine.pixels  # what is there already is not made worse
    assert np.abs(pixels(fine).astype(int) - pixels(quick)).mean() < 60


def test_a_fine_draft_is_never_carried_from_a_first_look(ask: Ask):
    ask(1010, quick=True)
    fine = ask(1011)
    assert (fine.facts["is_key"], fine.facts["source"], fine.facts["quick"]) == (True, None, False)


def test_a_shot_too_small_to_be_halved_is_drawn_fine_at_once(ask: Ask, maps, model, tmp_path):
    small = maps(tmp_path / "small", range(1, 4), size=(24, 40))
    stride = load_model(str(model)).config.stride_px
    assert ask(2, maps=small, quick=True).facts["quick"] is (stride <= 12)


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "written in place"])
def test_a_map_that_changes_on_disk_is_drawn_anew(ask: Ask, own_street: Path, replaced: bool):
    before = ask(1005, maps=own_street)
    assert ask(1005, maps=own_street).facts["again"]
    path = own_street / "label" / "1005.png"
    changed = np.zeros_like(read_label_map(path, frame=1005), np.uint8)
    if replaced:
        path.unlink()
        write_png(path, changed)
    else:
        other = path.with_name("new.tmp.png")
        write_png(other, changed)
        path.write_bytes(other.read_bytes())
        other.unlink()
    after = ask(1005, maps=own_street)
    assert not after.facts["again"]
    assert after.pixels != before.pixels


def test_a_changed_map_undoes_what_leans_on_it(ask: Ask, own_street: Path):
    ask(1005, maps=own_street)
    assert not ask(1006, maps=own_street).facts["is_key"]
    path = own_street / "label" / "1005.png"
    content = path.read_bytes()
    os.utime(path, ns=(1, 1))
    assert path.read_bytes() == content
    assert ask(1006, maps=own_street).facts["again"] is False


def test_new_frames_in_the_folder_leave_the_pictures_and_are_found(ask: Ask, own_street: Path):
    ask(1005, maps=own_street)
    with pytest.raises(GapError):
        ask(1041, maps=own_street)
    for name, suffix in (("label", "png"), ("instance", "png"), ("motion", "exr")):
        shutil.copy(own_street / name / f"1040.{suffix}", own_street / name / f"1041.{suffix}")
    assert ask(1041, maps=own_street).number == 1041
    assert ask(1005, maps=own_street).facts["again"]


def test_a_model_that_is_trained_on_is_loaded_anew(ask: Ask, make_model, tmp_path):
    folder = Path(shutil.copytree(make_model(), tmp_path / "mine"))
    first = ask(1005, net=folder)
    shutil.copy(make_model(widths=(8, 16, 16)) / "model.safetensors", folder / "model.safetensors")
    second = ask(1005, net=folder)
    assert first.facts["model_sha256"] != second.facts["model_sha256"]
    assert second.facts["loading_seconds"] > 0


def test_what_is_kept_has_bounds(ask: Ask, studio: DraftStudio, monkeypatch, street):
    monkeypatch.setattr(draft_module, "KEPT_PICTURE_BYTES", 5 * 48 * 80 * 3 * 4)
    for number in range(1001, 1013):
        ask(number, quality=Quality.FULL)
    for missing in (MissingFrames.HOLD, MissingFrames.BLACK):
        for quality in (Quality.FULL, Quality.DRAFT):
            ask(1001, missing=missing, quality=quality)
    assert len(studio._views) == draft_module.KEPT_VIEWS
    assert all(len(view._pictures) <= 5 for view in studio._views.values())


def test_a_reference_frame_is_its_picture_and_lends_it(ask: Ask, street: Path):
    file = street / "color" / "1005.png"
    drawn = ask(1005, reference=((1005, str(file)),))
    assert np.abs(pixels(drawn).astype(int) - read_color(file, frame=1005)).max() <= 1
    beside = ask(1006, reference=((1005, str(file)),))
    assert (beside.facts["is_key"], beside.facts["source"]) == (False, 1005)


def test_bad_input_has_its_sentence_and_the_next_draft_works(ask: Ask, studio: DraftStudio, own_street, tmp_path):
    with pytest.raises(MissingModelError):
        ask(1005, net="nosuch")
    with pytest.raises(GapError, match="frame 999 is missing"):
        ask(999)
    with pytest.raises(UsageError):
        ask(1005, quality=Quality.TEACHER)
    with pytest.raises(UsageError, match="is no draft"):
        studio.draft(VerifyRequest(archive=str(tmp_path)))
    write_png(own_street / "label" / "1007.png", np.full((48, 80), 77, np.uint8))
    with pytest.raises(UnknownLabelError, match="77"):
        ask(1007, maps=own_street)
    assert ask(1005, maps=own_street).number == 1005


def test_maps_without_instances_and_motion(ask: Ask):
    frames = [ask(number, instances=None, motion=None) for number in (1001, 1002)]
    assert [frame.number for frame in frames] == [1001, 1002]


def test_through_a_real_service_and_back(ask: Ask, street: Path, model: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MAPREEL_GRACE_S", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with ServiceClient(tmp_path / "state") as client:
        try:
            drawn = client.draft(request_for(street, model, 1010))
            assert client.draft(request_for(street, model, 1011)).facts["loading_seconds"] == 0.0
            with pytest.raises(MapreelError, match="there is no model called nosuch"):
                client.draft(request_for(street, "nosuch", 1010))
        finally:
            client.stop()
    assert drawn.facts["loading_seconds"] > 0
    assert np.abs(pixels(drawn).astype(int) - pixels(ask(1010))).max() <= 2
