# SPDX-License-Identifier: GPL-3.0-or-later
"""Every text of the panel is marked, translated whole, and keeps its places."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from PyQt6.QtCore import QCoreApplication, QLocale, QTranslator

from mapreel.ui import text as text_module
from mapreel.ui.state.job_model import moment
from mapreel.ui.state.job_texts import about, size_text, span
from mapreel.ui.text import PSEUDO, Catalogue, catalogue, figure, languages, percent, pseudo, significant, speak, tr

UI = Path(text_module.__file__).parent
PLACE = re.compile(r"\{(\w*)[^}]*\}")
KEY = re.compile(r"&(?=\w)")


def _texts():
    """Every literal given to tr and trn, with where it stands; a call without a literal is a fault."""
    found, faults = {}, []
    for path in sorted(UI.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tr", "trn")):
                continue
            if path.name == "text.py":
                continue
            for word in node.args[: 1 if node.func.id == "tr" else 2]:
                parts = [word.body, word.orelse] if isinstance(word, ast.IfExp) else [word]
                for part in parts:
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        found[part.value] = f"{path.relative_to(UI)}:{node.lineno}"
                    else:
                        faults.append(f"{path.relative_to(UI)}:{node.lineno}")
    return found, faults


TEXTS, FAULTS = _texts()


def test_every_text_is_a_literal():
    assert TEXTS
    assert not FAULTS


@pytest.mark.parametrize("language", [name for name in languages() if name != "en"])
def test_a_language_is_complete_and_holds_nothing_else(language):
    known = catalogue(language)
    missing = {text: where for text, where in TEXTS.items() if text not in known}
    assert not missing
    assert not sorted(set(known) - set(TEXTS))


@pytest.mark.parametrize("language", [name for name in languages() if name != "en"])
def test_translations_keep_the_places_and_keys(language):
    for text, said in catalogue(language).items():
        assert said.strip(), text
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(said)), text
        assert len(KEY.findall(text)) == len(KEY.findall(said)), text


def test_the_pseudo_language_is_longer_and_keeps_places(qapp):
    assert pseudo("{count} frames") == "[{count} fråméš~~~~~~]"
    catalogue_of = Catalogue(PSEUDO, QCoreApplication.instance())
    QCoreApplication.installTranslator(catalogue_of)
    try:
        assert tr("{count} gaps", count=3).startswith("[3 gåpš")
    finally:
        QCoreApplication.removeTranslator(catalogue_of)


def test_japanese_is_what_a_japanese_system_gets(qapp):
    assert "ja" in languages()
    catalogue_of = Catalogue("ja", QCoreApplication.instance())
    QCoreApplication.installTranslator(catalogue_of)
    try:
        assert tr("Shots") == "ショット"
    finally:
        QCoreApplication.removeTranslator(catalogue_of)


@pytest.fixture
def locale():
    """Whatever a test makes of it, the next one has the old one."""
    before = QLocale()
    yield
    QLocale.setDefault(before)


@pytest.fixture
def spoken(qapp, locale):
    yield lambda language: speak(qapp, language)
    for translator in qapp.findChildren(QTranslator):
        qapp.removeTranslator(translator)
        translator.setParent(None)


def test_times_and_dates_are_japanese_in_a_japanese_panel(spoken):
    assert spoken("ja") == "ja"
    assert QLocale().language() == QLocale.Language.Japanese
    assert about(40) == "約 40 秒"
    assert span(65) == "1:05 分"
    assert moment(86400.0 * 365 * 30).startswith(("1999/12/", "2000/01/"))  # whatever the zone
    assert QLocale().dayName(1) == "月曜日"


def test_english_has_english_numbers_whatever_the_system(spoken):
    for language in ("en", PSEUDO):
        spoken(language)
        assert QLocale().language() in (QLocale.Language.English, QLocale.Language.C)
        assert size_text(1.5e9) == "1.5 GB"


@pytest.mark.parametrize(("language", "said"), [("en", "1,234.5"), ("ja", "1,234.5"), ("de", "1.234,5")])
def test_numbers_are_written_as_the_language_writes_them(locale, language, said):
    QLocale.setDefault(QLocale(language))
    assert figure(1234.5, 1) == said
    comma = "," if language == "de" else "."
    assert size_text(1.52e9) == f"1{comma}5 GB"
    assert percent(6.54) == f"6{comma}5 %"
    assert percent(0.01) == f"<0{comma}1 %"
    assert significant(0.12345, 2) == f"0{comma}12"
    assert about(5400) in (f"about 1{comma}5 h", "about 90 min")
