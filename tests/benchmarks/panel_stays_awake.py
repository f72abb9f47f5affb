# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the panel's Qt thread is ever blocked while a render, a training and drafts run, and what its memory does.

    python tests/benchmarks/panel_stays_awake.py [--seconds 120] [--shot DIR] [--json]

Opens the bundled shot in the real window (offscreen unless there is a screen), queues a render of all its frames again
and again and a training, scrubs without a pause, and counts the time between turns of Qt's loop.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TURN_MS = 5
SCRUB_MS = 60


def memory_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def slope_mb_per_hour(points: list[tuple[float, float]]) -> float:
    """Of a straight line through (seconds, MB), by least squares."""
    mean_t = sum(t for t, _ in points) / len(points)
    mean_m = sum(m for _, m in points) / len(points)
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return 3600 * sum((t - mean_t) * (m - mean_m) for t, m in points) / spread if spread else 0.0


class Watch:
    """Turns of Qt's loop: the time from one to the next beyond the timer's own."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.memory: list[tuple[float, float]] = []
        self._last = self._first = time.perf_counter()

    def turn(self) -> None:
        now = time.perf_counter()
        self.late_ms.append(max(0.0, (now - self._last) * 1000 - TURN_MS))
        self._last = now
        if not self.memory or now - self._first - self.memory[-1][0] >= 1.0:
            self.memory.append((now - self._first, memory_mb()))

    def result(self, settled_s: float) -> dict[str, float]:
        late = sorted(self.late_ms)
        settled = [point for point in self.memory if point[0] >= settled_s]
        return {
            "turns": len(late),
            "blocked_p50_ms": round(late[len(late) // 2], 2),
            "blocked_p99_ms": round(late[int(len(late) * 0.99)], 2),
            "blocked_longest_ms": round(late[-1], 2),
            "blocked_over_50_ms": sum(ms > 50 for ms in late),
            "memory_mb": round(self.memory[-1][1], 1),
            "memory_slope_mb_per_hour": round(slope_mb_per_hour(settled), 1),
        }


def main() -> int:
    """Run the panel and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--shot", default=str(ROOT / "resources" / "demo" / "street"))
    parser.add_argument("--train", help="a shot with label/ and color/ to train on meanwhile")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        told = measure(options, Path(folder))
    sys.stdout.write(json.dumps(told) + "\n" if options.json else "".join(f"{k}: {v}\n" for k, v in told.items()))
    return 0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Figures of one run."""
    from PyQt6.QtCore import Qt, QTimer
    from PyQt6.QtWidgets import QApplication

    from mapreel.core.contract.client import ServiceClient
    from mapreel.core.contract.requests import Quality, RenderRequest, TrainRequest
    from mapreel.ui.state.studio import Studio
    from mapreel.ui.views.main_window import MainWindow
    from mapreel.ui.views.theme import dress

    began = time.perf_counter()
    app = QApplication(["mapreel"])
    dress(app, "dark")
    studio = Studio(state=folder / "state")
    window = MainWindow(studio)
    window.show()
    painted: list[float] = []
    QTimer.singleShot(0, lambda: painted.append(time.perf_counter() - began))
    studio.start()
    studio.shots.open_paths([options.shot])
    while studio.shots.current is None or studio.drafts.rank < 1:
        app.processEvents()
        time.sleep(0.005)
    ready_s = time.perf_counter() - began
    shot = studio.shots.current
    for number in range(8):
        out = str(folder / f"take{number}")
        studio.jobs.submit(
            RenderRequest(
                labels=shot.labels,
                instances=shot.instances or None,
                motion=shot.motion or None,
                model="street",
                out=out,
                quality=Quality.FAST,
            )
        )
        if number == 0 and options.train:
            studio.jobs.submit(TrainRequest(data=(options.train,), out=str(folder / "training"), steps=200))
    watch = Watch()
    turns, scrub = QTimer(), QTimer()
    turns.setTimerType(Qt.TimerType.PreciseTimer)
    turns.timeout.connect(watch.turn)
    scrub.timeout.connect(lambda: studio.playback.go(shot.first + int(time.perf_counter() * 12) % len(shot.numbers)))
    QTimer.singleShot(round(options.seconds * 1000), app.quit)
    turns.start(TURN_MS)
    scrub.start(SCRUB_MS)
    app.exec()
    scrub.stop()
    turns.stop()
    told = {"seconds": options.seconds, "first_paint_s": round(painted[0], 2), "first_draft_s": round(ready_s, 2)}
    told |= watch.result(options.seconds / 4) | {"frames_memory_mb": round(studio.frames.used_bytes / 2**20, 1)}
    window.close()
    with contextlib.suppress(Exception), ServiceClient(folder / "state", start=False) as client:
        client.stop()
    return told


if __name__ == "__main__":
    sys.exit(main())
