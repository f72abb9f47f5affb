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


def _fault(text: str) -> str | None:
    if not text or "\0" in text or len(text) > MAX_PATH_CHARS:
        return "is empty, too long or holds a zero byte"
    if _URL.match(text):
        return "is a URL"
    if text.startswith(_DEVICE):
        return "is a device path"
    if not os.path.isabs(text):
        return "is not absolute"
    if ".." in re.split(r"[\\/]" if os.name == "nt" else "/", text):
        return "climbs up with “..”"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid text"
    return None


def checked_path(text: str, field: str) -> str:
    """The path itself when it may be sent. Raises UsageError for relative paths, `..`, URLs, `C:foo`, `\\\\?\\`, NUL."""
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
