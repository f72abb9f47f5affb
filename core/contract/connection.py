# SPDX-License-Identifier: Apache-2.0
"""A connection to the service of this user and machine that has proven itself before it sees our token."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import time
from typing import TYPE_CHECKING, Any, TypeVar

from mapreel.core.contract.errors import (
    DraftSupersededError,
    MapreelError,
    ServiceError,
    ServiceNotTrustedError,
    ServiceRefusedError,
    ServiceStoppingError,
    ServiceUnreachableError,
    error_from_dict,
)
from mapreel.core.contract.proof import PROTOCOL_HEADER, same, service_proof
from mapreel.core.contract.service_start import StartedService, start_service
from mapreel.core.contract.state_folder import PROTOCOL, Endpoint, StateFolder, read_endpoint, read_token

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
MAX_FAILURES = 5
GONE = (OSError, http.client.HTTPException)
_PROOF_TIMEOUT_S = 10.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5
T = TypeVar("T")


class ServiceConnection:
    """Opens itself when it is used, and anew when it broke. Starts the service when `starts` says so."""

    def __init__(
        self,
        folder: StateFolder,
        *,
        starts: bool,
        start_timeout_s: float,
        arguments: tuple[str, ...],
        python: str | None = None,
    ) -> None:
        self.starts = starts
        self._python = python
        self._folder = folder
        self._start_timeout_s = start_timeout_s
        self._arguments = arguments
        self._connection: http.client.HTTPConnection | None = None
        self._token = ""
        self._ended = False

    def end(self) -> None:
        """From any thread: whoever waits for an answer waits no longer, and nothing is asked or started any more."""
        self._ended = True
        sock = self._connection.sock if self._connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):  # it was closed already
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the connection go; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request and its answer. It may be sent twice: the service makes one of two."""
        try:
            return self._connected(lambda: read_answer(self._send(method, path, body)))
        except MapreelError:  # the service ends the connection with a refusal, and a new one has to prove itself first
            self.close()
            raise

    def ask_bytes(
        self, path: str, body: dict[str, Any], *, header: str, timeout_s: float, limit: int
    ) -> tuple[Any, bytes]:
        """One request whose answer is raw bytes, and what the answer's `header` says as JSON.

        Raises ServiceError also when no answer comes within `timeout_s` or it is larger than `limit` bytes.
        """

        def send() -> tuple[Any, bytes]:
            assert self._connection is not None
            sock = self._connection.sock
            sock.settimeout(timeout_s)
            try:
                return _read_bytes(self._send("POST", path, body), header, limit)
            except TimeoutError as exc:  # asking again would wait as long again
                raise ServiceError(f"no answer came within {timeout_s:g} s", "try again", detail=str(exc)) from exc
            finally:
                sock.settimeout(TIMEOUT_S) if sock.fileno() >= 0 else None

        try:
            return self._connected(send)
        except DraftSupersededError:  # the connection goes on
            raise
        except MapreelError:
            self.close()
            raise

    def stream(self, path: str, after: int) -> http.client.HTTPResponse:
        """The open answer of an event stream. Raises what the service refuses it with."""
        response = self._connected(lambda: self._send("GET", path, None, after))
        if response.status != 200:
            read_answer(response)
        return response

    def _connected(self, send: Callable[[], T]) -> T:
        """Call `send` with a proven connection; with a new one when it broke (the service ends, ended or let us go)."""
        last: Exception | None = None
        for _ in range(MAX_FAILURES):
            if self._ended:
                raise ServiceUnreachableError("the connection to the service was ended", "open another one")
            if self._connection is None:
                self._connect()
            try:
                return send()
            except (*GONE, ServiceStoppingError) as exc:
                self.close()
                last = exc
        raise ServiceUnreachableError("the service ended again and again", "look at its log", detail=str(last))

    def _send(self, method: str, path: str, body: dict[str, Any] | None, after: int = 0) -> http.client.HTTPResponse:
        assert self._connection is not None
        headers = {"Authorization": f"Bearer {self._token}", PROTOCOL_HEADER: str(PROTOCOL)}
        if after:
            headers["Last-Event-ID"] = str(after)
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode("ascii")
        self._connection.request(method, path, data, headers)
        return self._connection.getresponse()

    # -- finding, proving, starting --------------------------------------------------------------------------------

    def _connect(self) -> None:
        """A connection that has proven itself. Starts the service when there is none and that is wanted."""
        try:
            self._prove(read_endpoint(self._folder))
        except (ServiceUnreachableError, ServiceNotTrustedError) as exc:
            if not self.starts:
                raise
            self._start_and_connect(exc)

    def _start_and_connect(self, first: ServiceError) -> None:
        """Also when a stranger answered: its port may come from an endpoint file that a dead service left behind."""
        deadline = time.monotonic() + self._start_timeout_s
        started, pause_s, last = start_service(self._folder, self._arguments, self._python), _FIRST_PAUSE_S, first
        try:
            while time.monotonic() < deadline and not self._ended:
                if started.process.poll() is not None:
                    started = self._again(started)
                try:
                    self._prove(read_endpoint(self._folder))
                    return
                except (ServiceUnreachableError, ServiceNotTrustedError) as exc:
                    last = exc
                time.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)
        finally:
            started.close()
        raise last

    def _again(self, ended: StartedService) -> StartedService:
        """Another service was on its way up or down when ours came: take its place. Raises why ours failed."""
        failure = ended.failure()
        ended.close()
        if failure is not None:
            raise failure
        return start_service(self._folder, self._arguments, self._python)

    def _prove(self, endpoint: Endpoint) -> None:
        """Connect and let the service prove that it knows our token, on this very connection."""
        self._token = read_token(self._folder)
        nonce = secrets.token_hex(16)
        connection = http.client.HTTPConnection(HOST, endpoint.port, timeout=_PROOF_TIMEOUT_S)
        try:
            connection.request("GET", f"/v1/hello?nonce={nonce}")
            response = connection.getresponse()
            words = response.read(65536)
            if response.status == 503:  # it ends, or too many ask
                raise ConnectionError("HTTP 503")
            answer = json.loads(words)
            proof, protocol = str(answer["proof"]), int(answer["protocol"])
        except GONE as exc:
            connection.close()
            raise ServiceUnreachableError("the service does not answer", "start it anew", detail=str(exc)) from exc
        except (ValueError, KeyError, TypeError) as exc:
            connection.close()
            raise _stranger(endpoint) from exc
        if not same(proof, service_proof(self._token, nonce, endpoint.port)):
            connection.close()
            raise _stranger(endpoint)
        if protocol != PROTOCOL:
            connection.close()
            age = "an older" if protocol < PROTOCOL else "a newer"
            what = f"the running service belongs to {age} Mapreel (protocol {protocol}, this one speaks {PROTOCOL})"
            raise ServiceRefusedError(what, "stop it with that version's “mapreel service stop”, then try again")
        connection.sock.settimeout(TIMEOUT_S)
        self._connection = connection


