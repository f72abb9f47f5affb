# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP interface: what a panel, a node or the command line can ask. JSON in, JSON or server-sent events out."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mapreel.core.contract.draft import DRAFT_PATH, FACTS_HEADER, PIXELS_TYPE, facts_to_text, question_from_json
from mapreel.core.contract.errors import (
    DiskFullError,
    DraftFailedError,
    DraftSupersededError,
    InternalError,
    JobStateError,
    MapreelError,
    OutputError,
    ServiceRefusedError,
    ServiceStoppingError,
    UnknownJobError,
    UsageError,
)
from mapreel.core.contract.estimate import ESTIMATE_PATH
from mapreel.core.contract.host_session import HOSTS_PATH, WAIT_S, command_from_json
from mapreel.core.contract.jobs import JobState, Move
from mapreel.core.contract.paths import inside_roots
from mapreel.core.contract.proof import NONCE, service_proof
from mapreel.core.contract.requests import (
    DecodeRequest,
    EncodeRequest,
    InspectRequest,
    RenderRequest,
    RepairRequest,
    TrainRequest,
    VerifyRequest,
    request_from_json,
)
from mapreel.core.contract.state_folder import PROTOCOL
from mapreel.core.contract.strict_json import parse_json
from mapreel.core.contract.takes import claim_take, is_file_take, release_take, resume_take
from mapreel.core.service.estimates import NEWEST, estimate
from mapreel.core.service.event_stream import event_stream, news
from mapreel.core.service.guard import read_body, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from starlette.requests import Request as HttpRequest
    from starlette.types import Lifespan

    from mapreel.core.contract.draft import DraftQuestion
    from mapreel.core.contract.requests import Request
    from mapreel.core.service.event_stream import Changes
    from mapreel.core.service.hosts import Hosts
    from mapreel.core.service.queue import Queue
    from mapreel.core.settings import Settings

_KEY = re.compile(r"[0-9a-zA-Z_-]{8,64}")
_NUMBER = re.compile(r"[0-9]{1,15}")
MAX_WAIT_S = 20.0  # of a long poll: less than a client waits for an answer
MAX_PRIORITY = 100
_QUEUED = (  # others have their own commands
    RenderRequest,
    EncodeRequest,
    DecodeRequest,
    VerifyRequest,
    InspectRequest,
    RepairRequest,
    TrainRequest,
)
_STATUS: list[tuple[type[MapreelError], int]] = [
    (UsageError, 400),
    (UnknownJobError, 404),
    (JobStateError, 409),
    (DraftSupersededError, 409),
    (DraftFailedError, 500),
    (ServiceStoppingError, 503),
    (ServiceRefusedError, 400),
    (DiskFullError, 507),
    (OutputError, 400),
]


@dataclass(frozen=True)
class Service:
    """What the handlers work with."""

    queue: Queue
    changes: Changes
    settings: Settings
    token: str
    port: int
    poke: Callable[[], None]  # wakes the batch lane
    hosts: Hosts
    draft: Callable[[DraftQuestion], Future[tuple[dict[str, Any], bytes]]]  # asks the interactive lane
    stop: Callable[[], None]  # ends the service
    facts: Callable[[], dict[str, Any]]  # for GET /v1/status


