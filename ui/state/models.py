# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that the panel offers: the shipped ones and folders of the artist, told by the headers of their files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal

from mapreel.core.media.modelfacts import ModelFacts, Network, list_models, read_model
from mapreel.ui.state.messages import told
from mapreel.ui.state.observable import Observable, Property

if TYPE_CHECKING:
    from mapreel.core.contract.errors import MapreelError
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.preferences import Preferences

__all__ = ["ModelFacts", "Models", "Network"]
MOST_KEPT = 50


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
        self._errands.ask(partial(list_models, kept), self._found, self._lost, lane="models", newest=True)

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
