# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a request in this process, without the service (`--local`)."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core import runners
from mapreel.core.contract.errors import CancelledError
from mapreel.core.contract.takes import (
    claim_folder,
    claim_take,
    is_file_take,
    release_take,
    remove_partial_files,
    resume_take,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.core.contract.progress import Progress
    from mapreel.core.contract.requests import Request
    from mapreel.core.contract.strict_json import JSON

BACKGROUND_NICE = 10  # of work that takes hours beside everything else


def wait_calmly() -> None:
    """Let OpenMP threads sleep while they wait, as the service does; call it before torch is loaded.

    Spinning threads take the core from the one they wait for, as soon as anything else runs on the machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def work_in_background() -> None:
    """Give way to drafts and to the artist's own programs; a priority that the user has chosen stays as it is."""
    if sys.platform != "win32" and os.nice(0) == 0:
        os.nice(BACKGROUND_NICE)


class LocalContext:
    """The JobContext of a job in this process: shows progress, and hears of Ctrl-C through `stop`."""

    def __init__(self, show: Callable[[Progress], None]) -> None:
        self._show = show
        self._stopping = False

    def stop(self) -> None:
        """Ask the job to end before its next frame."""
        self._stopping = True

    def report(self, progress: Progress) -> None:
        self._show(progress)

    def check(self) -> None:
        if self._stopping:
            raise CancelledError("the job was cancelled", "run it again with --resume to go on where it stopped")


@dataclass(frozen=True)
class LocalJob:
    """A request and the take that was claimed for it."""

    request: Request
    take: Path | None

    @property
    def stands(self) -> bool:
        """True when something of its work is on disk."""
        return self.take is not None and (self.take.exists() or claim_folder(self.take).exists())

    def run(self, context: LocalContext) -> dict[str, JSON]:
        """Do it; a take in which nothing was written is given back when it fails. Raises MapreelError."""
        finished = False
        try:
            result = runners.run(self.request, self.take, context)
            finished = True
        finally:
            if self.take is not None:
                release_take(self.take)
                if not finished:
                    _give_back(self.take)
        return result


def claim(request: Request) -> LocalJob:
    """Make the take of a request ours, or take up the one it resumes. Raises OutputError, DiskFullError."""
    out = getattr(request, "out", None)
    if out is None:
        return LocalJob(request, None)
    if not getattr(request, "resume", False):
        return LocalJob(request, claim_take(Path(out)))
    take = resume_take(Path(out))
    remove_partial_files(take)
    return LocalJob(request, take)


def _give_back(take: Path) -> None:
    if not is_file_take(take):
        with contextlib.suppress(OSError):  # something stands in it: it is kept
            take.rmdir()
