# SPDX-License-Identifier: GPL-3.0-or-later
"""The door of the service: who may talk to it, and how much and how slowly. Checked before anything is read.

Host (421) keeps DNS rebinding out, Origin (403) foreign web pages, the token (401) other users of the machine.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from mapreel.core.contract.errors import MapreelError, ServiceRefusedError
from mapreel.core.contract.proof import PROTOCOL_HEADER, same
from mapreel.core.contract.state_folder import PROTOCOL

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = frozenset({"/v1/hello"})  # gives nothing away but a proof
_LENGTH = re.compile(r"[0-9]{1,18}")


def refusal(status: int, error: MapreelError) -> JSONResponse:
    """An error as JSON; the connection ends with it, so that an unread body is not read for nothing."""
    headers = {"connection": "close", "cache-control": "no-store", "x-content-type-options": "nosniff"}
    return JSONResponse({"error": error.to_dict()}, status, headers)


def _no(status: int, what: str, remedy: str = "") -> tuple[int, ServiceRefusedError]:
    return status, ServiceRefusedError(what, remedy)


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, token: str, port: int, max_body_bytes: int) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refused = self._refuse(scope)
            if refused is not None:
                await refusal(*refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refuse(self, scope: Scope) -> tuple[int, MapreelError] | None:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return self._wrong_sender(headers, scope["path"]) or self._wrong_body(headers, scope["method"])

    def _wrong_sender(self, headers: dict[str, list[str]], path: str) -> tuple[int, MapreelError] | None:
        hosts = headers.get("host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return _no(421, "this service answers to its own address only", "use 127.0.0.1 and the port")
        if any(origin.lower() not in self._origins for origin in headers.get("origin", [])):
            return _no(403, "web pages may not use this service")
        if path in OPEN_PATHS:
            return None
        given = headers.get("authorization", [])
        if len(given) != 1 or not same(given[0], f"Bearer {self._token}"):
            return _no(401, "the token is missing or wrong", "read it anew from the state folder")
        spoken = headers.get(PROTOCOL_HEADER.lower(), [str(PROTOCOL)])
        if spoken != [str(PROTOCOL)]:
            what = f"the client speaks protocol {spoken[0][:20]}, this service {PROTOCOL}"
            return _no(409, what, "bring both to the same version of Mapreel")
        return None

    def _wrong_body(self, headers: dict[str, list[str]], method: str) -> tuple[int, MapreelError] | None:
        if method != "POST":
            return None
        kinds = headers.get("content-type", [])
        if len(kinds) != 1 or kinds[0].split(";")[0].strip().lower() != "application/json":
            return _no(415, "the body is not application/json", "send JSON")
        for length in headers.get("content-length", []):
            if not _LENGTH.fullmatch(length) or int(length) > self._max_body_bytes:
                return too_large(self._max_body_bytes)
        return None


def too_large(limit: int) -> tuple[int, ServiceRefusedError]:
    """The refusal of a body over the limit."""
    return _no(413, f"the body is larger than {limit} bytes", "send one request")


async def read_body(request: Request, limit: int, timeout_s: float) -> bytes | JSONResponse:
    """The whole body, or the refusal: 413 over the limit (also without a length), 408 when it comes too slowly."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    return refusal(*too_large(limit))
    except TimeoutError:
        return refusal(*_no(408, f"the body did not come within {timeout_s:g} s", "send it at once"))
    return bytes(body)


class DoorProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a connection cap and a time limit for headers (uvicorn itself waits for ever)."""

    header_timeout_s = 5.0
    max_connections = 64
    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._watch_header()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_header()
        super().connection_lost(exc)

    def _request_runs(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn has None there before the first request
        return cycle is not None and not cycle.response_complete

    def _watch_header(self) -> None:
        """From the first byte (or the connection) on, a whole header has to come in time."""
        if self._request_runs():
            self._forget_header()
        elif self._header_timer is None and self.timeout_keep_alive_task is None:
            self._header_timer = self.loop.call_later(self.header_timeout_s, self._header_late)

    def _forget_header(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_late(self) -> None:
        self._header_timer = None
        if not self._request_runs():
            self.transport.close()
