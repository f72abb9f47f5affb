# SPDX-License-Identifier: GPL-3.0-or-later
"""Ties finished jobs to the shots that they were made of: a new take is added to its shot and looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QObject

from mapreel.core.contract.frames import SequencePattern
from mapreel.core.contract.jobs import JobState

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.jobs import Jobs
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots


class Takes(QObject):
    """Looks for nobody; acts when a render ends, and when an artist wants to see what a job made."""

    def __init__(self, jobs: Jobs, shots: Shots) -> None:
        super().__init__()
        self._jobs, self._shots = jobs, shots
        self._awaited: dict[str, str] = {}
        jobs.finished.connect(self._ended)
        jobs.learnt.connect(self._learnt)
        shots.open_changed.connect(self._opened)
        self._unread: dict[str, JobView] = {}

    def can_show(self, view: JobView) -> bool:
        """Whether a job has made something to look at."""
        return view.take is not None and view.type in ("render", "encode", "decode", "repair") and _stands(view)

    def show(self, view: JobView) -> None:
        """Look at what a job made: a take beside the maps it was made of, anything else as a shot of its own."""
        if view.take is None:
            return
        if view.type != "render":
            self._shots.open_paths([view.take])
            return
        self._jobs.details(view.id, lambda whole: self._show_take(whole.data.get("request") or {}, str(view.take)))

    def _show_take(self, request: dict[str, Any], take: str) -> None:
        labels = str(request.get("labels", ""))
        shot = self._shot(labels)
        if shot is not None:
            shot.add_take(take)
            self._shots.current = shot
            return
        self._awaited[_place(labels)] = take
        self._shots.open_paths([labels])

    def _opened(self, shots: tuple[ShotState, ...]) -> None:
        for shot in shots:
            take = self._awaited.pop(_place(shot.labels), None) if shot.labels else None
            if take is not None:
                shot.add_take(take)

    def _ended(self, view: JobView) -> None:
        if view.type != "render" or view.state is not JobState.FINISHED or view.take is None:
            return
        if self._jobs.request(view.id) is None:
            self._unread[view.id] = view
            self._jobs.learn(view.id)
        else:
            self._add(view)

    def _learnt(self, ids: tuple[str, ...]) -> None:
        for job in ids:
            view = self._unread.pop(job, None)
            if view is not None:
                self._add(view)

    def _add(self, view: JobView) -> None:
        shot = self._shot(str((self._jobs.request(view.id) or {}).get("labels", "")))
        if shot is not None and view.take is not None:
            shot.add_take(view.take)

    def _shot(self, labels: str) -> ShotState | None:
        place = _place(labels)
        return next((shot for shot in self._shots.open if shot.labels and _place(shot.labels) == place), None)


def _stands(view: JobView) -> bool:
    """Whether there is something to see: all of it, or frames of a folder."""
    if view.state is JobState.FINISHED:
        return True
    return view.type == "render" and view.progress is not None and view.progress.done > 0


def _place(source: str) -> str:
    """What two spellings of one sequence have in common: its folder, or the movie itself."""
    path = Path(source)
    if SequencePattern.looks_like(source):
        path = path.parent
    return os.path.normcase(os.path.normpath(path))
