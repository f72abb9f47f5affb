# SPDX-License-Identifier: GPL-3.0-or-later
"""What the JSON beside a take says of files: their hashes, and the paths of what they were made from.

Paths are recorded relative to the folder of the side-car, with forward slashes; a path that shares no folder with it is
recorded by its name alone. Keys are never recorded, and of a certificate the name.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import disk_error

if TYPE_CHECKING:
    from mapreel.core.contract.requests import Request
    from mapreel.core.contract.strict_json import JSON

_SECRET = ("c2pa_key",)
_NAME_ONLY = ("c2pa_cert", "out")


def file_sha256(path: Path) -> str:
    """Of a file's bytes. Raises OutputError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise disk_error(exc, path) from exc


def input_sha256(path: Path) -> str | None:
    """Of a file that was read before, remembered while it stays as it is; None where it cannot be read any more."""
    try:
        stat = path.stat()
        return _remembered(path, stat.st_mtime_ns, stat.st_size)
    except OSError:
        return None


@functools.lru_cache(maxsize=256)
def _remembered(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recorded_path(text: str, folder: Path) -> str:
    """A path or pattern as a side-car in `folder` has it."""
    plain = Path(text)
    if not plain.is_absolute():
        return text
    try:
        shared = Path(os.path.commonpath([plain, folder.absolute()]))
    except ValueError:  # another drive
        return plain.name
    if shared == Path(shared.anchor):
        return plain.name
    return Path(os.path.relpath(plain, folder.absolute())).as_posix()


def recorded_request(request: Request, folder: Path) -> dict[str, JSON]:
    """A request as a side-car in `folder` has it: no whole paths and no keys."""
    fields: dict[str, Any] = request.whole()
    for name in {name for name, _ in request.paths()}:
        fields[name] = _recorded(name, fields[name], folder)
    if _is_path(fields.get("model")):
        fields["model"] = recorded_path(fields["model"], folder)
    if fields.get("palette") is not None and _is_path(fields["palette"]):
        fields["palette"] = recorded_path(fields["palette"], folder)
    return {name: value for name, value in fields.items() if name not in _SECRET}


def _is_path(value: object) -> bool:
    return isinstance(value, str) and Path(value).is_absolute()


def _recorded(name: str, value: Any, folder: Path) -> JSON:
    if value is None:
        return None
    if isinstance(value, list):
        return [[number, recorded_path(path, folder)] for number, path in value]
    return Path(value).name if name in _NAME_ONLY else recorded_path(value, folder)


def written(path: Path, sources: Iterable[tuple[str, Path]] = ()) -> dict[str, JSON]:
    """The entry of one written file: its name, size and hash, and the hashes of what it was made from."""
    entry: dict[str, JSON] = {"file": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}
    found = {name: input_sha256(source) for name, source in sources}
    origins: dict[str, JSON] = {name: digest for name, digest in found.items() if digest is not None}
    return {**entry, "from": origins} if origins else entry
