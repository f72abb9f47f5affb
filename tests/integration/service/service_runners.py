# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real runner for the tests of the service: one file a frame, keeps what stands, misbehaves on demand.

`labels` of the request names a script: JSON with frames, pause_s, and a deed to do at one frame.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mapreel.core.contract.errors import GapError
from mapreel.core.contract.progress import Progress, RemainingTime
from mapreel.core.contract.takes import write_atomically


def frame_bytes(number: int) -> bytes:
    return f"frame {number}\n".encode() * 200


def _crash(script, take):
    os.kill(os.getpid(), signal.SIGKILL)


def _input_error(script, take):
    raise GapError("frame 1005 of the shot is missing", "render it or choose hold", frame=1005)


def _bug(script, take):
    raise ZeroDivisionError("a bug\nof ours")


def _no_memory(script, take):
    raise MemoryError


def _freeze(script, take):
    os.kill(os.getpid(), signal.SIGSTOP)


def _stall(script, take):
    if "sign" in script:
        Path(script["sign"]).touch()
    time.sleep(3600)


def _noise(script, take):
    for fd in (1, 2):
        os.write(fd, b'\x00\x00\x00\x10{"type": "done", "result": {}} noise\n' * 50)


def _grandchild(script, take):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    Path(script["pid_file"]).write_text(str(child.pid))
    time.sleep(3600)


def _exit(script, take):
    os._exit(3)


DEEDS = {
    "crash": _crash,
    "input error": _input_error,
    "bug": _bug,
    "no memory": _no_memory,
    "freeze": _freeze,
    "stall": _stall,
    "noise": _noise,
    "grandchild": _grandchild,
    "exit": _exit,
}


def run(request, take, context):
    script = json.loads(Path(request.labels).read_text())
    total, left = script["frames"], RemainingTime()
    written = 0
    for number in range(1001, 1001 + total):
        context.check()
        if script.get("deed_at") == number:
            DEEDS[script["deed"]](script, take)
        path = take / f"{number:04d}.txt"
        if not path.exists():
            write_atomically(path, frame_bytes(number))
            written += 1
            time.sleep(script.get("pause_s", 0.0))
        done = number - 1000
        context.report(Progress(done, total, "frames", left.update(done, total)))
    return {"frames": total, "written": written, "pid": os.getpid(), "nice": os.nice(0)}


class Sketches:
    """Drafts of the tests: a picture of one colour; `labels` names a script with a deed to do at one frame."""

    def __init__(self):
        self.drawn = 0

    def draft(self, request):
        script = json.loads(Path(request.labels).read_text())
        if script.get("deed_at") == request.frame:
            DEEDS[script["deed"]](script, None)
        if "sign" in script:
            Path(script["sign"]).touch()
        time.sleep(script.get("pause_s", 0.0))
        self.drawn += 1
        width, height = script.get("size", [4, 2])
        facts = {"number": request.frame, "width": width, "height": height, "seconds": 0.001}
        pixels = bytes([request.frame % 256]) * (width * height * 3)
        told = {"pid": os.getpid(), "nice": os.nice(0), "drawn": self.drawn, "threads": os.environ["OMP_NUM_THREADS"]}
        return {**facts, **told, **script.get("lies", {})}, pixels


def open_drafts():
    return Sketches()
