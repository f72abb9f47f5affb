# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays 1280x720 in the panel's window and says how smooth it was. Not a test: figures depend on the machine.

    python tests/benchmarks/panel_playback.py                  # offscreen
    QT_QPA_PLATFORM=xcb xvfb-run -a python tests/benchmarks/panel_playback.py

The shot is made here: a textured picture that drifts, 240 PNGs of some 1 MB. First it is played from disk, then from
memory. A block is how long Qt's thread was held by one event, whatever else the machine did meanwhile; own work is the
processor's time of that thread in it; a late beat is how late a timer of 5 ms came.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import cv2
import numpy as np
from PyQt6.QtCore import QEventLoop, Qt, QTimer
from PyQt6.QtWidgets import QApplication

from mapreel.ui.memory import give_pictures_back
from mapreel.ui.state.shot import Layer
from mapreel.ui.state.studio import Studio
from mapreel.ui.state.viewer_plan import Mode
from mapreel.ui.views.main_window import MainWindow
from mapreel.ui.views.theme import dress

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (1280, 720)
WINDOW = (1920, 1080)
EVERY_S, WARM_S = 20.0, 120.0


def make_shot(folder: Path, count: int) -> Path:
    """A folder of pictures."""
    width, height = SIZE
    random = np.random.default_rng(5)
    coarse = cv2.resize(random.integers(0, 255, (30, 54, 3), np.uint8), (width + 2 * count, height + count))
    fine = cv2.GaussianBlur(random.normal(0, 40, (*coarse.shape[:2], 3)), (0, 0), 1.6)
    whole = np.clip(coarse + fine, 0, 255).astype(np.uint8)
    for index in range(count):
        picture = whole[index : index + height, 2 * index : 2 * index + width]
        cv2.imwrite(str(folder / f"{1001 + index:04d}.png"), picture)
    return folder


class Application(QApplication):
    """Knows how long each event took."""

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(arguments)
        self.blocks: list[float] = []
        self.works: list[float] = []
        self._depth = 0

    def notify(self, receiver, event) -> bool:  # type: ignore[no-untyped-def]
        self._depth += 1
        begun, worked = time.perf_counter(), time.thread_time()
        try:
            return super().notify(receiver, event)
        finally:
            self._depth -= 1
            if self._depth <= 1:  # the loop that waits here is an event of the one outside
                self.blocks.append(time.perf_counter() - begun)
                self.works.append(time.thread_time() - worked)


class Watch:
    """When frames were painted, what held up the thread, and how late a timer came."""

    def __init__(self, app: Application, window: MainWindow) -> None:
        self._app = app
        self.paints: list[tuple[float, int]] = []
        self.late: list[float] = []
        self._beat = time.perf_counter()
        self._timer = QTimer(window)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(5)
        window.viewer.canvas.painted.connect(lambda number: self.paints.append((time.perf_counter(), number)))

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(0.0, now - self._beat - 0.005))
        self._beat = now

    def clear(self) -> None:
        """Begin anew."""
        for kept in (self.paints, self.late, self._app.blocks, self._app.works):
            kept.clear()

    def tell(self, name: str, dropped: int) -> str:
        """One line of figures."""
        changes = zip(self.paints[1:], self.paints, strict=False)
        times = [at for (at, number), (_, before) in changes if number != before]
        apart = np.diff(times) * 1000 if len(times) > 2 else np.zeros(1)
        p50, p99 = np.percentile(apart, (50, 99))
        return (
            f"{name:18} {len(times):4} shown {dropped:3} dropped | between paints p50 {p50:.1f} p99 {p99:.1f} "
            f"max {apart.max():.1f} ms | longest block {max(self._app.blocks) * 1000:.1f} ms, "
            f"own work in one {max(self._app.works) * 1000:.1f} ms | "
            f"late beat p99 {np.percentile(self.late, 99) * 1000:.1f} max {max(self.late) * 1000:.1f} ms"
        )


def wait(seconds: float) -> None:
    """Let the window live."""
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), Qt.TimerType.PreciseTimer, loop.quit)
    loop.exec()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Let the window live until something is so."""
    due = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > due:
            raise SystemExit("it did not come about")
        wait(0.05)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--scrub", type=float, default=0.0, help="scrub at random for so many seconds and tell memory")
    chosen = parser.parse_args()
    give_pictures_back()
    app = Application(["mapreel"])
    dress(app, "dark")
    with tempfile.TemporaryDirectory(prefix="mapreel-bench-") as name:
        folder = Path(name) / "pictures"
        folder.mkdir()
        measure(app, make_shot(folder, chosen.frames), Path(name), chosen.seconds, chosen.scrub)


def measure(app: Application, shot: Path, root: Path, seconds: float, scrubbing: float) -> None:
    """Play from disk, then from memory, then as a wipe."""
    say = sys.stdout.write
    studio = Studio(state=root / "state", remember=False)
    window = MainWindow(studio)
    window.resize(*WINDOW)
    window.show()
    until(lambda: hasattr(window, "viewer"))
    studio.shots.open_paths([str(shot)])
    until(lambda: studio.viewer.shown is not None)
    wait(1.0)
    watch = Watch(app, window)
    target = studio.viewer.target or SIZE
    say(f"{SIZE[0]}x{SIZE[1]} shown as {target[0]}x{target[1]} on {QApplication.platformName()}, 24 fps\n")
    for name, mode in (("from disk", Mode.SINGLE), ("from memory", Mode.SINGLE), ("wipe, from memory", Mode.WIPE)):
        studio.viewer.layer_b = Layer.TRUTH
        studio.viewer.mode = mode
        studio.playback.to_first()
        wait(0.5)
        watch.clear()
        studio.playback.play()
        wait(seconds)
        studio.playback.pause()
        say(watch.tell(name, studio.playback.dropped) + "\n")
    if scrubbing:
        scrub(studio, scrubbing)
    window.close()
    window.deleteLater()
    wait(0.2)


def scrub(studio: Studio, seconds: float) -> None:
    """Go to frames at random, in all modes and at several zooms; tell the memory of this process, and how it grows."""
    random, steps, begun = np.random.default_rng(1), 0, time.monotonic()
    told: list[tuple[float, float]] = []
    while (passed := time.monotonic() - begun) < seconds:
        studio.playback.go(int(random.choice(studio.playback.numbers)))
        steps += 1
        if steps % 40 == 0:
            studio.viewer.mode = list(Mode)[int(random.integers(len(Mode)))]
        if steps % 60 == 0:
            studio.viewer.fit, studio.viewer.zoom = bool(random.integers(2)), float(random.choice([0.5, 1.0, 2.0]))
        if passed > EVERY_S * len(told):
            resident, frames = resident_mb(), studio.frames.used_bytes >> 20
            told.append((passed, resident))
            sys.stdout.write(f"after {passed:4.0f} s, {steps:5} steps: {resident:.0f} MB, {frames} of it frames\n")
            sys.stdout.flush()
        wait(0.03)
    late = np.array([pair for pair in told if pair[0] >= WARM_S])
    if len(late) > 2:
        slope = np.polyfit(late[:, 0] / 60, late[:, 1], 1)[0]
        text = f"from {WARM_S:.0f} s on: {slope:+.2f} MB a minute, {late[:, 1].min():.0f} to {late[:, 1].max():.0f} MB"
        sys.stdout.write(text + "\n")


def resident_mb() -> float:
    """Memory of this process that is in the machine's."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
