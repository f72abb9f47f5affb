# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of broken EXR, PNG, TIFF, JPEG and MP4 files: read, or refused with a sentence. See tests/fuzz."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).resolve().parents[1] / "fuzz" / "media_fuzz.py"
COUNT = 660


def test_broken_files_are_read_or_refused(tmp_path):
    command = [sys.executable, str(FUZZ), "--count", str(COUNT), "--seed", "20", "--keep", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert done.stderr == ""  # libraries that talk would spoil the progress lines
    head, *rows = [line.split() for line in done.stdout.splitlines() if len(line.split()) in (8, 9)][:23]
    counts = {name: dict(zip(head, map(int, numbers), strict=True)) for name, *numbers in rows}
    assert len(counts) == 22
    assert sum(sum(row.values()) for row in counts.values()) == COUNT
    for name, row in counts.items():
        assert row["refused"] >= 5, f"{name} is hardly touched: {row}"
        if name.startswith("png"):  # every byte of a PNG is under a checksum: never another picture
            assert row["other"] == 0
