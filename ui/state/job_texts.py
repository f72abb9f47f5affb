# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel says of a job: its name, its state, its times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.frames import SequencePattern
from mapreel.core.contract.jobs import JobState
from mapreel.ui.text import figure, significant, tr

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView

_GENERIC = frozenset({"label", "labels", "seg", "maps", "ids", "color", "colour", "beauty", "rgb", "plate", "images"})
OVERDUE_S = 30.0
_SOURCES = ("labels", "source", "archive", "data")


def job_label(view: JobView) -> str:
    """What kind of work a job is."""
    return type_label(view.type)


def type_label(kind: str) -> str:
    """A type of request in one word."""
    words = {
        "render": tr("Render"),
        "encode": tr("Archive"),
        "decode": tr("Unpack"),
        "verify": tr("Verify"),
        "inspect": tr("Label doctor"),
        "repair": tr("Repair"),
        "train": tr("Train"),
    }
    return words.get(kind, kind)


def shot_name(request: dict[str, Any] | None) -> str:
    """The shot that a request is about, by the name of its source."""
    for field in _SOURCES if request else ():
        source = (request or {}).get(field)
        source = source[0] if isinstance(source, list) and source else source
        if isinstance(source, str) and source:
            return _name(source)
    return ""


def _name(source: str) -> str:
    path = Path(source)
    if SequencePattern.looks_like(source):
        path = path.parent
    while path.name.lower() in _GENERIC and path.parent != path:
        path = path.parent
    return path.stem if path.suffix else path.name


def job_title(view: JobView, request: dict[str, Any] | None) -> str:
    """`street · beauty_v003`: the shot, and the take that is written."""
    take = Path(view.take).name if view.take else ""
    parts = [part for part in (shot_name(request), take) if part]
    return " · ".join(parts) or view.id


def state_label(state: JobState) -> str:
    """A state in one word or two."""
    return {
        JobState.QUEUED: tr("Waiting"),
        JobState.RUNNING: tr("Running"),
        JobState.PAUSED: tr("Paused"),
        JobState.FINISHED: tr("Finished"),
        JobState.FAILED: tr("Failed"),
        JobState.CANCELLED: tr("Cancelled"),
        JobState.QUARANTINED: tr("Set aside"),
    }[state]


def attempt_label(state: str) -> str:
    """How an attempt ended, or that it runs."""
    words = {
        "running": tr("Running"),
        "done": tr("Finished"),
        "failed": tr("Failed"),
        "crashed": tr("Crashed"),
        "hung": tr("Hung"),
        "cancelled": tr("Stopped"),
    }
    return words.get(state, state)


def span(seconds: float) -> str:
    """A time taken: `8 s`, `1:05 min`, `2:03 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return tr("{count} s", count=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return tr("{time} min", time=f"{minutes}:{rest:02d}")
    return tr("{time} h", time=f"{minutes // 60}:{minutes % 60:02d}")


def about(seconds: float) -> str:
    """A time that is guessed, no finer than the guess is: `about 40 s`, `about 3 min`, `about 1.5 h`."""
    if seconds < 10:
        return tr("some seconds")
    if seconds < 55:
        return tr("about {count} s", count=round(seconds / 10) * 10)
    if seconds < 90 * 60:
        return tr("about {count} min", count=max(1, round(seconds / 60)))
    return tr("about {count} h", count=significant(round(seconds / 1800) / 2))


def time_left(view: JobView, age_s: float = 0.0) -> str:
    """Of a running job, `age_s` after it was told; empty while nobody knows, and again when it is long overdue."""
    told = view.progress
    if view.state is not JobState.RUNNING or told is None or told.seconds_left is None or told.done >= told.total:
        return ""
    left = told.seconds_left - age_s
    return about(max(0.0, left)) if left > -max(OVERDUE_S, told.seconds_left) else ""


def seconds_taken(view: JobView, now_s: float) -> float | None:
    """How long the last attempt has worked; None for a job that has not begun, or whose work is not known."""
    started = view.data.get("started_s")
    if not isinstance(started, (int, float)) or view.state in (JobState.QUEUED, JobState.PAUSED):
        return None
    ended = float(view.data["changed_s"]) if view.state.is_over else now_s
    return max(0.0, ended - started)


def size_text(size_bytes: float) -> str:
    """Bytes for people, by thousands as disks count them."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= scale * 0.95:
            value = size_bytes / scale
            return f"{figure(value, 1)} {unit}" if value < 10 else f"{figure(value, 0)} {unit}"
    return f"{max(1, round(size_bytes / 1e3))} kB"
