# SPDX-License-Identifier: GPL-3.0-or-later
"""Blenders to test inside: `install.py test` makes their environments; one process for each script, a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.plugin import packaging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "blender"
ALWAYS = ("4.5", "5.0")
BY_HAND = ("4.2",)  # where somebody made .venv-blender-4.2: see docs/blender.md
LIMIT_S = 240
SCREEN = (1600, 1000)
PROGRAMS = ("blender", "Xvfb", "xdotool", "import")


def python_of(version: str) -> Path:
    """The interpreter whose `bpy` is this Blender."""
    return ROOT / f".venv-blender-{version}" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


VERSIONS = (*ALWAYS, *(version for version in BY_HAND if python_of(version).exists()))


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip that Blender installs."""
    return packaging.build_blender("0.0.1", tmp_path_factory.mktemp("extension"))


@pytest.fixture(scope="session")
def shared_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one service for all tests: its processes start once, and stay warm as they do for an artist."""
    state = tmp_path_factory.mktemp("service") / "state"
    yield state
    _stop(state)


@pytest.fixture
def own_state(tmp_path: Path) -> Iterator[Path]:
    """The folder of a service of this test alone, which may be killed, old or not there."""
    state = tmp_path / "state"
    yield state
    _stop(state)


def _stop(state: Path) -> None:
    if state.exists():
        with ServiceClient(state, start=False) as client:
            client.stop()


@pytest.fixture(params=VERSIONS)
def blender(request: pytest.FixtureRequest, extension: Path, tmp_path: Path) -> Any:
    """Run a script of `tests/hosts/blender` inside a Blender with the extension enabled; gives what it answered."""
    python = python_of(request.param)
    if not python.exists() or not list(python.parents[1].glob("**/site-packages/bpy")):
        pytest.skip(f"no Blender {request.param} as a module here: install.py test makes it")
    state = request.getfixturevalue("own_state" if "own_state" in request.fixturenames else "shared_state")

    def run(script: str, limit_s: float = LIMIT_S, **given: Any) -> dict[str, Any]:
        (tmp_path / "given.json").write_text(json.dumps({"folder": str(tmp_path), **given}), encoding="utf-8")
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        variables |= {
            "BLENDER_USER_RESOURCES": str(tmp_path / "blender"),
            "MAPREEL_STATE": str(state),
            "MAPREEL_NICE": "0",  # so that a busy machine does not let it starve
            "MAPREEL_PYTHON": sys.executable,
            "MAPREEL_EXTENSION": str(extension),
            "MAPREEL_GIVEN": str(tmp_path / "given.json"),
        }
        command = [str(python), str(SCRIPTS / f"{script}.py")]
        done = subprocess.run(
            command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=limit_s, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return dict(json.loads((tmp_path / "answer.json").read_text(encoding="utf-8")))

    return run


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    """A screen that nobody sees."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24", "-nolisten", "tcp"]
    with (tmp_path / "xvfb.log").open("wb") as log:
        server = subprocess.Popen(command, pass_fds=[writing], stdout=log, stderr=log)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(10)


@pytest.fixture
def window(display: str, extension: Path, own_state: Path, tmp_path: Path) -> Callable[..., Any]:
    """Within: a Blender with a window, begun with a script of `tests/hosts/blender`. Gives the file of its words."""

    @contextlib.contextmanager
    def opened(script: str, **given: Any) -> Iterator[Path]:
        (tmp_path / "given.json").write_text(json.dumps({"folder": str(tmp_path), **given}), encoding="utf-8")
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        variables |= {
            "DISPLAY": display,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "BLENDER_USER_CONFIG": str(tmp_path / "config"),
            "BLENDER_USER_SCRIPTS": str(tmp_path / "scripts"),
            "MAPREEL_STATE": str(own_state),
            "MAPREEL_NICE": "0",
            "MAPREEL_PYTHON": sys.executable,
            "MAPREEL_EXTENSION": str(extension),
            "MAPREEL_GIVEN": str(tmp_path / "given.json"),
        }
        command = ["blender", "--factory-startup", "--window-geometry", "0", "0", str(SCREEN[0]), str(SCREEN[1])]
        words = tmp_path / "blender.log"
        with words.open("wb") as log:
            started = [*command, "--python", str(SCRIPTS / f"{script}.py")]
            host = subprocess.Popen(started, env=variables, stdout=log, stderr=log)
        try:
            yield words
        finally:
            host.terminate()
            host.wait(20)

    return opened
