# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in a real window on an X screen, with real clicks and keys: a first visit, and the next day."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import UsageError
from mapreel.core.screen import check_screen

ROOT = Path(__file__).parents[2]
PLAY = Path(__file__).with_name("panel_play.py")
pytestmark = pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool")


@pytest.fixture
def screen(monkeypatch):
    """An X screen of 1600 x 1000 points, found by no other program."""
    reading, writing = os.pipe()
    words = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    process = subprocess.Popen(words, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        name = f":{told.readline().strip()}"
    monkeypatch.setenv("DISPLAY", name)
    for variable in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    try:
        check_screen()
        yield name
    except UsageError as error:
        pytest.skip(str(error))
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def state(tmp_path):
    yield tmp_path / "state"
    with ServiceClient(tmp_path / "state", start=False) as client:
        client.stop()


def play(act, *words):
    done = subprocess.run(
        [sys.executable, str(PLAY), act, *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MAPREEL_NICE": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_day_and_the_next(screen, state, tmp_path):
    shot = shutil.copytree(ROOT / "resources" / "demo" / "street", tmp_path / "street ü")
    photos = tmp_path / "photos"
    seen = play("first", state, shot, tmp_path / "out", "--photos", photos)
    assert seen["shot"] == "street ü"
    assert len(seen["take"]) == 6
    assert seen["take"][0] == f"{seen['scrubbed_to']:04d}.png"
    assert seen["wiped"]
    assert seen["cancelled"] == "cancelled"
    assert seen["messages"] == []
    assert {path.stem for path in photos.iterdir()} >= {"draft", "render", "result", "wipe", "archive", "labels"}
    again = play("again", state, shot, tmp_path / "out", "--photos", photos)
    assert again["recent"] == [str(shot)]
    assert again["jobs"] == ["cancelled", "finished"]
    assert not list((tmp_path / "out" / "archives").glob("*.nirv"))
