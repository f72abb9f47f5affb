# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of whoever it may be, whenever it may be: every frame exactly once, none half, and the job goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import structlog
from service_runners import frame_bytes

from mapreel.core.contract.errors import error_from_dict
from mapreel.core.contract.jobs import AttemptState, JobState
from mapreel.core.contract.state_folder import state_folder
from mapreel.core.service.compute_process import ComputePlan
from mapreel.core.service.locks import hold_lock
from mapreel.core.service.process_tree import STILL_LOCKED, kill_tree, start_child
from mapreel.core.service.supervisor import MAX_LOCKED_OUT, BatchLane
from mapreel.core.settings import load_settings

DICE = random.Random(20)


def halves(take):
    """Visible files of a take that are not whole."""
    paths = list(Path(take).glob("[!.]*"))
    return [path.name for path in paths if path.read_bytes() != frame_bytes(int(path.name[:4]))]


def whole(take, frames):
    names = sorted(path.name for path in Path(take).iterdir())
    return names == [f"{number}.txt" for number in range(1001, 1001 + frames)] and not halves(take)


def visible(take):
    return len(list(Path(take).glob("[!.]*")))


def test_a_writer_killed_at_any_moment_leaves_no_half_file(quick_folder):
    code = (
        "import sys, itertools, pathlib\n"
        "from mapreel.core.contract.takes import write_atomically\n"
        "from service_runners import frame_bytes\n"
        "for n in itertools.cycle(range(1001, 1400)):\n"
        "    parts = frame_bytes(n)[:999], frame_bytes(n)[999:]\n"
        "    path = pathlib.Path(sys.argv[1]) / f'{n}.txt'\n"
        "    write_atomically(path, lambda file: [file.write(part) for part in parts])\n"
    )
    here = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    for _ in range(8):
        before = visible(quick_folder)
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(quick_folder)], env={**os.environ, "PYTHONPATH": here}
        )
        try:
            while visible(quick_folder) == before and before < 300:
                assert child.poll() is None
            time.sleep(DICE.uniform(0, 0.02))
        finally:
            child.kill()
            child.wait()
        assert halves(quick_folder) == []
    assert visible(quick_folder) > 0


def test_kill_of_the_compute_process_at_random_points(house, monkeypatch):
    monkeypatch.setenv("MAPREEL_MAX_CRASHES", "100")
    with house.client() as client:
        job = client.submit(house.request(frames=300, pause_s=0.01))  # enough for a machine that lets us wait
        kills = 0
        while kills < 3:
            stood = visible(job.take)
            house.until(lambda stood=stood: visible(job.take) > stood)
            time.sleep(DICE.uniform(0, 0.05))
            pid = client.status()["compute_pid"]
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                kills += 1
                house.until(lambda pid=pid: not house.is_alive(pid))
            assert halves(job.take) == []
        ended = client.wait(job.id)
        assert ended.state is JobState.FINISHED
        assert whole(job.take, 300)
        states = [one["state"] for one in ended.data["tries"]]
        assert states == ["crashed"] * 3 + ["done"]
        assert ended.data["tries"][0]["reason"] == "the compute process crashed (SIGKILL)"
        assert ended.result["written"] < 300


def test_kill_of_the_service_at_random_points_while_a_client_waits(house):
    with house.client() as client:
        job = client.submit(house.request(frames=150, pause_s=0.05))  # enough for a machine that lets us wait
        kills, orphans = 0, []
        for event in client.watch(job.id):
            if event.kind == "progress" and kills < 2 and event.job.progress.done < 150:
                time.sleep(DICE.uniform(0, 0.05))
                pid = house.endpoint()["pid"]
                orphans += [child for child in house.processes() if child != pid]
                os.kill(pid, signal.SIGKILL)
                kills += 1
                house.until(lambda pid=pid: not house.is_alive(pid))
                assert halves(job.take) == []
        ended = client.show(job.id)
        assert (ended.state, kills) == (JobState.FINISHED, 2)
        assert whole(job.take, 150)
        tries = ended.data["tries"]
        assert [one["state"] for one in tries] == ["crashed"] * 2 + ["done"]
        assert tries[0]["reason"] == "the service ended in mid-job"
        assert not [pid for pid in orphans if house.is_alive(pid)]


