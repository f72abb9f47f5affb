# SPDX-License-Identifier: GPL-3.0-or-later
"""Where models lie: what `--model NAME|DIR|FILE` means. Loads no torch, so that a wrong name is said at once."""

from __future__ import annotations

from pathlib import Path

from mapreel.core.contract.errors import MissingModelError, PickleRefusedError

MODEL_FILE = "model.safetensors"
LOG_FILE = "log.jsonl"  # of a training, beside its checkpoint
_PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"}


def shipped_models() -> dict[str, Path]:
    """Models that come with Mapreel: name -> folder."""
    root = Path(__file__).parents[2] / "resources" / "models"
    return {p.parent.name: p.parent for p in sorted(root.glob(f"*/{MODEL_FILE}"))}


def find_model(name: str) -> Path:
    """The weights file that `--model NAME|DIR|FILE` means.

    Raises:
        PickleRefusedError: a pickle file, which could run code when opened.
        MissingModelError: no such model; names those there are.
    """
    path = Path(name)
    if path.suffix.lower() in _PICKLES:
        raise PickleRefusedError(
            f"{name} is a pickle file, which can run any code when it is opened, so it is never opened here",
            "ask its maker for safetensors or train the model with `mapreel train`",
            file=name,
        )
    shipped = shipped_models()
    if name in shipped:  # first: the folder in which the service happens to run must not give the name another meaning
        return shipped[name] / MODEL_FILE
    if path.is_file():
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    named = f" or one of: {', '.join(shipped)}" if shipped else ""
    raise MissingModelError(
        f"there is no model called {name}", f"give a folder that holds {MODEL_FILE}{named}", file=name
    )
