# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel is killed again and again in the middle of its work; MAPREEL_KILLS=50 says how often."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.jobs import JobState

TIMES = int(os.environ.get("MAPREEL_KILLS", "3"))
PANEL = Path(__file__).with_name("panel_at_work.py")
LIMIT_S = 120.0
LONGEST_S = 0.7  # from the job that it sent to the kill

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


class Panel:
    """One panel; a process that can be killed."""

    def __init__(self, root, what, shot, jobs=0):
        environment = {**os.environ, "MAPREEL_STATE": str(root), "OMP_NUM_THREADS": "1", "MAPREEL_NICE": "1"}
        words = [sys.executable, str(PANEL), what, str(shot), str(jobs)]
        self.process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)

    def hear(self):
        """The next line that it tells; a panel that ends or is silent fails the test."""
        line = self.process.stdout.readline()
        assert line, f"the panel ended: {self.process.wait(LIMIT_S)}"
        return json.loads(line)

    def kill(self):
        """SIGKILL, and wait until it and every child that is its own have gone."""
        children = children_of(self.process.pid)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(LIMIT_S)
        self.process.stdout.close()
        deadline = time.monotonic() + LIMIT_S
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
            time.sleep(0.02)
        return [child for child in children if Path(f"/proc/{child}").exists()]


def children_of(process):
    """Its reader processes; the service is nobody's child for long, and meant to stay."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if parent == process and b"mapreel.core.media.reader" in words:
            found.append(int(entry.name))
    return found


def test_service_jobs_and_preferences_outlive_panels(state_root, shot_folder, record_property):
    chance, jobs, services, sent_s, left = random.Random(50), [], set(), [], []
    for number in range(TIMES):
        panel = Panel(state_root, "work", shot_folder)
        begun = panel.hear()
        assert begun["trouble"] == ""
        assert begun["kept"] is (number > 0)
        told = panel.hear()
        jobs.append(told["job"])
        sent_s.append(told["after_s"])
        time.sleep(chance.uniform(0, LONGEST_S))
        left += panel.kill()
        with ServiceClient(state_root, start=False) as client:
            services.add(client.status()["pid"])
    assert len(services) == 1
    assert not left
    content = json.loads((state_root / "panel.json").read_text(encoding="utf-8"))
    assert content["format"] == "mapreel-panel"
    with ServiceClient(state_root, start=False) as client:
        for job in jobs:
            assert client.wait(job).state is JobState.FINISHED
    last = Panel(state_root, "look", shot_folder, TIMES)
    assert last.hear()["trouble"] == ""
    seen = last.hear()
    assert set(seen["jobs"]) >= set(jobs)
    assert last.process.wait(LIMIT_S) == 0
    last.process.stdout.close()
    takes = {path.name for path in (shot_folder / "render").iterdir()}
    assert len(takes) == len(seen["jobs"])
    mean = sum(sent_s) / TIMES
    record_property(
        "panels",
        f"{TIMES} killed: a job was queued {mean:.1f} s after the start in the mean, {max(sent_s):.1f} s at most; "
        f"the last one showed {len(seen['jobs'])} jobs after {seen['after_s']:.1f} s",
    )
