# SPDX-License-Identifier: GPL-3.0-or-later
"""A panel in a process of its own that works until it is killed: opens a shot, renders, scrubs, edits, remembers.

    python tests/ui/panel_at_work.py work|look SHOT JOBS      state: MAPREEL_STATE

It tells what it sees as lines of JSON. `look` waits until it shows JOBS jobs, tells them, and ends by itself.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from mapreel.ui.state.studio import Studio
from mapreel.ui.state.viewer_plan import Mode
from mapreel.ui.views.main_window import MainWindow
from mapreel.ui.views.theme import dress

BEGUN = time.monotonic()
BEAT_MS = 20


class AtWork:
    """Does something of everything at each beat."""

    def __init__(self, studio, window, jobs):
        self.studio, self.window, self.jobs = studio, window, jobs
        self.beats, self.sent = 0, False
        studio.render_form.job_changed.connect(self._stored)

    def tell(self, **facts):
        sys.stdout.write(json.dumps({**facts, "after_s": round(time.monotonic() - BEGUN, 2)}) + "\n")
        sys.stdout.flush()

    def _stored(self, view):
        if view is not None and self.sent:
            self.sent = False
            self.tell(job=view.id)

    def work(self):
        studio, shot = self.studio, self.studio.shots.current
        if shot is None:
            return
        self.beats += 1
        studio.playback.go(shot.numbers[self.beats % len(shot.numbers)])
        studio.viewer.mode = list(Mode)[self.beats // 7 % len(Mode)]
        studio.render_form.handles = self.beats % 50
        studio.preferences.keep("at work", list(range(self.beats % 200)))
        studio.preferences.save()
        studio.palette_editor.recolor(1, (self.beats % 256, 7, 7))
        if self.beats == 5 or (self.beats > 5 and not self.sent and studio.render_form.job is None):
            self.sent = not studio.render_form.reason
            studio.render_form.submit()

    def look(self):
        rows = self.window.jobs.model.rowCount() if hasattr(self.window, "jobs") else -1
        if rows >= self.jobs:
            known = sorted(view.id for view in self.studio.jobs.views())
            self.tell(rows=rows, jobs=known, shots=[shot.name for shot in self.studio.shots.open])
            self.window.close()


def main():
    what, shot, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    app = QApplication(["mapreel"])
    dress(app, "dark")
    studio = Studio()
    window = MainWindow(studio)
    window.show()
    studio.start()
    at_work = AtWork(studio, window, jobs)
    at_work.tell(trouble=studio.preferences.trouble, kept=studio.preferences.kept("at work") is not None)
    studio.shots.open_paths([shot])
    timer = QTimer()
    timer.timeout.connect(at_work.work if what == "work" else at_work.look)
    timer.start(BEAT_MS)
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
