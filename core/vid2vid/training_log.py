# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a training: one line of JSON for each step. Loads no torch, so that `train status` answers at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mapreel.core.contract.errors import DamagedFileError, MissingInputError, disk_error
from mapreel.core.contract.takes import write_atomically

Entry = dict[str, Any]


def read_log(path: Path) -> list[Entry]:
    """The steps of a log in order; of a step that was done twice (a kill, then a resume) the later line.

    Raises:
        MissingInputError: there is no such log.
        DamagedFileError: it holds no step.
    """
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError as exc:
        raise MissingInputError(
            f"there is no training in {path.parent}", "give its --out folder", file=str(path)
        ) from exc
    by_step = {entry["step"]: entry for line in lines if (entry := _entry(line)) is not None}
    if not by_step:
        raise DamagedFileError(f"the log {path} holds no step yet", "wait for the first step", file=str(path))
    return [by_step[step] for step in sorted(by_step)]


def trim_log(path: Path, step: int) -> None:
    """Leave out what comes after `step`, and a last line that a killed training half wrote. Raises OutputError."""
    if not path.is_file():
        return  # a checkpoint may be gone on with though its log is lost
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError as exc:
        raise disk_error(exc, path) from exc
    kept = [line for line in lines if (entry := _entry(line)) is not None and entry["step"] <= step]
    if kept != lines:
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _entry(line: str) -> Entry | None:
    """One step; None for a line that is half written at this moment."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and type(entry.get("step")) is int else None
