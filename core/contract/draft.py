# SPDX-License-Identifier: Apache-2.0
"""Drafts between client and service: one question as JSON, one answer as raw pixels, and which of them is the newest.

Frames of a render (DraftRequest) or of an archive (PeekRequest). The facts of an answer stand in one header of the
HTTP answer, the pixels are its body: no text, no base64.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from dataclasses import dataclass
from typing import Any

from mapreel.core.contract.errors import DraftSupersededError, ServiceError, UsageError
from mapreel.core.contract.requests import DraftRequest, PeekRequest, request_from_json

DRAFT_PATH = "/v1/drafts"
FACTS_HEADER = "X-Mapreel-Draft"
PIXELS_TYPE = "application/octet-stream"
MAX_SIDE_PX = 65535
MAX_PIXEL_BYTES = 512 * 1024 * 1024
MAX_SERIAL = 10**15
_SESSION = re.compile(r"[0-9a-zA-Z_-]{8,64}")


@dataclass(frozen=True)
class DraftFrame:
    """One drafted frame. `pixels`: RGB, 8 bit sRGB, rows from the top, height x width x 3 bytes.

    seconds: that the compute process worked on it. facts: what more it told (`is_key`, `loading_seconds` …); of a peek
    without a frame `archive`, with width, height and pixels 0, 0 and none.
    """

    number: int
    width: int
    height: int
    pixels: bytes
    seconds: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class DraftQuestion:
    """What crosses from client to service. Of one session only the highest serial is of interest."""

    session: str
    serial: int
    request: DraftRequest | PeekRequest

    def to_json(self) -> dict[str, Any]:
        return {"session": self.session, "serial": self.serial, "request": self.request.to_json()}


def question_from_json(data: object) -> DraftQuestion:
    """Raises UsageError for whatever is unknown, missing or of the wrong type."""
    if not isinstance(data, dict) or set(data) != {"session", "serial", "request"}:
        raise UsageError("the body of a draft has session, serial and request", "send these three")
    session, serial = data["session"], data["serial"]
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise UsageError("the session of the draft is malformed", "send 8 to 64 letters and digits")
    if not isinstance(serial, int) or isinstance(serial, bool) or not 0 <= serial <= MAX_SERIAL:
        raise UsageError("the serial of the draft is no whole number", "count up from 0")
    request = request_from_json(data["request"])
    if not isinstance(request, (DraftRequest, PeekRequest)):
        raise UsageError(f"a {request.kind} request is no draft", "submit it as a job")
    return DraftQuestion(session, serial, request)


def facts_to_text(facts: dict[str, Any]) -> str:
    """The facts of an answer as one header: ASCII without line feeds, whatever a file is called."""
    return json.dumps(facts, ensure_ascii=True)


def frame_from_answer(facts: object, pixels: bytes) -> DraftFrame:
    """The frame of an answer. Raises ServiceError when the pixels are not what the facts say."""
    try:
        if not isinstance(facts, dict):
            raise TypeError
        width, height = int(facts["width"]), int(facts["height"])
        if (width, height) == (0, 0) and isinstance(told := json.loads(pixels), dict):
            return DraftFrame(int(facts["number"]), 0, 0, b"", float(facts["seconds"]), {**facts, "archive": told})
        frame = DraftFrame(int(facts["number"]), width, height, pixels, float(facts["seconds"]), facts)
    except (KeyError, TypeError, ValueError) as exc:
        raise ServiceError("the answer of the service is no drafted frame", "look at its log") from exc
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX) or len(pixels) != width * height * 3:
        raise ServiceError("the drafted frame was cut off on its way", "ask for it again")
    return frame


class DraftSession:
    """Counts the drafts of one viewer, so that an old answer never takes the place of a newer one.

    Several clients (one for each thread) may share it.
    """

    def __init__(self) -> None:
        self.name = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._asked = 0
        self._shown = -1

    def next_serial(self) -> int:
        with self._lock:
            self._asked += 1
            return self._asked

    def accept(self, serial: int) -> None:
        """Raises DraftSupersededError when the answer to a newer question has come before this one."""
        with self._lock:
            if serial < self._shown:
                raise DraftSupersededError("a newer draft has arrived before this one", "use that one")
            self._shown = serial
