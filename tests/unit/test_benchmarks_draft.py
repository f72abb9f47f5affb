# SPDX-License-Identifier: GPL-3.0-or-later
"""Busy figures of drafts are worth something only while the machine is busy, up to the last draft."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from mapreel.core import benchmarks_draft
from mapreel.core.contract.jobs import JobState


class Client:
    """A service that holds jobs in some states."""

    def __init__(self, *states):
        self.states = states

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def list(self, state):
        return [state] if state in self.states else []

    def submit(self, request):
        return None

    def stop(self):
        return None


@pytest.mark.parametrize(
    ("states", "ended", "busy"),
    [
        ([JobState.RUNNING], None, True),
        ([JobState.QUEUED], None, True),  # between two renders
        ([JobState.FINISHED], None, False),
        ([JobState.RUNNING], 1, False),
    ],
)
def test_busy_means_that_a_render_and_the_training_still_run(tmp_path, monkeypatch, states, ended, busy):
    def training(*_, **__):
        return SimpleNamespace(poll=lambda: ended, kill=lambda: None, wait=lambda: None)

    def data(folder, pictures):
        return folder

    monkeypatch.setattr(benchmarks_draft.subprocess, "Popen", training)
    monkeypatch.setattr(benchmarks_draft, "_training_data", data)
    monkeypatch.setattr(benchmarks_draft, "_await_load", lambda *_: None)
    with benchmarks_draft._render_and_training(Client(*states), tmp_path, "street", [], lambda _: None) as still_busy:
        assert still_busy() is busy


@pytest.mark.parametrize("busy", [True, False])
def test_it_is_said_when_the_load_ended_too_early(tmp_path, monkeypatch, busy):
    @contextlib.contextmanager
    def load(*_):
        yield lambda: busy

    client, said = Client(), []
    asked = SimpleNamespace(total_ms=1.0)
    monkeypatch.setattr(benchmarks_draft, "ServiceClient", lambda *_, **__: client)
    monkeypatch.setattr(benchmarks_draft, "_ask", lambda *_: asked)
    monkeypatch.setattr(benchmarks_draft, "_copy", lambda folder: folder)
    monkeypatch.setattr(benchmarks_draft, "_measure", lambda *_: ({"play": {}}, []))
    monkeypatch.setattr(benchmarks_draft, "_render_and_training", load)
    found = benchmarks_draft.measure_drafts(tmp_path, "street", busy=True, say=said.append)
    assert found["busy"]["to_the_end"] is busy
    assert any("ended before the last draft" in words for words in said) is not busy
