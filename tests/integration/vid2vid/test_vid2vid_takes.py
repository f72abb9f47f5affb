# SPDX-License-Identifier: GPL-3.0-or-later
"""One take, several jobs at once: nobody forgets what another has noted."""

from __future__ import annotations

import json
import threading

import pytest

from mapreel.core.contract.errors import OutputError, OutputExistsError
from mapreel.core.contract.requests import Quality
from mapreel.core.vid2vid import takelock
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.takefolder import TakeFolder
from mapreel.core.vid2vid.takelock import locked


@pytest.fixture
def take(street, model, request_of, tmp_path):
    """Opens the take as another job would."""
    (tmp_path / "take").mkdir()

    def opened(**fields):
        request = request_of(street, model, tmp_path / "take", **fields)
        return TakeFolder(tmp_path / "take", request, load_model(str(model)), 4)

    return opened


def test_two_chunks_described_in_turn_are_both_known(take, tmp_path):
    first, second = take(), take()
    first.keys, first.anchors = {1001, 1004}, {1001}
    second.keys, second.anchors = {1013, 1016}, {1013}
    first.describe((1001, 1002, 1003, 1004), [])
    second.describe((1013, 1014, 1015, 1016), [])
    first.describe((1001, 1002, 1003, 1004), [])
    story = json.loads((tmp_path / "take" / "mapreel.json").read_text())
    assert (story["frames"], story["keys"], story["anchors"]) == (
        "1001-1004,1013-1016",
        [1001, 1004, 1013, 1016],
        [1001, 1013],
    )
    assert story["finished"] is False


def test_a_job_of_other_settings_that_came_between_is_not_overwritten(take, tmp_path):
    late = take()
    take(quality=Quality.DRAFT).describe((1001,), [])
    before = (tmp_path / "take" / "mapreel.json").read_bytes()
    with pytest.raises(OutputExistsError):
        late.describe((1001,), [])
    assert (tmp_path / "take" / "mapreel.json").read_bytes() == before
    assert not (tmp_path / "take" / takelock.LOCK).exists()


def test_two_jobs_that_resume_one_take_at_once_finish_it(street, render, short_timeline, tmp_path, pictures):
    render(street, "alone", quality=Quality.FAST, frames="1001-1018")
    failures = []

    def job(frames):
        try:
            render(street, "take", quality=Quality.FAST, frames=frames, resume=True)
        except Exception as exc:  # noqa: BLE001 - of a thread; told below
            failures.append(exc)

    jobs = [threading.Thread(target=job, args=(frames,)) for frames in ("1001-1018", "1001-1012", "1013-1018")]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join()
    assert failures == []
    assert pictures(tmp_path / "take") == pictures(tmp_path / "alone")
    told, alone = (json.loads((tmp_path / name / "mapreel.json").read_text()) for name in ("take", "alone"))
    for name in ("frames", "keys", "anchors", "finished"):
        assert told[name] == alone[name]
    assert sorted(p.name for p in (tmp_path / "take").iterdir()) == [*pictures(tmp_path / "take"), "mapreel.json"]


def test_the_lock_of_a_job_that_died_is_taken_away(tmp_path, monkeypatch):
    monkeypatch.setattr(takelock, "PATIENCE_S", 0.1)
    (tmp_path / takelock.LOCK).touch()
    with locked(tmp_path):
        assert (tmp_path / takelock.LOCK).exists()
    assert list(tmp_path.iterdir()) == []


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path):
    order = []
    held, waiting = threading.Event(), threading.Event()

    def second():
        held.wait(5)
        waiting.set()
        with locked(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with locked(tmp_path):
        held.set()
        assert waiting.wait(5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_take_that_is_gone_is_one_of_our_errors(tmp_path):
    with pytest.raises(OutputError), locked(tmp_path / "gone"):
        pytest.fail("nothing to lock")
