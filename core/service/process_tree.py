# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes with a group of their own: started with two inherited pipes, ended with the whole tree."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from mapreel.core.service.channel import Channel, widen_pipe

if TYPE_CHECKING:
    from collections.abc import Sequence


STILL_LOCKED = 71  # exit code of a compute process that found another one still running: no fault of the job


@dataclass(frozen=True)
class Child:
    """A started process and our end of its message channel."""

    process: subprocess.Popen[bytes]
    channel: Channel


def own_group(*, urgent: bool = False) -> dict[str, Any]:
    """Arguments for Popen: a session (POSIX) or process group (Windows) of its own, so that the tree can be ended.

    urgent: at the priority of the artist's own programs; on Windows all others start below that.
    """
    if sys.platform == "win32":
        priority = 0 if urgent else subprocess.BELOW_NORMAL_PRIORITY_CLASS
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | priority}
    return {"start_new_session": True}


def _inherit(fds: Sequence[int]) -> tuple[dict[str, Any], list[str]]:
    """Popen arguments that hand `fds` down, and how the child is told of them."""
    if sys.platform == "win32":
        import msvcrt

        handles = [msvcrt.get_osfhandle(fd) for fd in fds]
        for handle in handles:
            os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": handles})
        return {"startupinfo": startup, "close_fds": True}, [str(handle) for handle in handles]
    return {"pass_fds": tuple(fds)}, [str(fd) for fd in fds]


def open_inherited(read: str, write: str) -> Channel:
    """In the child: the channel from the two words that `start_child` put after --channel."""
    if sys.platform == "win32":
        import msvcrt

        return Channel(msvcrt.open_osfhandle(int(read), os.O_RDONLY), msvcrt.open_osfhandle(int(write), 0))
    for fd in (int(read), int(write)):
        os.set_inheritable(fd, False)  # grandchildren must not hold the channel open
    return Channel(int(read), int(write))


def start_child(arguments: list[str], output: IO[bytes], environment: dict[str, str], *, urgent: bool = False) -> Child:
    """Start `python -P ARGUMENTS --channel R W` (nothing is imported from where we stand), its words into `output`."""
    child_read, our_write = os.pipe()
    our_read, child_write = os.pipe()
    widen_pipe(our_read)
    inherit, words = _inherit([child_read, child_write])
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", *arguments, "--channel", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            **inherit,
            **own_group(urgent=urgent),
        )
    except OSError:
        Channel(our_read, our_write).close()
        raise
    finally:
        os.close(child_read)
        os.close(child_write)
    return Child(process, Channel(our_read, our_write))


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children now, and wait for it."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError):  # the whole group is gone already
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def describe_exit(code: int) -> str:
    """What a person reads: “crashed (SIGKILL)”, “ended with exit code 3”."""
    if code < 0:
        try:
            return f"crashed ({signal.Signals(-code).name})"
        except ValueError:
            return f"crashed (signal {-code})"
    return "ended by itself in mid-job" if code == 0 else f"ended with exit code {code}"
