# SPDX-License-Identifier: Apache-2.0
"""Operators whose errors are one sentence, and such that send a job and follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from mapreel.core.contract.errors import MapreelError
from mapreel.plugin.blender.session import SESSION

if TYPE_CHECKING:
    from mapreel.core.contract.requests import Request
    from mapreel.plugin.shared.link import LinkedJob


class SentenceOperator(bpy.types.Operator):
    """An operator whose errors are one sentence in the status bar."""

    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Do it; a MapreelError becomes a report."""
        try:
            self.act(context)
        except MapreelError as error:
            SESSION.tell(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def act(self, context: Any) -> None:
        """What it is for."""
        raise RuntimeError(self.bl_idname)


class JobOperator(SentenceOperator):
    """One that sends a job: with a window the artist goes on, sees progress and Esc cancels; without one it waits."""

    _job: Any = None  # a LinkedJob; Blender evaluates the names of annotations
    _timer: Any = None
    _said: str = "-"  # in the status bar

    def request(self, context: Any) -> Request:
        """The job."""
        raise RuntimeError(self.bl_idname)

    @staticmethod
    def look(take: str) -> Any:
        """In a thread where there is a window: read from disk what `over` needs. Touches nothing of Blender's."""

    def over(self, context: Any, take: str, seen: Any) -> None:
        """What to do with its result. seen: what `look` gave."""

    def act(self, context: Any) -> None:
        """Send it and wait."""
        link = SESSION.connected()
        with link.client() as client:
            view = client.wait(client.submit(self.request(context)).id)
        if view.error:
            raise view.error
        self.over(context, view.take or "", self.look(view.take or ""))

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Send it and come back at once."""
        if bpy.app.background:
            return self.execute(context)
        try:
            self._job = SESSION.job = SESSION.connected().submit(self.request(context), after=type(self).look)
        except MapreelError as error:
            SESSION.tell(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        SESSION.said = ""
        manager = context.window_manager
        manager.progress_begin(0, 100)
        self._timer = manager.event_timer_add(0.1, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """Follow the job."""
        job = self._job
        assert job is not None
        if event.type == "ESC" and not job.is_over:
            SESSION.connected().cancel(job)
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        said = "" if job.is_over else f"Mapreel  {job.sentence}  (Esc cancels)"
        if said != self._said:  # whatever is drawn anew holds the main thread
            self._said = said
            context.window_manager.progress_update(round(job.share * 100))
            if context.workspace:
                context.workspace.status_text_set(said or None)
        return self._end(context, job) if job.is_over else {"PASS_THROUGH"}

    def _end(self, context: Any, job: LinkedJob) -> set[str]:
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        SESSION.tell(job.sentence)
        if job.state != "finished":
            self.report({"ERROR"} if job.error else {"INFO"}, job.sentence)
            return {"CANCELLED"}
        try:
            self.over(context, job.take, job.prepared)
        except MapreelError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}
