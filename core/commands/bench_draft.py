# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel bench draft`: how long an artist waits for one frame."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.commands.console import Console, table
from mapreel.core.commands.options import Json, model_name


def draft(
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="Which model.")] = "street",
    busy: Annotated[
        bool, typer.Option("--busy", help="Also while a render and a training run (takes minutes).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Milliseconds from asking for a draft to its pixels."""
    from mapreel.core import benchmarks, benchmarks_draft
    from mapreel.core.vid2vid.models import find_model

    find_model(model_name(model))
    console = Console(json=as_json)
    with tempfile.TemporaryDirectory(prefix="mapreel-bench-", ignore_cleanup_errors=True) as name:
        figures = benchmarks_draft.measure_drafts(Path(name), model_name(model), busy=busy, say=console.note)
    data = {"machine": benchmarks.machine(), "model": model, "draft": figures}
    console.result(data, table(_rows("", data)))


def _rows(name: str, value: Any) -> list[list[str]]:
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _rows(f"{name} {key}".strip(), inner)]
    return [[name, f"{value:.4g}" if isinstance(value, float) else str(value)]]
