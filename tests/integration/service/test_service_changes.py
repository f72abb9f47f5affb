# SPDX-License-Identifier: GPL-3.0-or-later
"""News of all jobs at once: what a panel listens to."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import JobStateError, ServiceUnreachableError, UnknownJobError, UsageError
from mapreel.core.contract.jobs import AttemptState, JobState, Move
from mapreel.core.contract.progress import Progress
from mapreel.core.service.attempts import Attempts, Outcome
from mapreel.core.service.ledger import Ledger
from mapreel.core.service.queue import Queue
from mapreel.core.service.schema import APPLICATION_ID, VERSION

OLD = Path(__file__).parents[2] / "data" / "service" / "queue_v1.sql"


def test_all_jobs_come_once_and_then_only_what_changed(tmp_path):
    ledger = Ledger(tmp_path / "queue.sqlite3")
    queue = Queue(ledger)
    jobs = [queue.submit(f"key-{number:08d}", {"type": "verify"}, None) for number in range(1200)]
    found, after, answers = [], 0, 0
    while True:
        after, _, rows = queue.changed(after)
        if not rows:
            break
        answers += 1
        found += [row["id"] for row in rows]
    assert found == jobs
    assert answers == 3
    queue.cancel(jobs[3])
    number, anew, rows = queue.changed(after)
    assert [(row["id"], row["state"]) for row in rows] == [(jobs[3], JobState.CANCELLED)]
    assert not anew
    assert queue.changed(number) == (number, False, [])
    number, anew, rows = queue.changed(number + 1)  # of a queue whose file was moved away
    assert (number, anew, len(rows)) == (501, True, 500)
    ledger.close()


def test_a_listener_hears_of_a_job_while_it_waits(house):
    with house.client() as listener, house.client() as other:
        first = listener.changes(timeout_s=0.1)
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


def test_nobody_there_and_none_wanted(house):
    with house.client(start=False) as client:
        for ask in (client.changes, lambda: client.reorder("x", 1)):
            with pytest.raises(ServiceUnreachableError):
                ask()
    assert not house.folder.root.exists()


def test_a_wait_without_news_ends_in_time_and_with_the_service(house):
    with house.client() as client:
        assert client.changes(timeout_s=0).jobs == ()
        start = time.monotonic()
        assert client.changes(timeout_s=0.3).jobs == ()
        assert 0.3 <= time.monotonic() - start < 3
        ended = []

        def listen():
            with house.client(start=False) as mine:
                try:
                    ended.append(mine.changes(timeout_s=20))
                except ServiceUnreachableError as exc:
                    ended.append(exc)

        thread = threading.Thread(target=listen)
        thread.start()
        time.sleep(0.3)
        start = time.monotonic()
        client.stop()
        thread.join(20)
        assert ended
        assert time.monotonic() - start < 10


def test_an_answer_does_not_wait_for_an_acknowledgement(shared):
    """Nagle's delay and a delayed acknowledgement together cost 40 ms an answer."""
    with shared.client() as client:
        took = []
        for _ in range(21):
            start = time.monotonic()
            client.changes(timeout_s=0)
            took.append(time.monotonic() - start)
        assert sorted(took)[10] < 0.03


def test_progress_is_news_and_news_survives_the_death_of_the_service(house):
    with house.client() as client:
        job = client.submit(house.request(frames=30, pause_s=0.1)).id
        number, done = 0, 0
        while done < 3:
            news = client.changes(number)
            number = news.number
            done = max([done, *(view.progress.done for view in news.jobs if view.progress)])
        house.kill_service()
        states = []
        while JobState.FINISHED not in states:
            news = client.changes(number)
            assert news.number >= number
            assert not news.anew
            number = news.number
            states += [view.state for view in news.jobs if view.id == job]


def test_ten_thousand_jobs_are_told_quickly_and_one_change_more_so(tmp_path):
    ledger = Ledger(tmp_path / "queue.sqlite3")
    with ledger.writing() as db:
        db.executemany(
            "INSERT INTO jobs (id, key, type, request, created_s, changed_s) VALUES (?, ?, 'render', '{}', 0, 0)",
            [(f"id{n}", f"key{n}") for n in range(10_000)],
        )
    queue, after, seen, start = Queue(ledger), 0, 0, time.perf_counter()
    while rows := (answer := queue.changed(after))[2]:
        after, seen = answer[0], seen + len(rows)
    assert seen == 10_000
    assert time.perf_counter() - start < 3.0
    queue.reorder("id77", 5)
    start = time.perf_counter()
    for _ in range(100):
        assert [row["id"] for row in queue.changed(after)[2]] == ["id77"]
    assert time.perf_counter() - start < 1.0
    ledger.close()


def test_a_place_in_the_queue_can_be_changed(house):
    with house.client() as client:
        running = client.submit(house.request(frames=100, pause_s=0.1)).id
        first, second, third = (client.submit(house.request(frames=1)).id for _ in range(3))
        house.until(lambda: client.show(running).state is JobState.RUNNING)
        number = client.changes(timeout_s=0).number
        assert client.reorder(third, 7).data["priority"] == 7
        assert client.reorder(third, 7).data["priority"] == 7  # an answer can get lost: asked again it is the same
        news = client.changes(number)
        assert [view.data["priority"] for view in news.jobs if view.id == third] == [7]
        client.pause(second)
        assert client.reorder(second, -3).state is JobState.PAUSED
        client.resume(second)
        for job, wrong, kind in (
            (running, 1, JobStateError),
            ("nobody", 1, UnknownJobError),
            (first, 101, UsageError),
            (first, "1", UsageError),
            (first, "upwards", UsageError),
            (first, True, UsageError),
        ):
            with pytest.raises(kind):
                client.reorder(job, wrong)
        client.cancel(running)
        for job in (first, second, third):
            client.wait(job)
        begun = [client.show(job).data["tries"][0]["started_s"] for job in (third, first, second)]
        assert begun == sorted(begun)
        with pytest.raises(JobStateError):
            client.reorder(first, 1)


