# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel panel` as a command: where no window can be, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X servers are looked for on Linux")


def panel(*words, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    kept.pop("QT_QPA_PLATFORM", None)
    return subprocess.Popen(
        [sys.executable, "-m", "mapreel.core.cli", "panel", *words],
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@LINUX
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "there is no screen to show the panel on; run it in a desktop session."),
        ({"DISPLAY": ":4711"}, "the screen :4711 does not answer; set DISPLAY to the one of your desktop session."),
    ],
)
def test_without_a_screen_it_says_so(environment, said):
    process = panel(**environment)
    _, errors = process.communicate(timeout=60)
    if "is not installed; install it" in errors:
        pytest.skip("Qt's libraries for X are not here")
    assert process.returncode == 2
    assert errors == f"mapreel: {said}\n"


def test_a_wrong_scheme_is_wrong_use():
    process = panel("--scheme", "pink", QT_QPA_PLATFORM="offscreen")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the scheme “pink” is unknown; use one of system, light, dark." in errors


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_it_as_a_click_would(number, tmp_path):
    process = panel(QT_QPA_PLATFORM="offscreen", MAPREEL_STATE=str(tmp_path / "state"), MAPREEL_IDLE_S="5")
    settled = tmp_path / "state" / "service.json"  # it has asked the service: the window stands
    deadline = time.monotonic() + 60
    while not settled.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert settled.exists()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert (tmp_path / "state" / "panel.json").exists()
    subprocess.run(
        [sys.executable, "-m", "mapreel.core.cli", "service", "stop"],
        env={**os.environ, "MAPREEL_STATE": str(tmp_path / "state")},
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