def test_the_compute_process_ends_with_its_service_though_its_job_does_not_listen(house):
    with house.client() as client:
        sign = house.root / "stalls"
        client.submit(house.request(deed="stall", deed_at=1002, sign=str(sign)))
        house.until(sign.exists)
        compute = client.status()["compute_pid"]
        house.kill_service()
        house.until(lambda: not house.is_alive(compute))


def test_two_compute_processes_never_run_at_once(house):
    """A compute process that outlives its service (stopped here, so that it cannot hear) holds the lane's lock."""
    with house.client() as client:
        job = client.submit(house.request(frames=40, pause_s=0.02))
        house.until(lambda: visible(job.take) > 3)
        old = client.status()["compute_pid"]
        os.kill(old, signal.SIGSTOP)
        house.kill_service()
        house.until(lambda: not house.is_alive(house.endpoint()["pid"]))
        client.close()
        new = house.until(lambda: client.status()["compute_pid"])
        stood = visible(job.take)
        time.sleep(0.5)
        assert visible(job.take) == stood
        assert house.is_alive(new)
        os.kill(old, signal.SIGCONT)  # it hears that its service is gone and ends
        assert client.wait(job.id).state is JobState.FINISHED
        assert not house.is_alive(old)
        assert whole(job.take, 40)


def test_stop_keeps_jobs_and_the_next_service_goes_on(house):
    with house.client() as client:
        running, waiting = client.submit(house.request(frames=60, pause_s=0.03)), client.submit(house.request())
        house.until(lambda: visible(running.take) > 2)
        assert client.stop()
        house.until(lambda: not house.processes())
        assert not house.folder.endpoint.exists()
        stood = visible(running.take)
        assert 0 < stood < 60
        states = dict(house.read_queue("SELECT id, state FROM jobs"))
        assert states == {running.id: "queued", waiting.id: "queued"}
        ended = client.wait(running.id)
        assert (ended.state, ended.result["written"]) == (JobState.FINISHED, 60 - stood)
        assert [one["state"] for one in ended.data["tries"]] == ["cancelled", "done"]
        assert client.wait(waiting.id).state is JobState.FINISHED


def test_a_compute_process_that_finds_another_one_ends_and_blames_no_job(quick_folder):
    lock, words = quick_folder / "compute.lock", quick_folder / "words"
    with hold_lock(lock), words.open("wb") as output:
        arguments = ["-m", "mapreel.core.service.compute", "--lock", str(lock), "--lock-wait", "0.1"]
        child = start_child(arguments, output, dict(os.environ))
        try:
            assert child.process.wait(60) == STILL_LOCKED
        finally:
            kill_tree(child.process)
            child.channel.close()
    assert b"another compute process" in words.read_bytes()


def test_a_compute_process_that_never_ends_is_said_to_who_waits(quick_folder):
    """The job fails with a sentence after some attempts that found the lock held; a start that works forgets them."""
    lane = BatchLane(None, ComputePlan(state_folder(quick_folder), load_settings()), structlog.get_logger())
    process = SimpleNamespace(story=lambda: "ended with exit code 71", tail=lambda: "", blames_the_job=False)
    running = SimpleNamespace(process=process, claim=SimpleNamespace(job="job", attempt=1))
    closed = {"type": "closed"}
    for _ in range(2):
        outcomes = [lane._handle(running, closed) for _ in range(MAX_LOCKED_OUT)]
        assert [one.state for one in outcomes] == [AttemptState.CRASHED] * (MAX_LOCKED_OUT - 1) + [AttemptState.FAILED]
        assert not any(one.counts for one in outcomes[:-1])
        assert "an earlier compute process has not ended yet; end it" in str(error_from_dict(outcomes[-1].error))
        assert lane._handle(running, {"type": "ready", "pid": 1}) is None
