# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between service and compute process: JSON with a length in front, over two inherited pipes of their own.

Libraries print on stdout; nothing that they print can be taken for a message.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from typing import Any

_LENGTH = struct.Struct(">I")
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class ChannelClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One end: reads from one descriptor, writes to another. `send` may be called from several threads."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._sending = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Write one message whole. Raises ChannelClosedError."""
        body = json.dumps(message, ensure_ascii=True).encode("ascii")
        data = memoryview(_LENGTH.pack(len(body)) + body)
        with self._sending:
            while data:
                try:
                    data = data[os.write(self._write_fd, data) :]
                except OSError as exc:
                    raise ChannelClosedError from exc

    def receive(self) -> dict[str, Any]:
        """Wait for the next message. Raises ChannelClosedError at the end or for anything that is no message."""
        (size,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if size > MAX_MESSAGE_BYTES:
            raise ChannelClosedError
        message = json.loads(self._exactly(size))
        if not isinstance(message, dict):
            raise ChannelClosedError
        return message

    def _exactly(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            try:
                part = os.read(self._read_fd, min(count, 65536))
            except OSError as exc:
                raise ChannelClosedError from exc
            if not part:
                raise ChannelClosedError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close both descriptors; the other side then reads its end."""
        for fd in (self._write_fd, self._read_fd):
            os.close(fd)
