# SPDX-License-Identifier: GPL-3.0-or-later
"""What few renders need: which frames the network makes between others, and signed content credentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import pyqtSignal

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import KeyRule, Quality
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.render_choice import FORMATS, RenderChoice, render_request

if TYPE_CHECKING:
    from mapreel.core.contract.requests import RenderRequest
    from mapreel.ui.state.preferences import Preferences

KEPT = "render extras"
KEYED = (Quality.FAST, Quality.DRAFT)
"""Qualities in which the network makes key frames only."""
_SIGNED = (".png", ".tif", ".tiff", ".mp4", ".mov")
_FILES = ("certificate", "key_file")


class RenderExtras(Observable):
    """Kept from one render to the next. The key file is named, never read here."""

    keys = Property(KeyRule.ADAPTIVE)
    keys_changed = pyqtSignal(object)
    signed = Property(False)
    """Whether every file is signed as made by a network (C2PA)."""
    signed_changed = pyqtSignal(object)
    certificate = Property("")
    """PEM file of the certificate chain that signs."""
    certificate_changed = pyqtSignal(object)
    key_file = Property("")
    """PEM file of its private key."""
    key_file_changed = pyqtSignal(object)
    changed = pyqtSignal()

    def __init__(self, preferences: Preferences) -> None:
        super().__init__()
        self._preferences = preferences
        self.apply(preferences.kept(KEPT, {}))
        for name in ("keys", "signed", *_FILES):
            getattr(self, f"{name}_changed").connect(self._tell)

    def apply(self, settings: Any) -> None:
        """Take over what is kept; what cannot be understood stays as it is."""
        told = settings if isinstance(settings, dict) else {}
        if told.get("keys") in {rule.value for rule in KeyRule}:
            self.keys = KeyRule(told["keys"])
        if isinstance(told.get("signed"), bool):
            self.signed = told["signed"]
        for name in _FILES:
            if isinstance(told.get(name), str):
                setattr(self, name, told[name])

    def settings(self) -> dict[str, Any]:
        """What is kept."""
        return {"keys": self.keys.value, "signed": self.signed, **{name: getattr(self, name) for name in _FILES}}

    def added_to(self, choice: RenderChoice) -> RenderRequest:
        """The request of a choice with these. Raises UsageError with the sentence of what cannot be."""
        return render_request(choice, **self._fields(choice))

    def _fields(self, choice: RenderChoice) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if choice.quality in KEYED:
            fields["keys"] = self.keys
        if self.signed:
            check_signing(choice.format, self.certificate, self.key_file)
            fields |= {"c2pa": True, "c2pa_cert": self.certificate, "c2pa_key": self.key_file}
        return fields

    def problems(self, choice: RenderChoice) -> dict[str, UsageError]:
        """Why files of this choice cannot be signed, as render_choice.problems has it."""
        try:
            self._fields(choice)
        except UsageError as error:
            return {"signing": error}
        return {}

    def _tell(self, _: object) -> None:
        self._preferences.keep(KEPT, self.settings())
        self.changed.emit()


def check_signing(format_name: str, certificate: str, key_file: str) -> None:
    """Raises UsageError for files that have no place for credentials, and while certificate or key are missing."""
    chosen = FORMATS[format_name]
    suffix = chosen.suffix or f".{chosen.kind.value}"
    if suffix not in _SIGNED:
        raise UsageError(f"{chosen.name} has no place for content credentials", "use PNG, TIFF, MP4 or MOV")
    if not certificate or not key_file:
        raise UsageError("content credentials need a certificate and its key", "choose both files")
    for file in (certificate, key_file):
        if not Path(file).is_absolute():
            raise UsageError(f"{file} is no whole path", "choose the file")
