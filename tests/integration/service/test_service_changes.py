# SPDX-License-Identifier: GPL-3.0-or-later
"""News of all jobs at once: what a panel listens to."""

from __future__ import annotations

import threading
import time

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.jobs import JobState
from mapreel.core.service.ledger import Ledger
from mapreel.core.service.queue import Queue


def test_all_jobs_come_once_and_then_only_what_changed(tmp_path):
    ledger = Ledger(tmp_path / "queue.sqlite3")
    queue = Queue(ledger)
    jobs = [queue.submit(f"key-{number:08d}", {"type": "verify"}, None) for number in range(1200)]
    found, after, answers = [], 0, 0
    while True:
        after, rows = queue.changed(after)
        if not rows:
            break
        answers += 1
        found += [row["id"] for row in rows]
    assert found == jobs
    assert answers == 3
    queue.cancel(jobs[3])
    number, rows = queue.changed(after)
    assert [(row["id"], row["state"]) for row in rows] == [(jobs[3], JobState.CANCELLED)]
    assert "newest" not in rows[0]
    assert queue.changed(number) == (number, [])
    ledger.close()


def test_a_listener_hears_of_a_job_while_it_waits(house):
    with house.client() as listener, house.client() as other:
        first = listener.changes()
        assert first.jobs == ()
        heard = []

        def listen():
            with ServiceClient(house.folder.root, start=False) as client:
                number = first.number
                while not any(view.state.is_over for view in heard):
                    news = client.changes(number)
                    number = news.number
                    heard.extend(news.jobs)

        thread = threading.Thread(target=listen)
        thread.start()
        time.sleep(0.2)
        job = other.submit(house.request()).id
        thread.join(60)
        assert not thread.is_alive()
        assert {view.id for view in heard} == {job}
        assert heard[-1].state is JobState.FINISHED
