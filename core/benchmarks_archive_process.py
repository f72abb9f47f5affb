# SPDX-License-Identifier: GPL-3.0-or-later
"""A process for each measured thing of `bench archive`, so that its peak of memory is its own.

Started with -m it does one job, given as JSON, and says on stdout, a line each, how far it is and what came out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import MapreelError, OutputError
from mapreel.core.contract.progress import Progress

if TYPE_CHECKING:
    from mapreel.core.benchmarks_archive_codecs import Job

    Show = Callable[[Progress], None]

_OUR_ERROR = 3
# A process inherits the peak of the one that starts it (Linux keeps it across exec), and the bench may have torch
# loaded: so a small one starts the job, waits for it and tells its peak in a last line.
_WAITER = """
import json, os, signal, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: process.kill())
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps({"exit": process.returncode, "peak": usage.ru_maxrss}))
"""


def run_apart(job: Job, show: Show) -> dict[str, Any]:
    """Do a job in a process of its own -> what it measured, and peak_mb (2^20 bytes; None where nobody can tell).

    Raises OutputError with the job's own sentence, or how the process ended.
    """
    command = [sys.executable, "-m", __name__, json.dumps(job)]
    if sys.platform != "win32":
        command = [sys.executable, "-c", _WAITER, *command]
    found: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = json.loads(line)
                if "stage" in said:
                    show(Progress(**said))
                found |= said
        except BaseException:
            process.terminate()  # and with it the job
            raise
    if "error" in found:
        error = found["error"]
        raise OutputError(
            f"{job['codec']} cannot {job['do']}: {error['what']}", error["remedy"], detail=error["detail"]
        )
    if "result" not in found:
        code = found.get("exit", process.returncode)
        raise OutputError(f"{job['codec']} cannot {job['do']}: its process ended with {code}", "look at what it said")
    peak = found.get("peak")
    peak_mb = None if peak is None else peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return {**found["result"], "peak_mb": peak_mb}


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(words: list[str]) -> int:
    """Do one job."""
    from mapreel.core.benchmarks_archive_codecs import do
    from mapreel.core.local import wait_calmly

    wait_calmly()
    try:
        _say({"result": do(json.loads(words[0]), lambda progress: _say(asdict(progress)))})
    except MapreelError as error:
        _say({"error": error.to_dict()})
        return _OUR_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
