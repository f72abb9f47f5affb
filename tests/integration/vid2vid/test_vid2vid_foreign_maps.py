# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps that others made, as a shot of the shipped model reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.errors import InputError, UnknownLabelError
from mapreel.core.contract.requests import DraftRequest, RenderRequest, request_from_json
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.shot import open_shot

DATA = Path(__file__).resolve().parents[2] / "data"
BLENDER = str(DATA / "blender" / "blender45.####.exr")
CLASSES = (("car*", "car"), ("ground", "road"), ("tree*", "vegetation"), ("nothing", "sky"))


@pytest.fixture(scope="module")
def model():
    return load_model("street")


def request(**changes) -> RenderRequest:
    fields = {"labels": BLENDER, "model": "street", "out": "/nowhere", "layer": "CryptoObject", "classes": CLASSES}
    return RenderRequest(**{**fields, **changes})


def test_a_request_keeps_how_maps_are_read():
    asked = request(palette="cityscapes", instance_layer="IndexOB", motion_layout="Vector:x,-y")
    assert request_from_json(asked.to_json()) == asked
    drafted = DraftRequest(labels=BLENDER, model="street", frame=2, **asked.map_options())
    assert drafted.as_render().map_options() == asked.map_options()


def test_objects_become_classes_of_the_model_and_instances_their_own(model):
    shot = open_shot(model, request(instances=BLENDER, instance_layer="IndexOB", motion=BLENDER))
    maps = shot.maps(0)
    names = {model.table.names[index] for index in np.unique(maps.classes)}
    assert names == {"sky", "road", "car", "vegetation"}
    assert maps.instances is not None
    assert len(np.unique(maps.instances)) == 5
    assert shot.doubt == ""
    assert shot.maps(1).motion is not None


def test_motion_of_a_wrong_sign_is_refused_or_noted(model, tmp_path):
    """Blender's Vector under a name that says nothing: y is taken as down, and the labels say otherwise."""
    import OpenImageIO as oiio  # noqa: N813  # the library's own habit

    from mapreel.core.media.exrlayers import exr_layout, read_channels

    for number in (2, 3):
        path = DATA / "blender" / f"blender45.{number:04d}.exr"
        wanted = [c for c in exr_layout(path).channels if c.layer == "ViewLayer.Vector"][:2]
        spec = oiio.ImageSpec(64, 48, 2, "float")
        spec.channelnames = ("motion.X", "motion.Y")
        target = oiio.ImageOutput.create("openexr")
        assert target.open(str(tmp_path / f"m.{number:04d}.exr"), spec)
        assert target.write_image(np.stack(read_channels(path, None, wanted), axis=2))
        assert target.close()
    with pytest.raises(
        InputError, match=r"wrong way: read as x,y .*--motion-layout x,-y, or --motion-layout x,y to keep"
    ):
        open_shot(model, request(motion=str(tmp_path)))
    assert open_shot(model, request(motion=str(tmp_path), motion_layout="x,-y")).doubt == ""
    assert "as x,-y on 9" in open_shot(model, request(motion=str(tmp_path), motion_layout="x,y")).doubt


def test_colours_of_a_data_set_become_classes_of_the_model_by_name(model, tmp_path):
    for number in (1, 2):
        shutil.copy(DATA / "maps" / "colours.png", tmp_path / f"a.{number:04d}.png")
    asked = request(labels=str(tmp_path), layer=None, classes=(), palette="cityscapes")
    names = {model.table.names[index] for index in np.unique(open_shot(model, asked).maps(0).classes)}
    assert names == {"sky", "road", "car", "vegetation", "building"}


def test_a_class_that_the_model_lacks_is_no_other_class_with_its_number(model, tmp_path):
    """Cityscapes' 5 is dynamic, the model's a window."""
    import cv2

    assert cv2.imwrite(str(tmp_path / "a.0001.png"), np.full((64, 64), 5, np.uint8))
    with pytest.raises(UnknownLabelError, match=r"“dynamic” \(4096 pixels\).*'dynamic=CLASS'"):
        open_shot(model, request(labels=str(tmp_path), layer=None, classes=(), palette="cityscapes"))
    by_number = open_shot(model, request(labels=str(tmp_path), layer=None, classes=()))
    assert (by_number.maps(0).classes == model.table.ids.index(5)).all()
