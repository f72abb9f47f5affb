# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel label doctor` as a user types it: through the service and without, findings, a picture, mended copies."""

from __future__ import annotations

import numpy as np
import pytest

from mapreel.core.contract.requests import InspectRequest, RepairRequest, request_from_json
from mapreel.core.media.images import read_color, write_png
from mapreel.core.media.labels import read_label_map

BOTH = pytest.mark.parametrize("way", [(), ("--local",)], ids=["service", "local"])
CAR = 6


@pytest.fixture
def maps(tmp_path):
    """Five frames, numbered from 1001; a car is gone in the third, and the fifth's ids are 16 bits wide by mistake."""
    folder = tmp_path / "shot a" / "label"
    folder.mkdir(parents=True)
    for number in range(1001, 1006):
        ids = np.ones((96, 128), np.uint8)
        ids[:40] = 4
        if number != 1003:
            ids[50:70, 30:60] = CAR
        write_png(folder / f"label.{number}.png", ids.astype(np.uint16) * 257 if number == 1005 else ids)
    return folder


@BOTH
def test_findings_picture_and_copies(warm_mapreel, maps, tmp_path, way):
    picture, out = tmp_path / "where.png", tmp_path / "mended"
    words = ("label", "doctor", maps, "--palette", "street", "--picture", picture, *way)
    run = warm_mapreel(*words, "--json")
    assert run.code == 0, run.stderr
    result = run.data["result"]
    found = {each["problem"]: each["frames"] for each in result["findings"]}
    assert found == {"class-pop": "1003", "scaled-ids": "1005", "mixed-depths": "1005"}
    assert result["picture"] == str(picture)
    assert read_color(picture).shape[1] == 1280
    run = warm_mapreel(*words, "--repair", out)
    assert run.code == 0, run.stderr
    assert "frame 1003: a class that comes or goes for a few frames (1 region; car)" in run.stdout
    assert "scaled-ids    1       0" in run.stdout
    assert str(tmp_path / "where_v002.png") in run.stdout
    assert sorted(path.name for path in out.iterdir()) == [f"label.{n}.png" for n in range(1001, 1006)]
    whole = read_label_map(out / "label.1001.png")
    assert all((read_label_map(out / f"label.{n}.png") == whole).all() for n in range(1002, 1006))
    assert warm_mapreel(*words, "--strict").code == 1
    assert warm_mapreel("label", "doctor", out, "--palette", "street", "--strict", *way).code == 0
    again = warm_mapreel("label", "doctor", maps, "--repair", out, "--json", *way)
    assert again.data["take"] == str(tmp_path / "mended_v002")


def test_copies_never_lie_among_the_originals(warm_mapreel, maps):
    names = sorted(path.name for path in maps.iterdir())
    run = warm_mapreel("label", "doctor", maps, "--repair", maps)
    assert run.code == 1
    assert run.sentence == f"{maps} holds the originals, which are never touched; choose another folder."
    assert sorted(path.name for path in maps.iterdir()) == names
    assert not maps.with_name("label_v002").exists()


def test_slips_are_told_at_once(warm_mapreel, maps, tmp_path):
    for words, said in [
        ((tmp_path / "nowhere",), "does not exist"),
        ((maps, "--palette", "stret"), "there is no palette stret"),
        ((maps, "--picture", tmp_path / "a.jpg"), "no PNG"),
        ((maps, "--frames", "5-"), "is not a frame range"),
    ]:
        run = warm_mapreel("label", "doctor", *words)
        assert run.code == 2
        assert said in run.sentence


def test_requests_cross_a_process():
    for request in (
        InspectRequest(source="/a/####.png", palette="street", frames="1-9", picture="/b.png"),
        RepairRequest(source="/a", out="/b", palette="/p.json", missing="hold"),
    ):
        again = request_from_json(request.to_json())
        assert again.to_json() == request.to_json()
