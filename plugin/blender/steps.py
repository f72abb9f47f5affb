# SPDX-License-Identifier: Apache-2.0
"""An operator that does its work step by step, so that the window stays alive: progress is shown, Esc cancels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from mapreel.core.contract.errors import MapreelError
from mapreel.plugin.blender.session import SESSION

if TYPE_CHECKING:
    from collections.abc import Generator

STEP_EVERY_S = 0.05


class StepOperator(bpy.types.Operator):
    """Without a window, and when it is called as EXEC_DEFAULT, it waits until it is done (`act`)."""

    bl_options = {"REGISTER"}
    _steps: Any = None  # a generator; Blender evaluates the names of annotations
    _timer: Any = None

    def act(self, context: Any) -> None:
        """All of it at once."""
        raise RuntimeError(self.bl_idname)

    def steps(self, context: Any) -> Generator[tuple[float, str], None, None]:
        """The same in steps; each gives how much is done, 0 to 1, and a sentence. Closed early, it leaves nothing."""
        raise RuntimeError(self.bl_idname)

    def execute(self, context: Any) -> set[str]:
        """Do it; a MapreelError becomes a report."""
        try:
            self.act(context)
        except MapreelError as error:
            return self._refused(error)
        return {"FINISHED"}

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Begin, and come back at once."""
        if bpy.app.background:
            return self.execute(context)
        if SESSION.steps is not None:
            SESSION.tell(f"{SESSION.steps[1]}: wait for it, or cancel it with Esc")
            return {"CANCELLED"}
        self._steps = self.steps(context)
        SESSION.steps = (0.0, self.bl_label)
        manager = context.window_manager
        self._timer = manager.event_timer_add(STEP_EVERY_S, window=context.window)
        manager.progress_begin(0, 100)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """One step at each tick of the clock."""
        if event.type == "ESC":
            self._steps.close()
            SESSION.tell(f"{self.bl_label}: cancelled")
            return self._end(context, {"CANCELLED"})
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            share, sentence = next(self._steps)
        except StopIteration:
            return self._end(context, {"FINISHED"})
        except MapreelError as error:
            self._end(context, set())
            return self._refused(error)
        except Exception:
            self._end(context, set())
            raise
        if SESSION.steps != (share, sentence):  # whatever is drawn anew holds the main thread
            SESSION.show_steps(share, sentence)
            context.window_manager.progress_update(round(share * 100))
            if context.workspace:
                context.workspace.status_text_set(f"Mapreel  {sentence}  (Esc cancels)")
        return {"RUNNING_MODAL"}

    def cancel(self, context: Any) -> None:
        """Called by Blender when its window closes: nothing partial stays."""
        self._steps.close()
        self._end(context, set())

    def _refused(self, error: MapreelError) -> set[str]:
        SESSION.tell(str(error))
        self.report({"ERROR"}, str(error))
        return {"CANCELLED"}

    def _end(self, context: Any, answer: set[str]) -> set[str]:
        SESSION.steps = None
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        context.window_manager.progress_end()
        if context.workspace:
            context.workspace.status_text_set(None)
        return answer
