# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel panel`: the window."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from mapreel.core.contract.errors import UsageError
from mapreel.core.screen import check_screen


def panel(
    shots: Annotated[list[str] | None, typer.Argument(metavar="[SHOT]...", help="Shots to open.")] = None,
    host_session: Annotated[str, typer.Option(metavar="ID", help="The host that opens it.")] = "",
    scheme: Annotated[str | None, typer.Option(metavar="NAME", help="system, light or dark.")] = None,
    language: Annotated[str | None, typer.Option(metavar="XX", help="en or ja; else the system's.")] = None,
) -> None:
    """Open the window to import, look, render, train and archive."""
    if importlib.util.find_spec("PyQt6") is None:
        raise UsageError("the panel's libraries are not installed here", "run `python3 install.py` again")
    check_screen()
    from mapreel.ui.app import run

    code = run([_absolute(path) for path in shots or []], host_session=host_session, scheme=scheme, language=language)
    if code:
        raise typer.Exit(code)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
