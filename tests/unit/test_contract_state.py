# SPDX-License-Identifier: GPL-3.0-or-later
"""States and steps, progress, strict JSON, and the state folder."""

from __future__ import annotations

import json
import os

import platformdirs
import pytest

from mapreel.core.contract.errors import ServiceNotTrustedError, ServiceUnreachableError, UsageError
from mapreel.core.contract.jobs import ATTEMPT_STEPS, JOB_STEPS, AttemptState, JobState, allowed
from mapreel.core.contract.progress import RemainingTime
from mapreel.core.contract.state_folder import read_endpoint, read_token, state_folder
from mapreel.core.contract.strict_json import parse_json


def test_steps_of_jobs():
    assert set(JOB_STEPS) == set(JobState)
    assert not JOB_STEPS[JobState.FINISHED]
    assert allowed(JobState.QUEUED, JobState.RUNNING)
    assert not allowed(JobState.QUEUED, JobState.FINISHED)
    assert not allowed(JobState.CANCELLED, JobState.FINISHED)
    assert all(state.is_over == (not steps or steps == {JobState.QUEUED}) for state, steps in JOB_STEPS.items())


def test_an_attempt_ends_once():
    assert all(bool(steps) == (state is AttemptState.RUNNING) for state, steps in ATTEMPT_STEPS.items())


def test_time_left_is_unknown_then_honest():
    left = RemainingTime(window=4)
    assert left.update(50, 100, now_s=0.0) is None  # 50 stood complete: no work of this run
    assert left.update(51, 100, now_s=10.0) is None
    assert left.update(52, 100, now_s=20.0) == pytest.approx(480.0)
    for done in range(53, 60):
        last = left.update(done, 100, now_s=20.0 + (done - 52))
    assert last == pytest.approx(41.0)  # the window forgot the slow start
    assert left.update(59, 100, now_s=500.0) == pytest.approx(40.0)  # a stalled frame promises no end in no time
    assert left.update(100, 100, now_s=600.0) == 0.0


def test_time_left_starts_anew_with_a_new_stage():
    left = RemainingTime()
    for second in range(5):
        left.update(second, 5, now_s=float(second))
    assert left.update(0, 10, now_s=6.0) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '{"a":' * 100_000, '{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', '{"a": ' + "9" * 5000 + "}",
        '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', '{"a": "\\ud800"}', "{", "", "nul", '{"a": 1} {"b": 2}',
        "[" * 40 + "]" * 40,
    ],
)  # fmt: skip
def test_hostile_json_gets_one_sentence(text):
    with pytest.raises(UsageError) as caught:
        parse_json(text.encode())
    assert str(caught.value).count("\n") == 0


def test_hostile_bytes():
    with pytest.raises(UsageError):
        parse_json(b'{"a": "\xff\xfe"}')


def test_good_json():
    value = {"a": [1, 2.5, True, None, "]]]]{{{{" * 40, '\\" é 😀'], "b": {}}
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_the_state_folder_is_where_the_platform_has_it(monkeypatch, tmp_path):
    monkeypatch.delenv("MAPREEL_STATE", raising=False)
    assert state_folder().root == platformdirs.user_state_path("mapreel", appauthor=False)
    monkeypatch.setenv("MAPREEL_STATE", str(tmp_path / "s"))
    assert state_folder().root == tmp_path / "s"
    assert state_folder(tmp_path / "t").root == tmp_path / "t"


@pytest.mark.skipif(os.name == "nt", reason="mode bits")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_token_that_others_can_read_is_not_used(tmp_path, mode):
    folder = state_folder(tmp_path)
    folder.token.write_text("secret")
    folder.token.chmod(mode)
    with pytest.raises(ServiceNotTrustedError, match="not private"):
        read_token(folder)
    folder.token.chmod(0o600)
    assert read_token(folder) == "secret"


def test_a_token_behind_a_link_is_not_used(tmp_path):
    folder = state_folder(tmp_path)
    (tmp_path / "real").write_text("secret")
    (tmp_path / "real").chmod(0o600)
    folder.token.symlink_to(tmp_path / "real")
    with pytest.raises(ServiceNotTrustedError):
        read_token(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "x"}', '{"format": "mapreel-endpoint", "port": "a"}'])
def test_a_damaged_endpoint_file_is_no_service(tmp_path, text):
    folder = state_folder(tmp_path)
    folder.endpoint.write_text(text)
    with pytest.raises(ServiceUnreachableError):
        read_endpoint(folder)
