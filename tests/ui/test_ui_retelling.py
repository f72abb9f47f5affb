# SPDX-License-Identifier: GPL-3.0-or-later
"""What the core says comes before the artist in the language of the panel, whoever says it and however it is joined."""

from __future__ import annotations

import re

import pytest
from PyQt6.QtCore import QCoreApplication

from mapreel.core.contract.errors import InternalError, MapreelError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.requests import request_from_json
from mapreel.core.media.doctor_findings import WORDS, Finding, Problem
from mapreel.core.media.images import read_picture
from mapreel.core.media.palettes import load_palette
from mapreel.core.nirvana.container import Container
from mapreel.ui.retelling import JOINTS, PLACE, Retelling
from mapreel.ui.state.messages import sentence, spoken
from mapreel.ui.text import PSEUDO, Catalogue, core_catalogue, languages, retold
from tests.ui.core_reading import skeleton
from tests.ui.core_sentences import sentences

OTHERS = [name for name in languages() if name != "en"]
ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}")


@pytest.fixture
def speaking(qapp, request):
    catalogue = Catalogue(request.param, QCoreApplication.instance())
    QCoreApplication.installTranslator(catalogue)
    yield request.param
    QCoreApplication.removeTranslator(catalogue)


japanese = pytest.mark.parametrize("speaking", ["ja"], indirect=True)


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_of_the_core_is_translated_and_nothing_else(language):
    """Lacking ones are written into resources/locale: `python -m tests.ui.core_sentences LANGUAGE` lists them."""
    needed = {skeleton(text): f"{where}: {text}" for text, where in sentences().items()}
    known = {skeleton(text): text for text in core_catalogue(language)}
    assert len(needed) > 800
    assert not {needed[text] for text in needed.keys() - known.keys()}
    assert not {known[text] for text in known.keys() - needed.keys()}


@pytest.mark.parametrize("language", OTHERS)
def test_translations_keep_their_places(language):
    for text, said in core_catalogue(language).items():
        assert said.strip(), text
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(said)), text
        assert len(set(PLACE.findall(text))) == len(PLACE.findall(text)), text


@pytest.mark.parametrize("language", OTHERS)
def test_every_template_is_found_when_it_is_filled_in(language):
    retelling = Retelling(core_catalogue(language))
    lost = [text for text in core_catalogue(language) if retelling.tell(PLACE.sub("3", text)) is None]
    assert set(lost) <= set(JOINTS)


def _raised(work, *arguments):
    with pytest.raises(MapreelError) as caught:
        work(*arguments)
    return caught.value


@pytest.fixture
def errors(tmp_path):
    """What real parts raise over real files."""
    picture, archive, palette = tmp_path / "a b.0003.png", tmp_path / "cut; off.nirv", tmp_path / "palette.json"
    picture.write_bytes(b"no picture at all")
    archive.write_bytes(b"\x89NIRV\r\n\x1a")
    palette.write_text('{"format": "mapreel-palette", "version": 1, "name": "x", "classes": 3}', encoding="utf-8")
    return [
        _raised(read_picture, picture, 3),
        _raised(read_picture, tmp_path / "none.png", 4),
        _raised(Container, archive),
        _raised(load_palette, str(palette)),
        _raised(load_palette, "nowhere"),
        _raised(FrameRange.parse, "1-"),
        _raised(request_from_json, {"format": "mapreel-request", "version": 1, "type": "render"}),
        InternalError(
            "the job ended the compute process 3 times in a row (the compute process crashed (SIGKILL))",
            "look at its attempts, then retry it",
        ),
    ]


@japanese
def test_errors_of_real_parts_are_japanese_and_their_json_stays_english(speaking, errors):
    for error in errors:
        for said in (spoken(error), sentence(str(error))):
            assert said.endswith("。"), said
            assert not ENGLISH.search(said), said
            assert ".。" not in said
        assert ENGLISH.search(str(error))
        assert error.to_dict()["what"] == error.what


@japanese
@pytest.mark.parametrize("problem", list(Problem))
def test_findings_of_the_doctor_are_japanese(speaking, problem):
    words = WORDS[problem]
    finding = Finding(
        problem=problem,
        count=6,
        counts=words.counts,
        frames=(3, 4, 9),
        serious=words.serious,
        says=words.says.replace("{note}", "17"),
        mends=words.mends,
        classes=(1, 2),
    )
    said = sentence(finding.sentence({1: "car"}))
    assert not ENGLISH.search(said), said
    assert said.startswith("フレーム 3-4,9: ")
    assert "car" in said


@japanese
def test_sentences_within_sentences_are_told_anew(speaking):
    said = retold(
        "2 frames (4-5) are not rendered, the other 7 are: frame 4 (m/0004.png) is cut short after 12 bytes; "
        "render these maps again (with --missing hold a new take does without them)."
    )
    assert "フレーム 4 (m/0004.png) は 12 バイトで途切れています" in said
    assert not ENGLISH.search(said)
    assert "31, 32 ほか 4 個" in retold("frame 7 (x.png) holds labels this model does not know: 31, 32 and 4 more")


@japanese
@pytest.mark.parametrize("strange", ["this thing is quite broken", "CUDA error: device-side assert", ""])
def test_what_nobody_translated_stays_as_it_is(speaking, strange):
    assert retold(strange) == strange
    assert sentence(strange).lower() == (f"{strange}.".lower() if strange else "")


@pytest.mark.parametrize("speaking", [PSEUDO], indirect=True)
def test_the_pseudo_language_marks_them_too(speaking):
    assert retold("the service does not answer").startswith("[thé šérvîçé")


def test_english_stays_english(qapp):
    assert sentence("the service does not answer") == "The service does not answer."
    assert sentence("there is no job “x”") == "There is no job “x”."
