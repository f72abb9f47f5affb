# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the queue's database: made whole or not at all, checked at each start, never lost when it is damaged."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import DiskFullError, JobStateError, MapreelError, QueueDamagedError, ServiceError
from mapreel.core.service.schema import APPLICATION_ID, MIGRATIONS, TABLES, VERSION

if TYPE_CHECKING:
    from pathlib import Path

BUSY_S = 5.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _make(path: Path) -> None:
    """Write a new database under another name first, so that a half one never carries the name."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with contextlib.closing(_connect(fresh)) as connection:
        connection.executescript(f"BEGIN; {TABLES} COMMIT;")
    fresh.chmod(0o600)
    fresh.replace(path)


def back_up(path: Path) -> Path:
    """Copy the database and its log beside it, once for each state of the file; gives the copy's name."""
    copy = path.with_name(f"{path.name}.backup-{path.stat().st_mtime_ns}")
    for ending in ("", "-wal"):
        source, target = path.with_name(path.name + ending), copy.with_name(copy.name + ending)
        if source.exists() and not target.exists():
            shutil.copy2(source, target)
    return copy


def _refuse(path: Path, what: str, remedy: str, detail: str = "") -> QueueDamagedError:
    try:
        kept = f"a copy is kept in {back_up(path).name}"
    except OSError as exc:  # the disk that damaged it may be full or gone
        kept = f"no copy could be made: {exc.strerror}"
    return QueueDamagedError(f"{what} ({kept})", remedy, detail=detail, file=str(path))


def _damaged(path: Path, detail: str) -> QueueDamagedError:
    return _refuse(path, f"the job queue {path} is damaged", "move it away to begin with an empty queue", detail)


def translate(exc: sqlite3.Error, path: Path) -> MapreelError:
    """The sentence for what SQLite says while the service runs. Raise it `from exc`."""
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DiskFullError(f"the disk of {path} is full", "free some space and try again", file=str(path))
    if code in _DAMAGE:
        return _damaged(path, str(exc))
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return ServiceError(f"another program has locked the job queue {path}", "close it and try again")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return JobStateError(
            "the job cannot take this step from the state it is in", "look at it with: mapreel jobs show"
        )
    return ServiceError(f"the job queue {path} cannot be written ({exc})", "check the disk", file=str(path))


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if owner != APPLICATION_ID:
        raise _damaged(path, f"application id {owner:#x}")
    if version > VERSION:
        what = f"the job queue {path} was written by a newer Mapreel (schema {version}, this one knows {VERSION})"
        raise _refuse(path, what, "start the newer Mapreel, or move the file away to begin with an empty queue")
    faults = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    if faults != ["ok"]:
        raise _damaged(path, "; ".join(faults))


def _bring_up(connection: sqlite3.Connection) -> None:
    """An older database becomes one of this version, step by step, each whole or not at all."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for step in range(version, VERSION):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]} COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def open_database(path: Path) -> sqlite3.Connection:
    """The checked database, made when it is not there, brought up when it is older. WAL, every commit synced.

    Raises QueueDamagedError (damaged, cut off, newer schema; a copy is kept), ServiceError (locked), DiskFullError.
    """
    try:
        if not path.exists():
            _make(path)
        connection = _connect(path)
        try:
            _check(connection, path)
            _bring_up(connection)
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as exc:
        raise translate(exc, path) from exc
    return connection
