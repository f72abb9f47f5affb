# SPDX-License-Identifier: GPL-3.0-or-later
"""A model out of a training's folder, kept under a name of its own. Only the text part of the file is written anew."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mapreel.core.contract.errors import DamagedModelError, MapreelError, MissingModelError, disk_error
from mapreel.core.contract.takes import claim_take, write_atomically
from mapreel.ui.state.train_look import LARGEST_HEADER_BYTES, MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

_ALIGN = 8  # safetensors pads its text so that the tensors after it begin at a multiple of this


def keep_model(training: str, folder: str, name: str, licence: str) -> str:
    """Copy the model of a training into `folder`, as NAME or NAME_v002 …, and give that place.

    Raises MissingModelError (the training has written none), DamagedModelError, OutputError.
    """
    source = Path(training) / "model" / MODEL_FILE
    write, place = _renamed(source, {"name": name, "licence": licence}), claim_take(Path(folder) / name)
    try:
        write_atomically(place / MODEL_FILE, write)
    except MapreelError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return str(place)


def _renamed(source: Path, told: dict[str, str]) -> Callable[[BinaryIO], None]:
    """What writes the file with other words in its header."""
    try:
        with source.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > LARGEST_HEADER_BYTES:
                raise ValueError(length)
            header = json.loads(file.read(length))
            header["__metadata__"] = {**header["__metadata__"], **told}
    except FileNotFoundError as exc:
        what = f"the training {source.parents[1].name} has written no model yet"
        raise MissingModelError(what, "let it come to its end, or stop it and keep it", file=str(source)) from exc
    except (OSError, ValueError, LookupError, TypeError, struct.error) as exc:
        what = f"the model {source} cannot be read"
        raise DamagedModelError(what, "train it again", detail=str(exc), file=str(source)) from exc
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGN)

    def write(out: BinaryIO) -> None:
        try:
            with source.open("rb") as file:
                file.seek(8 + length)
                out.write(struct.pack("<Q", len(text)) + text)
                shutil.copyfileobj(file, out, 1 << 20)
        except OSError as exc:
            raise disk_error(exc, source) from exc

    return write
