# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the panel: application, language, colours, window."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from mapreel.core.contract.errors import InternalError, UsageError
from mapreel.ui.memory import give_pictures_back
from mapreel.ui.state.messages import told
from mapreel.ui.state.studio import Studio
from mapreel.ui.text import speak
from mapreel.ui.views.main_window import MainWindow
from mapreel.ui.views.theme import SCHEMES, dress, set_type

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_LISTEN_MS = 200


def run(paths: Sequence[str], *, host_session: str = "", scheme: str | None = None, language: str | None = None) -> int:
    """Show the panel until it is closed; gives its exit code. Raises UsageError."""
    if scheme is not None and scheme not in SCHEMES:
        raise UsageError(f"the scheme “{scheme[:20]}” is unknown", f"use one of {', '.join(SCHEMES)}")
    give_pictures_back()
    app = QApplication([sys.argv[0]])
    app.setApplicationName("Mapreel")
    app.setDesktopFileName("mapreel")
    studio = Studio(host_session=host_session)
    set_type(app, speak(app, language or studio.preferences.language or None))
    dress(app, scheme or studio.preferences.scheme)
    studio.preferences.scheme_changed.connect(lambda chosen: dress(app, chosen))
    window = MainWindow(studio)
    _hear_of_faults(studio)
    _end_with_signals(app, window)
    window.show()
    studio.start()
    studio.shots.open_paths(paths)
    return app.exec()


def _hear_of_faults(studio: Studio) -> None:
    """A fault in our own code is said and written to stderr; the panel goes on."""

    def hook(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, fault, trace))
        sys.stderr.write(text)
        what = f"this is a fault of ours ({kind.__name__}: {fault})"
        studio.messages.say(told(InternalError(what[:500], "send us the copied details", detail=text)))

    sys.excepthook = hook


def _end_with_signals(app: QApplication, window: MainWindow) -> None:
    """Ctrl-C and a polite kill close the window as a click would. Python hears of signals between events only."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.close())
    listening = QTimer(app)
    listening.timeout.connect(lambda: None)
    listening.start(_LISTEN_MS)
