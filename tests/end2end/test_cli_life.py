# SPDX-License-Identifier: GPL-3.0-or-later
"""A render that is disturbed, killed, cut into chunks or resumed gives the pixels of one that was left alone."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from mapreel.core.contract.client import ServiceClient

LIMIT_S = 120.0


def await_true(ask, what):
    deadline = time.monotonic() + LIMIT_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what} did not happen within {LIMIT_S} s"
        time.sleep(0.005)
    return answer


def in_mid_shot(process, take):
    """Wait until some frames stand and more are to come."""
    await_true(lambda: process.poll() is not None or len(list(take.glob("*.png"))) >= 8, "the eighth frame")
    assert process.poll() is None, process.communicate()


@contextmanager
def held(mapreel, process, take):
    """Hold the compute process still in mid-shot: it would finish the shot while the next command starts."""
    compute = await_true(lambda: mapreel.facts().get("compute_pid"), "the compute process")
    in_mid_shot(process, take)
    os.kill(compute, signal.SIGSTOP)
    try:
        yield compute
    finally:
        os.kill(compute, signal.SIGCONT)


def test_through_the_service_equals_in_this_process(mapreel, words, long_shot, undisturbed, read_pictures, tmp_path):
    run = mapreel(*words(long_shot, tmp_path / "take", "--json"))
    assert run.code == 0, run.stderr
    assert run.data["take"] == str(tmp_path / "take")
    assert run.data["result"]["frames"] == 96
    assert read_pictures(tmp_path / "take") == undisturbed
    listed = mapreel("jobs", "list", "--json").data["jobs"]
    assert [(job["id"], job["state"]) for job in listed] == [(run.data["job"], "finished")]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("victim", ["compute_pid", "pid"])
def test_killed_in_mid_shot(mapreel, words, long_shot, undisturbed, read_pictures, tmp_path, victim):
    take = tmp_path / "take"
    process = mapreel.start(*words(long_shot, take))
    with held(mapreel, process, take):
        os.kill(mapreel.facts()[victim], signal.SIGKILL)
        standing = len(list(take.glob("*.png")))
    run = mapreel.finish(process)
    assert run.code == 0, run.stderr
    assert standing < 96
    assert "going on with what is finished" in run.stderr
    assert read_pictures(take) == undisturbed
    assert not [path.name for path in take.iterdir() if ".part" in path.name]
    (job,) = mapreel("jobs", "list", "--json").data["jobs"]
    attempts = mapreel("jobs", "show", job["id"], "--json").data["attempts"]
    assert [attempt["state"] for attempt in attempts] == ["crashed", "done"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_who_waits_does_not_bring_a_stopped_service_back(
    mapreel, words, long_shot, undisturbed, read_pictures, tmp_path
):
    take = tmp_path / "take"
    process = mapreel.start(*words(long_shot, take))
    with held(mapreel, process, take):
        assert mapreel("service", "stop").code == 0
        run = mapreel.finish(process)
    assert run.code == 1
    await_true(lambda: not mapreel.processes(), "the end of the service")
    (job,) = mapreel("jobs", "list", "--json").data["jobs"]
    assert (job["state"] in {"queued", "running"}, "the service was stopped" in run.sentence) == (True, True)
    watched = mapreel("jobs", "watch", job["id"])
    assert watched.code == 0, watched.stderr
    assert read_pictures(take) == undisturbed


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of another process")
def test_ctrl_c_cancels_and_a_retry_finishes(mapreel, words, long_shot, undisturbed, read_pictures, tmp_path):
    take = tmp_path / "take"
    process = mapreel.start(*words(long_shot, take))
    with held(mapreel, process, take):
        process.send_signal(signal.SIGINT)
        run = mapreel.finish(process)
    assert run.code == 130
    (job,) = mapreel("jobs", "list", "--json").data["jobs"]
    assert job["state"] == "cancelled"
    assert f"cancelled job {job['id']}" in run.sentence
    assert str(take) in run.sentence
    assert f"mapreel jobs retry {job['id']}" in run.sentence
    assert 0 < len(read_pictures(take)) < 96
    assert mapreel("jobs", "retry", job["id"]).code == 0
    watched = mapreel("jobs", "watch", job["id"])
    assert watched.code == 0, watched.stderr
    assert read_pictures(take) == undisturbed


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of another process")
def test_ctrl_c_in_this_process_and_resume(mapreel, words, long_shot, undisturbed, read_pictures, tmp_path):
    take = tmp_path / "take"
    process = mapreel.start(*words(long_shot, take, "--local"))
    in_mid_shot(process, take)
    process.send_signal(signal.SIGINT)
    run = mapreel.finish(process)
    assert run.code == 130
    assert "--resume" in run.sentence
    standing = read_pictures(take)
    assert 0 < len(standing) < 96
    again = mapreel(*words(long_shot, take, "--local", "--resume", "--json"))
    assert again.code == 0, again.stderr
    assert again.data["take"] == str(take)
    assert again.data["result"]["rendered"] <= 96 - len(standing)
    assert read_pictures(take) == undisturbed


def test_chunks_equal_the_whole(warm_mapreel, words, long_shot, undisturbed, read_pictures, tmp_path):
    together = {}
    for chunk in ("1001-1030", "1031-1060", "1061-1096"):
        run = warm_mapreel(*words(long_shot, tmp_path / chunk, "--frames", chunk))
        assert run.code == 0, run.stderr
        together.update(read_pictures(tmp_path / chunk))
    assert together == undisturbed


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_pause_and_resume(mapreel, words, long_shot, undisturbed, read_pictures, tmp_path):
    take = tmp_path / "take"
    process = mapreel.start(*words(long_shot, take))
    with held(mapreel, process, take):
        (job,) = mapreel("jobs", "list", "--json").data["jobs"]
        assert mapreel("jobs", "pause", job["id"]).code == 0
    with ServiceClient(mapreel.state, start=False) as client:  # frames that were being written may still appear
        await_true(lambda: client.show(job["id"]).data["tries"][-1]["state"] == "cancelled", "the end of the attempt")
    standing = len(read_pictures(take))
    assert mapreel("jobs", "show", job["id"], "--json").data["state"] == "paused"
    assert len(read_pictures(take)) == standing < 96
    assert mapreel("jobs", "resume", job["id"]).code == 0
    run = mapreel.finish(process)
    assert run.code == 0, run.stderr
    assert "paused; go on with: mapreel jobs resume" in run.stderr
    assert read_pictures(take) == undisturbed


def test_a_second_render_makes_a_new_take(warm_mapreel, words, shot, read_pictures, tmp_path):
    """Both are told; nothing of the first is touched."""
    first = warm_mapreel(*words(shot, tmp_path / "take"))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "take").iterdir()}
    second = warm_mapreel(*words(shot, "take"), cwd=tmp_path)
    third = warm_mapreel(*words(shot, tmp_path / "take", "--local"))
    assert (first.code, second.code, third.code) == (0, 0, 0)
    assert first.stdout.splitlines()[-1] == str(tmp_path / "take")
    assert second.stdout.splitlines()[-1] == str(tmp_path / "take_v002")
    assert third.stdout.splitlines()[-1] == str(tmp_path / "take_v003")
    assert f"writing to {tmp_path / 'take_v002'}" in second.stderr
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "take").iterdir()}
    assert read_pictures(tmp_path / "take") == read_pictures(tmp_path / "take_v003")


def test_resume_goes_on_in_the_named_take(warm_mapreel, words, shot, read_pictures, tmp_path):
    take = tmp_path / "take"
    assert warm_mapreel(*words(shot, take)).code == 0
    whole = read_pictures(take)
    (take / "1003.png").unlink()
    run = warm_mapreel(*words(shot, take, "--resume", "--json"))
    assert run.code == 0, run.stderr
    assert run.data["take"] == str(take)
    assert run.data["result"]["rendered"] == 1
    assert read_pictures(take) == whole
    assert not Path(f"{take}_v002").exists()


def test_movie_out(warm_mapreel, words, shot, tmp_path):
    run = warm_mapreel(*words(shot, tmp_path / "shot.mp4", "--fps", "12", "--json"))
    assert run.code == 0, run.stderr
    from mapreel.core.media.movies import movie_info

    info = movie_info(tmp_path / "shot.mp4")
    assert (info.frames, info.height, info.width, info.fps) == (6, 64, 128, 12)
    again = warm_mapreel(*words(shot, tmp_path / "shot.mp4", "--json"))
    assert again.data["take"] == str(tmp_path / "shot_v002.mp4")
    assert sorted(path.name for path in tmp_path.glob("shot*.mp4")) == ["shot.mp4", "shot_v002.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_progress_and_queue_are_told(warm_mapreel, words, long_shot, shot, tmp_path):
    """Frame counts on stderr, results alone on stdout; who waits is told for what."""
    process = warm_mapreel.start(*words(long_shot, tmp_path / "first"))
    compute = await_true(lambda: (tmp_path / "first").exists() and warm_mapreel.facts()["compute_pid"], "the first job")
    os.kill(compute, signal.SIGSTOP)
    try:
        waiting = warm_mapreel.start(*words(shot, tmp_path / "second", "--json"))
        notes = [waiting.stderr.readline() for _ in range(2)]
    finally:
        os.kill(compute, signal.SIGCONT)
    first, second = warm_mapreel.finish(process), warm_mapreel.finish(waiting)
    assert "render: 96 of 96 frames" in first.stderr
    assert first.stdout.splitlines()[-1] == str(tmp_path / "first")
    assert notes == [
        f"job {second.data['job']}, writing to {tmp_path / 'second'}\n",
        "waiting: 1 job is before this one\n",
    ]
    assert json.loads(second.stdout)["result"]["frames"] == 6


def test_service_start_status_stop(mapreel):
    assert mapreel("service", "status", "--json").data == {"format": "mapreel-result", "version": 1, "running": False}
    assert mapreel("service", "status").code == 1
    started = mapreel("service", "start", "--json")
    assert started.code == 0
    assert started.data["pid"] == mapreel("service", "start", "--json").data["pid"] == mapreel.facts()["pid"]
    assert mapreel("service", "status").code == 0
    assert mapreel("jobs", "list").stdout == "no jobs\n"
    assert mapreel("service", "stop", "--json").data["stopped"]
    await_true(lambda: not mapreel.processes(), "the end of the service")
    assert mapreel("service", "stop").stdout == "the service did not run\n"
