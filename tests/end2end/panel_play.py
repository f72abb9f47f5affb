# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist does in the panel, with real clicks and keys on an X screen. A program: prints JSON of what it saw.

python panel_play.py first|again STATE SHOT OUT [--photos DIR] [--scheme dark] [--language xx]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from panel_hand import FileWindow, Hand, Play
from PyQt6.QtCore import QPoint
from PyQt6.QtWidgets import QApplication

from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import Quality
from mapreel.ui.state.shot import Layer
from mapreel.ui.state.studio import Studio
from mapreel.ui.state.viewer_plan import Mode
from mapreel.ui.text import speak, tr
from mapreel.ui.views.main_window import MainWindow
from mapreel.ui.views.theme import dress, set_type


def begun_s():
    """Seconds since this process was started, imports and all."""
    ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


class Artist:
    """Everything that is done; `seen` is what came of it."""

    def __init__(self, studio, window, options):
        self.studio, self.window, self.options = studio, window, options
        self.hand = Hand(window)
        self.seen = {}

    def first(self):
        yield from self.begin()
        yield from self.drop()
        yield from self.scrub_and_draft()
        yield from self.render()
        yield from self.wipe()
        yield from self.archive_and_cancel()
        yield from self.labels()
        yield from self.train()
        yield from self.quit()

    def again(self):
        yield from self.begin()
        self.seen["recent"] = list(self.studio.preferences.recent)
        yield lambda: self.studio.bridge.jobs_complete
        self.seen["jobs"] = sorted(view.state.value for view in self.studio.jobs.views())
        yield from self.hand.click(self.window.jobs.table, QPoint(60, 40))
        yield from self.photo("jobs again")
        yield from self.quit()

    # -- scenes --------------------------------------------------------------------------------------------------------

    def begin(self):
        self.seen["painted_s"] = round(begun_s(), 2)
        yield lambda: hasattr(self.window, "hosts")
        self.seen["usable_s"] = round(begun_s(), 2)
        yield from self.hand.focus()

    def drop(self):
        files = FileWindow(self.options.shot)
        files.move(1500, 940)  # outside of the window
        files.show()
        yield from self.hand.pause(0.3)
        yield from self.hand.drag(files, self.window.shots)
        yield lambda: self.studio.shots.current is not None
        files.close()
        yield from self.hand.focus()
        self.seen["shot"] = self.studio.shots.current.name

    def scrub_and_draft(self):
        studio = self.studio
        yield lambda: studio.drafts.rank == 3
        self.seen["first_draft_s"] = round(begun_s(), 2)
        yield from self.photo("draft")
        yield from self.hand.keys("Right", "Right", "Right")
        yield lambda: studio.playback.frame == studio.shots.current.first + 3
        yield lambda: studio.drafts.rank >= 1
        bar = self.window.viewer.timeline
        yield from self.hand.click(bar, QPoint(bar.width() // 2, bar.height() - 6))
        yield lambda: studio.playback.frame > studio.shots.current.first + 3
        yield lambda: studio.drafts.rank >= 1
        self.seen["scrubbed_to"] = studio.playback.frame
        self.seen["first_look_ms"] = round(studio.drafts.latency_ms)
        yield from self.hand.keys("i")
        yield lambda: studio.shots.current.cut_in == studio.playback.frame
        yield from self.hand.keys(*["Right"] * 5)
        yield from self.hand.keys("o")
        yield lambda: studio.shots.current.cut_out == studio.shots.current.cut_in + 5

    def render(self):
        studio, view = self.studio, self.window.tabs.make(0)
        studio.render_form.folder = str(Path(self.options.out) / "renders")
        studio.render_form.quality = Quality.FAST
        yield view.button.isEnabled
        yield from self.photo("render")
        yield from self.hand.click(view.button)
        yield lambda: any(job.type == "render" for job in studio.jobs.views())
        yield lambda: studio.shots.current.result
        yield lambda: studio.viewer.layer_a is Layer.RESULT
        self.seen["take"] = sorted(path.name for path in Path(studio.shots.current.result).glob("*.png"))
        yield lambda: studio.viewer.shown is not None
        yield from self.photo("result")

    def wipe(self):
        viewer = self.studio.viewer
        self.window.viewer.setFocus()
        yield from self.hand.keys("w")
        yield lambda: viewer.mode is Mode.WIPE
        viewer.layer_b = Layer.LABELS
        canvas = self.window.viewer.canvas
        yield from self.hand.pause(0.5)
        before = viewer.wipe_at
        middle = canvas.mapToGlobal(canvas.rect().center())
        yield from self.hand.move(middle)
        yield from self.hand.run("mousedown", 1)
        for step in range(1, 5):
            yield from self.hand.move(middle + QPoint(30 * step, 0))
            yield from self.hand.pause(0.05)
        yield from self.hand.run("mouseup", 1)
        self.seen["wiped"] = viewer.wipe_at != before
        yield from self.photo("wipe")

    def archive_and_cancel(self):
        studio = self.studio
        view = yield from self.tab(tr("Archive"))
        form = studio.archive_form
        form.folder = str(Path(self.options.out) / "archives")
        yield view.encode.button.isEnabled
        yield from self.photo("archive")
        yield from self.hand.click(view.encode.button)
        yield lambda: [job for job in studio.jobs.views() if job.type == "encode" and job.state is JobState.RUNNING]
        job = next(job.id for job in studio.jobs.views() if job.type == "encode")
        yield lambda: studio.jobs.view(job).progress is not None
        table = self.window.jobs.table
        yield from self.hand.click(table, QPoint(80, 40))
        yield from self.photo("jobs")
        yield from self.hand.keys("Delete")
        yield lambda: studio.jobs.view(job).state.is_over
        self.seen["cancelled"] = studio.jobs.view(job).state.value

    def labels(self):
        yield from self.tab(tr("Labels"))
        yield from self.hand.pause(0.5)
        yield from self.photo("labels")

    def train(self):
        yield from self.tab(tr("Train"))
        yield from self.hand.pause(0.5)
        yield from self.photo("train")

    def quit(self):
        self.seen["messages"] = [message.text for message in self.studio.messages.standing]
        yield from self.hand.focus()
        yield from self.hand.keys("ctrl+q")
        yield lambda: not self.window.isVisible()

    # -- the means -----------------------------------------------------------------------------------------------------

    def tab(self, title):
        """Click on a tab; gives its view."""
        bar = self.window.tabs.tabBar()
        place = [bar.tabText(place) for place in range(bar.count())].index(title)
        yield from self.hand.click(bar, bar.tabRect(place).center())
        yield lambda: self.window.tabs.currentIndex() == place
        return self.window.tabs.make(place)

    def photo(self, name):
        if self.options.photos:
            folder = Path(self.options.photos)
            folder.mkdir(parents=True, exist_ok=True)
            yield from self.hand.photograph(folder / f"{name}.png")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=("first", "again"))
    parser.add_argument("state")
    parser.add_argument("shot")
    parser.add_argument("out")
    parser.add_argument("--photos")
    parser.add_argument("--scheme", default="dark")
    parser.add_argument("--language", default="en")
    parser.add_argument("--size", default="1440x900")
    options = parser.parse_args()
    app = QApplication(["mapreel"])
    app.setQuitOnLastWindowClosed(False)
    studio = Studio(state=options.state)
    set_type(app, speak(app, options.language))
    dress(app, options.scheme)
    window = MainWindow(studio)
    width, height = map(int, options.size.split("x"))
    window.setGeometry(0, 0, width, height)
    window.show()
    studio.start()
    artist = Artist(studio, window, options)
    play = Play(getattr(artist, options.act)())
    code = app.exec()
    studio.close()
    sys.stdout.write(json.dumps(artist.seen) + "\n")
    return code if not play.fault else 1


if __name__ == "__main__":
    sys.exit(main())
