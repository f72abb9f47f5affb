# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside real Blenders: what an artist and a TD do, with the real service and its pictures, pixel for pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "resources" / "demo" / "street"
SIZE = (128, 64)


@pytest.fixture
def maps(tmp_path: Path) -> dict[str, str]:
    """Label and instance maps of the demo, six frames of a corner of it."""
    for kind in ("label", "instance"):
        (tmp_path / kind).mkdir()
        for number in range(1, 7):
            whole = OpenImageIO.ImageBuf(str(DEMO / kind / f"{number:04d}.png"))
            corner = OpenImageIO.ImageBufAlgo.cut(whole, OpenImageIO.ROI(128, 256, 128, 192))
            assert corner.write(str(tmp_path / kind / f"{number:04d}.png"))
    return {"labels": str(tmp_path / "label"), "instances": str(tmp_path / "instance")}


def pixels(path: str | Path) -> np.ndarray:
    """The pixels of a picture. [H, W, 3] uint8."""
    return np.asarray(OpenImageIO.ImageBuf(str(path)).get_pixels(OpenImageIO.UINT8))[..., :3]


def passes(path: Path) -> dict[str, np.ndarray]:
    """Every channel of a multi-layer EXR by the end of its name."""
    file = OpenImageIO.ImageInput.open(str(path))
    spec = file.spec()
    data = np.asarray(file.read_image("float")).reshape(spec.height, spec.width, spec.nchannels)
    file.close()
    return {name.split(".", 1)[1]: data[..., at] for at, name in enumerate(spec.channelnames)}


def test_maps_from_the_scene(blender):
    said = blender("from_scene")
    ids = said["ids"]
    assert said["guessed"] == {"red_car_paint": "car"}
    assert said["bare"] == ["Plane (no material)"]
    assert "the palette street has no class spaceship" in said["wrong"]
    assert said["named"] == ["Plane"]
    assert (said["frames"], said["again"][1]) == ([1001, 1002, 1003], [1001, 1003])
    assert Path(said["again"][0]).name == "maps ü_v002"
    assert said["progress"][-1] == [3, 3]
    assert said["left"] == [77, 33]
    assert said["clean"]
    assert said["slots"] == [["DATA", None]] or said["slots"] == []
    assert "nothing in the scene Scene has a class" in said["no_class"]
    assert "has no camera; add one" in said["no_camera"]

    pictures = sorted(Path(said["take"]).glob("*.png"))
    assert [path.stem.rpartition(".")[2] for path in pictures] == ["1001", "1002", "1003"]
    assert pixels(pictures[0]).shape == (64, 128, 3)

    folder = Path(said["folder"])
    assert sorted(path.name for path in folder.iterdir()) == [
        "maps.1001.exr", "maps.1002.exr", "maps.1003.exr", "palette.json",
    ]  # fmt: skip
    still, moving = passes(folder / "maps.1001.exr"), passes(folder / "maps.1003.exr")
    labels = next(data for name, data in moving.items() if name.startswith(("IndexMA", "Material Index")))
    instances = next(data for name, data in moving.items() if name.startswith(("IndexOB", "Object Index")))
    assert set(np.unique(labels)) == {0, ids["road"], ids["car"]}
    car = labels == ids["car"]
    assert len(np.unique(instances[car])) == 1  # the bumper is part of what it is parented to
    assert set(np.unique(instances[labels == ids["road"]])) == {2.0}
    assert np.abs(still["Vector.X"]).max() == 0
    assert np.abs(moving["Vector.X"][car]).min() > 1
    assert np.abs(moving["Vector.X"][~car]).max() == 0


def test_a_shot_from_maps_to_archive(blender, maps, tmp_path):
    said = blender("render_and_show", **maps, size=SIZE)
    assert "no labels chosen; choose a sequence of label maps" in said["unset"]
    assert "no out chosen" in said["unsaved"]
    assert said["progress"][-1] == 4
    take = Path(said["take"])
    assert take == tmp_path / "mapreel" / "take"
    for frame, shown in zip((1, 3), said["shown"], strict=True):
        assert np.array_equal(pixels(shown), pixels(take / f"{frame:04d}.png"))
    assert said["strip"] == [1, 5, 1, 2]
    assert said["operator"] == ["FINISHED"]
    assert said["takes"] == ["take", "take_v002"]
    assert Path(said["second"]).name == "take_v002"
    assert said["back_to_first"] == said["take"]
    assert pixels(said["draft"]).shape == (SIZE[1], SIZE[0], 3)
    assert Path(said["archive"]).stat().st_size > 300  # of 20 dB
    assert len(said["frames"]) == 4
    assert "no take is not there" in said["gone"]
    assert said["outside"].startswith("GapError")
    assert "no file matches" in said["missing"]

    later = blender("without_extension", blend=said["blend"])
    assert not later["known"]
    assert np.array_equal(pixels(later["shown"]), pixels(take / "0001.png"))
    assert later["labels"] == maps["labels"]
    assert later["model"] == "street"
    assert later["take"] == said["second"]
    assert later["group"] == [maps["labels"], said["take"]]


def test_half_floats_come_through_the_compositor_as_they_are(blender, maps):
    said = blender("shown_exr", labels=maps["labels"], size=SIZE)
    files = [OpenImageIO.ImageBuf(str(path)) for path in (said["shown"], Path(said["take"]) / "0002.exr")]
    assert [str(file.spec().format) for file in files] == ["half", "half"]
    shown, written = (np.asarray(file.get_pixels(OpenImageIO.HALF))[..., :3] for file in files)
    assert shown.shape == (SIZE[1], SIZE[0], 3)
    assert len(np.unique(written)) > 100
    assert np.array_equal(shown.view(np.uint16), written.view(np.uint16))


@pytest.mark.usefixtures("own_state")
@pytest.mark.parametrize("python", ["", "/nowhere/python"])
def test_a_worker_that_is_not_installed(blender, python):
    said = blender("no_worker", python=python, labels=str(DEMO / "label"))
    assert ("could not be started" if python else "Mapreel itself is not set up for this host") in said["refused"]
    assert said["alive"]
