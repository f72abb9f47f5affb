# SPDX-License-Identifier: GPL-3.0-or-later
"""The page "When something is wrong" knows every error code, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

from mapreel.core.commands.submission import Interrupted
from mapreel.core.contract import errors
from mapreel.core.contract.errors import MapreelError, UsageError
from mapreel.core.media.doctor_findings import Problem

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "trouble.md").read_text(encoding="utf-8")


def rows(part):
    """Code -> cells of its row, of the tables in one part of the page."""
    found = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| (.+?) \|$", part, re.MULTILINE)
    assert len({code for code, *_ in found}) == len(found), "a code is explained twice"
    return {code: cells for code, *cells in found}


def section(title):
    """The text below a heading, up to the next heading of its level."""
    level = title.split(" ")[0]
    return re.split(rf"^{level} ", PAGE.partition(title + "\n")[2], flags=re.MULTILINE)[0]


def known():
    """Every error that an artist can meet, by its code."""
    waiting, found = [MapreelError], {Interrupted.code: Interrupted}
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == errors.__name__:
            found[kind.code] = kind
        waiting += kind.__subclasses__()
    return found


def test_every_code_has_its_cause_and_remedy():
    explained = rows(section("## What the codes mean"))
    assert set(explained) == set(known())
    assert all(len(cause) > 10 and len(remedy) > 5 for cause, remedy in explained.values())


def test_each_code_stands_under_its_exit_code():
    wrong_use = rows(section("### What was asked for or given (exit code 2)"))
    assert set(wrong_use) == {code for code, kind in known().items() if issubclass(kind, UsageError)}


def test_every_problem_of_label_maps_is_explained():
    assert set(rows(PAGE.partition("## When label maps are wrong")[2])) == {problem.value for problem in Problem}
