# SPDX-License-Identifier: Apache-2.0
"""Where the service of this user keeps its state, and what others read there: the token and the endpoint."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from mapreel.core.contract.errors import ServiceNotTrustedError, ServiceUnreachableError

PROTOCOL = 1  # of the HTTP interface; a client and a service with different numbers do not talk
ENDPOINT_FORMAT = "mapreel-endpoint"
VARIABLE = "MAPREEL_STATE"


@dataclass(frozen=True)
class StateFolder:
    """The names inside one state folder."""

    root: Path

    @property
    def token(self) -> Path:
        return self.root / "service.token"

    @property
    def endpoint(self) -> Path:
        return self.root / "service.json"

    @property
    def lock(self) -> Path:
        return self.root / "service.lock"

    @property
    def compute_lock(self) -> Path:
        return self.root / "compute.lock"

    @property
    def interactive_lock(self) -> Path:
        return self.root / "interactive.lock"

    @property
    def database(self) -> Path:
        return self.root / "queue.sqlite3"

    @property
    def logs(self) -> Path:
        return self.root / "logs"


@dataclass(frozen=True)
class Endpoint:
    """Where the service listens, as its endpoint file says (nothing in it is secret, nothing in it is proof)."""

    port: int
    pid: int
    protocol: int


def _default() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "mapreel"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mapreel"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mapreel"


def state_folder(root: str | Path | None = None) -> StateFolder:
    """The folder `root`, else $MAPREEL_STATE, else the platform's folder for state (as platformdirs has it)."""
    chosen = root or os.environ.get(VARIABLE) or _default()
    return StateFolder(Path(chosen).expanduser().absolute())


def _check_private(path: Path) -> None:
    if sys.platform == "win32":  # the user's profile is private by its access list; mode bits say nothing there
        return
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise ServiceNotTrustedError(
            f"the token file {path} is not private to you", "delete it and start the service again", file=str(path)
        )


def read_token(folder: StateFolder) -> str:
    """The shared secret. Raises ServiceUnreachableError (none there), ServiceNotTrustedError (others can read it)."""
    try:
        _check_private(folder.token)
        return folder.token.read_text("ascii").strip()
    except (OSError, ValueError) as exc:
        raise ServiceUnreachableError(f"there is no token in {folder.root}", "start the service") from exc


def read_endpoint(folder: StateFolder) -> Endpoint:
    """Where the service says that it listens. Raises ServiceUnreachableError when no endpoint file can be read."""
    try:
        data = json.loads(folder.endpoint.read_text("utf-8"))
        if data["format"] != ENDPOINT_FORMAT:
            raise ValueError(data["format"])
        return Endpoint(int(data["port"]), int(data["pid"]), int(data["protocol"]))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ServiceUnreachableError("the service is not running", "start it with: mapreel service start") from exc
