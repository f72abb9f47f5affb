# SPDX-License-Identifier: GPL-3.0-or-later
"""Finished groups of an encode that still runs, kept beside the archive, so that a kill costs one group at most."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from mapreel.core.contract.errors import ArchiveError, disk_error
from mapreel.core.contract.takes import write_atomically
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.writer import FinishedGroup

_SOURCE = b"srcs"  # chunk of a group file: SHA-256 of the frames it was made from
_FORMAT = "mapreel-encode-work-2"


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
        file, at, found = io.BytesIO(data), 0, {}
        try:
            while at < len(data):
                chunk = bits.read_chunk_head(file, at, len(data))
                if chunk.number != group:
                    return None
                found[chunk.kind] = bits.read_payload(file, chunk)
                at = chunk.end
        except ArchiveError:
            return None
        if found.get(_SOURCE) != source or bits.GROUP not in found:
            return None
        return FinishedGroup(found[bits.GROUP], found.get(bits.MEANS, b""), found.get(bits.ALPHA, b""))

    def groups(self, sources: list[bytes]) -> Iterator[FinishedGroup]:
        """All groups in order. Raises DamagedArchiveError when one has gone."""
        for group in range(len(sources)):
            yield self._must(group, sources)

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
