# SPDX-License-Identifier: GPL-3.0-or-later
"""Where models lie: what `--model NAME|DIR|FILE` means. Loads no torch, so that a wrong name is said at once."""

from __future__ import annotations

import json
from pathlib import Path

from mapreel.core.contract.errors import MissingModelError, PickleRefusedError

MODEL_FILE = "model.safetensors"
LOG_FILE = "log.jsonl"  # of a training, beside its checkpoint
UNET, COMPOSITE = "unet", "composite"
"""What a model's header says of its network: our generator, or the paper's composite generator, a teacher."""
LARGEST_HEADER_BYTES = 1 << 20  # classes, config, story and list of tensors of a model are some hundred kilobytes
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


def holds_teacher(path: Path) -> bool | None:
    """Whether a weights file holds a teacher, from its header; None where that cannot be read: loading says why."""
    try:
        return bool(_header(path).get("architecture", UNET) == COMPOSITE)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def holds_paper_student(path: Path) -> bool:
    """Whether a weights file holds the paper's student, from its header."""
    try:
        return bool(holds_teacher(path) and json.loads(_header(path)["config"])["student"] is True)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _header(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), LARGEST_HEADER_BYTES)))
    told: dict[str, str] = header["__metadata__"]
    return told
