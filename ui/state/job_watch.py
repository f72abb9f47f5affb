# SPDX-License-Identifier: GPL-3.0-or-later
"""One job that a form has begun, and the steps that can be taken with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import pyqtSignal

from mapreel.ui.state.jobs import Step
from mapreel.ui.state.observable import Observable, Property

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.core.contract.job_view import JobView
    from mapreel.core.contract.requests import Request
    from mapreel.ui.state.jobs import Jobs
    from mapreel.ui.state.messages import Messages


class JobWatch(Observable):
    """Follows the job that was begun last. ended: its JobView, once, when it is over.

    key: under which it is said that a job could not be begun.
    """

    view = Property[Any](None)
    """JobView, None before the first job and after it was put away."""
    view_changed = pyqtSignal(object)
    sending = Property(False)
    """Whether a request is on its way to the service."""
    sending_changed = pyqtSignal(object)
    ended = pyqtSignal(object)

    def __init__(self, jobs: Jobs, messages: Messages, key: str) -> None:
        super().__init__()
        self._jobs, self._messages, self._key = jobs, messages, key
        jobs.changed.connect(self._hear)
        jobs.finished.connect(self._hear_end)

    @property
    def busy(self) -> bool:
        """Whether a job is on its way or not over yet."""
        return self.sending or (self.view is not None and not self.view.state.is_over)

    def start(self, request: Request, done: Callable[[JobView], None] | None = None) -> None:
        """Queue a request and follow its job."""
        self.sending = True

        def stored(view: JobView) -> None:
            self.sending = False
            self._messages.settle(self._key)
            self.follow(view)
            if done is not None:
                done(view)

        def refused(error: Any) -> None:
            self.sending = False
            self._messages.say_error(error, key=self._key)

        self._jobs.submit(request, stored, refused)

    def follow(self, view: JobView | None) -> None:
        """Look at another job."""
        self.view = view

    def put_away(self) -> None:
        """Look at none any more; the job goes on."""
        self.view = None

    def step(self, step: Step) -> None:
        """Pause, resume, cancel or retry it."""
        if self.view is not None:
            self._jobs.take_step(step, [self.view.id])

    def can(self, step: Step) -> bool:
        """Whether it can be paused, resumed, cancelled or retried now."""
        return self.view is not None and self._jobs.can(step, self.view.id)

    def _hear(self, view: JobView) -> None:
        if self.view is not None and view.id == self.view.id:
            self.view = view

    def _hear_end(self, view: JobView) -> None:
        if self.view is not None and view.id == self.view.id:
            self.view = view
            self.ended.emit(view)
