# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel remembers from one day to the next: one JSON file, written whole; a broken one costs nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QTimer, pyqtSignal

from mapreel.core.contract.takes import write_atomically
from mapreel.ui.state.observable import Observable, Property, properties

FORMAT, VERSION = "mapreel-panel", 1
LATER_MS = 500
MOST_RECENT = 20


class Preferences(Observable):
    """Values by name. `keep` and `kept` hold what single views want remembered (a JSON value each)."""

    scheme = Property("system")
    """system, light or dark."""
    scheme_changed = pyqtSignal(object)
    language = Property("")
    """Two letters; empty: the system's."""
    language_changed = pyqtSignal(object)
    recent = Property[tuple[str, ...]](())
    """Paths of shots, the last one first."""
    recent_changed = pyqtSignal(object)
    patterns = Property(False)
    """Hatch classes as well as colour them, for those who tell colours apart badly."""
    patterns_changed = pyqtSignal(object)
    notify = Property(True)
    """Tell the desktop when a job ends while nobody looks."""
    notify_changed = pyqtSignal(object)

    def __init__(self, path: Path | None) -> None:
        """path: the file; None: nothing is remembered."""
        super().__init__()
        self._path = path
        self._kept: dict[str, Any] = {}
        self.trouble = ""
        """Why the file could not be read or written."""
        self._load()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(LATER_MS)
        self._later.timeout.connect(self.save)
        for name, _ in properties(type(self)):
            getattr(self, name + "_changed").connect(lambda _: self._later.start())

    def kept(self, name: str, default: Any = None) -> Any:
        """What was kept under this name."""
        return self._kept.get(name, default)

    def keep(self, name: str, value: Any) -> None:
        """Remember a JSON value."""
        if self._kept.get(name) != value:
            self._kept[name] = value
            self._later.start()

    def add_recent(self, path: str) -> None:
        """A shot was opened."""
        self.recent = (path, *(old for old in self.recent if old != path))[:MOST_RECENT]

    def save(self) -> None:
        """Write the file now."""
        self._later.stop()
        if self._path is None:
            return
        values = {name: getattr(self, name) for name, _ in properties(type(self))}
        content = {"format": FORMAT, "version": VERSION, "values": values, "kept": self._kept}
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the service shares it
            write_atomically(self._path, json.dumps(content, indent=1).encode())
        except OSError as exc:
            self.trouble = f"{self._path}: {exc.strerror}"

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            content = json.loads(self._path.read_bytes())
            if content["format"] != FORMAT or content["version"] != VERSION:
                raise ValueError(content["version"])
            self._kept = dict(content["kept"])
            for name, made in properties(type(self)):
                value = content["values"].get(name, made.default)
                value = tuple(value) if isinstance(value, list) else value
                if type(value) is type(made.default):
                    setattr(self, name, value)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            self.trouble = f"{self._path}: {type(exc).__name__}"
