# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests cross a process unchanged, and whatever is unknown in them is an error."""

from __future__ import annotations

import dataclasses
import json

import pytest

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.paths import checked_path, inside_roots
from mapreel.core.contract.requests import (
    DecodeRequest,
    DraftRequest,
    EncodeRequest,
    ImageFormat,
    InspectRequest,
    KeyRule,
    Preset,
    Quality,
    RenderRequest,
    TrainRequest,
    VerifyRequest,
    request_from_json,
)

RENDER = RenderRequest(
    labels="/shots/a b/label.####.png",
    model="street",
    out="/out/take",
    frames="1001-1100x2",
    quality=Quality.FAST,
    missing=MissingFrames.HOLD,
    image_format=ImageFormat.EXR,
    reference=((1001, "/ref/é.png"),),
    keys=KeyRule.PAPER,
)


@pytest.mark.parametrize(
    "request_",
    [
        RENDER,
        EncodeRequest(source="/a", out="/b.nirv", preset=Preset.DRAFT, psnr_db=30),
        DecodeRequest(archive="/b.nirv", out="/c"),
        VerifyRequest(archive="/b.nirv"),
        InspectRequest(source="/a"),
        TrainRequest(data=("/a", "/b"), out="/m", steps=100),
        TrainRequest(data=("/a",), out="/m", steps=1, name="mine", palette="/p.json", teacher="street", critic="oasis"),
        DraftRequest(labels="/l", model="/m", frame=-3, instances="/i", reference=((1, "/r.png"),), quick=True),
    ],
)
def test_round_trip(request_):
    assert request_from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_requests_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RENDER.out = "/elsewhere"


@pytest.mark.parametrize(
    "change",
    [
        {"type": "dance"},
        {"type": None},
        {"format": "other"},
        {"version": 2},
        {"version": True},
        {"extra": 1},
        {"quality": "superb"},
        {"quality": 1},
        {"quality": "full"},
        {"keys": "nearest"},
        {"keys": None},
        {"fps": 0},
        {"fps": 0.0001},
        {"fps": "24"},
        {"fps": True},
        {"frames": "1-10**9"},
        {"resume": 1},
        {"reference": [[1]]},
        {"reference": [["1", "/x"]]},
        {"reference": "/x"},
        {"labels": None},
        {"model": "../street"},
        {"model": "a/b"},
    ],
)
def test_unknown_and_wrong_values(change):
    with pytest.raises(UsageError) as caught:
        request_from_json({**RENDER.to_json(), **change})
    assert caught.value.remedy


def test_a_request_from_before_there_were_rules_means_ours():
    data = RENDER.to_json()
    del data["keys"]
    assert request_from_json(data) == dataclasses.replace(RENDER, keys=KeyRule.ADAPTIVE)
    with pytest.raises(UsageError, match="quality full has no key frames"):
        dataclasses.replace(RENDER, quality=Quality.FULL)


def test_missing_field_and_no_object():
    data = RENDER.to_json()
    del data["labels"]
    with pytest.raises(UsageError, match="lacks labels"):
        request_from_json(data)
    with pytest.raises(UsageError):
        request_from_json([data])


BAD_PATHS = [
    "", "relative/x", "../x", "/shots/../etc/passwd", "C:foo", "\\\\?\\C:\\x", "//?/C:/x", "/a\0b", "http://evil/x",
    "file:///etc/passwd", "rtsp://evil/x", "/" + "x" * 5000, "/a/\udcff",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.parametrize("field", ["labels", "out", "instances", "motion"])
def test_bad_paths_in_every_path_field(path, field):
    with pytest.raises(UsageError, match=field):
        dataclasses.replace(RENDER, **{field: path})


@pytest.mark.parametrize("path", BAD_PATHS)
def test_bad_paths_in_lists(path):
    with pytest.raises(UsageError, match="reference"):
        dataclasses.replace(RENDER, reference=((1, path),))
    with pytest.raises(UsageError, match="data"):
        TrainRequest(data=("/fine", path), out="/m", steps=1)


def test_strange_but_good_paths():
    for path in ("/a/..b/c", "/a/x y ", "/a/ü\u3042.png", "/a/name.####.exr 1001-1100"):
        assert checked_path(path, "labels") == path


def test_only_one_target():
    with pytest.raises(UsageError, match="more than one target"):
        EncodeRequest(source="/a", out="/b.nirv", psnr_db=30.0, size_mb=2.0)


def test_roots_follow_links(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    assert inside_roots(str(root / "shot"), (str(root),))
    assert not inside_roots(str(root / "link" / "shot"), (str(root),))
    assert not inside_roots(str(outside), (str(root),))
    assert not inside_roots("//server/share/x", ())
    assert inside_roots(str(outside), ())
