# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the queue. The database is the referee: CHECKs, one running attempt, steps by trigger.

Version 2: every job knows its newest event (`last_event`), and its place among those of its priority.
"""

from __future__ import annotations

from mapreel.core.contract.jobs import JOB_STEPS, AttemptState, JobState

APPLICATION_ID = 0x4D52454C  # "MREL": another program's database is not taken for ours
VERSION = 2


def _words(kind: type[JobState] | type[AttemptState]) -> str:
    return ", ".join(f"'{state.value}'" for state in kind)


_STEPS = ", ".join(f"('{old.value}', '{new.value}')" for old in JobState for new in sorted(JOB_STEPS[old]))

_EVENTS = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL REFERENCES jobs (id),
    at_s REAL NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('state', 'attempt', 'progress', 'order')),
    data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX events_of_job ON events (job, number);
"""
_TRIGGERS = """
CREATE TRIGGER job_made AFTER INSERT ON jobs
BEGIN
    UPDATE jobs SET place = NEW.number WHERE number = NEW.number;
    INSERT INTO events (job, at_s, kind, data) VALUES (NEW.id, NEW.created_s, 'state', json_object('to', NEW.state));
END;

CREATE TRIGGER job_stepped AFTER UPDATE OF state ON jobs
BEGIN
    INSERT INTO events (job, at_s, kind, data)
    VALUES (NEW.id, NEW.changed_s, 'state', json_object('from', OLD.state, 'to', NEW.state));
END;

CREATE TRIGGER attempt_ended AFTER UPDATE OF state ON attempts
BEGIN
    INSERT INTO events (job, at_s, kind, data) VALUES (NEW.job, NEW.ended_s, 'attempt',
        json_object('number', NEW.number, 'from', OLD.state, 'to', NEW.state, 'reason', NEW.reason));
END;

CREATE TRIGGER job_moved AFTER UPDATE OF priority, place ON jobs
WHEN OLD.priority <> NEW.priority OR OLD.place <> NEW.place
BEGIN
    INSERT INTO events (job, at_s, kind, data)
    VALUES (NEW.id, NEW.changed_s, 'order', json_object('from', OLD.priority, 'to', NEW.priority));
END;

CREATE TRIGGER event_made AFTER INSERT ON events
BEGIN UPDATE jobs SET last_event = NEW.number WHERE id = NEW.job; END;
"""
_INDEXES = """
CREATE INDEX jobs_waiting ON jobs (state, priority DESC, place);
CREATE INDEX jobs_by_change ON jobs (last_event);
CREATE INDEX jobs_of_type ON jobs (type, state, number);
"""

TABLES = f"""
CREATE TABLE job_steps (old TEXT NOT NULL, new TEXT NOT NULL, PRIMARY KEY (old, new)) STRICT, WITHOUT ROWID;
INSERT INTO job_steps VALUES {_STEPS};

CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,     -- order of submission
    id TEXT NOT NULL UNIQUE,                      -- random: an id of a lost database never means another job
    key TEXT NOT NULL UNIQUE,                     -- of the submission: sent twice, it is one job
    type TEXT NOT NULL,
    request TEXT NOT NULL CHECK (json_valid(request)),
    take TEXT,
    priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -100 AND 100),
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ({_words(JobState)})),
    created_s REAL NOT NULL,
    changed_s REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),    -- in a row, without a new frame between them
    best_done INTEGER NOT NULL DEFAULT 0,
    progress TEXT CHECK (progress IS NULL OR json_valid(progress)),
    result TEXT CHECK (result IS NULL OR json_valid(result)),
    error TEXT CHECK (error IS NULL OR json_valid(error)),
    last_event INTEGER NOT NULL DEFAULT 0,
    place REAL,                                   -- among jobs of one priority: its number until it is moved
    CHECK (state <> 'finished' OR result IS NOT NULL),
    CHECK (state NOT IN ('failed', 'quarantined') OR error IS NOT NULL)
) STRICT;

CREATE TABLE attempts (
    job TEXT NOT NULL REFERENCES jobs (id),
    number INTEGER NOT NULL CHECK (number >= 1),  -- the fencing token: only the running attempt may report
    state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ({_words(AttemptState)})),
    started_s REAL NOT NULL,
    ended_s REAL,
    best_before INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, number),
    CHECK ((state = 'running') = (ended_s IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_running_attempt ON attempts (job) WHERE state = 'running';

{_EVENTS}
CREATE TRIGGER job_step BEFORE UPDATE OF state ON jobs
WHEN NOT EXISTS (SELECT 1 FROM job_steps WHERE old = OLD.state AND new = NEW.state)
BEGIN SELECT RAISE(ABORT, 'no such step'); END;

CREATE TRIGGER attempt_step BEFORE UPDATE OF state ON attempts WHEN OLD.state <> 'running'
BEGIN SELECT RAISE(ABORT, 'no such step'); END;

{_TRIGGERS}
{_INDEXES}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""  # noqa: S608 - the words come from our own enums

MIGRATIONS = {  # from this version to the next, within one transaction
    1: f"""
DROP TRIGGER job_made;
DROP TRIGGER job_stepped;
DROP TRIGGER attempt_ended;
ALTER TABLE events RENAME TO old_events;
DROP INDEX events_of_job;
{_EVENTS}
INSERT INTO events SELECT * FROM old_events;
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'old_events') WHERE name = 'events';
DROP TABLE old_events;
DROP INDEX jobs_waiting;
ALTER TABLE jobs ADD COLUMN last_event INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN place REAL;
UPDATE jobs SET place = number, last_event = coalesce((SELECT max(number) FROM events WHERE job = jobs.id), 0);
{_TRIGGERS}
{_INDEXES}
PRAGMA user_version = 2;
""",  # noqa: S608 - the words are our own
}
