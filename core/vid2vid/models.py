# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network a model holds, from its header. Loads no torch, so that a wrong name is said at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mapreel.core.media.modelfacts import COMPOSITE, MODEL_FILE, UNET, find_model, model_header, shipped_models

if TYPE_CHECKING:
    from pathlib import Path

LOG_FILE = "log.jsonl"  # of a training, beside its checkpoint
__all__ = [
    "COMPOSITE",
    "LOG_FILE",
    "MODEL_FILE",
    "UNET",
    "find_model",
    "holds_paper_student",
    "holds_teacher",
    "shipped_models",
]


def holds_teacher(path: Path) -> bool | None:
    """Whether a weights file holds a teacher, from its header; None where that cannot be read: loading says why."""
    try:
        return bool(model_header(path).get("architecture", UNET) == COMPOSITE)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def holds_paper_student(path: Path) -> bool:
    """Whether a weights file holds the paper's student, from its header."""
    try:
        return bool(holds_teacher(path) and json.loads(model_header(path)["config"])["student"] is True)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
