# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of the service: one JSON object a line, so that no file name can forge a line; secrets never get in."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.typing import EventDict, FilteringBoundLogger, Processor

_SECRET = frozenset({"token", "authorization", "proof", "nonce", "cookie", "password", "secret"})
_MAX_BYTES = 2_000_000
_KEPT = 3


def hide_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Blank every field whose name says that it is secret."""
    return {key: "(hidden)" if key.lower() in _SECRET else value for key, value in event.items()}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _PrivateFileHandler(RotatingFileHandler):
    """A rotating log that only its user can read."""

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding="utf-8", opener=_private)


def open_log(path: Path, name: str) -> FilteringBoundLogger:
    """Send structlog and the libraries' logging of this process to the file `path`; gives the logger `name`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    render = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
    )
    handler = _PrivateFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT)
    handler.setFormatter(render)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger
