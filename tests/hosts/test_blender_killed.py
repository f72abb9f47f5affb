# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker and its service are killed again and again while Blender waits; MAPREEL_KILLS=50 says how often."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import OpenImageIO
import pytest

TIMES = int(os.environ.get("MAPREEL_KILLS", "2"))
FRAMES = 3
DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo" / "street" / "label"


@pytest.mark.usefixtures("own_state")
def test_what_is_killed_is_said_and_the_render_goes_on(blender: Any, tmp_path: Path, record_property: Any) -> None:
    labels = tmp_path / "label"
    labels.mkdir()
    for number in range(1, FRAMES + 1):
        whole = OpenImageIO.ImageBuf(str(DEMO / f"{number:04d}.png"))
        corner = OpenImageIO.ImageBufAlgo.cut(whole, OpenImageIO.ROI(128, 192, 128, 192))
        assert corner.write(str(labels / f"{number:04d}.png"))
    said = blender("killed", limit_s=60.0 + 30.0 * TIMES, labels=str(labels), frames=FRAMES, times=TIMES)
    rounds = said["rounds"]
    assert len(rounds) == TIMES
    for each in rounds:
        assert each["sentence"].startswith(("the worker stopped in mid-job", "the service ended")), each
        assert each["told_s"] < 2.0, each
        assert (each["state"], each["pictures"]) == ("finished", FRAMES), each
    slowest = max(each["told_s"] for each in rounds)
    mean = sum(each["told_s"] for each in rounds) / TIMES
    record_property("told_s", f"{TIMES} kills: said within {slowest:.2f} s at most, {mean:.2f} s in the mean")
    assert said["alive"]
    assert said["kept"] == str(labels)
