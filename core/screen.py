# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a window can be opened here: found out before Qt is asked, which ends the program without a sentence."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from pathlib import Path

from mapreel.core.contract.errors import UsageError

_XCB = "Qt6/plugins/platforms/libqxcb.so"


def check_screen() -> None:
    """Raises UsageError where Qt would abort: no screen, a library that lacks, a screen that does not answer.

    Looks on Linux only, and not where somebody chose another platform of Qt.
    """
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM") or os.environ.get("WAYLAND_DISPLAY"):
        return
    screen = os.environ.get("DISPLAY")
    if not screen:
        raise UsageError("there is no screen to show the panel on", "run it in a desktop session")
    try:
        ctypes.CDLL(str(_plugin()))
    except OSError as exc:
        lacks = re.search(r"lib[\w.+-]+\.so[.\d]*", str(exc))
        what = f"Qt cannot open windows here, for {lacks[0] if lacks else 'a library'} is not installed"
        remedy = "install it (on Debian: apt install libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-xkb1)"
        raise UsageError(what, remedy, detail=str(exc)) from exc
    if not _answers(screen):
        raise UsageError(f"the screen {screen} does not answer", "set DISPLAY to the one of your desktop session")


def _answers(screen: str) -> bool:
    """Whether an X server takes our connection; True where that cannot be found out."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    for name in ("xcb_connection_has_error", "xcb_disconnect"):
        getattr(xcb, name).argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(screen.encode(), None)
    failed = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    return not failed


def _plugin() -> Path:
    """The part of Qt that speaks to an X server."""
    found = importlib.util.find_spec("PyQt6")
    places = (found.submodule_search_locations if found is not None else None) or [""]
    return Path(places[0]) / _XCB
