# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures drafts as an artist meets them: asked of a real service, until the pixels stand in this process's memory.

Idle, and while a render runs in the service's batch lane and a training runs next to it.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.errors import ServiceError
from mapreel.core.contract.frames import find_sequence
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import DraftRequest, Quality
from mapreel.core.demo import demo_shot
from mapreel.core.media.images import write_png
from mapreel.core.vid2vid.models import LOG_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mapreel.core.contract.draft import DraftFrame

    Say = Callable[[str], None]

SCRUB_STEP = 37  # frames from one draft to the next where each is made by the network: never near the one before
PAUSE_S = 0.05  # between two drafts, as between two looks: threads sleep, other programs get the caches
LOAD_LIMIT_S = 300.0  # until render and training have started
RENDERS = 4  # that wait in the queue, so that one always runs
ENDLESS_STEPS = 1_000_000


@dataclass(frozen=True)
class Asked:
    """One draft: from the call to the pixels, and what came."""

    total_ms: float
    frame: DraftFrame


def measure_drafts(folder: Path, model: str, *, busy: bool, say: Say) -> dict[str, Any]:
    """Milliseconds of warm drafts of the bundled shot, in a service of its own in `folder` that is ended afterwards.

    Returns:
        cold_seconds (of the first draft: process, libraries, model), and for idle (and busy): play (frames in order, a
        first look at each, as the panel asks for them), quick (frames far apart, a first look by the network at each)
        and network (the same in quality full), each with p50_ms, p99_ms, most_ms, inside_p50_ms (in the compute
        process), drafts, key_share (made by the network); for busy also to_the_end: render and training still ran when
        the last draft had come.
    """
    with ServiceClient(folder / "state", start_timeout_s=120.0) as client:
        try:
            cold = _ask(client, draft_request(_copy(folder / "cold"), 1, model))
            say(f"the first draft took {cold.total_ms / 1000:.1f} s")
            figures: dict[str, Any] = {"cold_seconds": cold.total_ms / 1000}
            figures["idle"], pictures = _measure(client, _copy(folder / "idle"), model)
            if busy:
                with _render_and_training(client, folder, model, pictures, say) as still_busy:
                    figures["busy"], _ = _measure(client, _copy(folder / "busy"), model)
                    figures["busy"]["to_the_end"] = still_busy()
                if not figures["busy"]["to_the_end"]:
                    say("the render or the training ended before the last draft: the busy figures are too good")
        finally:
            client.stop()
    return figures


def draft_request(
    shot: Path, frame: int, model: str, quality: Quality = Quality.DRAFT, *, quick: bool = False
) -> DraftRequest:
    """A frame of a shot with all its maps."""
    return DraftRequest(
        labels=str(shot / "label"),
        instances=str(shot / "instance"),
        motion=str(shot / "motion"),
        model=model,
        frame=frame,
        quality=quality,
        quick=quick,
    )


def _copy(folder: Path) -> Path:
    """The bundled shot under another name, of which the service has nothing in memory."""
    for name in ("label", "instance", "motion"):
        shutil.copytree(demo_shot() / name, folder / name)
    return folder


def _measure(client: ServiceClient, shot: Path, model: str) -> tuple[dict[str, Any], list[DraftFrame]]:
    """The figures of one state of the machine, and the played frames."""
    numbers = find_sequence(str(shot / "label")).numbers
    half = len(numbers) // 2
    _ask(client, draft_request(shot, numbers[0], model))  # the maps are opened, which is no part of a warm draft
    played = [_ask(client, draft_request(shot, number, model, quick=True)) for number in numbers[1:half]]
    order = [i * SCRUB_STEP % half for i in range(half)]
    quick = [_ask(client, draft_request(shot, numbers[half + i], model, Quality.FULL, quick=True)) for i in order]
    network = [_ask(client, draft_request(shot, numbers[half + i], model, Quality.FULL)) for i in order]
    figures = {"play": _figures(played), "quick": _figures(quick), "network": _figures(network)}
    return figures, [asked.frame for asked in played]


def _ask(client: ServiceClient, request: DraftRequest) -> Asked:
    time.sleep(PAUSE_S)
    started = time.perf_counter()
    frame = client.draft(request)
    return Asked((time.perf_counter() - started) * 1000, frame)


def _figures(asked: list[Asked]) -> dict[str, float]:
    times = [one.total_ms for one in asked]
    return {
        "p50_ms": median(times),
        "p99_ms": float(np.percentile(times, 99)),
        "most_ms": max(times),
        "inside_p50_ms": median(one.frame.seconds * 1000 for one in asked),
        "drafts": len(asked),
        "key_share": sum(one.frame.facts["is_key"] for one in asked) / len(asked),
    }


# --- what else the machine has to do -------------------------------------------------------------------------------


@contextlib.contextmanager
def _render_and_training(
    client: ServiceClient, folder: Path, model: str, pictures: list[DraftFrame], say: Say
) -> Iterator[Callable[[], bool]]:
    """A render in the batch lane and `mapreel train` beside the service, both well on their way.

    Gives a question to ask at the end: whether both of them still run.
    """
    for number in range(RENDERS):
        request = draft_request(folder / "idle", 1, model).as_render()
        client.submit(replace(request, frames=None, quality=Quality.FULL, out=str(folder / f"take{number}")))
    data, out = _training_data(folder, pictures), folder / "training"
    words = ["train", "student", "--data", str(data), "--out", str(out), "--steps", str(ENDLESS_STEPS)]
    with (folder / "training.txt").open("wb") as log:
        training = subprocess.Popen([sys.executable, "-m", "mapreel.core.cli", *words], stdout=log, stderr=log)
    try:
        _await_load(client, training, out / LOG_FILE, folder / "training.txt")
        say("a render and a training run")
        yield lambda: training.poll() is None and _has_renders(client)
    finally:
        training.kill()
        training.wait()


def _training_data(folder: Path, pictures: list[DraftFrame]) -> Path:
    """A training shot: drafted frames as colour, with their label maps."""
    data = folder / "data"
    for name in ("color", "label"):
        (data / name).mkdir(parents=True)
    for frame in pictures:
        pixels = np.frombuffer(frame.pixels, np.uint8).reshape(frame.height, frame.width, 3)
        write_png(data / "color" / f"{frame.number:04d}.png", pixels)
        shutil.copy(folder / "idle" / "label" / f"{frame.number:04d}.png", data / "label")
    return data


def _await_load(client: ServiceClient, training: subprocess.Popen[bytes], log: Path, words: Path) -> None:
    deadline = time.monotonic() + LOAD_LIMIT_S
    while not (log.exists() and log.stat().st_size and _renders(client)):
        if training.poll() is not None or time.monotonic() > deadline:
            raise ServiceError("render and training did not start", "see the detail", detail=words.read_text("utf-8"))
        time.sleep(0.5)


def _has_renders(client: ServiceClient) -> bool:
    """Also between two of them, when one has ended and the next has not begun."""
    return any(client.list(state) for state in (JobState.RUNNING, JobState.QUEUED))


def _renders(client: ServiceClient) -> bool:
    return any(job.progress is not None and job.progress.done > 0 for job in client.list(JobState.RUNNING))
