# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue in a real SQLite file: the database referees every step, and nothing is lost when it is damaged."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from types import SimpleNamespace

import pytest
import structlog

from mapreel.core.contract.errors import JobStateError, QueueDamagedError, ServiceError, UnknownJobError
from mapreel.core.contract.jobs import JOB_STEPS, AttemptState, JobState
from mapreel.core.contract.progress import Progress
from mapreel.core.contract.requests import RenderRequest
from mapreel.core.contract.state_folder import state_folder
from mapreel.core.service import database
from mapreel.core.service.app import _store
from mapreel.core.service.attempts import Attempts, Claim, Outcome
from mapreel.core.service.compute_process import ComputePlan
from mapreel.core.service.ledger import Ledger
from mapreel.core.service.queue import Queue
from mapreel.core.service.supervisor import BatchLane
from mapreel.core.settings import Settings

REQUEST = {"type": "render", "labels": "/a"}
CRASH = Outcome(AttemptState.CRASHED, "the compute process crashed (SIGKILL)", "tail")
DONE = Outcome(AttemptState.DONE, result={"frames": 1})


class Book:
    def __init__(self, path):
        self.path = path
        self.ledger = Ledger(path)
        self.queue = Queue(self.ledger)
        self.attempts = Attempts(self.ledger, max_crashes=3)
        self.keys = 0

    def submit(self, **options):
        self.keys += 1
        return self.queue.submit(f"key-{self.keys:08d}", REQUEST, None, **options)

    def state(self, job):
        return self.queue.show(job)["state"]


@pytest.fixture
def book(tmp_path):
    book = Book(tmp_path / "queue.sqlite3")
    yield book
    book.ledger.close()


def test_settings_of_the_database(book):
    with book.ledger.writing() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert book.path.stat().st_mode & 0o777 == 0o600


def test_a_life(book):
    job = book.submit()
    claim = book.attempts.claim_next()
    assert (claim.job, claim.attempt, claim.request) == (job, 1, REQUEST)
    assert book.attempts.claim_next() is None
    assert book.attempts.progress(claim, Progress(3, 10, "frames", 1.5))
    assert book.attempts.end_attempt(claim, DONE)
    row = book.queue.show(job)
    assert (row["state"], row["result"], row["progress"]["done"]) == ("finished", {"frames": 1}, 3)
    story = [(event["kind"], event["data"].get("to")) for event in book.queue.events(job)]
    assert story == [
        ("state", "queued"), ("state", "running"), ("progress", None), ("attempt", "done"), ("state", "finished")
    ]  # fmt: skip


def test_priority_then_order(book):
    first, second, urgent = book.submit(), book.submit(), book.submit(priority=5)
    order = []
    while claim := book.attempts.claim_next():
        order.append(claim.job)
        book.attempts.end_attempt(claim, DONE)
    assert order == [urgent, first, second]


def test_unknown_is_unknown(book):
    for ask in (book.queue.show, book.queue.cancel, book.queue.pause, book.queue.resume, book.queue.retry):
        with pytest.raises(UnknownJobError):
            ask("no such job")


@pytest.mark.parametrize("old", list(JobState))
@pytest.mark.parametrize("new", list(JobState))
def test_the_database_itself_refuses_every_step_that_is_not_in_the_table(book, old, new):
    job = book.submit()
    with book.ledger.writing() as db:
        db.execute("DROP TRIGGER job_step")
        db.execute("UPDATE jobs SET state = ?, result = '{}', error = '{}' WHERE id = ?", (old.value, job))
        script = next(part for part in database.TABLES.split("CREATE TRIGGER") if part.startswith(" job_step "))
        db.execute("CREATE TRIGGER" + script)
    refused = False
    try:
        with book.ledger.writing() as db:
            db.execute("UPDATE jobs SET state = ? WHERE id = ?", (new.value, job))
    except JobStateError:
        refused = True
    assert refused == (new not in JOB_STEPS[old])
    assert book.state(job) == (old if refused else new)


def test_a_zombie_cannot_write(book):
    job = book.submit()
    zombie = book.attempts.claim_next()
    assert book.attempts.recover() == 1  # the service that ran it is thought dead
    heir = book.attempts.claim_next()
    assert (heir.job, heir.attempt) == (job, 2)
    assert not book.attempts.progress(zombie, Progress(9, 10, "frames"))
    assert not book.attempts.end_attempt(zombie, DONE)
    assert not book.attempts.end_attempt(zombie, Outcome(AttemptState.FAILED, "x", error={"code": "x"}))
    assert book.state(job) == "running"
    assert book.queue.show(job)["progress"] is None
    assert book.attempts.end_attempt(heir, DONE)
    assert [one["state"] for one in book.queue.show(job)["tries"]] == ["crashed", "done"]


