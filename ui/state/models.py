# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that the panel offers: the shipped ones and folders of the artist, told by the headers of their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.errors import DamagedModelError, MissingModelError, PickleRefusedError
from mapreel.core.contract.requests import Quality
from mapreel.ui.state.messages import told
from mapreel.ui.state.observable import Observable, Property

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapreel.core.contract.errors import MapreelError
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.preferences import Preferences

FILE = "model.safetensors"
FORMAT = "mapreel-vid2vid"
SHIPPED = Path(__file__).resolve().parents[2] / "resources" / "models"
LARGEST_HEADER_BYTES = 1 << 20
PICKLES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"})
MOST_KEPT = 50


class Network(StrEnum):
    """What a model holds."""

    RENDERER = "renderer"  # our own generator
    TEACHER = "teacher"  # the paper's composite generator
    STUDENT = "student"  # the paper's student


QUALITIES: dict[Network, tuple[Quality, ...]] = {
    Network.RENDERER: (Quality.FULL, Quality.FAST, Quality.DRAFT),
    Network.TEACHER: (Quality.TEACHER,),
    Network.STUDENT: (Quality.TEACHER, Quality.FAST),
}
"""The qualities that each can render in."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model. place: what a request calls it, a shipped name or a folder. size: width and height that it was trained
    at, 0 where that is not told. data: names of what it was trained on; steps: how long."""

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

    @property
    def qualities(self) -> tuple[Quality, ...]:
        """What it can render in."""
        return QUALITIES[self.network]


def read_model(place: str) -> ModelFacts:
    """What the header of a model says; place: a shipped name, a folder, or the file. Reads the disk.

    Raises PickleRefusedError, MissingModelError, DamagedModelError.
    """
    path = Path(place)
    if path.suffix.lower() in PICKLES:
        what = f"{path.name} is a pickle file, which can run any code when it is opened, so it is never opened here"
        raise PickleRefusedError(what, "ask its maker for safetensors, or train the model anew", file=place)
    shipped = (SHIPPED / place / FILE).is_file() and not path.is_absolute()
    file = SHIPPED / place / FILE if shipped else path if path.is_file() else path / FILE
    if not file.is_file():
        raise MissingModelError(f"there is no model in {place}", f"choose a folder that holds {FILE}", file=place)
    try:
        header = _header(file)
        config, network = _network(header)
        classes = tuple((int(entry["id"]), str(entry["name"])) for entry in json.loads(header["classes"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        what = f"{file} is no model of Mapreel, or it is cut short"
        raise DamagedModelError(what, "fetch or train it again", detail=str(exc), file=str(file)) from exc
    return ModelFacts(
        name=str(header.get("name") or file.parent.name)[:100],
        place=place if shipped or not path.is_file() or path.name != FILE else str(path.parent),
        shipped=shipped,
        network=network,
        licence=str(header.get("licence", ""))[:200],
        classes=classes,
        task=str(config.get("task", "city")),
        size=(_whole(config.get("width")), _whole(config.get("height"))),
        data=_data(header),
        steps=_whole(header.get("steps")),
    )


def _header(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        told: dict[str, Any] = json.loads(opened.read(min(length, LARGEST_HEADER_BYTES)))["__metadata__"]
    if told["format"] != FORMAT:
        raise ValueError(told["format"])
    return told


def _network(header: dict[str, Any]) -> tuple[dict[str, Any], Network]:
    config = json.loads(header["config"])
    if header.get("architecture", "unet") == "unet":
        return config, Network.RENDERER
    return config, Network.STUDENT if config.get("student") is True else Network.TEACHER


def _data(header: dict[str, Any]) -> tuple[str, ...]:
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


class Models(Observable):
    """Every model that can be chosen. looking: whether they are being read."""

    known = Property[tuple[ModelFacts, ...]](())
    known_changed = pyqtSignal(object)
    looking = Property(False)
    looking_changed = pyqtSignal(object)
    added = pyqtSignal(object)
    """The ModelFacts of a folder that the artist chose."""

    def __init__(self, errands: Errands, preferences: Preferences, messages: Messages) -> None:
        super().__init__()
        self._errands, self._preferences, self._messages = errands, preferences, messages
        self.refresh()

    def facts(self, place: str) -> ModelFacts | None:
        """The model that a request calls so."""
        return next((model for model in self.known if model.place == place), None)

    def refresh(self) -> None:
        """Look again at what is there."""
        self.looking = True
        kept = [place for place in self._preferences.kept("models", []) if isinstance(place, str)]
        self._errands.ask(partial(_all, kept), self._found, self._lost, lane="models", newest=True)

    def add(self, place: str) -> None:
        """Offer a folder (or the file in it) from now on; what is wrong with it is said."""
        self._errands.ask(partial(read_model, place), self._add, self._refuse, lane="model")

    def remove(self, place: str) -> None:
        """Take a folder off the list; its files stay. Shipped models stay."""
        self._preferences.keep("models", [other for other in self._kept() if other != place])
        self.known = tuple(model for model in self.known if model.shipped or model.place != place)

    def _kept(self) -> list[str]:
        return [place for place in self._preferences.kept("models", []) if isinstance(place, str)]

    def _add(self, model: ModelFacts) -> None:
        self.known = (*(other for other in self.known if other.place != model.place), model)
        if not model.shipped:
            others = [place for place in self._kept() if place != model.place]
            self._preferences.keep("models", [*others, model.place][-MOST_KEPT:])
        self.added.emit(model)

    def _refuse(self, error: MapreelError) -> None:
        self._messages.say(told(error, key="model"))

    def _found(self, models: tuple[ModelFacts, ...]) -> None:
        self.known, self.looking = models, False

    def _lost(self, error: MapreelError) -> None:
        self.looking = False
        self._messages.say(told(error, key="models"))


def _all(kept: Iterable[str]) -> tuple[ModelFacts, ...]:
    """Shipped ones first; a folder that is gone, or is no model any more, is left out."""
    found = []
    for place in [*sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILE}")), *kept]:
        try:
            found.append(read_model(place))
        except (MissingModelError, DamagedModelError, PickleRefusedError):
            continue
    return tuple(found)
