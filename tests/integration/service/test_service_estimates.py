# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job will take, by the jobs that have finished: real files, a real queue, a real service."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import OpenImageIO
import pytest

from mapreel.core.contract.errors import ServiceError, ServiceUnreachableError, UsageError
from mapreel.core.contract.estimate import Estimate
from mapreel.core.contract.requests import (
    DecodeFormat,
    DecodeRequest,
    DraftRequest,
    EncodeRequest,
    ImageFormat,
    Quality,
    RenderRequest,
    VerifyRequest,
)
from mapreel.core.service.estimates import estimate
from mapreel.core.service.picture_sizes import picture_size

GOLDEN = Path(__file__).parents[1] / "nirvana_golden"


def png(path, width, height):
    """A grey PNG, whole."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes((width + 1) * height)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b""))


def shot(folder, numbers, size=(64, 32)):
    folder.mkdir()
    for number in numbers:
        png(folder / f"{number:04d}.png", *size)
    return str(folder)


def render(labels, **fields):
    return RenderRequest(**{"labels": labels, "model": "street", "out": "/takes/x", **fields})


def row(request, took, **result):
    return {"request": request.to_json(), "result": result, "seconds": took}


def test_without_history_nothing_is_invented(tmp_path):
    labels = shot(tmp_path / "a", range(1001, 1011))
    assert estimate(render(labels), []) == Estimate(None, None, 0, 10)
    other = render(labels, model="other")
    history = [row(other, 12.0, frames=10, rendered=10, seconds=10.0, width=64, height=32, bytes=1000)]
    assert estimate(render(labels), history) == Estimate(None, None, 0, 10)


def test_pace_of_frame_pixels_where_sizes_are_known(tmp_path):
    small = shot(tmp_path / "small", range(1, 11), (64, 32))
    large = shot(tmp_path / "large", range(1, 21), (128, 64))
    history = [row(render(small), 12.0, frames=10, rendered=10, seconds=10.0, width=64, height=32, bytes=1000)]
    told = estimate(render(large), history)
    assert told == Estimate(20 * 4 * 1.0 + 2.0, 20 * 4 * 100.0, 1, 20)
    assert estimate(render(large, frames="3-6"), history).seconds == 4 * 4 * 1.0 + 2.0
    assert estimate(render(large, image_format=ImageFormat.EXR), history).size_bytes is None
    assert estimate(render(large, quality=Quality.FAST), history).seconds is None


def test_the_middle_of_several_and_only_of_frames_that_were_made(tmp_path):
    labels = shot(tmp_path / "a", range(1, 11))
    sizes = {"width": 64, "height": 32}
    history = [
        row(render(labels), 6.0, frames=100, rendered=5, seconds=5.0, **sizes),
        row(render(labels), 31.0, frames=10, rendered=10, seconds=30.0, **sizes),
        row(render(labels), 21.0, frames=10, rendered=10, seconds=20.0, **sizes),
        row(render(labels), 1.0, frames=10, rendered=0, seconds=0.0, **sizes),
    ]
    told = estimate(render(labels), history)
    assert (told.seconds, told.based_on) == (21.0, 3)


def test_without_sizes_the_same_source_goes_first(tmp_path):
    labels = shot(tmp_path / "a", range(1, 11))
    mine, other = render(labels), render("/elsewhere")
    history = [row(other, 101.0, frames=10, seconds=100.0), row(mine, 11.0, frames=10, seconds=10.0)]
    assert estimate(render(labels), history).seconds == 11.0
    assert estimate(render(labels), history[:1]).seconds == 101.0


def test_targets_of_bytes_and_versions_in_names(tmp_path):
    plates = shot(tmp_path / "p", range(1, 11))
    encode = EncodeRequest(source=plates, out="/x.nirv", size_mb=3.0)
    assert estimate(encode, []).size_bytes == 3e6
    rate = EncodeRequest(source=plates, out="/x.nirv", bits_per_pixel=0.5)
    assert estimate(rate, []).size_bytes == 0.5 * 10 * 64 * 32 / 8
    archive = tmp_path / "sh010_v002.nirv"
    archive.write_bytes(b"x")
    verify = VerifyRequest(archive=str(archive))
    assert estimate(verify, []).frames is None  # not frame 2 of a sequence
    assert estimate(verify, [row(verify, 3.0, frames=48, seconds=2.0)]) == Estimate(3.0, None, 1, 48)


@pytest.mark.parametrize("result", [None, [], {"frames": "x"}, {"frames": 0}, {"seconds": {}}])
def test_results_that_nobody_understands_are_left_out(tmp_path, result):
    labels = shot(tmp_path / "a", range(1, 11))
    rows = [{"request": render(labels).to_json(), "result": result, "seconds": 1.0}]
    rows += [{"request": {"type": "cook"}, "result": {"frames": 1}, "seconds": 1.0}]
    assert estimate(render(labels), rows).seconds is None


def test_sizes_of_pictures(tmp_path):
    png(tmp_path / "a.png", 123, 45)
    spec = OpenImageIO.ImageSpec(60, 20, 3, "half")
    spec.x, spec.y, spec.full_width, spec.full_height = -5, 7, 99, 99
    written = OpenImageIO.ImageBuf(spec)
    assert written.set_pixels(OpenImageIO.ROI(), np.zeros((20, 60, 3), np.float32))
    assert written.write(str(tmp_path / "a.exr"))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])
    (tmp_path / "cut.exr").write_bytes((tmp_path / "a.exr").read_bytes()[:100])
    (tmp_path / "none.txt").write_text("hello")
    assert picture_size(tmp_path / "a.png") == (123, 45)
    assert picture_size(tmp_path / "a.exr") == (60, 20)
    for name in ("cut.png", "cut.exr", "none.txt", "absent"):
        assert picture_size(tmp_path / name) is None


def test_the_service_learns_from_its_jobs(house):
    with house.client() as client:
        request = house.request(frames=6, pause_s=0.05)
        assert client.estimate(request) == Estimate(None, None, 0, None)
        client.wait(client.submit(request).id)
        told = client.estimate(request)
        assert (told.frames, told.based_on, told.size_bytes) == (6, 1, None)
        assert 0.3 <= told.seconds < 30
        longer = RenderRequest(labels=request.labels, model="street", out=request.out, frames="1001-1012")
        assert client.estimate(longer).seconds > told.seconds
        assert len(client.list()) == 1
        with pytest.raises(UsageError, match="no request of the type draft"):
            client.estimate(DraftRequest(labels=request.labels, model="street", frame=1))


def test_a_real_decode_foretells_the_next_one(shared, tmp_path):
    from mapreel.core.contract.client import ServiceClient

    with ServiceClient(shared.root / "estimates") as client:
        try:
            archive = str(GOLDEN / "reel_v2.nirv")
            request = DecodeRequest(archive=archive, out=str(tmp_path / "take"), image_format=DecodeFormat.PNG)
            done = client.wait(client.submit(request).id)
            told = client.estimate(request)
            files = sum(path.stat().st_size for path in (tmp_path / "take").glob("*.png"))
            assert done.result["bytes"] == files
            assert told.frames == done.result["frames"]
            assert told.size_bytes == pytest.approx(files)
            assert told.seconds >= done.result["seconds"]
        finally:
            client.stop()


def test_nobody_there_and_none_wanted(house):
    with house.client(start=False) as client, pytest.raises(ServiceUnreachableError):
        client.estimate(house.request())
    assert not house.folder.root.exists()


@pytest.mark.parametrize("body", [{}, {"seconds": "x", "size_bytes": None, "based_on": 0, "frames": None}])
def test_an_answer_that_is_no_estimate(body):
    with pytest.raises(ServiceError):
        Estimate.from_json(json.loads(json.dumps(body)))
    assert Estimate.from_json(Estimate(1.0, None, 2, 3).to_json()) == Estimate(1.0, None, 2, 3)
