# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel jobs`: what waits, runs and has run in the background service, and how to steer it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mapreel.core.commands.console import Console, duration, plain, progress_line, table
from mapreel.core.commands.options import Json
from mapreel.core.contract.jobs import JobState

if TYPE_CHECKING:
    from mapreel.core.contract.client import ServiceClient
    from mapreel.core.contract.job_view import JobView

app = typer.Typer(no_args_is_help=True, help="See and steer the jobs of the background service.")

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, as `mapreel jobs list` shows it.")]
PAGE = 1000
WHOLE = re.compile(r"-?[0-9]{1,4}")
ENDED_SHOWN = 20
CELL_CHARS = 60


def _client() -> ServiceClient:
    from mapreel.core.contract.client import ServiceClient

    return ServiceClient()


def _all(client: ServiceClient, state: JobState | None) -> list[JobView]:
    jobs: list[JobView] = []
    while page := client.list(state, after=int(jobs[-1].data["number"]) if jobs else 0, limit=PAGE):
        jobs += page
    return jobs


def _summary(job: JobView) -> dict[str, Any]:
    return {
        "id": job.id,
        "type": job.type,
        "state": job.state.value,
        "take": job.take,
        "progress": plain(job.progress),
        "error": job.error.to_dict() if job.error else None,
        "result": job.result,
    }


def _how(job: JobView) -> str:
    """What a person wants to know of a job's state in one cell; `jobs show` tells the whole error."""
    if job.error is not None and job.state.is_over and job.state is not JobState.FINISHED:
        what = job.error.what
        return what if len(what) <= CELL_CHARS else what[: CELL_CHARS - 1].rstrip() + "…"
    return progress_line(job.progress) if job.progress else ""


@app.command(name="list")
def list_jobs(
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    every: Annotated[bool, typer.Option("--all", help=f"Also more than the last {ENDED_SHOWN} that ended.")] = False,
    as_json: Json = False,
) -> None:
    """List what waits and runs, and the last jobs that ended."""
    with _client() as client:
        jobs = _all(client, state)
    ended = [job for job in jobs if job.state.is_over]
    left_out = {job.id for job in ended[:-ENDED_SHOWN]} if not every else set()
    shown = [job for job in jobs if job.id not in left_out]
    rows = [["job", "type", "state", "progress", "take"]]
    rows += [[job.id, job.type, job.state.value, _how(job), job.take or ""] for job in shown]
    lines = table(rows) if shown else ["no jobs"]
    if left_out:
        lines.append(f"{len(left_out)} older jobs are left out; see them with --all")
    Console(json=as_json).result({"jobs": [_summary(job) for job in shown], "left_out": len(left_out)}, lines)


@app.command()
def show(job: Job, as_json: Json = False) -> None:
    """Tell all about one job and every attempt at it."""
    with _client() as client:
        view = client.show(job)
    facts = [["job", view.id], ["type", view.type], ["state", view.state.value], ["take", view.take or "none"]]
    if view.progress:
        facts.append(["progress", progress_line(view.progress)])
    facts += [[f"attempt {attempt['number']}", _attempt(attempt)] for attempt in view.data.get("tries", [])]
    if view.error:
        facts.append(["error", str(view.error)])
    lines = table(facts)
    if view.error and view.error.detail:
        lines += ["", view.error.detail]
    data = {**_summary(view), "request": view.data.get("request"), "attempts": view.data.get("tries", [])}
    Console(json=as_json).result(data, lines)


def _attempt(attempt: dict[str, Any]) -> str:
    ended = attempt["ended_s"] or time.time()
    reason = f" ({attempt['reason']})" if attempt["reason"] else ""
    return f"{attempt['state']} after {duration(max(0.0, ended - attempt['started_s']))}{reason}"


def _step(job: str, step: str, said: str, *, as_json: bool) -> None:
    from mapreel.core.commands.submission import kept

    with _client() as client:
        view: JobView = getattr(client, step)(job)
    stands = kept(view) if step in {"cancel", "pause"} else ""
    Console(json=as_json).result(_summary(view), [f"{said} {view.id}{stands}"])


@app.command()
def cancel(job: Job, as_json: Json = False) -> None:
    """Stop a job; its finished frames are kept."""
    _step(job, "cancel", "cancelled", as_json=as_json)


@app.command()
def pause(job: Job, as_json: Json = False) -> None:
    """Let a job rest until `jobs resume`."""
    _step(job, "pause", "paused", as_json=as_json)


@app.command()
def resume(job: Job, as_json: Json = False) -> None:
    """Let a paused job go on."""
    _step(job, "resume", "queued", as_json=as_json)


@app.command()
def retry(job: Job, as_json: Json = False) -> None:
    """Queue a failed or cancelled job again, in its take.

    Frames that stand there complete are kept.
    """
    _step(job, "retry", "queued", as_json=as_json)


@app.command()
def priority(
    job: Job,
    where: Annotated[str, typer.Argument(metavar="N|MOVE", help="-100 to 100, or first, up, down, last.")],
    as_json: Json = False,
) -> None:
    """Move a waiting job forward or back in the queue.

    Higher numbers run earlier, equal ones in the order of submission; the
    usual one is 0. Below zero: -- before the job, as in
    `mapreel jobs priority -- JOB -5`.
    """
    with _client() as client:
        view = client.reorder(job, int(where) if WHOLE.fullmatch(where) else where)
    data = {**_summary(view), "priority": view.data["priority"]}
    Console(json=as_json).result(data, [f"{view.id} has priority {view.data['priority']}"])


@app.command()
def watch(job: Job, as_json: Json = False) -> None:
    """Show a job's progress until it is over.

    Ctrl-C ends the watching, not the job.
    """
    from mapreel.core.commands.submission import finished, follow

    console = Console(json=as_json)
    with _client() as client:
        client.show(job)  # an unknown id is said at once
        done = finished(follow(console, client, job))
    console.result(done.to_dict(), [f"finished {job}", *([done.take] if done.take else [])])
