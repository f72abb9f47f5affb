# SPDX-License-Identifier: Apache-2.0
"""Start the service as a process of its own that outlives the one that needed it first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import MapreelError, ServiceUnreachableError, error_from_dict

if TYPE_CHECKING:
    from mapreel.core.contract.state_folder import StateFolder

PYTHON_VARIABLE = "MAPREEL_PYTHON"  # hosts run on a Python of their own that has no service


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives the one who started it: nobody waits for it, and that is no mistake to warn of."""

    def __del__(self) -> None:
        """Leave it alone."""


@dataclass(frozen=True)
class StartedService:
    """The process that was started, and the file that its words go to; close it when the service answers."""

    process: subprocess.Popen[bytes]
    words: Any

    def failure(self) -> MapreelError | None:
        """Why it ended, None while it runs or when it found another service running."""
        if self.process.poll() in (None, 0):
            return None
        self.words.seek(0)
        lines = self.words.read().decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        try:
            return error_from_dict(json.loads(lines[-1]))
        except (ValueError, AttributeError):
            what = f"the service could not start, exit code {self.process.returncode} ({lines[-1][:200]})"
            remedy = "run it by hand: python -m mapreel.core.service"
            return ServiceUnreachableError(what, remedy, detail="\n".join(lines))

    def close(self) -> None:
        """Let go of the file; the service goes on."""
        self.words.close()


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}
    return {"start_new_session": True}


def _environment(*, foreign: bool) -> dict[str, str]:
    """Ours; for another Python than the host's own without what the host set for its own (PYTHONHOME, PYTHONPATH)."""
    return {name: value for name, value in os.environ.items() if not (foreign and name.upper().startswith("PYTHON"))}


def start_service(folder: StateFolder, arguments: tuple[str, ...] = (), python: str | None = None) -> StartedService:
    """Start a service for this state folder. Raises ServiceUnreachableError when there is no such program.

    python: the one that Mapreel is installed for, where that is not ours; else $MAPREEL_PYTHON, else ours.
    """
    named = python or os.environ.get(PYTHON_VARIABLE)
    python = named or sys.executable
    words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the answer
    # -P: a queue.py in the folder where somebody calls us is not ours to run
    command = [python, "-P", "-m", "mapreel.core.service", "--state", str(folder.root), *arguments]
    try:
        process = _Detached(
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=_environment(foreign=bool(named)),
            close_fds=True,
            **_detached(),
        )
    except OSError as exc:
        words.close()
        remedy = f"let {PYTHON_VARIABLE} name the Python of Mapreel"
        raise ServiceUnreachableError(f"{python} could not be started", remedy, detail=str(exc)) from exc
    return StartedService(process, words)
