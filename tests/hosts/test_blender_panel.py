# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel is opened from inside real Blenders: the words it is started with, its troubles, its link to the file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

TIMES = int(os.environ.get("MAPREEL_KILLS", "3"))  # how often a panel is killed
DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo" / "street"
RECORDING = """#!{python}
import json, os, pathlib, sys
words = [sys.argv[1:], sorted(name for name in os.environ if name.startswith("PYTHON"))]
pathlib.Path({record!r}).write_text(json.dumps(words))
"""
FAILING = """#!{python}
import sys
sys.exit("some line\\nmapreel: there is no screen here; use another machine")
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script with a first line for Unix")


def program(path: Path, text: str) -> str:
    """Something that can be run in place of Mapreel's Python."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_the_panel_is_opened(blender, tmp_path):
    record = tmp_path / "record.json"
    said = blender(
        "open_panel",
        labels=str(DEMO / "label"),
        take=str(DEMO / "label"),
        record=str(record),
        recording=program(tmp_path / "recording", RECORDING.format(python=sys.executable, record=str(record))),
        failing=program(tmp_path / "failing", FAILING.format(python=sys.executable)),
    )
    words, variables = json.loads(record.read_text(encoding="utf-8"))
    wanted = ["-P", "-m", "mapreel.core.cli", "panel", "--host-session", said["session"], "--", str(DEMO / "label")]
    assert (words, variables) == (wanted, [])
    assert said["seconds"] < 0.2
    assert said["failed"] == "the panel did not start: there is no screen here; use another machine"
    assert said["nowhere"].startswith("/nowhere/python could not be started; run `install.py host blender`")
    assert said["unset"].startswith("Mapreel itself is not set up for this host")
    assert said["alive"]
    assert said["again"] == "the panel is open already"
    assert said["shown"] == str(DEMO / "label")
    assert said["killed"].startswith("the panel broke off (signal 9)")


def test_a_panel_that_is_killed_is_told_and_opens_again(blender: Any, record_property: Any) -> None:
    said = blender("panel_killed", limit_s=60.0 + 20.0 * TIMES, labels=str(DEMO / "label"), times=TIMES)
    rounds = said["rounds"]
    assert len(rounds) == TIMES
    for each in rounds:
        assert each["alive"], each
        assert each["said"] == "the panel broke off (signal 9); nothing here is lost: open it again", each
        assert each["told_s"] < 2.0, each
    slowest = max(each["told_s"] for each in rounds)
    mean = sum(each["told_s"] for each in rounds) / TIMES
    record_property("told_s", f"{TIMES} kills: said within {slowest:.2f} s at most, {mean:.2f} s in the mean")
    assert said["alive"]
    assert said["kept"] == str(DEMO / "label")
