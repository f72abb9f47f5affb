# SPDX-License-Identifier: GPL-3.0-or-later
"""A hand for the panel on an X screen: moves the real pointer and presses real keys (xdotool), and takes photographs.

A script is a generator: it yields conditions and goes on when they hold; meanwhile Qt's own loop runs as always.
"""

from __future__ import annotations

import subprocess
import sys
import time
import traceback

from PyQt6.QtCore import QMimeData, QPoint, Qt, QTimer, QUrl
from PyQt6.QtGui import QDrag
from PyQt6.QtWidgets import QApplication, QLabel

LOOK_MS = 15
LIMIT_S = 150.0


class Hand:
    """Every method is a generator: use `yield from`."""

    def __init__(self, window):
        self.window = window

    def run(self, *words):
        process = subprocess.Popen(["xdotool", *map(str, words)], stdout=subprocess.DEVNULL)
        yield lambda: process.poll() is not None
        assert process.returncode == 0, words

    def focus(self, window=None):
        """Give a window the keyboard: there is no window manager here."""
        yield from self.run("windowfocus", "--sync", int((window or self.window).winId()))

    def point(self, widget, at=None):
        yield from self.move(widget.mapToGlobal(at or widget.rect().center()))

    def move(self, place):
        """The pointer to a point of the desktop; the screen counts pixels, Qt counts points."""
        scale = self.window.devicePixelRatioF()
        yield from self.run("mousemove", round(place.x() * scale), round(place.y() * scale))

    def click(self, widget, at=None, button=1):
        assert widget.isVisible(), widget
        assert widget.isEnabled(), f"{widget.accessibleName()}: {widget.accessibleDescription()}"
        yield from self.point(widget, at)
        yield from self.run("click", button)

    def keys(self, *keys):
        yield from self.run("key", "--delay", 30, *keys)

    def type(self, text):
        yield from self.run("type", "--delay", 8, text)

    def drag(self, source, target):
        yield from self.point(source)
        yield from self.run("mousedown", 1)
        place = target.mapToGlobal(target.rect().center())
        for step in (QPoint(-40, -30), QPoint(-20, -10), QPoint(0, 0)):
            yield from self.move(place + step)
            yield from self.pause(0.1)
        yield from self.run("mouseup", 1)

    def pause(self, seconds):
        over = time.monotonic() + seconds
        yield lambda: time.monotonic() >= over

    def photograph(self, path):
        yield from self.pause(0.3)
        QApplication.primaryScreen().grabWindow(0).save(str(path))


class FileWindow(QLabel):
    """What a file manager is to us: a window out of which a path can be dragged."""

    def __init__(self, path):
        super().__init__("drag me")
        self._path = path
        self.setWindowFlag(Qt.WindowType.FramelessWindowHint)
        self.resize(80, 40)

    def mouseMoveEvent(self, _event):  # noqa: N802 - Qt's name
        drag, data = QDrag(self), QMimeData()
        data.setUrls([QUrl.fromLocalFile(self._path)])
        drag.setMimeData(data)
        drag.exec(Qt.DropAction.CopyAction)


class Play:
    """Runs a script inside Qt's loop; `fault` tells what went wrong."""

    def __init__(self, script):
        self.fault = ""
        self._script, self._waits, self._since = script, None, time.monotonic()
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(LOOK_MS)

    def _look(self):
        try:
            if self._waits is not None and not self._waits():
                if time.monotonic() - self._since > LIMIT_S:
                    line = self._script.gi_yieldfrom or self._script
                    raise TimeoutError(f"waited too long at line {line.gi_frame.f_lineno}")
                return
            self._waits, self._since = next(self._script), time.monotonic()
        except StopIteration:
            self._end()
        except Exception:  # noqa: BLE001 - the end of the script, told to whoever started it
            self.fault = traceback.format_exc()
            sys.stderr.write(self.fault)
            self._end()

    def _end(self):
        self._timer.stop()
        QApplication.exit(1 if self.fault else 0)
