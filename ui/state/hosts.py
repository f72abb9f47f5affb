# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are open beside the panel: what they have open, and takes that are brought into them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer, pyqtSignal

from mapreel.core.contract.host_session import WAIT_S
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.state.messages import sentence, spoken
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.text import significant, tr

if TYPE_CHECKING:
    from mapreel.core.contract.errors import MapreelError
    from mapreel.core.contract.host_session import HostView
    from mapreel.ui.state.bridge import ServiceBridge
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots

POLL_MS = 2000
EAGER_MS = 300  # while an answer is waited for
LANE = "hosts"
SILENT_S = WAIT_S + 6.0
"""A host that was not heard of for so long is busy with something."""
_NAMES = {"blender": "Blender", "nuke": "Nuke", "ofx": "OFX"}


class Hosts(Observable):
    """Asks every two seconds, and only while the service is there: nobody starts one to ask for hosts."""

    linked = Property[tuple["HostView", ...]](())
    """The host that opened the panel first, then the one heard of last. age_s is 0, or SILENT_S of a silent one."""
    linked_changed = pyqtSignal(object)
    answer = Property("")
    """One sentence about the take that was brought in last."""
    answer_changed = pyqtSignal(object)
    good = Property(True)
    """Whether that worked, or may still."""
    good_changed = pyqtSignal(object)

    def __init__(self, bridge: ServiceBridge, shots: Shots, own: str = "") -> None:
        """own: the session of the host that opened the panel."""
        super().__init__()
        self._bridge, self._shots = bridge, shots
        self.own = own
        self._opened = not own
        self._asking = False
        self._waiting: dict[tuple[str, int], str] = {}
        self._wanted: dict[str, HostView] = {}
        self._poll = QTimer(self)
        self._poll.setInterval(POLL_MS)
        self._poll.timeout.connect(self.ask)
        bridge.state_changed.connect(self._follow)
        shots.open_changed.connect(self._shots_opened)

    def ask(self) -> None:
        """Look now, unless an answer is on its way."""
        if self._bridge.state is ServiceState.HERE and not self._asking:
            self._asking = True
            self._bridge.ask(lambda client: client.hosts(), self._came, self._missed, lane=LANE)

    def host(self, session: str) -> HostView | None:
        """A linked host."""
        return next((host for host in self.linked if host.session == session), None)

    def bring_in(self, session: str, take: str, into: str = "node") -> None:
        """Have a host show a take, in its compositor (node) or on its timeline (strip)."""
        host = self.host(session)
        if host is None or not take:
            return
        name, shown = host_name(host), Path(take).name
        self.good = True
        self.answer = tr("{host} is asked to show {take} …", host=name, take=shown)

        def sent(number: int) -> None:
            self._waiting[session, number] = take
            self._poll.setInterval(EAGER_MS)
            self.ask()

        def refused(error: MapreelError) -> None:
            self.good = False
            self.answer = spoken(error)

        self._bridge.ask(lambda client: client.command_host(session, take, into=into), sent, refused, lane=LANE)

    def open_maps(self, session: str) -> None:
        """Open the label maps that a host has, with its range and rate."""
        host = self.host(session)
        if host is not None and host.facts.labels:
            self._wanted[host.facts.labels] = host
            self._shots.open_paths([host.facts.labels])

    # -- news ----------------------------------------------------------------------------------------------------------

    def _follow(self, state: ServiceState) -> None:
        if state is ServiceState.HERE:
            self._poll.start()
            self.ask()
        else:
            self._poll.stop()
            self._asking = False
            self.linked = ()

    def _came(self, hosts: tuple[HostView, ...]) -> None:
        self._asking = False
        self._hear_answers(hosts)
        calm = [replace(host, age_s=SILENT_S if host.age_s > SILENT_S else 0.0, answers=()) for host in hosts]
        self.linked = tuple(sorted(calm, key=lambda host: (host.session != self.own, host.facts.host, host.session)))
        if not self._opened and (mine := self.host(self.own)) is not None:
            self._opened = True
            if mine.facts.labels:
                self.open_maps(self.own)

    def _missed(self, _error: MapreelError) -> None:
        """The service went away between two looks: the bridge says so."""
        self._asking = False

    def _hear_answers(self, hosts: tuple[HostView, ...]) -> None:
        by_session = {host.session: host for host in hosts}
        for (session, number), take in list(self._waiting.items()):
            host = by_session.get(session)
            name = Path(take).name
            if host is None:
                self._end(session, number, tr("The host was closed before it showed {take}.", take=name), good=False)
                continue
            answer = next((one for one in host.answers if one.number == number), None)
            if answer is not None and answer.error:
                self._end(session, number, sentence(answer.error), good=False)
            elif answer is not None:
                self._end(session, number, tr("{host} shows {take}.", host=host_name(host), take=name), good=True)

    def _end(self, session: str, number: int, text: str, *, good: bool) -> None:
        del self._waiting[session, number]
        self.good = good
        self.answer = text
        if not self._waiting:
            self._poll.setInterval(POLL_MS)

    def _shots_opened(self, shots: tuple[ShotState, ...]) -> None:
        """A shot that came from a host has the host's range and rate."""
        for shot in shots:
            host = self._wanted.pop(shot.labels, None) if shot.labels else None
            if host is None:
                continue
            if host.facts.fps > 0:
                shot.fps = host.facts.fps
            if shot.numbers and shot.first <= host.facts.first <= host.facts.last <= shot.last:
                shot.cut_in, shot.cut_out = host.facts.first, host.facts.last


def host_name(host: HostView) -> str:
    """What people call it."""
    return _NAMES.get(host.facts.host, host.facts.host)


def host_facts(host: HostView) -> str:
    """Scene, range, rate and size, as far as they are told."""
    facts = host.facts
    parts = [facts.scene] if facts.scene else []
    if facts.last > facts.first:
        parts.append(f"{facts.first}-{facts.last}")
    if facts.fps > 0:
        parts.append(tr("{rate} fps", rate=significant(facts.fps)))
    if facts.width and facts.height:
        parts.append(f"{facts.width} x {facts.height}")
    return " · ".join(parts)
