# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service lays into its state folder: a private folder, the token, and where it listens."""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys

from mapreel.core.contract.errors import MapreelError, ServiceError, ServiceNotTrustedError, disk_error
from mapreel.core.contract.state_folder import ENDPOINT_FORMAT, PROTOCOL, StateFolder, read_token
from mapreel.core.contract.takes import write_atomically

TOKEN_BYTES = 32


def prepare_folder(folder: StateFolder) -> None:
    """Make the state folder with mode 0700. Raises ServiceError when it is somebody else's or holds other things."""
    try:
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sys.platform != "win32":
            _own(folder)
    except OSError as exc:
        raise disk_error(exc, folder.root) from exc


def _own(folder: StateFolder) -> None:
    root = folder.root
    facts = root.stat()
    if facts.st_uid != os.geteuid():
        what = f"the state folder {root} belongs to somebody else"
        raise ServiceError(what, "set MAPREEL_STATE to a folder of yours", file=str(root))
    if stat.S_IMODE(facts.st_mode) & 0o077:
        if not (folder.token.exists() or folder.lock.exists()) and any(root.iterdir()):  # others may work in it
            what = f"the state folder {root} holds other things and is open to others"
            raise ServiceError(what, "set MAPREEL_STATE to a new folder", file=str(root))
        root.chmod(0o700)


def ensure_token(folder: StateFolder) -> str:
    """The token of this user and machine, made when there is none; a token that others could read is replaced."""
    try:
        token = read_token(folder)
        if len(token) == TOKEN_BYTES * 2:
            return token
    except ServiceNotTrustedError:
        pass  # somebody may know it: make another
    except MapreelError:
        pass  # none there yet
    return _new_token(folder)


def _new_token(folder: StateFolder) -> str:
    token = secrets.token_hex(TOKEN_BYTES)
    fresh = folder.token.with_name(folder.token.name + ".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder.token)
    return token


def write_endpoint(folder: StateFolder, port: int) -> None:
    """Say where we listen; whoever reads it still asks for proof."""
    data = {"format": ENDPOINT_FORMAT, "version": 1, "protocol": PROTOCOL, "port": port, "pid": os.getpid()}
    write_atomically(folder.endpoint, json.dumps(data).encode("ascii"))


def remove_endpoint(folder: StateFolder) -> None:
    """Nobody listens any more."""
    folder.endpoint.unlink(missing_ok=True)
