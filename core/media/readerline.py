# SPDX-License-Identifier: GPL-3.0-or-later
"""The channel between us and a reader process: two pipes of its own, one line of JSON for each message.

Standard library only: a reader is ready before it has loaded anything else.
"""

from __future__ import annotations

import json
import os
import select
import time
from typing import Any

MAX_LINE_BYTES = 256 << 20  # manifests of 50 MB occur, in a header that is handed on
_READ_BYTES = 1 << 16


class Closed(Exception):  # noqa: N818  # what happened, not a fault
    """The other side is gone, or says what is no message."""


class Late(Exception):  # noqa: N818  # what happened, not a fault
    """The other side has not answered in time."""


class Line:
    """One end of the channel: reads from one descriptor, writes to another.

    due_s: when (of the monotonic clock) the other side must have answered; None: it may take its time. Windows can wait
    for a pipe only by reading from it: there somebody else has to end the other side.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._rest = bytearray()
        self.due_s: float | None = None

    def send(self, text: str) -> None:
        """Write one line. Raises Closed."""
        self.send_bytes(text.encode("ascii") + b"\n")

    def send_bytes(self, content: bytes | memoryview) -> None:
        """Write bytes as they are. Raises Closed."""
        data = memoryview(content).cast("B")
        while data:
            try:
                data = data[os.write(self._write_fd, data) :]
            except OSError as error:
                raise Closed from error

    def receive(self) -> dict[str, Any]:
        """The next message. Raises Closed, Late."""
        end = self._rest.find(b"\n")
        while end < 0:
            start = len(self._rest)
            self._more()
            end = self._rest.find(b"\n", start)
            if len(self._rest) > MAX_LINE_BYTES:
                raise Closed
        text = bytes(self._rest[:end])
        del self._rest[: end + 1]
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Closed from error
        if not isinstance(message, dict):
            raise Closed
        return message

    def waits(self, seconds: float | None) -> bool:
        """Whether a message is there, or comes within so long; True at once where only reading can tell (Windows)."""
        if seconds is None or not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._read_fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def receive_bytes(self, count: int) -> bytearray:
        """So many bytes as they come. Raises Closed, Late."""
        while len(self._rest) < count:
            self._more()
        part = self._rest[:count]
        del self._rest[:count]
        return part

    def _more(self) -> None:
        if self.due_s is not None and not self.waits(max(0.0, self.due_s - time.monotonic())):
            raise Late
        try:
            part = os.read(self._read_fd, _READ_BYTES)
        except OSError as error:
            raise Closed from error
        if not part:
            raise Closed
        self._rest += part

    def close(self) -> None:
        """Close both descriptors."""
        os.close(self._write_fd)
        os.close(self._read_fd)
