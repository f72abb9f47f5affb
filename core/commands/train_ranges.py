# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel train ranges`: what lets a model trained by an earlier version render in 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapreel.core.commands.console import Console
from mapreel.core.commands.options import Json
from mapreel.core.commands.train_networks import Data, check_paths
from mapreel.core.contract.errors import OutputExistsError


def ranges(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The new model.")],
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="The model that it is for.")] = "street",
    as_json: Json = False,
) -> None:
    """Measure an older model's layers, so that it renders in 8 bits."""
    check_paths(data, out)
    from mapreel.core.vid2vid.models import MODEL_FILE
    from mapreel.core.vid2vid.ranges import add_ranges

    if (out / MODEL_FILE).exists():
        raise OutputExistsError(f"{out} holds a model already", "choose another folder", file=str(out))
    made = add_ranges(data, out, model=model)
    Console(json=as_json).result(made, [f"{made['model']} ({made['blocks']} blocks measured)"])
