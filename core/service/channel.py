# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between service and compute process, over two inherited pipes of their own: JSON, and raw bytes beside it.

Libraries print on stdout; nothing that they print can be taken for a message. A message is
    kind (1 byte: 0 JSON alone, 1 JSON and a payload) · length of the JSON (4) · length of the payload (4) · both
with lengths in big-endian order. Pixels travel as the payload, as they lie in memory.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
from typing import Any

_HEAD = struct.Struct(">BII")
_PLAIN, _WITH_PAYLOAD = 0, 1
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_PAYLOAD_BYTES = 512 * 1024 * 1024
PIPE_BYTES = 1 << 20
PAYLOAD = "payload"  # the name under which `receive` gives the bytes; no JSON message may use it


class ChannelClosedError(Exception):
    """The other side is gone."""


def widen_pipe(fd: int) -> None:
    """Let the pipe hold a whole small picture, so that neither side waits for the other to be given a core."""
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:  # more than this user may have: it works with the usual 64 KiB, too
            return


class Channel:
    """One end: reads from one descriptor, writes to another. `send` may be called from several threads."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._sending = threading.Lock()

    def send(self, message: dict[str, Any], payload: bytes | memoryview | None = None) -> None:
        """Write one message whole. Raises ChannelClosedError, ValueError for what the other side would not take."""
        body = json.dumps(message, ensure_ascii=True).encode("ascii")
        data = b"" if payload is None else memoryview(payload).cast("B")
        if len(body) > MAX_MESSAGE_BYTES or len(data) > MAX_PAYLOAD_BYTES or PAYLOAD in message:
            raise ValueError("no message of the channel")
        kind = _PLAIN if payload is None else _WITH_PAYLOAD
        with self._sending:
            self._write(_HEAD.pack(kind, len(body), len(data)) + body)
            self._write(data)

    def _write(self, content: bytes | memoryview) -> None:
        data = memoryview(content)
        while data:
            try:
                data = data[os.write(self._write_fd, data) :]
            except OSError as exc:
                raise ChannelClosedError from exc

    def receive(self) -> dict[str, Any]:
        """Wait for the next message; raw bytes that came with it stand under `PAYLOAD`.

        Raises ChannelClosedError at the end or for anything that is no message, ValueError for broken JSON.
        """
        kind, size, payload = _HEAD.unpack(self._exactly(_HEAD.size))
        too_much = size > MAX_MESSAGE_BYTES or payload > MAX_PAYLOAD_BYTES
        if kind not in {_PLAIN, _WITH_PAYLOAD} or too_much or (kind == _PLAIN and payload):
            raise ChannelClosedError
        message = json.loads(self._exactly(size))
        if not isinstance(message, dict) or PAYLOAD in message:
            raise ChannelClosedError
        if kind == _WITH_PAYLOAD:
            message[PAYLOAD] = self._exactly(payload)
        return message

    def _exactly(self, count: int) -> bytes:
        parts: list[bytes] = []  # grows with what came: a length that lies takes no memory
        while count:
            try:
                part = os.read(self._read_fd, min(count, PIPE_BYTES))
            except OSError as exc:
                raise ChannelClosedError from exc
            if not part:
                raise ChannelClosedError
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close both descriptors; the other side then reads its end."""
        for fd in (self._write_fd, self._read_fd):
            os.close(fd)