def _stranger(endpoint: Endpoint) -> ServiceNotTrustedError:
    what = f"the program on port {endpoint.port} cannot prove to be the service of Mapreel"
    return ServiceNotTrustedError(what, "end that program, then try again")


def _read_bytes(response: http.client.HTTPResponse, header: str, limit: int) -> tuple[Any, bytes]:
    """Header and body of an answer. Raises the error that the service sent, ConnectionError when it is cut off."""
    if response.status != 200:
        read_answer(response)
    if not 0 <= int(response.length or 0) <= limit:
        raise ServiceError(f"the answer of the service is larger than {limit} bytes", "look at its log")
    size = int(response.length or 0)
    data = response.read(size)
    if len(data) != size:
        raise ConnectionError("cut off")
    try:
        return json.loads(response.headers.get(header, "")), data
    except ValueError as exc:
        raise ServiceRefusedError("the answer of the service cannot be read", "look at its log") from exc


def read_answer(response: http.client.HTTPResponse) -> dict[str, Any]:
    """The JSON object of an answer. Raises the error that the service sent."""
    data = response.read()
    try:
        answer = json.loads(data)
    except ValueError:
        answer = {}
    if response.status < 400 and isinstance(answer, dict):
        return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        raise ServiceRefusedError(f"the service refused the request (HTTP {response.status})", "look at its log")
    raise error_from_dict(error)
