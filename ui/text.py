# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel says, in the language of whoever sits before it: English in the sources, catalogues beside them.

A catalogue is a folder `resources/locale/LANGUAGE` of JSON files, English text to translated text; those called core_*
hold the sentences that the core says. The pseudo language `xx` is made of the English one: longer, with accents, in
brackets, to see what is cut and what nobody marked.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from mapreel.ui.retelling import Retelling

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCALES = Path(__file__).resolve().parents[1] / "resources" / "locale"
CONTEXT = "mapreel"
CORE = "mapreel core"
_OF_CORE = "core_"
PSEUDO = "xx"
_LONGER, _WORD = 0.4, 8
_ACCENTS = str.maketrans("AEIOUaeiouncsy", "ÅÉÎÖÛåéîöûñçšý")
_PLACE = re.compile(r"(\{[^}]*\})")


def tr(text: str, **values: object) -> str:
    """The text in the language of the panel, with `{name}` filled in from `values`."""
    found = QCoreApplication.translate(CONTEXT, text)
    return found.format(**values) if values else found


def trn(one: str, many: str, count: int, **values: object) -> str:
    """`one` for a count of 1, else `many`; both may hold {count}."""
    return tr(one if count == 1 else many, count=count, **values)


def retold(sentence: str) -> str:
    """A sentence of the core (an error, a finding, how an attempt ended) in the language of the panel."""
    return QCoreApplication.translate(CORE, sentence)


def figure(value: float, digits: int) -> str:
    """A number with so many digits after its point, as people of the panel's language write it."""
    return QLocale().toString(float(value), "f", digits)


def significant(value: float, digits: int = 6) -> str:
    """A number with so many digits that matter."""
    return QLocale().toString(float(value), "g", digits)


def percent(value: float) -> str:
    """A part of a hundred, as exact as anybody reads it."""
    if value < 0.1:
        return f"<{figure(0.1, 1)} %"
    return f"{figure(value, 1 if value < 9.95 else 0)} %"


def languages() -> tuple[str, ...]:
    """The languages that the panel speaks, English first."""
    return ("en", *sorted(folder.name for folder in LOCALES.iterdir() if folder.is_dir()))


def catalogue(language: str) -> dict[str, str]:
    """Every text of the panel in a language: English to translated. Empty for English."""
    return _texts(path for path in _files(language) if not path.name.startswith(_OF_CORE))


def core_catalogue(language: str) -> dict[str, str]:
    """Every sentence of the core in a language: English template to translated, with the same places."""
    return _texts(path for path in _files(language) if path.name.startswith(_OF_CORE))


def _files(language: str) -> list[Path]:
    return sorted((LOCALES / language).glob("*.json"))


def _texts(paths: Iterable[Path]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for path in paths:
        texts |= json.loads(path.read_text(encoding="utf-8"))
    return texts


def pseudo(text: str) -> str:
    """The text as the pseudo language has it."""
    parts = _PLACE.split(text)
    said = "".join(part if number % 2 else part.translate(_ACCENTS) for number, part in enumerate(parts))
    more = "~" * round(len(text) * _LONGER)
    words = " ".join(more[place : place + _WORD] for place in range(0, len(more), _WORD))
    return f"[{said}{words}]"


class Catalogue(QTranslator):
    """Answers Qt's question for a text from our files."""

    def __init__(self, language: str, parent: QCoreApplication) -> None:
        super().__init__(parent)
        self._language = language

    @cached_property
    def _texts(self) -> dict[str, str]:
        return catalogue(self._language)

    @cached_property
    def _sentences(self) -> Retelling:
        return Retelling(core_catalogue(self._language))

    def isEmpty(self) -> bool:  # noqa: N802 - Qt's name
        return False

    def translate(self, context: str | None, text: str | None, _hint: str | None = None, _n: int = -1) -> str:
        if context not in (CONTEXT, CORE) or text is None:
            return None  # type: ignore[return-value]  # not "": Qt would take that for the translation
        if self._language == PSEUDO:
            return pseudo(text)
        if context == CORE:
            return self._sentences.tell(text)  # type: ignore[return-value]
        return self._texts.get(text)  # type: ignore[return-value]


def speak(app: QCoreApplication, language: str | None = None) -> str:
    """Install a language (the system's by default) for texts made from now on; gives which one it is.

    Numbers, dates and times follow it, too: as the system writes them where it speaks the same language.
    """
    system = QLocale.system()
    own = system.name().split("_")[0]
    wanted = language or own
    wanted = wanted if wanted in (*languages(), PSEUDO) else "en"
    tongue = "en" if wanted == PSEUDO else wanted
    QLocale.setDefault(system if own == tongue else QLocale(tongue))
    if wanted == "en":
        return wanted
    app.installTranslator(Catalogue(wanted, app))
    qt = QTranslator(app)
    if qt.load(f"qtbase_{wanted}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        app.installTranslator(qt)
    return wanted
