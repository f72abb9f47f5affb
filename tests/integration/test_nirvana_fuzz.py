# SPDX-License-Identifier: GPL-3.0-or-later
"""Some thousand broken archives: refused by name, or the right picture, or `verify` tells. See tests/fuzz."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "fuzz" / "nirvana_fuzz.py"
COUNT = 1000


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of time and memory, and their peak, are Linux'"
)
def test_broken_archives_are_refused_by_name_or_right():
    done = subprocess.run(
        [sys.executable, str(FUZZ), "--count", str(COUNT), "--seed", "ci"],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    *archives, total = map(json.loads, done.stdout.splitlines())
    assert len(archives) >= 3
    assert total["mutations"] == COUNT
    assert total["faults"] == 0
    forged = sum(n for name, n in total["counts"].items() if not name.startswith("blind"))
    assert forged == pytest.approx(COUNT / 2, abs=len(archives))
    reached = sum(
        n for name, n in total["counts"].items() if name.startswith(("forged", "symbols")) and "right" in name
    )
    assert reached > 20  # behind the checksums there are pictures, too
