# SPDX-License-Identifier: GPL-3.0-or-later
"""A real service for each test that asks: own state folder, own processes, all of them gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.requests import RenderRequest
from mapreel.core.contract.state_folder import state_folder

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the runners of these tests are a module of their own, as the real ones are
RUNNERS = ("--runners", "service_runners")
LIMIT_S = 60.0  # for what happens within a second on an idle machine


def await_true(ask, what="it", limit_s=LIMIT_S):
    """Ask again and again until the answer is true."""
    deadline = time.monotonic() + limit_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what} did not happen within {limit_s} s"
        time.sleep(0.02)
    return answer


def processes_of(root):
    """Pids of all live processes that carry this state folder in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(root).encode() in words and state != "Z" and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


class House:
    """One state folder with its service, and scripts of the test runner to submit."""

    def __init__(self, root):
        self.root = root
        self.folder = state_folder(root / "state")
        self.jobs = 0

    def client(self, **options):
        options.setdefault("arguments", RUNNERS)
        return ServiceClient(self.folder.root, **options)

    def request(self, out=None, resume=False, **script):
        self.jobs += 1
        path = self.root / f"script{self.jobs}.json"
        path.write_text(json.dumps({"frames": 5, **script}))
        return RenderRequest(
            labels=str(path), model="street", out=str(out or self.root / f"take{self.jobs}"), resume=resume
        )

    def start(self, *words):
        """Start a service by hand; gives the process."""
        return subprocess.Popen(
            [sys.executable, "-m", "mapreel.core.service", "--state", str(self.folder.root), *RUNNERS, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def endpoint(self):
        return json.loads(self.folder.endpoint.read_text())

    def read_queue(self, sql, *values):
        connection = sqlite3.connect(self.folder.database)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def kill_service(self):
        os.kill(self.endpoint()["pid"], signal.SIGKILL)

    def frames(self, take):
        return sorted(path.name for path in Path(take).iterdir())

    def until(self, ask):
        return await_true(ask)

    def processes(self):
        return processes_of(self.root)

    def is_alive(self, pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def clean(self):
        deadline = time.monotonic() + 20
        while (alive := processes_of(self.root)) and time.monotonic() < deadline:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        assert not alive


# hardly niced: on a busy machine a test would wait for ages for its compute process
ENVIRONMENT = {"MAPREEL_GRACE_S": "1.5", "MAPREEL_IDLE_S": "120", "MAPREEL_NICE": "1", "OMP_NUM_THREADS": "1"}


def quick():
    return tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def make_house(root):
    """A house with its environment; the processes that it leads to are ended afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])))
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        house = House(root)
        try:
            yield house
        finally:
            house.clean()


@pytest.fixture
def quick_folder():
    """A folder in memory where there is one: a kill is the same there, and a busy disk slows no test."""
    with quick() as folder:
        yield Path(folder)


@pytest.fixture
def house(quick_folder):
    """A state folder of this test's own."""
    yield from make_house(quick_folder)


@pytest.fixture
def house_on_disk(tmp_path):
    """The same on a real disk with its real syncs."""
    yield from make_house(tmp_path)


@pytest.fixture(scope="module")
def shared():
    """One state folder and service for the tests of a module that do not harm it."""
    with quick() as folder:
        for house in make_house(Path(folder)):
            with house.client() as client:
                client.status()
            yield house
