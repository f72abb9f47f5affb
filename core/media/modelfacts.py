# SPDX-License-Identifier: GPL-3.0-or-later
"""Models by the headers of their files: where they lie, what they hold, whose they are. The standard library alone.

A model is a folder with `model.safetensors`, whose header says what its network is (safetensors: eight bytes of
length, then JSON with `__metadata__`); weights are not read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import DamagedModelError, MapreelError, MissingModelError, PickleRefusedError
from mapreel.core.contract.requests import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MODEL_FILE = "model.safetensors"
MODEL_FORMAT = "mapreel-vid2vid"
UNET, COMPOSITE = "unet", "composite"
"""What a model's header says of its network: our generator, or the paper's composite generator, a teacher."""
LARGEST_HEADER_BYTES = 1 << 20  # classes, config, story and list of tensors of a model are some hundred kilobytes
PICKLES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"})
_LICENCES = ("LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.txt", "LICENSE.md")
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Network(StrEnum):
    """What a model holds."""

    RENDERER = "renderer"  # our own generator
    TEACHER = "teacher"  # the paper's composite generator
    STUDENT = "student"  # the paper's student


QUALITIES: Mapping[Network, tuple[Quality, ...]] = MappingProxyType(
    {
        Network.RENDERER: (Quality.FULL, Quality.FAST, Quality.DRAFT),
        Network.TEACHER: (Quality.TEACHER,),
        Network.STUDENT: (Quality.TEACHER, Quality.FAST),
    }
)
"""The qualities that each can render in."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model. place: what a request calls it, a shipped name or a folder. size: width and height that it was trained
    at, 0 where that is not told. data: names of what it was trained on; steps: how long. licence_file: its text."""

    name: str
    place: str
    shipped: bool
    network: Network
    licence: str
    classes: tuple[tuple[int, str], ...]
    task: str = "city"
    size: tuple[int, int] = (0, 0)
    data: tuple[str, ...] = ()
    steps: int = 0
    file_bytes: int = 0
    licence_file: str | None = None

    @property
    def qualities(self) -> tuple[Quality, ...]:
        """What it can render in."""
        return QUALITIES[self.network]


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
    if path.suffix.lower() in PICKLES:
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


def list_models(places: Iterable[str] = ()) -> tuple[ModelFacts, ...]:
    """The shipped models, then those in `places`; a place that is gone, or holds no model any more, is left out."""
    found = []
    for place in [*shipped_models(), *places]:
        try:
            found.append(read_model(place))
        except MapreelError:
            continue
    return tuple(found)


def read_model(place: str) -> ModelFacts:
    """What the header of a model says; place: a shipped name, a folder, or the file.

    Raises PickleRefusedError, MissingModelError, DamagedModelError.
    """
    file, path = find_model(place), Path(place)
    shipped = place in shipped_models()
    try:
        header = model_header(file)
        if header["format"] != MODEL_FORMAT:
            raise ValueError(header["format"])
        config, network = _network(header)
        classes = tuple((int(entry["id"]), str(entry["name"])) for entry in json.loads(header["classes"]))
        size_bytes = file.stat().st_size
    except _UNREADABLE as exc:
        what = f"{file} is no model of Mapreel, or it is cut short"
        raise DamagedModelError(what, "fetch or train it again", detail=str(exc), file=str(file)) from exc
    return ModelFacts(
        name=str(header.get("name") or file.parent.name)[:100],
        place=place if shipped or not path.is_file() or path.name != MODEL_FILE else str(path.parent),
        shipped=shipped,
        network=network,
        licence=str(header.get("licence", ""))[:200],
        classes=classes,
        task=str(config.get("task", "city")),
        size=(_whole(config.get("width")), _whole(config.get("height"))),
        data=_data(header),
        steps=_whole(header.get("steps")),
        file_bytes=size_bytes,
        licence_file=next((str(text) for name in _LICENCES if (text := file.with_name(name)).is_file()), None),
    )


def model_header(path: Path) -> dict[str, str]:
    """The metadata of a weights file. Raises OSError, and ValueError and the like for what is none."""
    with path.open("rb") as file:
        header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), LARGEST_HEADER_BYTES)))
    told: dict[str, str] = header["__metadata__"]
    return told


def _network(header: dict[str, str]) -> tuple[dict[str, Any], Network]:
    config = json.loads(header["config"])
    if not isinstance(config, dict):
        raise TypeError(header["config"])
    if header.get("architecture", UNET) == UNET:
        return config, Network.RENDERER
    return config, Network.STUDENT if config.get("student") is True else Network.TEACHER


def _data(header: dict[str, str]) -> tuple[str, ...]:
    try:
        found = json.loads(header.get("data", "[]"))
    except ValueError:
        return ()
    return tuple(str(name)[:100] for name in found) if isinstance(found, list) else ()


def _whole(value: object) -> int:
    try:
        return max(0, int(str(value)))
    except ValueError:
        return 0