def test_only_one_attempt_runs(book):
    job = book.submit()
    book.attempts.claim_next()
    with pytest.raises(JobStateError), book.ledger.writing() as db:
        db.execute("INSERT INTO attempts (job, number, started_s, best_before) VALUES (?, 2, 0, 0)", (job,))


def test_poison_is_quarantined_with_its_reason(book):
    job = book.submit()
    for _ in range(3):
        book.attempts.end_attempt(book.attempts.claim_next(), CRASH)
    row = book.queue.show(job)
    assert row["state"] == "quarantined"
    assert "3 times in a row (the compute process crashed (SIGKILL))" in row["error"]["what"]
    assert book.attempts.claim_next() is None
    book.queue.retry(job)
    assert book.attempts.claim_next().attempt == 4


def test_crashes_with_progress_between_them_do_not_count(book):
    job = book.submit()
    for round_ in range(6):
        claim = book.attempts.claim_next()
        book.attempts.progress(claim, Progress(round_ + 1, 10, "frames"))
        book.attempts.end_attempt(claim, CRASH)
    assert book.state(job) == "queued"


def test_the_death_of_the_service_does_not_count(book):
    job = book.submit()
    for _ in range(5):
        book.attempts.claim_next()
        book.attempts.recover()
    assert book.state(job) == "queued"


def test_a_crash_that_is_not_the_jobs_fault_does_not_count(book):
    job = book.submit()
    for _ in range(5):
        book.attempts.end_attempt(book.attempts.claim_next(), Outcome(AttemptState.CRASHED, "locked", counts=False))
    assert book.state(job) == "queued"


def test_an_error_fails_the_job_at_once(book):
    job = book.submit()
    error = {"code": "gap", "what": "frame 5 is missing", "remedy": "render it", "detail": "", "file": None, "frame": 5}
    book.attempts.end_attempt(book.attempts.claim_next(), Outcome(AttemptState.FAILED, "gap", error=error))
    assert (book.state(job), book.queue.show(job)["error"]) == ("failed", error)


@pytest.mark.parametrize("outcome", [DONE, CRASH, Outcome(AttemptState.FAILED, "x", error={"code": "x"})])
def test_a_cancel_that_came_first_stays(book, outcome):
    job = book.submit()
    claim = book.attempts.claim_next()
    book.queue.cancel(job)
    assert book.attempts.end_attempt(claim, outcome)
    assert book.state(job) == "cancelled"


def test_a_finish_that_came_first_stays(book):
    job = book.submit()
    book.attempts.end_attempt(book.attempts.claim_next(), DONE)
    with pytest.raises(JobStateError, match="is finished"):
        book.queue.cancel(job)
    assert book.state(job) == "finished"


def test_cancel_races_with_finish(book):
    """One of the two wins, whichever; the loser hears of it and the job has one end."""
    for _ in range(30):
        job = book.submit()
        claim, start, said = book.attempts.claim_next(), threading.Barrier(2), []

        def cancel(job=job, start=start, said=said):
            start.wait()
            try:
                book.queue.cancel(job)
                said.append("cancelled")
            except JobStateError:
                said.append("finished")

        thread = threading.Thread(target=cancel)
        thread.start()
        start.wait()
        book.attempts.end_attempt(claim, DONE)
        thread.join()
        assert book.state(job) == said[0]
        ends = [event for event in book.queue.events(job) if event["data"].get("to") in {"cancelled", "finished"}]
        assert len(ends) == 1


def test_pause_resume_and_the_same_step_twice(book):
    job = book.submit()
    book.queue.pause(job)
    book.queue.pause(job)
    assert book.attempts.claim_next() is None
    book.queue.resume(job)
    book.queue.resume(job)
    claim = book.attempts.claim_next()
    book.queue.resume(job)
    book.queue.pause(job)
    book.queue.resume(job)  # before the attempt has stopped: it must end before the next begins
    assert book.attempts.claim_next() is None
    book.attempts.end_attempt(claim, Outcome(AttemptState.CANCELLED, "paused"))
    assert book.attempts.claim_next().attempt == 2
    with pytest.raises(JobStateError):
        book.queue.retry(job)


def test_a_submission_that_comes_twice_is_one_job(book):
    job = book.queue.submit("the same key", REQUEST, None)
    assert book.queue.find_key("the same key") == job
    with pytest.raises(JobStateError):
        book.queue.submit("the same key", REQUEST, None)
    assert len(book.queue.listing()) == 1


def test_a_submission_that_comes_twice_at_once_is_one_job_and_one_take(book, tmp_path):
    """The second one has looked for the key before the first one wrote it."""
    service = SimpleNamespace(queue=book.queue, poke=lambda: None)
    request = RenderRequest(labels="/a", model="street", out=str(tmp_path / "take"))
    jobs = {_store(service, "the same key", request, 0) for _ in range(2)}
    assert len(jobs) == len(book.queue.listing()) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["take"]


