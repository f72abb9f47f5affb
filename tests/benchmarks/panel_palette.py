# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits a palette of 183 classes in the panel's window and says what of it Qt's thread has to do. Not a test.

    python tests/benchmarks/panel_palette.py SHOT

SHOT has label maps. The processor's time of that thread: in the call that edits, and in the events right after it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PyQt6.QtWidgets import QApplication

from mapreel.ui.state.studio import Studio
from mapreel.ui.views.main_window import MainWindow
from mapreel.ui.views.theme import dress

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES, REST_S = 12, 0.5
LABELS_TAB = 1


def until(app: QApplication, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Let the window live until something is so, or for so long."""
    due = time.monotonic() + seconds
    while not condition() and time.monotonic() < due:
        app.processEvents()
        time.sleep(0.005)


def main() -> None:
    """Measure and tell."""
    app = QApplication(["mapreel"])
    dress(app, "dark")
    with tempfile.TemporaryDirectory(prefix="mapreel-bench-") as name:
        studio = Studio(state=Path(name) / "state", remember=False)
        studio.drafts.enabled = False
        window = MainWindow(studio)
        window.show()
        studio.shots.open_paths([sys.argv[1]])
        editor = studio.palette_editor
        until(app, lambda: bool(editor.document.classes))
        window.tabs.setCurrentIndex(LABELS_TAB)
        editor.load("coco-stuff")
        until(app, lambda: len(editor.rows) > 180)
        until(app, lambda: False, 2.0)
        edits: dict[str, Callable[[int], object]] = {
            "recolour": lambda turn: editor.recolor(7, (turn * 9, 100, 200)),
            "rename": lambda turn: editor.rename(7, f"name {turn}"),
            "undo": lambda _: editor.undo(),
            "rule": lambda turn: editor.remap("car", ("road", "sky", "tree")[turn % 3]),
            "add": lambda _: editor.add(),
            "remove": lambda turn: editor.remove(frozenset({100 + turn})),
        }
        for word, edit in edits.items():
            tell(app, word, edit)
        window.close()


def tell(app: QApplication, word: str, edit: Callable[[int], object]) -> None:
    """One line: median and most of each, in milliseconds."""
    calls, after = [], []
    for turn in range(TIMES):
        begun = time.thread_time()
        edit(turn)
        made = time.thread_time()
        app.processEvents()
        calls.append((made - begun) * 1000)
        after.append((time.thread_time() - made) * 1000)
        until(app, lambda: False, REST_S)
    parts = (
        f"{name} {sorted(took)[TIMES // 2]:.1f} (most {max(took):.1f})"
        for name, took in (("edit", calls), ("then", after))
    )
    sys.stdout.write(f"{word:9} {', '.join(parts)} ms\n")


if __name__ == "__main__":
    main()