def waiting(queue):
    rows = [row for row in queue.listing(limit=1000) if row["state"] in {"queued", "paused"}]
    return "".join(row["id"] for row in sorted(rows, key=lambda row: (-row["priority"], row["place"])))


def test_moves_among_all_that_wait(tmp_path):
    ledger = Ledger(tmp_path / "queue.sqlite3")
    queue, attempts = Queue(ledger), Attempts(ledger)
    with ledger.writing() as db:
        db.executemany(
            "INSERT INTO jobs (id, key, type, request, created_s, changed_s, priority)"
            " VALUES (?, ?, 'render', '{}', 0, 0, ?)",
            [("a", "1", 0), ("b", "2", 0), ("c", "3", 0), ("d", "4", 5), ("e", "5", 5)],
        )
    assert waiting(queue) == "deabc"
    number = queue.changed()[0]
    for job, where, order in [
        ("c", "up", "deacb"),
        ("c", "up", "decab"),
        ("c", "up", "dceab"),
        ("c", "down", "decab"),
        ("c", "down", "deacb"),
        ("d", "down", "edacb"),
        ("d", "down", "eadcb"),
        ("b", "first", "beadc"),
        ("b", "up", "beadc"),
        ("b", "last", "eadcb"),
        ("b", "down", "eadcb"),
        ("e", "last", "adcbe"),
        ("e", "first", "eadcb"),
    ]:
        queue.reorder(job, Move(where))
        assert waiting(queue) == order, (job, where)
    assert {row["id"] for row in queue.changed(number)[2]} == set("bcde")
    for _ in range(200):  # halves between halves: the numbers are used up and made anew
        queue.reorder("b", Move.UP)
        queue.reorder("c", Move.DOWN)
        queue.reorder("c", Move.UP)
        queue.reorder("b", Move.DOWN)
        assert waiting(queue) == "eadcb"
    begun = ""
    while claim := attempts.claim_next():
        begun += claim.job
        attempts.end_attempt(claim, Outcome(AttemptState.DONE, result={}))
    assert begun == "eadcb"
    ledger.close()


def old_queue(path):
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text(encoding="utf-8"))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()


def test_a_queue_of_version_1_opens_with_all_that_it_held(tmp_path):
    path = tmp_path / "queue.sqlite3"
    old_queue(path)
    ledger = Ledger(path)
    queue, attempts = Queue(ledger), Attempts(ledger)
    number, anew, rows = queue.changed()
    states = [row["state"] for row in sorted(rows, key=lambda row: row["number"])]
    assert states == ["finished", "failed", "cancelled", "paused", "running", "queued"]
    assert (number, anew) == (19, False)
    finished = queue.show("0" * 12)
    assert finished["result"] == {"frames": 10, "seconds": 20.0}
    assert [event["number"] for event in queue.events("0" * 12)] == [1, 7, 9, 10, 11]
    assert attempts.recover() == 1
    queue.reorder("000000000005", 9)
    claim = attempts.claim_next()
    assert claim.job == "000000000005"
    attempts.progress(claim, Progress(1, 10, "frames"))
    attempts.end_attempt(claim, Outcome(AttemptState.DONE, result={}))
    numbers = [event["number"] for event in queue.events(claim.job)]
    assert min(numbers[1:]) > 19
    assert queue.changed(19)[2][-1]["id"] == claim.job
    with ledger.reading() as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == VERSION
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        made = {(row["type"], row["name"]) for row in db.execute("SELECT type, name FROM sqlite_master")}
    ledger.close()
    fresh = Ledger(tmp_path / "fresh.sqlite3")
    with fresh.reading() as db:
        assert {(row["type"], row["name"]) for row in db.execute("SELECT type, name FROM sqlite_master")} == made
    fresh.close()


def test_a_move_to_the_new_version_that_fails_changes_nothing(tmp_path, monkeypatch):
    from mapreel.core.contract.errors import ServiceError
    from mapreel.core.service import database

    path = tmp_path / "queue.sqlite3"
    old_queue(path)
    monkeypatch.setitem(database.MIGRATIONS, 1, database.MIGRATIONS[1] + "SELECT no_such_thing();")
    with pytest.raises(ServiceError):
        Ledger(path)
    monkeypatch.undo()
    ledger = Ledger(path)
    assert len(Queue(ledger).changed()[2]) == 6
    ledger.close()


def test_the_command_line_moves_jobs(house):
    def say(*words):
        command = [sys.executable, "-m", "mapreel.core.cli", "jobs", "priority", "--json", "--", *words]
        environment = {**os.environ, "MAPREEL_STATE": str(house.folder.root)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, json.loads(done.stdout or "{}").get("priority"), done.stderr

    with house.client() as client:
        client.submit(house.request(frames=200, pause_s=0.1))
        job = client.submit(house.request(frames=1)).id
        assert say(job, "-5")[:2] == (0, -5)
        client.submit(house.request(frames=1))
        assert say(job, "first")[:2] == (0, 0)
        assert say(job, "101")[0] == 2
        code, _, said = say(job, "sideways")
        assert (code, "move is one of first, up, down, last" in said) == (2, True)
