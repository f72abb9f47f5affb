# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo makes what it promises, on a small shot with a small model; the bundled shot is what it says it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mapreel.core import demo
from mapreel.core.contract.frames import find_sequence
from mapreel.core.contract.requests import Quality
from mapreel.core.local import LocalContext, claim
from mapreel.core.media.images import read_color
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.movies import movie_info
from mapreel.core.media.palettes import load_palette


def test_the_bundled_shot_is_whole_and_has_no_colour():
    shot = demo.demo_shot()
    assert sorted(path.name for path in shot.iterdir()) == ["LICENSE.txt", "README.md", "instance", "label", "motion"]
    for kind in ("label", "instance", "motion"):
        assert find_sequence(shot / kind).numbers == tuple(range(1, 97))
    known = {entry.id for entry in load_palette(demo.DEMO_PALETTE).classes}
    for number in (1, 48, 96):
        label = read_label_map(find_sequence(shot / "label").pattern.path(number), frame=number)
        assert label.shape == (256, 512)
        assert set(np.unique(label).tolist()) <= known


@pytest.fixture
def small_demo(shot, model, monkeypatch):
    """The demo with the small shot and the small model."""
    monkeypatch.setattr(demo, "demo_shot", lambda: shot)
    monkeypatch.setattr(demo, "DEMO_MODEL", str(model))
    monkeypatch.setattr(demo, "ARCHIVED", 3)


def test_demo(small_demo, tmp_path):
    told, stages = [], set()

    def run(request):
        return claim(request).run(LocalContext(lambda progress: stages.add(progress.stage)))

    (tmp_path / "demo-out").mkdir()
    take, report = demo.run_demo(tmp_path / "demo-out", run, told.append, Quality.FAST)
    assert take == tmp_path / "demo-out_v002"
    made = sorted(path.name for path in take.iterdir() if not path.name.startswith("."))
    assert made == ["contact_sheet.png", "frames", "render.mp4", "report.json", "shot.nirv"]
    assert sorted(path.name for path in (take / "frames").glob("*.png")) == [f"{n}.png" for n in range(1001, 1007)]
    info = movie_info(take / "render.mp4")
    assert (info.frames, info.width, info.height, info.fps) == (6, 128, 64, 24)
    assert read_color(take / "contact_sheet.png").shape == (4 * 64 + 5 * 4, 4 * 128 + 5 * 4, 3)
    assert json.loads((take / "report.json").read_text()) == report
    assert report["frames"] == 6
    assert report["frames_per_second"] > 0
    assert 0 < report["key_frame_share"] <= 1
    assert report["archive"]["frames"] == 3
    assert 5 < report["archive"]["psnr_db"] < 100
    size = (take / "shot.nirv").stat().st_size
    assert report["archive"]["bits_per_pixel"] == pytest.approx(8 * size / (3 * 64 * 128))
    assert set(report["seconds"]) == {"render", "movie", "contact_sheet", "archive", "total"}
    assert set(report["versions"]) == {"python", "mapreel", "torch"}
    assert stages >= {"render", "encode"}
    assert told == ["writing render.mp4", "writing contact_sheet.png"]
    assert not [path for path in take.rglob(".*") if path.name.endswith((".claim", ".work"))]
