# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel doctor`: what is set up here, what is wrong and what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from mapreel.core.commands.console import Console
from mapreel.core.commands.options import Json

_MARKS = {"good": "ok   ", "note": "note ", "bad": "WRONG"}


def doctor(as_json: Json = False) -> None:
    """Say what is set up here, what is wrong and what to do.

    The exit code is 1 where something is wrong.
    """
    from mapreel.core.doctor import BAD, examine

    console = Console(json=as_json)
    found: list[dict[str, Any]] = []
    lines = []
    for finding in examine():
        found.append(asdict(finding))
        lines.append(f"{_MARKS[finding.state]} {finding.name}: {finding.said}")
        if finding.remedy:
            lines.append(f"      -> {finding.remedy}")
    wrong = sum(finding["state"] == BAD for finding in found)
    lines.append("nothing is wrong" if not wrong else f"wrong: {wrong}")
    console.result({"wrong": wrong, "findings": found}, lines)
    if wrong:
        raise typer.Exit(1)
