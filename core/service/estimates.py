# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job will probably take, from the results of the finished jobs of its kind in the queue's database.

The newest finished jobs are asked that did the same work: for a render the same model, quality and rule of key frames,
for an archive the same profile and preset, for a decode the same scale and files, for a training the same critic. Each
tells its pace: seconds of work (its result's own, without the loading) a frame that it made. Where the size of the
pictures is known of both, the pace is one of frame-pixels, and the job's size is put in; else the jobs of the same
source are asked, whose size is the same, and only when there is none all of them, frame for frame. The median pace
times the frames of this job, and the median of what those jobs took besides (loading, re-reading), are the seconds.
Bytes go the same way, from jobs whose files are of the same kind. An archive with a target of bytes has that size.

The frames of a request are counted by its range, else by the names of the files; those of a movie or an archive are
known when a job of the same source has run.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import MapreelError
from mapreel.core.contract.estimate import Estimate
from mapreel.core.contract.frames import IMAGE_SUFFIXES, FoundSequence, FrameRange, find_sequence
from mapreel.core.contract.requests import request_from_json
from mapreel.core.contract.takes import is_file_take
from mapreel.core.service.picture_sizes import picture_size

if TYPE_CHECKING:
    from mapreel.core.contract.requests import Request

NEWEST = 200  # finished jobs that are looked at
USED = 25  # of those that are alike
_SOURCES = ("labels", "source", "archive", "data")
_WORK: dict[str, tuple[str, ...]] = {  # fields that decide how long a frame takes
    "render": ("model", "quality", "keys"),
    "encode": ("profile", "preset"),
    "decode": ("scale",),
    "train": ("critic",),
    "inspect": (),
    "repair": (),
    "verify": (),
}
_FILES = ("image_format", "bits", "compression", "psnr_db", "bits_per_pixel", "depth")  # and how large it becomes


@dataclass(frozen=True)
class Past:
    """A finished job. frames: that it made, in `seconds`; besides_s: what its attempt took more. pixels: of a frame."""

    request: Request
    frames: int
    seconds: float
    besides_s: float
    size_bytes: float | None
    all_frames: int
    pixels: int | None


@dataclass(frozen=True)
class Plan:
    """The job that is asked about; None: not known."""

    request: Request
    frames: int | None
    pixels: int | None


def estimate(request: Request, rows: list[dict[str, Any]]) -> Estimate:
    """What the request will take. rows: finished jobs of its type, the newest first: request, result, seconds."""
    work = _values(request, _WORK.get(request.kind, ()))
    past = [job for row in rows if (job := _past(row)) is not None]
    alike = [job for job in past if _values(job.request, _WORK.get(request.kind, ())) == work]
    plan = _plan(request, past)
    paced = [job for job in alike if job.frames > 0 and job.seconds > 0]
    seconds, based_on = _scaled(plan, paced, lambda job: job.seconds / job.frames)
    if seconds is not None:
        seconds += statistics.median(job.besides_s for job in paced[:USED])
    return Estimate(seconds, _bytes(plan, alike), based_on, plan.frames)


def _bytes(plan: Plan, alike: list[Past]) -> float | None:
    request = plan.request
    if (size_mb := getattr(request, "size_mb", None)) is not None:
        return float(size_mb) * 1e6
    if (rate := getattr(request, "bits_per_pixel", None)) is not None and plan.frames and plan.pixels:
        return float(rate) * plan.frames * plan.pixels / 8
    kind = _files(request)
    same = [job for job in alike if job.size_bytes and job.all_frames and _files(job.request) == kind]
    return _scaled(plan, same, lambda job: (job.size_bytes or 0.0) / job.all_frames)[0]


def _scaled(plan: Plan, jobs: list[Past], pace: Callable[[Past], float]) -> tuple[float | None, int]:
    """The median pace of the jobs times this one's frames (and pixels), and on how many jobs it stands."""
    if plan.frames is None:
        return None, 0
    sized = [(job, job.pixels) for job in jobs if job.pixels]
    if plan.pixels and sized:
        paces = [pace(job) / pixels * plan.pixels for job, pixels in sized[:USED]]
    else:
        source = _source(plan.request)
        near = [job for job in jobs if _source(job.request) == source] or jobs
        paces = [pace(job) for job in near[:USED]]
    return (statistics.median(paces) * plan.frames, len(paces)) if paces else (None, 0)


def _past(row: dict[str, Any]) -> Past | None:
    """What a job of the database tells; None for one whose request or result this version does not understand."""
    try:
        request, result = request_from_json(row["request"]), row["result"]
        whole = int(result.get("frames", result.get("looked_at", result.get("steps", 0))) or 0)
        made = int(result.get("rendered", whole))
        took = float(row["seconds"])
        seconds = float(result.get("seconds", took))
        size = result.get("bytes", result.get("file_bytes"))
        return Past(
            request=request,
            frames=made,
            seconds=seconds,
            besides_s=max(0.0, took - seconds),
            size_bytes=None if size is None else float(size),
            all_frames=whole,
            pixels=_pixels(result, whole),
        )
    except (MapreelError, AttributeError, KeyError, TypeError, ValueError):
        return None


def _pixels(result: dict[str, Any], frames: int) -> int | None:
    if result.get("width") and result.get("height"):
        return int(result["width"]) * int(result["height"])
    if isinstance(result.get("size"), list) and len(result["size"]) == 2:
        return int(result["size"][0]) * int(result["size"][1])
    whole = result.get("pixels")  # of all frames of a decode
    return int(whole) // frames if whole and frames else None


def _plan(request: Request, past: list[Past]) -> Plan:
    """Frames and pixels of a job that has not run. Looks at the disk."""
    if request.kind == "train":
        return Plan(request, int(getattr(request, "steps", 0)), None)
    source, wanted = _source(request), getattr(request, "frames", None)
    same = [job for job in past if _source(job.request) == source]
    frames = len(FrameRange.parse(wanted)) if wanted else None
    pixels = None
    found = _sequence(Path(str(source)))
    if found is not None:
        spelled = found.pattern.frames
        if frames is None:
            frames = len(spelled) if spelled is not None else found.numbers[-1] - found.numbers[0] + 1
        size = picture_size(found.pattern.path(found.numbers[0]))
        pixels = size[0] * size[1] if size else None
    elif frames is None and Path(str(source)).exists():
        whole = [job.all_frames for job in same if getattr(job.request, "frames", None) is None]
        frames = whole[0] if whole else None
    return Plan(request, frames, pixels)


def _sequence(source: Path) -> FoundSequence | None:
    """The pictures of a source; None for a movie, an archive, or nothing that is there."""
    if source.is_file() and source.suffix.lower() not in IMAGE_SUFFIXES:
        return None  # the number in its name is a version
    try:
        return find_sequence(source)
    except MapreelError:
        return None


def _source(request: Request) -> object:
    return next((value for name in _SOURCES if (value := getattr(request, name, None)) is not None), None)


def _values(request: Request, names: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(getattr(request, name, None) for name in names)


def _files(request: Request) -> tuple[object, ...]:
    """What kind of file a job makes: its format, and the ending of a movie."""
    out = getattr(request, "out", None)
    suffix = Path(out).suffix.lower() if out and is_file_take(Path(out)) else ""
    return (*_values(request, _FILES), suffix)