def _number(request: HttpRequest, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not _NUMBER.fullmatch(text):
        raise UsageError(f"{name} is “{text[:40]}”", "give a whole number")
    return int(text)


def _state(request: HttpRequest) -> JobState | None:
    text = request.query_params.get("state")
    if text is not None and text not in set(JobState):
        raise UsageError(f"the state “{text[:40]}” is unknown", "use one of " + ", ".join(JobState))
    return JobState(text) if text else None


def _check_priority(priority: object) -> int:
    sound = isinstance(priority, int) and not isinstance(priority, bool) and abs(priority) <= MAX_PRIORITY
    if not sound:
        raise UsageError(f"the priority is no number from -{MAX_PRIORITY} to {MAX_PRIORITY}", "choose one of these")
    assert isinstance(priority, int)
    return priority


def _where(data: object) -> int | Move:
    if isinstance(data, dict) and set(data) == {"priority"}:
        return _check_priority(data["priority"])
    if isinstance(data, dict) and set(data) == {"move"} and data["move"] in list(Move):
        return Move(data["move"])
    raise UsageError("the body of a reordering has priority, or move", f"move is one of {', '.join(Move)}")


def make_take(request: Request) -> Path | None:
    """The take that the job will write: a new one, or for a resumed request the one that it names."""
    out = getattr(request, "out", None)
    if out is None:
        return None
    return resume_take(Path(out)) if getattr(request, "resume", False) else claim_take(Path(out))


def _undo_take(take: Path | None, request: Request) -> None:
    if take is not None and not getattr(request, "resume", False):
        release_take(take)
        if not is_file_take(take):
            take.rmdir()


def _queueable(service: Service, data: Any) -> Request:
    """The request, which the queue may take. Raises UsageError."""
    request = request_from_json(data)
    if not isinstance(request, _QUEUED):
        raise UsageError(f"the queue takes no request of the type {request.kind}", "use the command of that name")
    for name, path in request.paths():
        if not inside_roots(path, service.settings.roots):
            raise UsageError(f"the path of {name} lies outside the configured folders", "choose another", file=path)
    return request


def foresee(service: Service, body: Any) -> dict[str, Any]:
    """What a request would take, by the jobs that have finished. Raises UsageError."""
    if not isinstance(body, dict) or set(body) != {"request"}:
        raise UsageError("the body of an estimate has request", "send that")
    request = _queueable(service, body["request"])
    return estimate(request, service.queue.finished(request.kind, NEWEST)).to_json()


def submit(service: Service, body: Any) -> dict[str, Any]:
    """Check the request, claim its take, store the job. The same key again gives the same job. Raises UsageError."""
    if not isinstance(body, dict) or set(body) - {"key", "request", "priority"}:
        raise UsageError("the body of a submission has key, request and priority", "send these three")
    key, priority = body.get("key"), body.get("priority", 0)
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise UsageError("the key of the submission is missing or malformed", "send 8 to 64 letters and digits")
    _check_priority(priority)
    request = _queueable(service, body.get("request"))
    view = service.queue.show(service.queue.find_key(key) or _store(service, key, request, priority))
    service.poke()  # after the look: the answer says queued, however quick the lane is
    return view


def _store(service: Service, key: str, request: Request, priority: int) -> str:
    take = make_take(request)
    try:
        job = service.queue.submit(key, request.to_json(), str(take) if take else None, priority)
    except MapreelError:
        _undo_take(take, request)
        if (earlier := service.queue.find_key(key)) is not None:  # the same submission came twice at once
            return earlier
        raise
    return job


class Handlers:
    """One method a route."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def hello(self, request: HttpRequest) -> Response:
        """Prove that we know the token. Open to all: a client asks before it shows its own token."""
        nonce = request.query_params.get("nonce", "")
        if not NONCE.fullmatch(nonce):
            raise UsageError("the nonce is malformed", "send 32 to 64 hexadecimal digits")
        proof = service_proof(self._service.token, nonce, self._service.port)
        return JSONResponse({"service": "mapreel", "protocol": PROTOCOL, "proof": proof})

    async def status(self, _request: HttpRequest) -> Response:
        return JSONResponse(await run_in_threadpool(self._service.facts))

    async def jobs(self, request: HttpRequest) -> Response:
        """GET lists, POST submits."""
        if request.method == "POST":
            return await self._submit(request)
        state, after, limit = _state(request), _number(request, "after", 0), _number(request, "limit", 100)
        rows = await run_in_threadpool(self._service.queue.listing, state, after=after, limit=limit)
        return JSONResponse({"jobs": rows})

    async def _submit(self, request: HttpRequest) -> Response:
        settings = self._service.settings
        body = await read_body(request, settings.max_body_bytes, settings.body_timeout_s)
        if isinstance(body, Response):
            return body
        row = await run_in_threadpool(submit, self._service, parse_json(body))
        return JSONResponse(row, 201)

    async def estimate(self, request: HttpRequest) -> Response:
        """What a request would take; nothing is queued."""
        settings = self._service.settings
        body = await read_body(request, settings.max_body_bytes, settings.body_timeout_s)
        if isinstance(body, Response):
            return body
        return JSONResponse(await run_in_threadpool(foresee, self._service, parse_json(body)))

    async def draft(self, request: HttpRequest) -> Response:
        """One drafted frame as raw pixels. Of a session only the newest question is answered with a picture."""
        settings = self._service.settings
        body = await read_body(request, settings.max_body_bytes, settings.body_timeout_s)
        if isinstance(body, Response):
            return body
        question = question_from_json(parse_json(body))
        ask = self._service.draft
        try:  # with roots the ask looks at the disk, which may be slow to answer
            future = await run_in_threadpool(ask, question) if settings.roots else ask(question)
            facts, pixels = await asyncio.wrap_future(future)
        except DraftSupersededError as exc:  # the connection goes on: whoever scrubs meets this all the time
            return JSONResponse({"error": exc.to_dict()}, 409, {"cache-control": "no-store"})
        headers = {FACTS_HEADER: facts_to_text(facts), "cache-control": "no-store", "x-content-type-options": "nosniff"}
        return Response(pixels, media_type=PIXELS_TYPE, headers=headers)

    async def job(self, request: HttpRequest) -> Response:
        return JSONResponse(await run_in_threadpool(self._service.queue.show, request.path_params["job"]))

    async def step(self, request: HttpRequest) -> Response:
        """Cancel, pause, resume or retry: recorded when this answers; the compute process hears of it at once."""
        queue, job = self._service.queue, request.path_params["job"]
        steps = {"cancel": queue.cancel, "pause": queue.pause, "resume": queue.resume, "retry": queue.retry}
        step = steps.get(request.path_params["step"])
        if step is None:
            raise HTTPException(404)
        await run_in_threadpool(step, job)
        self._service.poke()
        return JSONResponse(await run_in_threadpool(queue.show, job))

    async def events(self, request: HttpRequest) -> Response:
        """Server-sent events of a job from after `Last-Event-ID` on, until the job is over."""
        job, after = request.path_params["job"], request.headers.get("last-event-id", "0")
        if not _NUMBER.fullmatch(after):
            raise UsageError("the Last-Event-ID is no number", "leave it out")
        await run_in_threadpool(self._service.queue.show, job)  # an unknown job is a 404, not an empty stream
        stream = event_stream(self._service.queue, self._service.changes, job, int(after))
        return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def news(self, request: HttpRequest) -> Response:
        """Jobs that changed past the event number `after`; waits up to `wait` milliseconds for the first of them."""
        after, wait_s = _number(request, "after", 0), _number(request, "wait", 0)
        answer = await news(self._service.queue, self._service.changes, after, min(wait_s / 1000, MAX_WAIT_S))
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    async def priority(self, request: HttpRequest) -> Response:
        """Another place in the queue for a job that waits or rests."""
        settings, job = self._service.settings, request.path_params["job"]
        body = await read_body(request, settings.max_body_bytes, settings.body_timeout_s)
        if isinstance(body, Response):
            return body
        await run_in_threadpool(self._service.queue.reorder, job, _where(parse_json(body)))
        return JSONResponse(await run_in_threadpool(self._service.queue.show, job))

    async def hosts(self, _request: HttpRequest) -> Response:
        """Which hosts are open."""
        return JSONResponse({"hosts": self._service.hosts.listing()})

    async def host(self, request: HttpRequest) -> Response:
        """A host tells what it has open and waits for something to do."""
        settings, session = self._service.settings, request.path_params["session"]
        body = await read_body(request, settings.max_body_bytes, settings.body_timeout_s)
        if isinstance(body, Response):
            return body
        self._service.hosts.hear(session, parse_json(body))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while not self._service.changes.closing:
                    change = self._service.changes.next_change()
                    if self._service.hosts.commands(session):
                        break
                    await change.wait()
        commands = [command.to_json() for command in self._service.hosts.commands(session)]
        return JSONResponse({"commands": commands})

    async def command(self, request: HttpRequest) -> Response:
        """Something for a host to do."""
        settings = self._service.settings
        body = await read_body(request, settings.max_body_bytes, settings.body_timeout_s)
        if isinstance(body, Response):
            return body
        data = parse_json(body)
        command = command_from_json({"number": 0, **data} if isinstance(data, dict) else data)
        if not inside_roots(command.take, settings.roots):
            raise UsageError("the take lies outside the configured folders", "choose another", file=command.take)
        number = self._service.hosts.send(request.path_params["session"], command.take, command.into)
        return JSONResponse({"number": number}, 201)

    async def stop(self, _request: HttpRequest) -> Response:
        self._service.stop()
        return JSONResponse({"stopping": True})


async def _say_error(_request: HttpRequest, exc: Exception) -> Response:
    assert isinstance(exc, MapreelError)
    status = next((number for kind, number in _STATUS if isinstance(exc, kind)), 500)
    return refusal(status, exc)


async def _say_http_error(_request: HttpRequest, exc: Exception) -> Response:
    status = int(getattr(exc, "status_code", 500))
    return refusal(status, ServiceRefusedError(f"the service has no such address or method ({status})", "see the docs"))


async def _say_fault(_request: HttpRequest, exc: Exception) -> Response:
    """A fault of ours; uvicorn writes the traceback to the log."""
    return refusal(500, InternalError(f"this is a fault of ours ({type(exc).__name__})", "send us the service's log"))


def make_app(service: Service, lifespan: Lifespan[Starlette]) -> Starlette:
    """The application without its guard."""
    handlers = Handlers(service)
    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/v1/hello", handlers.hello, methods=["GET"]),
            Route("/v1/status", handlers.status, methods=["GET"]),
            Route("/v1/jobs", handlers.jobs, methods=["GET", "POST"]),
            Route(ESTIMATE_PATH, handlers.estimate, methods=["POST"]),
            Route(DRAFT_PATH, handlers.draft, methods=["POST"]),
            Route("/v1/jobs/{job}", handlers.job, methods=["GET"]),
            Route("/v1/jobs/{job}/events", handlers.events, methods=["GET"]),
            Route("/v1/jobs/{job}/priority", handlers.priority, methods=["POST"]),
            Route("/v1/jobs/{job}/{step}", handlers.step, methods=["POST"]),
            Route("/v1/changes", handlers.news, methods=["GET"]),
            Route(HOSTS_PATH, handlers.hosts, methods=["GET"]),
            Route(HOSTS_PATH + "/{session}", handlers.host, methods=["POST"]),
            Route(HOSTS_PATH + "/{session}/commands", handlers.command, methods=["POST"]),
            Route("/v1/stop", handlers.stop, methods=["POST"]),
        ],
        exception_handlers={
            MapreelError: _say_error,
            404: _say_http_error,
            405: _say_http_error,
            Exception: _say_fault,
        },
    )
