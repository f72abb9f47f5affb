# SPDX-License-Identifier: GPL-3.0-or-later
"""News out of the database: server-sent events of one job, or what changed of all jobs.

Whoever asks again with the last event's number misses nothing.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from mapreel.core.contract.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mapreel.core.service.queue import Queue

KEEP_ALIVE_S = 5.0


class Changes:
    """Wakes the streams when the queue was written; `changed` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next = asyncio.Event()
        self.closing = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def changed(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """End all streams (from the loop's thread)."""
        self.closing = True
        self._wake()

    def _wake(self) -> None:
        old, self._next = self._next, asyncio.Event()
        old.set()

    def next_change(self) -> asyncio.Event:
        """An event that the next change sets; take it before looking at the queue, so that none is missed."""
        return self._next


def _encode(event: dict[str, Any], job: dict[str, Any]) -> str:
    text = json.dumps({"data": event["data"], "at_s": event["at_s"], "job": job})
    return f"id: {event['number']}\nevent: {event['kind']}\ndata: {text}\n\n"


def _look(queue: Queue, job: str, after: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The job first, then its events: an end that is seen has its events."""
    row = queue.show(job)
    row.pop("request")
    return queue.events(job, after), row


async def event_stream(queue: Queue, changes: Changes, job: str, after: int) -> AsyncIterator[str]:
    """Events past `after` as they come; ends when the job is over and all is told, or with the service."""
    while not changes.closing:
        change = changes.next_change()
        events, row = await run_in_threadpool(_look, queue, job, after)
        for event in events:
            after = event["number"]
            yield _encode(event, row)
        if JobState(row["state"]).is_over and not events:
            yield f"event: over\ndata: {json.dumps({'job': row})}\n\n"
            return
        if not events:
            yield await _wait(change)
    yield "event: stopping\ndata: {}\n\n"


async def _wait(change: asyncio.Event) -> str:
    """Wait for a change; a comment keeps the connection known to be alive."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_S):
            await change.wait()
    except TimeoutError:
        return ": still here\n\n"
    return ""


async def news(queue: Queue, changes: Changes, after: int, wait_s: float) -> dict[str, Any]:
    """The answer to GET /v1/changes: at once when there is news past `after`, else when some comes or time is up."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        change = changes.next_change()
        number, anew, rows = await run_in_threadpool(queue.changed, after)
        if rows or anew or changes.closing:
            break
        try:
            async with asyncio.timeout_at(deadline):
                await change.wait()
        except TimeoutError:
            break
    return {"number": number, "anew": anew, "jobs": rows}
