# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the jobs that wait: highest priority first, those of one priority by their place, a real number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapreel.core.contract.jobs import Move

if TYPE_CHECKING:
    import sqlite3

_WAITING = "SELECT id, priority, place FROM jobs WHERE state IN ('queued', 'paused') ORDER BY priority DESC, place"
Place = tuple[int, float]  # priority, place


def moved(db: sqlite3.Connection, job: str, where: Move) -> Place:
    """Priority and place of a waiting job after the move; it takes the priority of those that it comes between."""
    queue = [(row["id"], (row["priority"], row["place"])) for row in db.execute(_WAITING)]
    now = [name for name, _ in queue].index(job)
    others = [place for name, place in queue if name != job]
    goal = {Move.FIRST: 0, Move.UP: max(0, now - 1), Move.DOWN: now + 1, Move.LAST: len(others)}[where]
    if not others or goal == now or goal > len(others):
        return queue[now][1]
    before = others[goal - 1] if goal else None
    after = others[goal] if goal < len(others) else None
    found = _between(before, after, up=goal < now)
    if found in others:  # the numbers between the two are used up: make room
        _spread(db)
        return moved(db, job, where)
    return found


def _between(before: Place | None, after: Place | None, *, up: bool) -> Place:
    if before is None or (after is not None and up and before[0] != after[0]):
        assert after is not None
        return after[0], after[1] - 1.0
    if after is None or before[0] != after[0]:
        return before[0], before[1] + 1.0
    return before[0], (before[1] + after[1]) / 2.0


def _spread(db: sqlite3.Connection) -> None:
    """Whole places for all that wait, in the order in which they are."""
    rows = db.execute(_WAITING).fetchall()
    db.executemany("UPDATE jobs SET place = ? WHERE id = ?", [(n + 1.0, row["id"]) for n, row in enumerate(rows)])
