# SPDX-License-Identifier: GPL-3.0-or-later
"""Every text of the panel is marked, translated whole, and keeps its places."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from PyQt6.QtCore import QCoreApplication

from mapreel.ui import text as text_module
from mapreel.ui.text import PSEUDO, Catalogue, catalogue, languages, pseudo, tr

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
