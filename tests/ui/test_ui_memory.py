# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that are let go leave the process, also after many came and went."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COME_AND_GO = """
import sys
from pathlib import Path
from mapreel.ui.memory import give_pictures_back
if sys.argv[1] == "set":
    assert give_pictures_back()
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20
kept = []
for turn in range(40):  # sizes that a library's heap would keep, each with something small after it that stays
    block = bytearray(3 << 20)
    block[::4096] = b"x" * len(block[::4096])
    kept.append(block)
    kept.append(bytearray(1 << 12))
    if turn % 4 == 0:
        kept[0] = None
before = resident()
kept = [block for block in kept if block is not None and len(block) < 1 << 20]
print(before, resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="statm of Linux")
def test_what_is_let_go_leaves_the_process():
    words = [sys.executable, "-c", COME_AND_GO, "set"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env={**os.environ})
    before, after = map(int, done.stdout.split())
    assert before > 100
    assert after < 40
