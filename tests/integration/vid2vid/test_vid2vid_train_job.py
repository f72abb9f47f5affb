# SPDX-License-Identifier: GPL-3.0-or-later
"""A training as a job of a real service: progress, pause, kill -9, going on from the checkpoint, a model at the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import TrainRequest
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.models import LOG_FILE
from mapreel.core.vid2vid.training_log import read_log
from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE

LIMIT_S = 120.0
STEPS = 7


def until(ask, limit_s: float = LIMIT_S):
    deadline = time.monotonic() + limit_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceClient]:
    state = tmp_path_factory.mktemp("service") / "state"
    here = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PYTHONPATH": here, "OMP_NUM_THREADS": "1", "MAPREEL_NICE": "1"}.items():
            patch.setenv(name, value)
        with ServiceClient(state, arguments=("--runners", "training_runners")) as client:
            client.status()  # starts it: what a module shares is no test's own child
            yield client
            client.stop()
            until(lambda: not (state / "service.json").exists())


def done(client: ServiceClient, job: str) -> int:
    progress = client.show(job).progress
    return progress.done if progress else 0


@pytest.mark.slow
def test_a_training_is_paused_killed_and_finished(client: ServiceClient, street: Path, tmp_path: Path):
    out = tmp_path / "mine"
    job = client.submit(TrainRequest(data=(str(street),), out=str(out), steps=STEPS, licence="CC0-1.0")).id
    until(lambda: 1 <= done(client, job) < STEPS)
    client.pause(job)
    until(lambda: not any(attempt["state"] == "running" for attempt in client.show(job).data["tries"]))
    assert (out / CHECKPOINT_FILE).is_file()
    paused_at = len(read_log(out / LOG_FILE))
    assert 1 <= paused_at < STEPS
    client.resume(job)
    until(lambda: client.show(job).state is JobState.RUNNING and done(client, job) > paused_at)
    os.kill(client.status()["compute_pid"], signal.SIGKILL)
    finished = client.wait(job)
    assert finished.state is JobState.FINISHED
    assert finished.result is not None
    assert finished.result["steps"] == STEPS
    assert [attempt["state"] for attempt in client.show(job).data["tries"]] == ["cancelled", "crashed", "done"]
    assert [entry["step"] for entry in read_log(out / LOG_FILE)] == list(range(1, STEPS + 1))
    assert load_model(str(out / "model")).licence == "CC0-1.0"


def test_bad_data_fails_the_job_with_its_sentence(client: ServiceClient, tmp_path: Path):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    job = client.submit(TrainRequest(data=(str(nothing),), out=str(tmp_path / "mine"), steps=1)).id
    failed = client.wait(job)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.exit_code == 2
