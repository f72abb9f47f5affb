# SPDX-License-Identifier: GPL-3.0-or-later
"""One service from start to end: lock, folder, queue, lane, socket, endpoint file, and everything back in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import uvicorn

from mapreel.core.contract.errors import ServiceStoppingError
from mapreel.core.contract.state_folder import PROTOCOL, StateFolder
from mapreel.core.logs import open_log
from mapreel.core.service.app import Service, make_app
from mapreel.core.service.attempts import Attempts
from mapreel.core.service.compute_process import ComputePlan
from mapreel.core.service.endpoint import ensure_token, prepare_folder, remove_endpoint, write_endpoint
from mapreel.core.service.event_stream import Changes
from mapreel.core.service.guard import DoorProtocol, Guard, refusal
from mapreel.core.service.hosts import Hosts
from mapreel.core.service.interactive import InteractiveLane
from mapreel.core.service.ledger import Ledger
from mapreel.core.service.local_disk import require_local
from mapreel.core.service.locks import hold_lock
from mapreel.core.service.queue import Queue
from mapreel.core.service.supervisor import BatchLane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import FrameType

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mapreel.core.settings import Settings

LOOPBACK = "127.0.0.1"  # nothing else can be chosen


class Activity:
    """When somebody last asked for something, and whether somebody does now. Refuses all once the service ends.

    A job that was accepted after that would wait with nobody there; refused, its client starts the next service.
    """

    def __init__(self, app: ASGIApp, changes: Changes) -> None:
        self._app = app
        self._changes = changes
        self.open = 0
        self.last_s = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._changes.closing:
            ending = ServiceStoppingError("the service is ending", "try again")
            await refusal(503, ending)(scope, receive, send)
            return
        self.open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.open -= 1
            self.last_s = time.monotonic()


def _listen() -> socket.socket:
    # named as TCP, so that asyncio switches Nagle's delay off: else every answer waits 40 ms for an acknowledgement
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind((LOOPBACK, 0))
    listener.listen(128)
    return listener


class _Uvicorn(uvicorn.Server):
    """uvicorn that first ends the event streams and the drafts, which would otherwise keep it from ending."""

    def __init__(self, config: uvicorn.Config, changes: Changes, drafts: InteractiveLane) -> None:
        super().__init__(config)
        self._changes = changes
        self._drafts = drafts

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._changes.closing = True
        self._changes.changed()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drafts.close()
        await super().shutdown(sockets)


class Server:
    """The parts of a running service. Made while the lock is held."""

    def __init__(self, folder: StateFolder, settings: Settings, runners: str) -> None:
        self._folder = folder
        self._settings = settings
        self._log = open_log(folder.logs / "service.log", "service")
        self._token = ensure_token(folder)
        self._ledger = Ledger(folder.database)
        self._queue = Queue(self._ledger)
        self._changes = Changes()
        attempts = Attempts(self._ledger, max_crashes=settings.max_crashes)
        lost = attempts.recover()
        self._lane = BatchLane(attempts, ComputePlan(folder, settings, runners), self._log)
        self._interactive = InteractiveLane(ComputePlan(folder, settings, runners, interactive=True), self._log)
        self._log.info("service starts", pid=os.getpid(), recovered=lost, state=str(folder.root))

    def run(self) -> None:
        """Serve until stopped, idle for long, or told by a signal."""
        listener = _listen()
        port = listener.getsockname()[1]
        app = make_app(self._service(port), self._lifespan)
        self._activity = Activity(app, self._changes)
        door = Guard(self._activity, token=self._token, port=port, max_body_bytes=self._settings.max_body_bytes)
        self._uvicorn = _Uvicorn(self._config(door), self._changes, self._interactive)
        write_endpoint(self._folder, port)
        self._uvicorn.run(sockets=[listener])

    def _service(self, port: int) -> Service:
        return Service(
            queue=self._queue,
            changes=self._changes,
            settings=self._settings,
            token=self._token,
            port=port,
            poke=self._lane.poke,
            hosts=Hosts(self._changes.changed),
            draft=self._interactive.ask,
            stop=self._stop,
            facts=self._facts,
        )

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        limits = {
            "header_timeout_s": self._settings.header_timeout_s,
            "max_connections": self._settings.max_connections,
        }
        return uvicorn.Config(
            app,
            http=type("Door", (DoorProtocol,), limits),
            ws="none",
            lifespan="on",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=self._settings.max_connections + 1,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=16384,
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "compute_pid": self._lane.pid,
            "interactive_pid": self._interactive.pid,
            "state_folder": str(self._folder.root),
            "busy": self._queue.busy(),
        }

    def _stop(self) -> None:
        self._changes.close()
        self._uvicorn.should_exit = True

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        self._changes.attach(loop)
        self._ledger.changed = self._changes.changed
        self._lane.start()
        self._interactive.start()
        idle = loop.create_task(self._end_when_idle())
        try:
            yield
        finally:
            idle.cancel()
            await loop.run_in_executor(None, self._put_away)

    def _put_away(self) -> None:
        self._interactive.stop()
        self._lane.stop()
        remove_endpoint(self._folder)
        self._ledger.close()
        self._log.info("service ended", pid=os.getpid())

    async def _end_when_idle(self) -> None:
        while True:
            await asyncio.sleep(min(10.0, self._settings.idle_s / 4))
            quiet_s = time.monotonic() - self._activity.last_s
            if self._activity.open == 0 and quiet_s >= self._settings.idle_s and not self._queue.busy():
                self._log.info("service ends: nothing to do", quiet_s=round(quiet_s))
                self._stop()
                return


def serve(folder: StateFolder, settings: Settings, runners: str) -> None:
    """Run the one service of this user and machine. Raises LockTimeoutError when it runs already, MapreelError."""
    prepare_folder(folder)
    os.chdir(folder.root)  # who started us may want to unmount or delete the folder that they stood in
    require_local(folder.root)
    with hold_lock(folder.lock):
        Server(folder, settings, runners).run()
