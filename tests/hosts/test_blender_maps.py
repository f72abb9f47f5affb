# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps from files inside real Blenders: frames, gaps, size, classes and findings before anything renders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO
import pytest

DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo" / "street"


@pytest.fixture
def maps(tmp_path: Path) -> dict[str, str]:
    """A corner of the demo: one with a frame missing and a class that nobody knows, and one as it should be."""
    for name, numbers in (("broken", (1, 2, 4, 5)), ("clean", (1, 2, 3))):
        (tmp_path / name).mkdir()
        for number in numbers:
            whole = OpenImageIO.ImageBuf(str(DEMO / "label" / f"{number:04d}.png"))
            corner = OpenImageIO.ImageBufAlgo.cut(whole, OpenImageIO.ROI(128, 256, 128, 192))
            if name == "broken" and number == 2:
                corner.set_pixels(OpenImageIO.ROI(0, 40, 0, 40), np.full((40, 40, 1), 200 / 255, np.float32))
            assert corner.write(str(tmp_path / name / f"{number:04d}.png"))
    return {"labels": str(tmp_path / "broken"), "clean": str(tmp_path / "clean")}


def test_maps_are_looked_at_before_a_render(blender, maps):
    said = blender("maps_look", **maps)
    assert said["nothing"] == []
    assert said["first"][:4] == ["4 frames: 1-2,4-5", "missing: 3", "128 x 64 pixels", "4 frames checked"]
    assert "200" in " ".join(said["first"][4:])
    assert {"sky", "road", "car"} <= set(said["first"])
    assert said["second"][0] == "3 frames: 1-3"
    assert "missing" not in " ".join(said["second"])
    assert said["third"][0].endswith("/nowhere")
    assert said["third"][1:] == ["does not exist; check the name.", "mapreel.check_maps"]
    assert said["longest"] < 0.25  # on a busy machine; `test_blender_main_thread` measures it
    assert said["whole"][:4] == said["first"][:4]
    assert said["told"].startswith("4 frames: 1-2,4-5; missing: 3; 128 x 64 pixels; ")
    assert "no labels chosen" in said["refused"]


def layers(path: Path) -> np.ndarray:
    """All channels of an EXR. [H, W, C] float32."""
    return np.asarray(OpenImageIO.ImageBuf(str(path)).get_pixels(OpenImageIO.FLOAT))


def test_maps_from_the_scene_leave_the_window_alive(blender, tmp_path):
    said = blender("steps")
    assert said["answers"] == ["RUNNING_MODAL", "RUNNING_MODAL", "PASS_THROUGH", "CANCELLED"]
    assert said["shown"] == [pytest.approx(1 / 3), "maps of frame 2 of 3"]
    assert said["partial"] == ["maps.0007.exr"]
    assert said["between"]
    assert said["after_esc"] == ["Maps from the scene: cancelled", None, False, ""]
    assert said["answered"] == ["RUNNING_MODAL"] * 3 + ["FINISHED"]
    assert said["said"].startswith("3 frames of maps, ")
    assert said["labels"] == str(tmp_path / "whole" / "maps.####.exr")
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == ["maps.0007.exr", "maps.0008.exr", "maps.0009.exr", "palette.json"]
    for name in names[:3]:
        assert np.array_equal(layers(tmp_path / "whole" / name), layers(Path(said["at_once"]) / name))
    assert "the scene Scene is not there any more" in said["gone"]
    assert not said["left"]
    assert said["no_camera"] == ["CANCELLED", "the scene Scene has no camera; add one, and make it the scene's."]
    assert said["kept"]
