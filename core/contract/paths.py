# SPDX-License-Identifier: Apache-2.0
"""Which paths may cross a process: absolute ones that mean the same file to everybody."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mapreel.core.contract.errors import UsageError, one_line

MAX_PATH_CHARS = 4096
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_DEVICE = ("\\\\?\\", "\\\\.\\", "//?/", "//./")
_UNC = ("\\\\", "//")


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _fault(text: str) -> str | None:
    faults = {
        "is empty, too long or holds a zero byte": not text or "\0" in text or len(text) > MAX_PATH_CHARS,
        "is not valid text": not _is_text(text),
        "is a URL": _URL.match(text) is not None,
        "is a device path": text.startswith(_DEVICE),
        "is not absolute": not Path(text).is_absolute(),
        "climbs up with “..”": ".." in re.split(r"[\\/]" if os.name == "nt" else "/", text),
    }
    return next((fault for fault, found in faults.items() if found), None)


def checked_path(text: str, field: str) -> str:
    """The path itself when it may be sent. Raises UsageError for relative paths, `..`, URLs, devices, NUL."""
    fault = _fault(text)
    if fault is not None:
        remedy = "give the whole path of a file or folder of this machine"
        raise UsageError(f"the path “{one_line(text[:200])}” of {field} {fault}", remedy)
    return text


def inside_roots(text: str, roots: tuple[str, ...]) -> bool:
    """True when `text`, links followed, lies under one of the roots.

    Without roots every path of this machine is inside; shares (`\\\\server\\share`) always need a root that names them.
    """
    if not roots:
        return not text.startswith(_UNC)
    real = Path(os.path.realpath(text))
    return any(real.is_relative_to(os.path.realpath(root)) for root in roots)
