# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the figures of docs/benchmarks.md anew: the very paths a user takes, files written and read again."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import OutputError
from mapreel.core.contract.frames import FrameRange, find_sequence
from mapreel.core.contract.requests import Quality, RenderRequest
from mapreel.core.demo import demo_shot, installed
from mapreel.core.local import LocalContext, claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.core.contract.progress import Progress
    from mapreel.core.contract.requests import Request
    from mapreel.core.vid2vid.evaluate_comparison import Comparison

    Show = Callable[[Progress], None]

QUALITIES = (Quality.FULL, Quality.FAST)
PEAK_FRAMES = (4, 16)
"""Frames after which a teacher's and our memory has stopped growing: a few windows of key frames."""
# A process inherits the peak of the one that starts it (Linux keeps it across exec), and this one has torch loaded:
# so a small one starts the render and waits for it.
_WAITER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(process.returncode, usage.ru_maxrss)
"""


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return {"processor": _processor(), "cores": os.cpu_count(), "threads": threads, **installed()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def run(request: Request, show: Show) -> dict[str, Any]:
    """Do one request here; gives its result and `wall_seconds`."""
    started = time.perf_counter()
    result: dict[str, Any] = claim(request).run(LocalContext(show))
    return {**result, "wall_seconds": time.perf_counter() - started}


def render_request(out: Path, model: str, frames: str | None = None) -> RenderRequest:
    """The bundled shot with all its maps."""
    shot = demo_shot()
    return RenderRequest(
        labels=str(shot / "label"),
        instances=str(shot / "instance"),
        motion=str(shot / "motion"),
        model=model,
        out=str(out),
        frames=frames,
    )


def measure_render(folder: Path, model: str, frames: str | None, show: Show) -> dict[str, Any]:
    """Frames a second of each quality on the bundled shot, PNGs written and read again included; a warm-up first."""
    request = render_request(folder / "warm-up", model, frames)
    first = next(iter(FrameRange.parse(frames))) if frames else find_sequence(request.labels).numbers[0]
    run(replace(request, frames=str(first)), show)
    figures = {}
    for quality in QUALITIES:
        result = run(replace(request, out=str(folder / quality.value), quality=quality), show)
        names = ("frames", "seconds", "frames_per_second", "key_share", "wall_seconds")
        figures[quality.value] = {name: result[name] for name in names}
    return figures


def measure_comparison(what: Comparison, folder: Path, show: Show, note: Callable[[str], None]) -> dict[str, Any]:
    """Cost, speed, peak memory and quality of every way to render a shot, see `evaluate_comparison`."""
    from mapreel.core.vid2vid.evaluate_comparison import compare
    from mapreel.core.vid2vid.evaluate_takes import contenders, request_for

    found = compare(what, folder, show, note)
    if sys.platform == "win32":
        note("peak memory is measured on Linux and macOS only")
        return found
    note("measuring peak memory")
    numbers = find_sequence(what.shot / "label").numbers
    for rival in contenders(what.model, what.teacher):
        out = folder / f"peak-{rival.name}"
        request = request_for(rival, what.shot, what.conditions[0], out)
        count = PEAK_FRAMES[0] if rival.is_teacher else PEAK_FRAMES[1]
        frames = FrameRange.from_numbers(numbers[:count])
        found["networks"][rival.name]["peak_memory_mb"] = _peak_mb(_command(request, str(frames)))
        shutil.rmtree(out)
    return found


def _command(request: RenderRequest, frames: str) -> list[str]:
    """The command line that makes the request, in a process of its own."""
    words = ["render", request.labels, "--model", request.model, "--quality", request.quality.value]
    words += ["--keys", request.keys.value]
    for option, value in (("--instances", request.instances), ("--motion", request.motion), ("--frames", frames)):
        words += [option, value] if value else []
    for number, file in request.reference:
        words += ["--reference", f"{number}={file}"]
    return [sys.executable, "-m", "mapreel.core.cli", *words, "--local", "--json", "--out", request.out]


def measure_memory(folder: Path, model: str, counts: tuple[int, ...]) -> dict[str, Any]:
    """Peak memory in MB of a process that renders so many frames (the bundled shot again and again), fast quality."""
    figures = {}
    for count in counts:
        maps = folder / f"{count}-frames"
        _long_shot(maps, count)
        words = ["render", str(maps / "label"), "--instances", str(maps / "instance"), "--motion", str(maps / "motion")]
        words += ["--model", model, "--quality", "fast", "--local", "--json", "--out", str(folder / f"{count}-out")]
        figures[str(count)] = _peak_mb([sys.executable, "-m", "mapreel.core.cli", *words])
        shutil.rmtree(folder / f"{count}-out")
    return figures


def _long_shot(maps: Path, count: int) -> None:
    for kind in ("label", "instance", "motion"):
        found = find_sequence(demo_shot() / kind)
        (maps / kind).mkdir(parents=True)
        for number in range(1, count + 1):
            source = found.pattern.path(found.numbers[(number - 1) % len(found.numbers)])
            shutil.copyfile(source, maps / kind / f"{number:04d}{source.suffix}")


def _peak_mb(command: list[str]) -> float:
    if sys.platform == "win32":
        raise OutputError("peak memory is measured on Linux and macOS only", "leave out --memory")
    said = subprocess.run([sys.executable, "-c", _WAITER, *command], stdout=subprocess.PIPE, check=True).stdout.split()
    code, peak = int(said[0]), int(said[1])
    if code:
        raise OutputError(f"the render ended with exit code {code}", "look at what it said above")
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
