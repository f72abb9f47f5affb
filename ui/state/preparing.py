# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a data set to learn from out of landmarks, drawings, poses or maps: `mapreel train prepare`, in a process.

It reads every frame once and loads the networks' library, which the panel never does; it ends with the panel.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QProcess, pyqtSignal

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import SequencePattern
from mapreel.core.contract.paths import checked_path
from mapreel.ui.state.messages import sentence, spoken
from mapreel.ui.state.observable import Observable, Property

if TYPE_CHECKING:
    from collections.abc import Sequence

TASKS = ("", "city", "face", "pose")
"""What the maps are; empty: as the files say."""
SUFFIX = ".safetensors"
_WHOLE = frozenset({".npy", ".mp4", ".mov", ".mkv", ".m4v", ".avi", ".webm", ".json"})
"""Files that are all there is; of any other the folder is meant, for it is one frame of many."""
_PROGRESS = re.compile(r": ([0-9]+) of ([0-9]+) ")
_GRACE_MS = 5000
_MOST_CHARS = 20_000


class Preparing(Observable):
    """One at a time; prepared tells the file."""

    maps = Property("")
    """Landmarks, drawings, poses or label maps: a file, a folder or a pattern."""
    maps_changed = pyqtSignal(object)
    pictures = Property("")
    """The true frames."""
    pictures_changed = pyqtSignal(object)
    task = Property("")
    task_changed = pyqtSignal(object)
    out = Property("")
    """The data set that is written."""
    out_changed = pyqtSignal(object)
    running = Property(False)
    running_changed = pyqtSignal(object)
    done = Property(0)
    done_changed = pyqtSignal(object)
    total = Property(0)
    """Frames; 0 while nobody knows."""
    total_changed = pyqtSignal(object)
    trouble = Property("")
    """Why it cannot be made, or was not."""
    trouble_changed = pyqtSignal(object)
    prepared = pyqtSignal(object)

    def __init__(self) -> None:
        super().__init__()
        self._process: QProcess | None = None
        self._said = ""
        self.maps_changed.connect(self._name_out)

    def start(self) -> None:
        """Begin; what is in the way is said by `trouble`."""
        if self.running:
            return
        try:
            words = self._words()
        except UsageError as error:
            self.trouble = spoken(error)
            return
        self.trouble, self._said, self.done, self.total = "", "", 0, 0
        process = self._process = QProcess(self)
        process.readyReadStandardError.connect(self._hear)
        process.finished.connect(self._ended)
        process.errorOccurred.connect(self._failed)
        self.running = True
        process.start(sys.executable, ["-P", "-m", "mapreel.core.cli", *words])

    def stop(self) -> None:
        """No data set is written then."""
        process = self._process
        if process is not None and self.running:
            process.terminate()
            if not process.waitForFinished(_GRACE_MS if sys.platform != "win32" else 0):
                process.kill()
                process.waitForFinished(_GRACE_MS)

    def _words(self) -> Sequence[str]:
        if not self.maps.strip() or not self.pictures.strip():
            raise UsageError("maps or true frames are missing", "choose both")
        if not self.out.strip():
            raise UsageError("the data set has no name", "choose where it shall lie")
        for name in ("maps", "pictures", "out"):
            checked_path(getattr(self, name), name)
        if not self.out.endswith(SUFFIX):
            raise UsageError(f"{Path(self.out).name} is no name for a data set", "let it end in .safetensors")
        task = ["--task", self.task] if self.task else []
        return ["train", "prepare", source_of(self.maps), source_of(self.pictures), "--out", self.out, *task, "--json"]

    def _name_out(self, maps: str) -> None:
        if maps and not self.out:
            place = Path(source_of(maps))
            self.out = str(place.parent / f"{place.stem}{SUFFIX}")

    def _hear(self) -> None:
        assert self._process is not None
        self._said = (self._said + self._process.readAllStandardError().data().decode(errors="replace"))[-_MOST_CHARS:]
        told = _PROGRESS.findall(self._said)
        if told:
            self.done, self.total = map(int, told[-1])

    def _ended(self, code: int, _status: object) -> None:
        self._hear()
        self.running = False
        if code == 0:
            self.prepared.emit(self.out)
            return
        lines = [line for line in self._said.splitlines() if line.startswith("mapreel: ")]
        said = lines[-1].removeprefix("mapreel: ") if lines else "the data set was not made; look at its shots"
        self.trouble = sentence(said)

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self.running = False
            self.trouble = spoken(UsageError("the data set cannot be begun", "install Mapreel anew"))


def source_of(path: str) -> str:
    """What is meant by a file that was chosen: itself, or its folder where it is one frame of many."""
    place = Path(path)
    if not place.suffix or place.suffix.lower() in _WHOLE - {".json"} or SequencePattern.looks_like(path):
        return path
    return str(place.parent)
