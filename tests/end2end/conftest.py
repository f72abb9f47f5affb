# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a user meets it: real processes, a small real shot, a small model, a state folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import ServiceError
from mapreel.core.media.images import write_exr, write_png
from mapreel.core.media.labels import read_instance_map, read_label_map
from mapreel.core.media.motion import read_motion

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "resources" / "demo" / "street"
LIMIT_S = 180.0  # for what takes some seconds on an idle machine
HEIGHT, WIDTH = 64, 128
FIRST = 1001
CROP = (slice(150, 150 + HEIGHT), slice(200, 200 + WIDTH))  # road, kerb, houses and cars


def await_true(ask, what="it", limit_s=LIMIT_S):
    """Ask again and again until the answer is true."""
    deadline = time.monotonic() + limit_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what} did not happen within {limit_s} s"
        time.sleep(0.01)
    return answer


class Run:
    """What a finished command said."""

    def __init__(self, code, stdout, stderr):
        self.code, self.stdout, self.stderr = code, stdout, stderr

    @property
    def sentence(self):
        """The one line on stderr that is the error; everything else there is notes and progress."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("mapreel: ")]
        assert len(lines) == 1, self.stderr
        assert "Traceback" not in self.stderr
        return lines[0].removeprefix("mapreel: ")

    @property
    def data(self):
        """The JSON object of --json."""
        return json.loads(self.stdout)


class Program:
    """`mapreel` with a state folder of its own."""

    def __init__(self, root):
        self.state = root / "state"
        self.started = []
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        own = {"MAPREEL_STATE": str(self.state), "MAPREEL_NICE": "0", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        self.environment = {**os.environ, **threads, **own}

    def start(self, *words, **options):
        """Start a command; the caller ends it."""
        command = [sys.executable, "-m", "mapreel.core.cli", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": self.environment}
        process = subprocess.Popen(command, **{**pipes, **options})
        self.started.append(process)
        return process

    def __call__(self, *words, cwd=None):
        """Run a command to its end."""
        process = self.start(*words, cwd=cwd)
        return self.finish(process)

    def finish(self, process):
        """Wait for a started command."""
        try:
            stdout, stderr = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Run(process.returncode, stdout, stderr)

    def facts(self):
        """Process ids of the service; nothing when none runs. Never starts one."""
        try:
            with ServiceClient(self.state, start=False) as client:
                return client.status()
        except ServiceError:
            return {}

    def processes(self):
        """Pids of all live processes that belong to this state folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words, stat = (entry / "cmdline").read_bytes(), (entry / "stat").read_text()
            except OSError:
                continue  # it ended while we looked
            if str(self.state).encode() in words and stat.rpartition(")")[2].split()[0] != "Z":
                found.append(int(entry.name))
        return found

    def end(self):
        """Stop the service; everything of it has to be gone soon, commands that still wait among it."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            if not process.stdout.closed:  # nobody has waited for it: the test failed before
                process.communicate()
        try:
            with ServiceClient(self.state, start=False) as client:
                client.stop()
            await_true(lambda: not self.processes(), "the end of the service", 30.0)
        except BaseException:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
            raise


@pytest.fixture
def mapreel(tmp_path):
    program = Program(tmp_path)
    yield program
    program.end()


@pytest.fixture(scope="module")
def warm_mapreel(tmp_path_factory):
    """One state folder and service for a whole file, for tests that only send it requests."""
    program = Program(tmp_path_factory.mktemp("warm"))
    yield program
    program.end()


def write_shot(folder, numbers, *, kinds=("label", "instance", "motion")):
    """Crops of the bundled street under the given frame numbers."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
    for index, number in enumerate(numbers, start=1):
        if "label" in kinds:
            label = read_label_map(DEMO / "label" / f"{index:04d}.png")[CROP]
            write_png(folder / "label" / f"{number:04d}.png", label.astype(np.uint8))
        if "instance" in kinds:
            instance = read_instance_map(DEMO / "instance" / f"{index:04d}.png")[CROP]
            write_png(folder / "instance" / f"{number:04d}.png", np.ascontiguousarray(instance))
        if "motion" in kinds:
            motion = read_motion(DEMO / "motion" / f"{index:04d}.exr")[CROP]
            write_exr(folder / "motion" / f"{number:04d}.exr", motion, channels=("motion.X", "motion.Y"))
    return folder


@pytest.fixture
def shot(tmp_path):
    """Six frames, 1001-1006, of a street: label, instance and motion maps, free to be spoilt."""
    return write_shot(tmp_path / "shot", range(FIRST, FIRST + 6))


@pytest.fixture(scope="session")
def long_shot(tmp_path_factory):
    """All 96 frames, 1001-1096, so that there are two anchors. Read only."""
    return write_shot(tmp_path_factory.mktemp("long") / "shot", range(FIRST, FIRST + 96))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model with random weights: as deterministic as a real one and much smaller."""
    import torch

    from mapreel.core.media.palettes import load_palette
    from mapreel.core.vid2vid.checkpoint import save_model
    from mapreel.core.vid2vid.config import GeneratorConfig
    from mapreel.core.vid2vid.inputs import ClassTable
    from mapreel.core.vid2vid.looks import SAMPLES, Looks
    from mapreel.core.vid2vid.network import Generator

    torch.manual_seed(1)
    classes = load_palette("street").classes
    count = len(classes)
    config = GeneratorConfig(classes=count, width=WIDTH, height=HEIGHT, widths=(8, 8), blocks=(1, 1))
    random = np.random.default_rng(1)
    looks = Looks(
        random.random((count, 3), np.float32),
        random.random((count, SAMPLES, 3), np.float32),
        np.full(count, SAMPLES, np.int32),
    )
    folder = tmp_path_factory.mktemp("model") / "tiny"
    folder.mkdir()
    save_model(
        folder / "model.safetensors",
        name="tiny",
        generator=Generator(config),
        table=ClassTable(tuple(entry.id for entry in classes), tuple(entry.name for entry in classes)),
        looks=looks,
        licence="free to use",
        story={},
    )
    return folder


def maps_of(shot):
    """The words that name all maps of a shot."""
    return (shot / "label", "--instances", shot / "instance", "--motion", shot / "motion")


@pytest.fixture
def words(model):
    """The words of a render: `words(shot, out, …)`."""

    def make(shot, out, *more):
        return ("render", *maps_of(shot), "--model", model, "--out", out, *more)

    return make


def pictures(take):
    """Frame file -> bytes of a take."""
    return {path.name: path.read_bytes() for path in sorted(take.glob("*.png"))}


@pytest.fixture
def read_pictures():
    return pictures


@pytest.fixture(scope="session")
def undisturbed(long_shot, model, tmp_path_factory):
    """The long shot rendered in one go, without the service: what every other way has to give."""
    root = tmp_path_factory.mktemp("undisturbed")
    run = Program(root)("render", *maps_of(long_shot), "--model", model, "--out", root / "take", "--local")
    assert run.code == 0, run.stderr
    found = pictures(root / "take")
    assert len(found) == 96
    return found
