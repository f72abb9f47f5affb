# SPDX-License-Identifier: GPL-3.0-or-later
"""Named settings of a render: some that come with the panel, and the artist's own, kept in the preferences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import pyqtSignal

from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.text import tr

if TYPE_CHECKING:
    from mapreel.ui.state.preferences import Preferences
    from mapreel.ui.state.render_form import RenderForm

KEPT = "render presets"
MOST = 100
MOST_CHARS = 60


def shipped() -> dict[str, dict[str, Any]]:
    """The presets that come with the panel, by their names in its language."""
    return {
        tr("Quick look (MP4)"): {"quality": "draft", "format": "h264", "colour_space": ""},
        tr("Review (MP4)"): {"quality": "fast", "format": "h264", "colour_space": ""},
        tr("Compositing (EXR)"): {"quality": "full", "format": "exr-half-zip", "colour_space": ""},
        tr("Edit (ProRes)"): {"quality": "full", "format": "prores-hq", "colour_space": ""},
    }


class RenderPresets(Observable):
    """Own presets by name."""

    own = Property[tuple[str, ...]](())
    own_changed = pyqtSignal(object)

    def __init__(self, form: RenderForm, preferences: Preferences) -> None:
        super().__init__()
        self._form, self._preferences = form, preferences
        self.own = tuple(self._kept())

    def names(self) -> tuple[str, ...]:
        """Shipped ones, then the artist's own."""
        return (*shipped(), *self.own)

    def load(self, name: str) -> None:
        """Choose what a preset says; the shot, its output and its references stay."""
        settings = self._kept().get(name) or shipped().get(name)
        if settings is not None:
            self._form.apply(settings)

    def holds(self, name: str) -> bool:
        """Whether what is chosen now is what a preset says."""
        settings, now = self._kept().get(name) or shipped().get(name) or {}, self._form.settings()
        return bool(settings) and all(now.get(key) == value for key, value in settings.items())

    def save(self, name: str) -> None:
        """Keep what is chosen now; a name that is there is replaced."""
        said = name.strip()[:MOST_CHARS]
        if said:
            kept = {**self._kept(), said: self._form.settings()}
            self._keep(dict(list(kept.items())[-MOST:]))

    def delete(self, name: str) -> None:
        """Forget one of the artist's own."""
        self._keep({other: settings for other, settings in self._kept().items() if other != name})

    def _kept(self) -> dict[str, Any]:
        kept = self._preferences.kept(KEPT, {})
        return {str(name): value for name, value in kept.items()} if isinstance(kept, dict) else {}

    def _keep(self, presets: dict[str, Any]) -> None:
        self._preferences.keep(KEPT, presets)
        self.own = tuple(presets)
