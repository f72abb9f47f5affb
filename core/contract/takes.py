# SPDX-License-Identifier: Apache-2.0
"""Takes: output that never overwrites what is there, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
from typing import TYPE_CHECKING, BinaryIO

from mapreel.core.contract.errors import OutputError, OutputExistsError, disk_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".nirv"})
MAX_VERSION = 9999
_PARTIAL = ".part"


def is_file_take(out: Path) -> bool:
    """True when `out` names a file (a movie, an archive) and not a folder."""
    return out.suffix.lower() in FILE_SUFFIXES


def _version(out: Path, number: int) -> Path:
    if number == 1:
        return out
    name = f"{out.stem}_v{number:03d}{out.suffix}" if is_file_take(out) else f"{out.name}_v{number:03d}"
    return out.with_name(name)


def claim_folder(take: Path) -> Path:
    """The hidden folder that holds the name of a file take; a job may keep its unfinished work there.

    As long as anything stands in it the name stays taken, so that no other job mixes its work with that.
    """
    return take.with_name(f".{take.name}.claim")


def _claim_folder(take: Path) -> bool:
    try:
        take.mkdir()
    except FileExistsError:
        return False
    return True


def _claim_file(take: Path) -> bool:
    """A marker folder holds the name; only then is it looked whether the file is there, so that two cannot both win."""
    try:
        claim_folder(take).mkdir()
    except FileExistsError:
        return False
    if os.path.lexists(take):
        claim_folder(take).rmdir()
        return False
    return True


def _names(parent: Path) -> set[str]:
    """Names in the folder in one case, for takes that differ only by case are one take on other systems."""
    return {entry.name.casefold() for entry in parent.iterdir()}


def claim_take(out: Path) -> Path:
    """Make the take `out` ours: DIR, else DIR_v002, DIR_v003 …; for a file x.mp4, else x_v002.mp4 …

    A folder is made, for a file a hidden marker folder stands until `release_take`. Raises OutputError, DiskFullError.
    """
    claim = _claim_file if is_file_take(out) else _claim_folder
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        taken = _names(out.parent)
        for number in range(1, MAX_VERSION + 1):
            take = _version(out, number)
            if take.name.casefold() not in taken and claim(take):
                return take
    except OSError as exc:
        raise disk_error(exc, out) from exc
    raise _no_take(out)


def next_take(out: Path) -> Path:
    """The take that `claim_take` would make now; claims nothing. Raises OutputError."""
    try:
        taken = _names(out.parent) if out.parent.is_dir() else set()
    except OSError as exc:
        raise disk_error(exc, out) from exc
    for number in range(1, MAX_VERSION + 1):
        take = _version(out, number)
        claimed = is_file_take(take) and claim_folder(take).name.casefold() in taken
        if take.name.casefold() not in taken and not claimed:
            return take
    raise _no_take(out)


def _no_take(out: Path) -> OutputExistsError:
    return OutputExistsError(f"{out} has {MAX_VERSION} takes already", "choose another output name", file=str(out))


def release_take(take: Path) -> None:
    """The job of this take is over: take its claim away (a folder has none) unless unfinished work stands in it."""
    with contextlib.suppress(OSError):  # gone already, not empty, or the disk is gone: nothing depends on it
        claim_folder(take).rmdir()


def resume_take(out: Path) -> Path:
    """The take that a resumed job goes on with: `out` itself, made when it is not there."""
    try:
        (out.parent if is_file_take(out) else out).mkdir(parents=True, exist_ok=True)
    except FileExistsError as exc:
        raise OutputError(f"{out} is a file and not a take", "choose another output folder", file=str(out)) from exc
    except OSError as exc:
        raise disk_error(exc, out) from exc
    return out


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no handle of a folder to sync; a rename is durable with the file itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _settle(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as handle:
        os.fsync(handle.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, same suffix, for libraries that write by name; synced and renamed at the end.

    When the block raises, the temporary file goes away. OSError becomes OutputError or DiskFullError.
    """
    temporary = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(4)}{_PARTIAL}{path.suffix}")
    try:
        yield temporary
        _settle(temporary, path)
    except OSError as exc:
        raise disk_error(exc, path) from exc
    finally:
        with contextlib.suppress(OSError):  # renamed already, or the disk is gone
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """Write bytes, or what the callback writes, so that `path` is whole or not there. Raises OutputError."""
    with atomic_path(path) as temporary, temporary.open("xb") as handle:
        if isinstance(content, bytes):
            handle.write(content)
        else:
            content(handle)


def remove_partial_files(take: Path) -> int:
    """Clear temporary files that a killed writer left of this take (and of no other); gives how many."""
    own = f".{glob.escape(take.stem[:100])}.*"
    folder, names = (take.parent, own) if is_file_take(take) else (take, ".*")
    left = [entry for entry in folder.glob(names) if _PARTIAL in entry.suffixes[-2:]]
    for entry in left:
        entry.unlink(missing_ok=True)
    return len(left)
