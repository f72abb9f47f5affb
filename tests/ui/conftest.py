# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel on Qt's offscreen platform, with a studio and a real service of its own for each test that asks."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PyQt6.QtWidgets import QVBoxLayout, QWidget

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_SCALE_FACTOR", "1")

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import MapreelError
from mapreel.core.contract.frames import frame_name
from mapreel.ui.state.studio import Studio
from mapreel.ui.views.theme import dress

LIMIT_MS = 60_000  # for what takes a second on an idle machine


def stop_service(root):
    """End the service of a state folder, also one that is only starting, and wait until all its processes have gone."""
    deadline = time.monotonic() + 60
    while (alive := _processes(root)) and time.monotonic() < deadline:
        with contextlib.suppress(MapreelError), ServiceClient(root, start=False) as client:
            client.stop()
        if time.monotonic() > deadline - 50:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes(root):
    """Processes that carry a state folder in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(root).encode() in words and state != "Z" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


@pytest.fixture(scope="session")
def qapp_args():
    return ["mapreel"]


@pytest.fixture(autouse=True)
def dressed(qapp):
    dress(qapp, "dark")


@pytest.fixture
def state_root():
    """A state folder with a short path; its service, if one was started, is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mr") as name:
        root = Path(name) / "state"
        yield root
        stop_service(root)


@pytest.fixture
def studio(qapp, state_root):
    """All state of a panel; nobody has started a service yet."""
    made = Studio(state=state_root)
    yield made
    made.close()


def write_labels(folder, numbers, size=(64, 32), classes=5):
    """Label maps of flat bands that move."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    for number in numbers:
        ids = ((np.arange(width)[None, :] + number) * classes // width % classes).repeat(height, axis=0)
        cv2.imwrite(str(folder / f"{frame_name(number, 4)}.png"), ids.astype(np.uint8))
    return folder


def write_pictures(folder, numbers, size=(64, 32)):
    """Pictures full of colours."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    for number in numbers:
        picture = random.integers(0, 255, (size[1], size[0], 3), np.uint8)
        cv2.imwrite(str(folder / f"{frame_name(number, 4)}.png"), picture)
    return folder


@pytest.fixture
def make_labels():
    return write_labels


@pytest.fixture
def make_pictures():
    return write_pictures


@pytest.fixture
def in_window(qtbot):
    """Puts a view into a window of 900 x 700 that is shown; it is closed in the end."""
    windows = []

    def put(view):
        window = QWidget()
        QVBoxLayout(window).addWidget(view)
        window.resize(900, 700)
        qtbot.addWidget(window)
        window.show()
        windows.append(window)
        return view

    yield put
    for window in windows:
        window.close()


@pytest.fixture
def shot_folder(tmp_path):
    """A folder as our data sets are: label/ and color/, frames 1001-1008."""
    write_labels(tmp_path / "shot" / "label", range(1001, 1009))
    write_pictures(tmp_path / "shot" / "color", range(1001, 1009))
    return tmp_path / "shot"


@pytest.fixture
def opened(studio, qtbot, shot_folder):
    """A studio with that shot open."""
    studio.shots.open_paths([str(shot_folder)])
    qtbot.waitUntil(lambda: studio.shots.current is not None, timeout=LIMIT_MS)
    return studio