def test_ten_thousand_jobs_are_listed_quickly(book):
    with book.ledger.writing() as db:
        db.executemany(
            "INSERT INTO jobs (id, key, type, request, created_s, changed_s) VALUES (?, ?, 'render', '{}', 0, 0)",
            [(f"id{n}", f"key{n}") for n in range(10_000)],
        )
    start, after, seen = time.perf_counter(), 0, 0
    first_s = None
    while rows := book.queue.listing(JobState.QUEUED, after=after, limit=1000):
        first_s = first_s or time.perf_counter() - start
        after, seen = rows[-1]["number"], seen + len(rows)
    assert seen == 10_000
    assert time.perf_counter() - start < 3.0
    start = time.perf_counter()
    assert book.attempts.claim_next().job == "id0"
    assert time.perf_counter() - start < 1.0


def test_what_was_written_is_there_after_a_hard_end(tmp_path):
    first = Book(tmp_path / "q.sqlite3")
    jobs = [first.submit() for _ in range(5)]
    copy = tmp_path / "copy.sqlite3"  # what the disk holds at this moment, as after a power cut
    for ending in ("", "-wal"):
        (tmp_path / f"copy.sqlite3{ending}").write_bytes((tmp_path / f"q.sqlite3{ending}").read_bytes())
    first.ledger.close()
    second = Book(copy)
    assert [row["id"] for row in second.queue.listing()] == jobs
    second.ledger.close()


def make_database(path, jobs=300):
    book = Book(path)
    for _ in range(3):
        book.submit()
    with book.ledger.writing() as db:
        db.executemany(
            "INSERT INTO jobs (id, key, type, request, created_s, changed_s) VALUES (?, ?, 'render', '{}', 0, 0)",
            [(f"id{n}", f"key{n}") for n in range(jobs)],
        )
    book.ledger.close()
    return path.read_bytes()


def damage_header(data):
    return b"\0" * 100 + data[100:]


def damage_middle(data):
    return data[: len(data) // 2] + b"\xaa" * 8192 + data[len(data) // 2 + 8192 :]


def cut(data):
    return data[: len(data) // 2]


def empty(_data):
    return b""


def foreign(_data):
    return b"no database" * 999


@pytest.mark.parametrize("harm", [damage_header, damage_middle, cut, empty, foreign])
def test_a_damaged_database_is_refused_and_kept(tmp_path, harm):
    path = tmp_path / "queue.sqlite3"
    damaged = harm(make_database(path))
    path.write_bytes(damaged)
    for _ in range(2):
        with pytest.raises(QueueDamagedError, match="a copy is kept"):
            Ledger(path)
    assert path.read_bytes() == damaged
    copies = [copy for copy in tmp_path.iterdir() if ".backup-" in copy.name]
    assert [copy.read_bytes() for copy in copies] == [damaged]


def test_a_damaged_database_that_cannot_be_copied_is_refused_all_the_same(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "queue.sqlite3").write_bytes(foreign(b""))
    monkeypatch.setattr(database.shutil, "copy2", full)
    with pytest.raises(QueueDamagedError, match="no copy could be made: No space left"):
        Ledger(tmp_path / "queue.sqlite3")


def test_a_fault_of_the_lane_fails_the_attempt_and_not_the_lane(book, tmp_path, monkeypatch):
    def fault(*_):
        raise KeyError("silent_s")

    lane = BatchLane(book.attempts, ComputePlan(state_folder(tmp_path), Settings()), structlog.get_logger())
    monkeypatch.setattr(lane, "_supervise", fault)
    job = book.submit()
    for _ in range(3):
        lane._attempt(book.attempts.claim_next())
    assert book.state(job) == "quarantined"
    assert "KeyError" in book.queue.show(job)["error"]["what"]
    assert "Traceback" in book.queue.show(job)["tries"][0]["detail"]


def test_a_newer_schema_is_refused_and_kept(tmp_path):
    path = tmp_path / "queue.sqlite3"
    make_database(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(QueueDamagedError, match=r"newer Mapreel \(schema 99"):
        Ledger(path)
    assert path.read_bytes() == before
    assert any(".backup-" in copy.name for copy in tmp_path.iterdir())


def test_another_programs_database_is_not_ours(tmp_path):
    path = tmp_path / "queue.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (a)")
    connection.close()
    with pytest.raises(QueueDamagedError):
        Ledger(path)


def test_a_locked_database_has_its_sentence(book, monkeypatch):
    other = sqlite3.connect(book.path)
    other.execute("BEGIN IMMEDIATE")
    with book.ledger.reading() as db:
        db.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(ServiceError, match="another program has locked"):
        book.submit()
    other.rollback()
    other.close()
    assert book.state(book.submit()) == "queued"


def test_a_late_claim_object_means_nothing_without_its_row(book):
    assert not book.attempts.end_attempt(Claim("no job", 1, {}, None), DONE)
