# SPDX-License-Identifier: Apache-2.0
"""The panel as a process of its own, started by a host: it runs in Mapreel's Python and outlives the host."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from typing import IO, TYPE_CHECKING, Any

from mapreel.core.contract.errors import ServiceUnreachableError
from mapreel.core.contract.service_start import PYTHON_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_WORDS = 300


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def environment(state: str | None) -> dict[str, str]:
    """Ours without what the host set for a Python of its own (PYTHONHOME, PYTHONPATH); with the service's folder."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("PYTHON")}
    return kept | ({"MAPREEL_STATE": state} if state else {})


def command(python: str, session: str, paths: tuple[str, ...]) -> list[str]:
    """What is run. -P: a queue.py in the folder where the host stands is not ours to run."""
    return [python, "-P", "-m", "mapreel.core.cli", "panel", "--host-session", session, "--", *paths]


@contextlib.contextmanager
def started(
    session: str, paths: tuple[str, ...], *, python: str | None, state: str | None
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """The process, which goes on afterwards, and the file that its words go to.

    Raises ServiceUnreachableError where Mapreel's own Python is not known or does not start.
    """
    program = python or os.environ.get(PYTHON_VARIABLE)
    remedy = "run `install.py host blender`, or name the Python of Mapreel in the preferences of the extension"
    if not program:
        raise ServiceUnreachableError("Mapreel itself is not set up for this host", remedy)
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                command(program, session, paths),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                env=environment(state),
                close_fds=True,
                **_detached(),
            )
        except OSError as error:
            raise ServiceUnreachableError(f"{program} could not be started", remedy, detail=str(error)) from error
        yield process, words


def why_ended(code: int, words: IO[bytes]) -> str:
    """One sentence for a panel that did not end as it should; empty for one that was closed."""
    if code == 0:
        return ""
    if code < 0:
        return f"the panel broke off (signal {-code}); nothing here is lost: open it again"
    words.seek(0)
    lines = [line.strip() for line in words.read().decode("utf-8", "replace").splitlines() if line.strip()]
    said = lines[-1].removeprefix("mapreel: ")[:MAX_WORDS] if lines else f"exit code {code}"
    return f"the panel did not start: {said}"
