# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts beside the panel: a real service, a link as a host has it, a client as the panel has it."""

from __future__ import annotations

import time

import pytest

from mapreel.core.contract.errors import MissingInputError, ServiceRefusedError, UsageError
from mapreel.core.contract.host_session import GONE_AFTER_S, HostAnswer, HostFacts, new_session
from mapreel.core.service import hosts
from mapreel.plugin.shared.link import Link

FACTS = HostFacts(host="blender", version="4.5", pid=1, file="/shots/a.blend", first=1001, last=1100, fps=24.0)


def wait_for(what, link=None, patience_s=20.0):
    """Pump until something is so."""
    deadline = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < deadline
        if link:
            link.pump()
        time.sleep(0.02)
    return found


def test_a_host_is_seen_asked_and_answers(house, tmp_path):
    done = []

    def do(command):
        if command.into == "strip":
            raise MissingInputError("the take is not there", "choose another")
        done.append(command.take)

    with house.client() as panel:
        assert panel.hosts() == ()
        link = Link(state=str(house.folder.root))
        try:
            link.open_session(FACTS, do)
            (seen,) = wait_for(panel.hosts, link)
            assert seen.facts == FACTS
            started = time.monotonic()
            first = panel.command_host(seen.session, str(tmp_path / "take"))
            wait_for(lambda: done, link)
            assert time.monotonic() - started < 2.0  # it waits for commands, it does not look now and then
            second = panel.command_host(seen.session, str(tmp_path / "take"), into="strip")
            answers = wait_for(lambda: panel.hosts()[0].answers[1:], link)
            assert panel.hosts()[0].answers[0] == HostAnswer(first, "")
            assert answers == (HostAnswer(second, "the take is not there; choose another."),)
            assert done == [str(tmp_path / "take")]
            with pytest.raises(UsageError, match="take"):
                panel.command_host(seen.session, "relative/take")
            with pytest.raises(UsageError, match="into"):
                panel.command_host(seen.session, str(tmp_path), into="air")
        finally:
            link.close()
        with pytest.raises(ServiceRefusedError, match="not linked"):
            panel.command_host(new_session(), str(tmp_path))


def test_a_host_comes_back_after_the_service_was_killed(house):
    link = Link(state=str(house.folder.root))
    try:
        with house.client() as panel:
            link.open_session(FACTS, lambda _: None)
            (before,) = wait_for(panel.hosts, link)
            panel.stop()
        with house.client() as panel:
            (after,) = wait_for(panel.hosts, link)
        assert after.session == before.session
    finally:
        link.close()


def test_a_host_that_closes_is_listed_no_longer(house):
    link = Link(state=str(house.folder.root))
    with house.client() as panel:
        try:
            link.open_session(FACTS, lambda _: None)
            wait_for(panel.hosts, link)
        finally:
            link.close()
        wait_for(lambda: not panel.hosts(), patience_s=GONE_AFTER_S / 2)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"facts": {}},
        {"facts": {**FACTS.to_json(), "more": 1}},
        {"facts": {**FACTS.to_json(), "file": "x" * 5000}},
        {"facts": {**FACTS.to_json(), "pid": True}},
        {"facts": {**FACTS.to_json(), "first": 10**20}},
        {"facts": FACTS.to_json(), "after": "1"},
        {"facts": FACTS.to_json(), "answers": {}},
        {"facts": FACTS.to_json(), "answers": [{"number": 1}, {"error": "x"}]},
        {"nothing": 1},
    ],
)
def test_what_a_host_may_not_tell(body):
    registry = hosts.Hosts(lambda: None)
    with pytest.raises(UsageError):
        registry.hear(new_session(), body)
    with pytest.raises(UsageError):
        registry.hear("../x", {"facts": FACTS.to_json()})
    assert registry.listing() == []


def test_limits_and_goodbyes(monkeypatch):
    registry = hosts.Hosts(lambda: None)
    session = new_session()
    registry.hear(session, {"facts": FACTS.to_json()})
    for _ in range(hosts.MAX_WAITING):
        registry.send(session, "/take", "node")
    with pytest.raises(ServiceRefusedError, match="does not answer"):
        registry.send(session, "/take", "node")
    registry.hear(session, {"facts": FACTS.to_json(), "after": 60})
    assert [command.number for command in registry.commands(session)] == [61, 62, 63, 64]
    for _ in range(hosts.MAX_HOSTS - 1):
        registry.hear(new_session(), {"facts": FACTS.to_json()})
    with pytest.raises(ServiceRefusedError, match="linked already"):
        registry.hear(new_session(), {"facts": FACTS.to_json()})
    registry.hear(session, {"leaves": True})
    assert session not in {host["session"] for host in registry.listing()}
    now = time.monotonic()
    monkeypatch.setattr(hosts.time, "monotonic", lambda: now + GONE_AFTER_S + 1)
    assert registry.listing() == []
