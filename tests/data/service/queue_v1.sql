-- SPDX-License-Identifier: GPL-3.0-or-later
-- a queue of schema version 1 as sqlite3's iterdump wrote it; user_version and application_id are set by the test
BEGIN TRANSACTION;
CREATE TABLE attempts (
    job TEXT NOT NULL REFERENCES jobs (id),
    number INTEGER NOT NULL CHECK (number >= 1),  -- the fencing token: only the running attempt may report
    state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'crashed', 'hung', 'cancelled')),
    started_s REAL NOT NULL,
    ended_s REAL,
    best_before INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, number),
    CHECK ((state = 'running') = (ended_s IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES('000000000000',1,'done',1790000006.0,1790000009.0,0,'','');
INSERT INTO "attempts" VALUES('000000000001',1,'failed',1790000011.0,1790000013.0,0,'gap','');
INSERT INTO "attempts" VALUES('000000000004',1,'running',1790000017.0,NULL,0,'','');
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL REFERENCES jobs (id),
    at_s REAL NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('state', 'attempt', 'progress')),
    data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
INSERT INTO "events" VALUES(1,'000000000000',1790000000.0,'state','{"to":"queued"}');
INSERT INTO "events" VALUES(2,'000000000001',1790000001.0,'state','{"to":"queued"}');
INSERT INTO "events" VALUES(3,'000000000002',1790000002.0,'state','{"to":"queued"}');
INSERT INTO "events" VALUES(4,'000000000003',1790000003.0,'state','{"to":"queued"}');
INSERT INTO "events" VALUES(5,'000000000004',1790000004.0,'state','{"to":"queued"}');
INSERT INTO "events" VALUES(6,'000000000005',1790000005.0,'state','{"to":"queued"}');
INSERT INTO "events" VALUES(7,'000000000000',1790000006.0,'state','{"from":"queued","to":"running"}');
INSERT INTO "events" VALUES(9,'000000000000',1790000008.0,'progress','{"done": 10, "total": 10, "stage": "frames", "seconds_left": 0.0}');
INSERT INTO "events" VALUES(10,'000000000000',1790000009.0,'attempt','{"number":1,"from":"running","to":"done","reason":""}');
INSERT INTO "events" VALUES(11,'000000000000',1790000010.0,'state','{"from":"running","to":"finished"}');
INSERT INTO "events" VALUES(12,'000000000001',1790000011.0,'state','{"from":"queued","to":"running"}');
INSERT INTO "events" VALUES(13,'000000000001',1790000012.0,'progress','{"done": 1, "total": 10, "stage": "frames", "seconds_left": 9.0}');
INSERT INTO "events" VALUES(14,'000000000001',1790000013.0,'attempt','{"number":1,"from":"running","to":"failed","reason":"gap"}');
INSERT INTO "events" VALUES(15,'000000000001',1790000014.0,'state','{"from":"running","to":"failed"}');
INSERT INTO "events" VALUES(16,'000000000002',1790000015.0,'state','{"from":"queued","to":"cancelled"}');
INSERT INTO "events" VALUES(17,'000000000003',1790000016.0,'state','{"from":"queued","to":"paused"}');
INSERT INTO "events" VALUES(18,'000000000004',1790000017.0,'state','{"from":"queued","to":"running"}');
INSERT INTO "events" VALUES(19,'000000000004',1790000018.0,'progress','{"done": 4, "total": 10, "stage": "frames", "seconds_left": 9.0}');
CREATE TABLE job_steps (old TEXT NOT NULL, new TEXT NOT NULL, PRIMARY KEY (old, new)) STRICT, WITHOUT ROWID;
INSERT INTO "job_steps" VALUES('cancelled','queued');
INSERT INTO "job_steps" VALUES('failed','queued');
INSERT INTO "job_steps" VALUES('paused','cancelled');
INSERT INTO "job_steps" VALUES('paused','failed');
INSERT INTO "job_steps" VALUES('paused','finished');
INSERT INTO "job_steps" VALUES('paused','queued');
INSERT INTO "job_steps" VALUES('quarantined','queued');
INSERT INTO "job_steps" VALUES('queued','cancelled');
INSERT INTO "job_steps" VALUES('queued','paused');
INSERT INTO "job_steps" VALUES('queued','running');
INSERT INTO "job_steps" VALUES('running','cancelled');
INSERT INTO "job_steps" VALUES('running','failed');
INSERT INTO "job_steps" VALUES('running','finished');
INSERT INTO "job_steps" VALUES('running','paused');
INSERT INTO "job_steps" VALUES('running','quarantined');
INSERT INTO "job_steps" VALUES('running','queued');
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,     -- order of submission
    id TEXT NOT NULL UNIQUE,                      -- random: an id of a lost database never means another job
    key TEXT NOT NULL UNIQUE,                     -- of the submission: sent twice, it is one job
    type TEXT NOT NULL,
    request TEXT NOT NULL CHECK (json_valid(request)),
    take TEXT,
    priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -100 AND 100),
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'paused', 'finished', 'failed', 'cancelled', 'quarantined')),
    created_s REAL NOT NULL,
    changed_s REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),    -- in a row, without a new frame between them
    best_done INTEGER NOT NULL DEFAULT 0,
    progress TEXT CHECK (progress IS NULL OR json_valid(progress)),
    result TEXT CHECK (result IS NULL OR json_valid(result)),
    error TEXT CHECK (error IS NULL OR json_valid(error)),
    CHECK (state <> 'finished' OR result IS NOT NULL),
    CHECK (state NOT IN ('failed', 'quarantined') OR error IS NOT NULL)
) STRICT;
INSERT INTO "jobs" VALUES(1,'000000000000','key-0000','render','{"format": "mapreel-request", "type": "render", "labels": "/shots/sh010/labels.####.png", "model": "street", "out": "/shots/take0"}','/shots/take0',0,'finished',1790000000.0,1790000010.0,1,0,10,'{"done": 10, "total": 10, "stage": "frames", "seconds_left": 0.0}','{"frames": 10, "seconds": 20.0}',NULL);
INSERT INTO "jobs" VALUES(2,'000000000001','key-0001','render','{"format": "mapreel-request", "type": "render", "labels": "/shots/sh010/labels.####.png", "model": "street", "out": "/shots/take1"}','/shots/take1',0,'failed',1790000001.0,1790000014.0,1,0,1,'{"done": 1, "total": 10, "stage": "frames", "seconds_left": 9.0}',NULL,'{"code": "gap", "what": "frame 5 is missing", "remedy": "render it", "detail": "", "file": null, "frame": 5}');
INSERT INTO "jobs" VALUES(3,'000000000002','key-0002','render','{"format": "mapreel-request", "type": "render", "labels": "/shots/sh010/labels.####.png", "model": "street", "out": "/shots/take2"}','/shots/take2',0,'cancelled',1790000002.0,1790000015.0,0,0,0,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(4,'000000000003','key-0003','render','{"format": "mapreel-request", "type": "render", "labels": "/shots/sh010/labels.####.png", "model": "street", "out": "/shots/take3"}','/shots/take3',0,'paused',1790000003.0,1790000016.0,0,0,0,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(5,'000000000004','key-0004','render','{"format": "mapreel-request", "type": "render", "labels": "/shots/sh010/labels.####.png", "model": "street", "out": "/shots/take4"}','/shots/take4',0,'running',1790000004.0,1790000017.0,1,0,4,'{"done": 4, "total": 10, "stage": "frames", "seconds_left": 9.0}',NULL,NULL);
INSERT INTO "jobs" VALUES(6,'000000000005','key-0005','render','{"format": "mapreel-request", "type": "render", "labels": "/shots/sh010/labels.####.png", "model": "street", "out": "/shots/take5"}','/shots/take5',0,'queued',1790000005.0,1790000005.0,0,0,0,NULL,NULL,NULL);
CREATE INDEX jobs_waiting ON jobs (state, priority DESC, number);
CREATE UNIQUE INDEX one_running_attempt ON attempts (job) WHERE state = 'running';
CREATE INDEX events_of_job ON events (job, number);
CREATE TRIGGER job_step BEFORE UPDATE OF state ON jobs
WHEN NOT EXISTS (SELECT 1 FROM job_steps WHERE old = OLD.state AND new = NEW.state)
BEGIN SELECT RAISE(ABORT, 'no such step'); END;
CREATE TRIGGER attempt_step BEFORE UPDATE OF state ON attempts WHEN OLD.state <> 'running'
BEGIN SELECT RAISE(ABORT, 'no such step'); END;
CREATE TRIGGER job_made AFTER INSERT ON jobs
BEGIN
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',19);
INSERT INTO "sqlite_sequence" VALUES('jobs',6);
COMMIT;
