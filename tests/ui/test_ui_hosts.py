# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts beside the panel: a real service, links as hosts have them; and what is told to the desktop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest
from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtWidgets import QApplication, QWidget

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import MissingInputError
from mapreel.core.contract.host_session import HostFacts, HostView, new_session
from mapreel.core.contract.job_view import JobView
from mapreel.plugin.shared.link import Link
from mapreel.ui.state.hosts import SILENT_S, host_facts
from mapreel.ui.state.studio import Studio
from mapreel.ui.views.hosts_view import HostsView
from mapreel.ui.views.notify import Notifier

LIMIT_MS = 60_000
PUMP_MS = 20
GATHER_MS = 50


@pytest.fixture
def studio(studio):
    """Nothing is drafted here."""
    studio.drafts.enabled = False
    return studio


@pytest.fixture
def blender(state_root, shot_folder, studio, qtbot):
    """A host that is linked: it shows takes that end in a number, and refuses others."""
    studio.start()
    qtbot.waitUntil(lambda: studio.bridge.jobs_complete, timeout=LIMIT_MS)
    link = Link(state=str(state_root))
    link.shown = []

    def show(command):
        if "bad" in command.take:
            raise MissingInputError("the take is not there", "render it again")
        link.shown.append((command.take, command.into))

    facts = HostFacts(
        host="blender",
        version="4.5.0",
        pid=1,
        file="/shots/street.blend",
        scene="Scene",
        first=1002,
        last=1006,
        fps=25.0,
        width=1280,
        height=720,
        labels=str(shot_folder / "label"),
    )
    pump = QTimer()
    pump.timeout.connect(link.pump)
    pump.start(PUMP_MS)
    link.open_session(facts, show)
    yield link
    pump.stop()
    link.close()


def test_a_host_is_listed_asked_and_answers(studio, blender, qtbot, tmp_path):
    view = HostsView(studio)
    qtbot.addWidget(view)
    view.resize(260, 220)
    view.show()
    assert "No host is linked" in view.node_button.toolTip()
    qtbot.waitUntil(lambda: len(studio.hosts.linked) == 1, timeout=LIMIT_MS)
    assert host_facts(studio.hosts.linked[0]) == "Scene · 1002-1006 · 25 fps · 1280 x 720"
    assert "No take is looked at" in view.node_button.toolTip()
    qtbot.mouseClick(view.maps_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: studio.shots.current is not None, timeout=LIMIT_MS)
    shot = studio.shots.current
    assert (shot.fps, shot.cut_in, shot.cut_out) == (25.0, 1002, 1006)
    for take, into, button in (("v1", "node", view.node_button), ("v2", "strip", view.strip_button)):
        shot.add_take(str(tmp_path / take))
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda take=take: studio.hosts.answer == f"Blender shows {take}.", timeout=LIMIT_MS)
        assert blender.shown[-1] == (str(tmp_path / take), into)
        assert view.answer.text() == studio.hosts.answer
    shot.add_take(str(tmp_path / "bad"))
    qtbot.mouseClick(view.node_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not studio.hosts.good, timeout=LIMIT_MS)
    assert studio.hosts.answer == "The take is not there; render it again."
    assert view.trouble.label.text() == studio.hosts.answer
    assert not view.answer.isVisible()


def test_a_host_that_leaves_is_gone(studio, blender, state_root, qtbot, tmp_path):
    qtbot.waitUntil(lambda: len(studio.hosts.linked) == 1, timeout=LIMIT_MS)
    session = studio.hosts.linked[0].session
    blender.close()
    with ServiceClient(state_root, start=False) as client:
        client.tell_as_host(session, None)
    qtbot.waitUntil(lambda: studio.hosts.linked == (), timeout=LIMIT_MS)
    studio.hosts.bring_in(session, str(tmp_path / "v1"))  # the button was pressed just then
    assert studio.hosts.answer == ""


def test_the_host_that_opened_the_panel_is_marked_and_its_maps_are_opened(studio, blender, state_root, qtbot):
    qtbot.waitUntil(lambda: len(studio.hosts.linked) == 1, timeout=LIMIT_MS)
    own = Studio(state=state_root, host_session=studio.hosts.linked[0].session, remember=False)
    own.drafts.enabled = False
    view = HostsView(own)
    qtbot.addWidget(view)
    try:
        own.start()
        qtbot.waitUntil(lambda: own.shots.current is not None, timeout=LIMIT_MS)
        assert own.shots.current.cut_in == 1002
        assert "It opened this panel" in view.list.itemWidget(view.list.item(0)).toolTip()
        own.shots.close_shot(own.shots.current)
        own.hosts.ask()
        qtbot.wait(100)
        assert own.shots.open == ()  # once is enough
    finally:
        own.close()


def test_nobody_is_asked_while_the_service_is_not_there(studio, qtbot):
    asked = []
    studio.bridge.ask = lambda *words, **_: asked.append(words)
    studio.hosts.ask()
    assert asked == []


def test_a_silent_host_says_so(studio, qtbot):
    facts = HostFacts(host="nuke", version="16", pid=2)
    view = HostsView(studio)
    qtbot.addWidget(view)
    studio.hosts.linked = (HostView(new_session(), facts, SILENT_S, ()),)
    assert "does not answer now" in view.list.itemWidget(view.list.item(0)).toolTip()
    assert "told of no label maps" in view.maps_button.toolTip()


