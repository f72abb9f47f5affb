# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue in the panel with a real service: steps, order, deaths of both processes, two panels, ten thousand jobs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import ServiceUnreachableError
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import RenderRequest
from mapreel.core.contract.state_folder import state_folder
from mapreel.core.service.ledger import Ledger
from mapreel.core.service.queue import Queue
from mapreel.core.service.server import prepare_folder
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.state.job_model import JobModel
from mapreel.ui.state.jobs import Step
from mapreel.ui.state.messages import sentence
from mapreel.ui.state.studio import Studio
from mapreel.ui.views.job_log import JobLog

LIMIT_MS = 60_000
RUNNERS = Path(__file__).parents[1] / "integration" / "service"
MANY = 10_000


class Scripted:
    """A service whose jobs are small scripts: so many frames, so slow, with a deed at one of them."""

    def __init__(self, root, tmp_path):
        self.root, self.folder, self.count = root, tmp_path, 0
        self.process = None

    def start(self):
        path = os.pathsep.join(filter(None, [str(RUNNERS), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path, "MAPREEL_NICE": "1", "MAPREEL_GRACE_S": "1.5"}
        words = ["--state", str(self.root), "--runners", "service_runners"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mapreel.core.service", *words], env=environment, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        with ServiceClient(self.root, start=False) as client:
            while True:
                with contextlib.suppress(Exception):
                    return client.status()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def interpreter(self):
        """A Python that starts services of this kind, for a panel that brings one back."""
        path = self.folder / "python"
        words = f"PYTHONPATH={RUNNERS}:$PYTHONPATH MAPREEL_NICE=1 MAPREEL_GRACE_S=1.5 exec {sys.executable}"
        path.write_text(f'#!/bin/sh\n{words} "$@" --runners service_runners\n')
        path.chmod(0o755)
        return str(path)

    def request(self, **script):
        self.count += 1
        path = self.folder / f"script{self.count}.json"
        path.write_text(json.dumps({"frames": 5, **script}))
        return RenderRequest(labels=str(path), model="street", out=str(self.folder / "out" / f"take{self.count}"))

    def status(self):
        with ServiceClient(self.root, start=False) as client:
            return client.status()

    def stop(self):
        with ServiceClient(self.root, start=False) as client:
            client.stop()
        if self.process is not None:
            self.process.wait(20)


@pytest.fixture(scope="module")
def scripted():
    """One service for the tests that leave it alive, whoever of it they kill."""
    with tempfile.TemporaryDirectory(prefix="mr") as name:
        service = Scripted(Path(name) / "state", Path(name))
        service.start()
        yield service
        service.stop()


@pytest.fixture
def mortal(state_root, tmp_path):
    """A service of the test's own, to be killed and started again."""
    service = Scripted(state_root, tmp_path)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def here(qapp, scripted, qtbot):
    """A studio that listens to the scripted service; what it left running is cancelled."""
    studio = Studio(state=scripted.root, remember=False)
    studio.start()
    qtbot.waitUntil(lambda: studio.bridge.jobs_complete, timeout=LIMIT_MS)
    before = studio.jobs.count
    yield studio
    studio.close()
    with ServiceClient(scripted.root, start=False) as client:
        for view in client.list(after=before, limit=1000):
            if not view.state.is_over:
                client.cancel(view.id)


def submit(studio, qtbot, request):
    stored = []
    studio.jobs.submit(request, stored.append)
    qtbot.waitUntil(lambda: bool(stored), timeout=LIMIT_MS)
    return stored[0].id


def until(studio, qtbot, job, *states):
    qtbot.waitUntil(lambda: studio.jobs.view(job).state in states, timeout=LIMIT_MS)


def test_a_job_is_followed_to_its_end(here, scripted, qtbot):
    ended, changed = [], []
    here.jobs.finished.connect(ended.append)
    here.jobs.changed.connect(changed.append)
    job = submit(here, qtbot, scripted.request(frames=3, pause_s=0.05))
    qtbot.waitUntil(lambda: bool(ended), timeout=LIMIT_MS)
    assert [view.id for view in ended] == [job]
    assert ended[0].state is JobState.FINISHED
    assert changed[0].state in (JobState.QUEUED, JobState.RUNNING)
    assert here.jobs.request(job)["labels"].endswith("script1.json")
    assert here.jobs.waiting == 0


def test_jobs_are_paused_moved_resumed_cancelled_and_retried(here, scripted, qtbot):
    running = submit(here, qtbot, scripted.request(frames=400, pause_s=0.05))
    waiting = [submit(here, qtbot, scripted.request(frames=1)) for _ in range(3)]
    until(here, qtbot, running, JobState.RUNNING)
    qtbot.waitUntil(lambda: [view.id for view in here.jobs.queued()] == waiting, timeout=LIMIT_MS)
    a, b, c = waiting
    for where, chosen, wanted in (("up", [c], [a, c, b]), ("first", [b, c], [c, b, a]), ("down", [c], [b, c, a])):
        here.jobs.move(where, chosen)
        qtbot.waitUntil(lambda wanted=wanted: [v.id for v in here.jobs.queued()] == wanted, timeout=LIMIT_MS)
    assert here.jobs.move("up", [b]) == 0  # it is the first already
    assert here.jobs.take_step(Step.PAUSE, [running, *waiting]) == 4
    qtbot.waitUntil(lambda: here.jobs.waiting == 0, timeout=LIMIT_MS)
    assert here.jobs.take_step(Step.CANCEL, [running]) == 1
    assert here.jobs.take_step(Step.RESUME, waiting) == 3
    for job in waiting:
        until(here, qtbot, job, JobState.FINISHED)
    until(here, qtbot, running, JobState.CANCELLED)
    stood = len(list(Path(here.jobs.view(running).take).iterdir()))
    assert here.jobs.take_step(Step.RETRY, [running, *waiting]) == 1  # what is finished stays so
    until(here, qtbot, running, JobState.RUNNING)
    qtbot.waitUntil(lambda: here.jobs.view(running).progress.done > stood, timeout=LIMIT_MS)
    here.jobs.take_step(Step.CANCEL, [running])
    until(here, qtbot, running, JobState.CANCELLED)


def test_a_killed_compute_process_costs_an_attempt(here, scripted, qtbot):
    job = submit(here, qtbot, scripted.request(frames=20, pause_s=0.1))
    qtbot.waitUntil(lambda: (here.jobs.view(job).progress or 0) != 0, timeout=LIMIT_MS)
    os.kill(scripted.status()["compute_pid"], signal.SIGKILL)
    until(here, qtbot, job, JobState.FINISHED)
    log = JobLog(here.jobs, job)
    qtbot.addWidget(log)
    qtbot.waitUntil(lambda: log.attempts.topLevelItemCount() == 2, timeout=LIMIT_MS)
    assert log.attempts.topLevelItem(0).text(1) == "Crashed"
    assert log.attempts.topLevelItem(1).text(1) == "Finished"
    assert "Crashed" in log.text


def test_a_job_that_crashes_again_and_again_is_set_aside_and_says_so(here, scripted, qtbot):
    job = submit(here, qtbot, scripted.request(deed="crash", deed_at=1002))
    until(here, qtbot, job, JobState.QUARANTINED)
    log = JobLog(here.jobs, job)
    qtbot.addWidget(log)
    qtbot.waitUntil(lambda: log.attempts.topLevelItemCount() > 1, timeout=LIMIT_MS)
    assert sentence(here.jobs.view(job).error.what) in log.text
    assert here.jobs.can(Step.RETRY, job)


def test_bad_input_is_told_in_three_parts(here, scripted, qtbot):
    job = submit(here, qtbot, scripted.request(deed="input error", deed_at=1003))
    until(here, qtbot, job, JobState.FAILED)
    log = JobLog(here.jobs, job)
    qtbot.addWidget(log)
    qtbot.waitUntil(lambda: bool(log.text) and "Frame 1005" in log.text, timeout=LIMIT_MS)
    assert "Render it or choose hold." in log.text
    assert "gap" in log.detail.toPlainText()


def test_a_client_that_is_ended_waits_no_longer_and_starts_nothing(scripted, state_root):
    client, ended = ServiceClient(scripted.root), []
    after = client.changes(0, timeout_s=0.0).number

    def wait():
        try:
            while True:
                client.changes(after, timeout_s=20.0)
        except ServiceUnreachableError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)  # so that it most likely waits by now; either way it has to end
    client.end()
    thread.join(10.0)
    assert not thread.is_alive()
    assert len(ended) == 1
    client.close()
    other = ServiceClient(state_root)
    other.end()
    with pytest.raises(ServiceUnreachableError, match="was ended"):
        other.status()
    assert not state_root.exists()


def test_a_log_that_is_closed_before_it_is_told(here, scripted, qtbot):
    job = submit(here, qtbot, scripted.request(frames=1))
    log = JobLog(here.jobs, job)
    log.show()
    log.close()
    until(here, qtbot, job, JobState.FINISHED)
    told = []
    here.jobs.details(job, told.append)
    qtbot.waitUntil(lambda: bool(told), timeout=LIMIT_MS)


def test_the_service_is_killed_and_the_panel_closed_and_the_queue_goes_on(studio, mortal, state_root, qtbot):
    studio.bridge._python = mortal.interpreter()
    studio.start()
    job = submit(studio, qtbot, mortal.request(frames=60, pause_s=0.1))
    waits = submit(studio, qtbot, mortal.request(frames=1))
    qtbot.waitUntil(lambda: (studio.jobs.view(job).progress or 0) != 0, timeout=LIMIT_MS)
    os.kill(mortal.status()["pid"], signal.SIGKILL)
    mortal.process.wait(20)
    qtbot.waitUntil(lambda: studio.jobs.view(job).data["attempts"] == 2, timeout=LIMIT_MS)
    mortal.stop()  # somebody ends it politely: who has a panel open wants it back
    qtbot.waitUntil(lambda: studio.jobs.view(job).data["attempts"] == 3, timeout=LIMIT_MS)
    assert studio.jobs.count == 2
    studio.close()
    again = Studio(state=state_root)
    again.bridge._python = mortal.interpreter()
    try:
        again.start()
        for one in (job, waits):
            qtbot.waitUntil(lambda one=one: again.jobs.view(one) is not None, timeout=LIMIT_MS)
            until(again, qtbot, one, JobState.FINISHED)
        assert again.jobs.count == 2
        assert again.bridge.state is ServiceState.HERE
    finally:
        again.close()


def test_two_panels_see_the_same_jobs(here, scripted, qtbot):
    other = Studio(state=scripted.root, remember=False)
    try:
        other.start()
        job = submit(here, qtbot, scripted.request(frames=400, pause_s=0.05))
        qtbot.waitUntil(lambda: other.jobs.view(job) is not None, timeout=LIMIT_MS)
        until(other, qtbot, job, JobState.RUNNING)
        other.jobs.learn(job)
        qtbot.waitUntil(lambda: other.jobs.request(job) is not None, timeout=LIMIT_MS)
        assert other.jobs.request(job) == here.jobs.request(job)
        other.jobs.take_step(Step.CANCEL, [job])
        until(here, qtbot, job, JobState.CANCELLED)
        assert here.jobs.take_step(Step.CANCEL, [job]) == 0
    finally:
        other.close()


def test_ten_thousand_jobs_out_of_a_real_queue(studio, state_root, tmp_path, qtbot):
    folder = state_folder(state_root)
    prepare_folder(folder)
    ledger = Ledger(folder.database)
    queue = Queue(ledger)
    request = RenderRequest(labels=str(tmp_path / "label"), model="street", out=str(tmp_path / "out")).to_json()
    with ledger.writing() as db:
        rows = (
            (f"{n:012x}", f"key{n:012d}", "render", json.dumps(request), f"/out/v{n}", 0, n, n, "{}", "finished", n)
            for n in range(MANY)
        )
        db.executemany(
            "INSERT INTO jobs (id, key, type, request, take, priority, created_s, changed_s, result, state, place)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    last = queue.submit("keyofthelast", request, None)
    queue.pause(last)
    ledger.close()
    model = JobModel(studio.jobs)
    resets = []
    model.modelReset.connect(lambda: resets.append(1))
    studio.start()
    qtbot.waitUntil(lambda: studio.bridge.jobs_complete, timeout=LIMIT_MS)
    assert studio.jobs.count == model.rowCount() == MANY + 1
    assert model.view_at(0).id == last
    assert not resets
    studio.jobs.take_step(Step.CANCEL, [last])
    until(studio, qtbot, last, JobState.CANCELLED)
