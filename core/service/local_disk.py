# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a folder lies on a disk of this machine: SQLite's write-ahead log does not work on network file systems."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from mapreel.core.contract.errors import ServiceError

NETWORK = frozenset(
    {"nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "davfs", "afs", "ncpfs", "ceph"}
    | {"glusterfs", "lustre", "beegfs", "gpfs", "ocfs2", "panfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"}
    | {"fuse.rclone", "fuse.s3fs", "fuse.davfs2"}
)
_DRIVE_REMOTE = 4
_ESCAPE = re.compile(r"\\([0-7]{3})")
_MAC_MOUNT = re.compile(r".+? on (?P<where>.+) \((?P<kind>[^,)]+).*\)")


def _type_of(path: Path, mounts: list[tuple[str, str]]) -> str:
    """The type of the mount that holds `path`: the longest mount point, of equal ones the last (it lies on top)."""
    inside = [(len(where), index) for index, (where, _) in enumerate(mounts) if path.is_relative_to(where)]
    return mounts[max(inside)[1]][1] if inside else ""


def read_linux_mounts(text: str) -> list[tuple[str, str]]:
    """(mount point, type) from the text of /proc/self/mountinfo."""
    mounts = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        where = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), before.split()[4])
        mounts.append((where, after.split()[0]))
    return mounts


def read_mac_mounts(text: str) -> list[tuple[str, str]]:
    """(mount point, type) from what `mount` prints on macOS."""
    found = [_MAC_MOUNT.fullmatch(line) for line in text.splitlines()]
    return [(match["where"], match["kind"]) for match in found if match]


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`; on Windows `network` or `local`."""
    real = path.resolve()
    if sys.platform == "win32":
        import ctypes

        remote = ctypes.windll.kernel32.GetDriveTypeW(real.anchor) == _DRIVE_REMOTE
        return "smb" if remote or real.anchor.startswith("\\\\") else "local"
    if sys.platform == "darwin":
        listing = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True).stdout
        return _type_of(real, read_mac_mounts(listing))
    return _type_of(real, read_linux_mounts(Path("/proc/self/mountinfo").read_text("utf-8")))


def require_local(path: Path, kind: str | None = None) -> None:
    """Raise ServiceError when `path` lies on a network file system."""
    found = kind or file_system(path)
    if found in NETWORK:
        what = f"the state folder {path} lies on a network disk ({found}), where the job queue would be damaged"
        raise ServiceError(what, "set MAPREEL_STATE to a folder on a disk of this machine", file=str(path))