# -- notices to the desktop --------------------------------------------------------------------------------------------


def job(number, state):
    told = {"number": number, "id": f"{number:012x}", "type": "render", "state": state, "take": f"/s/beauty_v{number}"}
    told |= {"created_s": 0, "changed_s": 0, "request": {"labels": "/s/sq010/label"}}
    return JobView.from_json(
        {**told, "error": {"code": "gap", "what": "frame 5 is missing"}} if state == "failed" else told
    )


@pytest.fixture
def notices(studio, qtbot, monkeypatch):
    """What is told, by a way that always works; nobody looks at the window."""
    monkeypatch.setattr(QApplication, "activeWindow", lambda: None)
    window, told = QWidget(), []
    qtbot.addWidget(window)

    def way(title, text, *, bad):
        told.append((title, text, bad))
        return True

    notifier = Notifier(studio, window, (lambda *_, **__: False, way), GATHER_MS)
    yield told
    notifier.deleteLater()


def end(studio, *states):
    views = [job(number, state) for number, state in enumerate(states, start=1)]
    studio.bridge.jobs_came.emit([job(number, "running") for number in range(1, len(states) + 1)])
    studio.bridge.jobs_came.emit(views)


def test_one_job_that_ended_is_told(studio, notices, qtbot):
    end(studio, "finished")
    qtbot.waitUntil(lambda: bool(notices), timeout=LIMIT_MS)
    assert notices == [("Render is finished", "sq010 · beauty_v1", False)]


def test_a_failure_says_why(studio, notices, qtbot):
    end(studio, "failed")
    qtbot.waitUntil(lambda: bool(notices), timeout=LIMIT_MS)
    assert notices == [("Render failed", "sq010 · beauty_v1\nFrame 5 is missing.", True)]


def test_many_jobs_are_one_notice_and_cancelled_ones_none(studio, notices, qtbot):
    end(studio, *["finished"] * 40, "cancelled", "failed", "failed")
    qtbot.waitUntil(lambda: bool(notices), timeout=LIMIT_MS)
    qtbot.wait(50)
    ((title, text, bad),) = notices
    assert (title, bad) == ("2 jobs failed", True)
    assert text == "sq010 · beauty_v42, sq010 · beauty_v43"


def test_whoever_wants_no_notices_gets_none(studio, notices, qtbot):
    studio.preferences.notify = False
    end(studio, "finished")
    qtbot.wait(3 * GATHER_MS)
    assert notices == []


def test_whoever_looks_gets_none(studio, qtbot, monkeypatch):
    told = []
    window = QWidget()
    qtbot.addWidget(window)
    monkeypatch.setattr(QApplication, "activeWindow", lambda: window)
    _notifier = Notifier(studio, window, (lambda *words, **_: told.append(words) or True,), GATHER_MS)
    end(studio, "finished")
    qtbot.wait(3 * GATHER_MS)
    assert told == []


def test_the_platforms_own_ways_work_or_say_no(studio, qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    notifier = Notifier(studio, window)
    answers = [way("Render is finished", "sq010", bad=False) for way in notifier.ways]
    assert answers[-1] is True  # the taskbar is always there


DESKTOP = """
from PyQt6.QtCore import QCoreApplication, QObject, QTimer, pyqtClassInfo, pyqtSlot
from PyQt6.QtDBus import QDBusConnection, QDBusMessage

app = QCoreApplication([])

@pyqtClassInfo("D-Bus Interface", "org.freedesktop.Notifications")
class Desktop(QObject):
    @pyqtSlot(QDBusMessage)
    def Notify(self, message):
        print(message.signature(), message.arguments(), flush=True)
        app.quit()

bus, desktop = QDBusConnection.sessionBus(), Desktop()
bus.registerObject("/org/freedesktop/Notifications", desktop, QDBusConnection.RegisterOption.ExportAllSlots)
assert bus.registerService("org.freedesktop.Notifications")
print("ready", flush=True)
QTimer.singleShot(30_000, app.quit)
app.exec()
"""
PANEL = """
from PyQt6.QtWidgets import QApplication, QWidget
from mapreel.ui.state.studio import Studio
from mapreel.ui.views.notify import Notifier

app = QApplication([])
studio, window = Studio(remember=False), QWidget()
notifier = Notifier(studio, window)
print([way("Render is finished", "sq010", bad=False) for way in notifier.ways[:2]], flush=True)
app.processEvents()
studio.close()
"""


@pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs a message bus")
def test_the_desktops_own_service_is_told_as_its_specification_says(tmp_path):
    """Notify(susssasa{sv}i) of the Desktop Notifications Specification, over a real bus."""
    words = ["dbus-daemon", "--session", "--nofork", f"--address=unix:path={tmp_path}/bus"]
    bus = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    here = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/bus", "MAPREEL_STATE": str(tmp_path)}
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "bus").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with subprocess.Popen(
            [sys.executable, "-c", DESKTOP], env=here, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as desktop:
            assert desktop.stdout.readline() == "ready\n"
            panel = subprocess.run(
                [sys.executable, "-c", PANEL], env=here, capture_output=True, text=True, check=True, timeout=60
            )
            assert panel.stdout == "[False, True]\n"
            said = desktop.stdout.readline()
    finally:
        bus.terminate()
        bus.wait(20)
    assert said.startswith("susssasa{sv}i ['Mapreel', 0, 'dialog-information', 'Render is finished', 'sq010'")
