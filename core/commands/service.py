# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel service`: start, look at and stop the background service of this user."""

from __future__ import annotations

from typing import Any

import typer

from mapreel.core.commands.console import Console, table
from mapreel.core.commands.options import Json

app = typer.Typer(no_args_is_help=True, help="Start, look at and stop the background service.")


def _lines(facts: dict[str, Any]) -> list[str]:
    return table([[name.replace("_", " "), "none" if value is None else str(value)] for name, value in facts.items()])


@app.command()
def start(as_json: Json = False) -> None:
    """Start the service unless it runs.

    Every command that needs it does so, too.
    """
    from mapreel.core.contract.client import ServiceClient

    with ServiceClient() as client:
        facts = client.status()
    Console(json=as_json).result({"running": True, **facts}, ["the service runs", *_lines(facts)])


@app.command()
def status(as_json: Json = False) -> None:
    """Say whether the service runs.

    The exit code is 1 where it does not.
    """
    from mapreel.core.contract.client import ServiceClient
    from mapreel.core.contract.errors import ServiceUnreachableError

    console = Console(json=as_json)
    try:
        with ServiceClient(start=False) as client:
            facts = client.status()
    except ServiceUnreachableError:
        console.result({"running": False}, ["the service does not run; it starts when it is needed"])
        raise typer.Exit(1) from None
    console.result({"running": True, **facts}, ["the service runs", *_lines(facts)])


@app.command()
def stop(as_json: Json = False) -> None:
    """Stop the service; its jobs stay in the queue.

    They go on when it starts again.
    """
    from mapreel.core.contract.client import ServiceClient

    with ServiceClient(start=False) as client:
        stopped = client.stop()
    text = "the service stops; unfinished jobs go on when it starts again" if stopped else "the service did not run"
    Console(json=as_json).result({"stopped": stopped}, [text])
