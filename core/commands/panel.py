# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel panel`: the window."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mapreel.core.contract.errors import UsageError


def panel(
    shots: Annotated[list[str] | None, typer.Argument(metavar="[SHOT]...", help="Shots to open.")] = None,
    host_session: Annotated[str, typer.Option(metavar="ID", help="The host that opens it.")] = "",
    scheme: Annotated[str | None, typer.Option(metavar="NAME", help="system, light or dark.")] = None,
    language: Annotated[str | None, typer.Option(metavar="XX", help="en or ja; else the system's.")] = None,
) -> None:
    """Open the window to import, look, render, train and archive."""
    if importlib.util.find_spec("PyQt6") is None:
        raise UsageError("the panel's libraries are not installed here", "run install.py again")
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("QT_QPA_PLATFORM")
    ):
        raise UsageError("there is no screen to show the panel on", "run it in a desktop session")
    from mapreel.ui.app import run

    code = run([_absolute(path) for path in shots or []], host_session=host_session, scheme=scheme, language=language)
    if code:
        raise typer.Exit(code)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
