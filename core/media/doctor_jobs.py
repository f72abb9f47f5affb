# SPDX-License-Identifier: GPL-3.0-or-later
"""The label doctor as jobs: what panel, hosts and command line ask for by `inspect` and `repair` requests."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import OutputExistsError, disk_error
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.takes import MAX_VERSION
from mapreel.core.media.doctor import examine
from mapreel.core.media.doctor_findings import Report
from mapreel.core.media.doctor_picture import draw_report
from mapreel.core.media.doctor_repair import repair
from mapreel.core.media.images import write_png

if TYPE_CHECKING:
    from mapreel.core.contract.progress import JobContext
    from mapreel.core.contract.requests import InspectRequest, RepairRequest
    from mapreel.core.contract.strict_json import JSON

_LINES = 40  # of a shot with every problem there is; each line is one finding


def run_inspect(request: InspectRequest, _take: Path | None, context: JobContext) -> dict[str, JSON]:
    """Examines label maps; the result is what the report says and where its picture lies. Raises as `examine`."""
    report = examine(
        request.source,
        palette=request.palette,
        frames=_range(request.frames),
        options=request.map_reading,
        context=context,
    )
    picture = _draw(report, request.picture)
    return {**report.to_dict(), "lines": _lines(report), "picture": picture}


def run_repair(request: RepairRequest, take: Path, context: JobContext) -> dict[str, JSON]:
    """Mends label maps into the take. The picture shows the originals. Raises as `repair`."""
    done = repair(
        request.source,
        take,
        palette=request.palette,
        frames=_range(request.frames),
        missing=request.missing,
        options=request.map_reading,
        context=context,
    )
    picture = _draw(done.before, request.picture)
    lines = {"lines": _lines(done.before), "lines_after": _lines(done.after)}
    return {**done.before.to_dict(), **lines, "repair": done.to_dict(), "picture": picture}


def _range(frames: str | None) -> FrameRange | None:
    return FrameRange.parse(frames) if frames else None


def _lines(report: Report) -> list[JSON]:
    return [finding.sentence(report.names) for finding in report.findings[:_LINES]]


def _draw(report: Report, picture: str | None) -> str | None:
    """Writes the picture under a name that is free: NAME.png, else NAME_v002.png … Raises OutputError."""
    if picture is None:
        return None
    out = Path(picture)
    later = (out.with_name(f"{out.stem}_v{number:03d}{out.suffix}") for number in range(2, MAX_VERSION + 1))
    free = next((name for name in chain([out], later) if not name.exists()), None)
    if free is None:
        raise OutputExistsError(f"{out} has {MAX_VERSION} versions already", "choose another name", file=str(out))
    try:
        free.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise disk_error(exc, free) from exc
    write_png(free, draw_report(report))
    return str(free)
