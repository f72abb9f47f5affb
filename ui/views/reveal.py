# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows a file or folder in the file manager of the desktop."""

from __future__ import annotations

import sys
from pathlib import Path

from PyQt6.QtCore import QProcess, QUrl
from PyQt6.QtGui import QDesktopServices


def reveal(path: str) -> bool:
    """Open the folder of `path`, with it chosen where the desktop can do that; False where nothing could be opened.

    A path that is not there yet is shown by the nearest folder that is.
    """
    place = Path(path)
    while not place.exists() and place.parent != place:
        place = place.parent
    if not place.exists():
        return False
    if place.is_file() and sys.platform == "win32":
        return QProcess.startDetached("explorer.exe", ["/select,", str(place)])[0]
    if place.is_file() and sys.platform == "darwin":
        return QProcess.startDetached("open", ["-R", str(place)])[0]
    folder = place if place.is_dir() else place.parent
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
