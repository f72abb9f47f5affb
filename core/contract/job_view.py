# SPDX-License-Identifier: Apache-2.0
"""What the service tells about a job and about what happens to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mapreel.core.contract.errors import MapreelError, error_from_dict
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.progress import Progress


def progress_from_json(data: dict[str, Any] | None) -> Progress | None:
    """The Progress that crossed a process, None for None."""
    if data is None:
        return None
    left = data.get("seconds_left")
    return Progress(
        int(data["done"]), int(data["total"]), str(data["stage"]), float(left) if left is not None else None
    )


@dataclass(frozen=True)
class JobView:
    """A job as it stood when it was asked for. `data` is all that was told (tries and request too with `show`)."""

    id: str
    type: str
    state: JobState
    take: str | None
    progress: Progress | None
    result: dict[str, Any] | None
    error: MapreelError | None
    data: dict[str, Any]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> JobView:
        """Read what GET /v1/jobs/ID gave."""
        error = data.get("error")
        return cls(
            id=str(data["id"]),
            type=str(data["type"]),
            state=JobState(data["state"]),
            take=data.get("take"),
            progress=progress_from_json(data.get("progress")),
            result=data.get("result"),
            error=error_from_dict(error) if error else None,
            data=data,
        )


@dataclass(frozen=True)
class JobEvent:
    """One event of `watch`: kind is state, attempt, progress or priority; `job` is the job as it stands with it."""

    number: int
    kind: str
    data: dict[str, Any]
    job: JobView


@dataclass(frozen=True)
class JobChanges:
    """Jobs that changed, in the order of their newest events, and the number to ask after next.

    anew: the number asked after is of another queue (its file was moved away): this tells all jobs from the start.
    """

    number: int
    jobs: tuple[JobView, ...]
    anew: bool = False

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> JobChanges:
        """Read what GET /v1/changes gave."""
        return cls(int(data["number"]), tuple(JobView.from_json(row) for row in data["jobs"]), bool(data["anew"]))
