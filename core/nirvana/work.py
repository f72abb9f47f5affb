# SPDX-License-Identifier: GPL-3.0-or-later
"""Finished groups of an encode that still runs, kept beside the archive, so that a kill costs one group at most."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mapreel.core.contract.errors import ArchiveError, disk_error
from mapreel.core.contract.takes import write_atomically
from mapreel.core.nirvana import bitstream as bits

_SOURCE = b"srcs"  # chunk of a group file: SHA-256 of the frames it was made from
_FORMAT = "mapreel-encode-work-1"


@dataclass(frozen=True)
class FinishedGroup:
    """Payloads of one group as they will stand in the archive."""

    payload: bytes
    means: bytes

    def chunks(self, number: int) -> bytes:
        return bits.pack_chunk(bits.GROUP, number, self.payload) + bits.pack_chunk(bits.MEANS, number, self.means)


class WorkFolder:
    """The hidden folder `.NAME.work` beside the archive NAME; cleared when it was made with other settings."""

    def __init__(self, archive: Path, settings: dict[str, object]) -> None:
        self.archive = archive
        self.path = _folder_of(archive)
        wanted = json.dumps({"format": _FORMAT, **settings}, sort_keys=True, separators=(",", ":"))
        note = self.path / "settings.json"
        try:
            if self.path.is_dir() and (not note.is_file() or note.read_text(encoding="utf-8") != wanted):
                shutil.rmtree(self.path)
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise disk_error(error, self.path) from error
        if not note.is_file():
            write_atomically(note, wanted.encode())

    def _file(self, group: int) -> Path:
        return self.path / f"group_{group:06d}.grp"

    def save(self, group: int, source: bytes, finished: FinishedGroup) -> None:
        """source: what `fingerprint` gave for the group's frames. Raises DiskFullError, OutputError."""
        write_atomically(self._file(group), bits.pack_chunk(_SOURCE, group, source) + finished.chunks(group))

    def load(self, group: int, source: bytes) -> FinishedGroup | None:
        """The group, or None when it is not there, was made from other frames, or cannot be read."""
        try:
            data = self._file(group).read_bytes()
        except OSError:
            return None
        file, at, found = io.BytesIO(data), 0, []
        try:
            for kind in (_SOURCE, bits.GROUP, bits.MEANS):
                chunk = bits.read_chunk_head(file, at, len(data))
                if (chunk.kind, chunk.number) != (kind, group):
                    return None
                found.append(bits.read_payload(file, chunk))
                at = chunk.end
        except ArchiveError:
            return None
        return FinishedGroup(found[1], found[2]) if found[0] == source else None

    def write_groups(
        self, groups: int, sources: list[bytes]
    ) -> tuple[list[int], list[int], Callable[[BinaryIO], None]]:
        """Payload sizes of all groups and of their means, and who writes their chunks one after the other."""
        sizes, mean_sizes = [], []
        for group in range(groups):
            finished = self._must(group, sources)
            sizes.append(len(finished.payload))
            mean_sizes.append(len(finished.means))

        def write(file: BinaryIO) -> None:
            for group in range(groups):
                file.write(self._must(group, sources).chunks(group))

        return sizes, mean_sizes, write

    def _must(self, group: int, sources: list[bytes]) -> FinishedGroup:
        finished = self.load(group, sources[group])
        if finished is None:
            raise bits.damaged(f"group {group} in the work folder", "it has gone or changed while the archive was made")
        return finished

    def remove(self) -> None:
        discard_work(self.archive)


def _folder_of(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.work")


def discard_work(archive: Path) -> None:
    """Take away what an encode of `archive` left: the archive is complete."""
    shutil.rmtree(_folder_of(archive), ignore_errors=True)


def fingerprint(frames: bytes) -> bytes:
    """SHA-256 of a group's pixels."""
    return hashlib.sha256(frames).digest()
