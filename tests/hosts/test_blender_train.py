# SPDX-License-Identifier: GPL-3.0-or-later
"""Train on this shot inside real Blenders: true frames, a real training, the range with its model, true numbers."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_train_on_a_shot(blender, tmp_path):
    said = blender("train", size=(64, 48))
    assert "nothing in the scene Scene has a class of the palette street" in said["unclassed"]
    assert "every 9th of the frames 1-5 is only 1; render more true frames" in said["few"]
    assert said["untouched"] == []
    assert said["kept"]
    assert said["pattern"] == "//mapreel/training/maps/maps.####.exr"
    assert said["color"] == [f"beauty.{number:04d}.png" for number in (1, 3, 5)]
    assert said["label"] == [f"label.{number:04d}.exr" for number in (1, 3, 5)]
    assert not said["motion"]  # it would lead over frames that are not there
    assert {"maps of frame 5 of 5", "true frame 3 of 3", "train", "render"} <= set(said["told"])
    assert all(0 <= share <= 1 for share in said["shares"])
    assert Path(said["model"]) == tmp_path / "mapreel" / "training" / "network" / "model"
    assert len(list(Path(said["take"]).glob("*.png"))) == 5
    *parts, whole_s, estimate_s, alone_s = said["parts"]
    assert all(part > 0 for part in parts)
    assert whole_s == pytest.approx(sum(parts))
    assert estimate_s == pytest.approx(alone_s / 3 * 5)
    assert 0 < alone_s <= parts[1]
    assert "3 true frames" in said["sentence"]
    assert "(an estimate: " in said["sentence"]
    assert said["pressed"] == ["FINISHED"]
    assert "2 true frames" in said["shown"]
    assert Path(said["second"]) == tmp_path / "mapreel" / "training_v002" / "network" / "model"
    assert "the labels lack the frames 7,9" in said["lacking"]
