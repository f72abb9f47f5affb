# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking into archives through the service: real archives, real processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.draft import DraftQuestion, DraftSession, frame_from_answer, question_from_json
from mapreel.core.contract.errors import (
    ArchiveError,
    DraftSupersededError,
    InputError,
    MissingInputError,
    ServiceError,
    ServiceUnreachableError,
    UsageError,
)
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.progress import SilentContext
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest, PeekRequest
from mapreel.core.media.images import read_color
from mapreel.core.nirvana.decoding import run_decode
from mapreel.core.nirvana.peek import KEPT_ARCHIVES, ArchiveWindow, screen_delivery, screen_pixels
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
from mapreel.core.service.interactive import WaitingRoom

GOLDEN = Path(__file__).parents[1] / "nirvana_golden"
KINDS = ["reel_v2", "ramp_v2", "lit_v2", "ramp_v1"]


def golden(kind):
    return str(GOLDEN / f"{kind}.nirv")


def picture(frame):
    return np.frombuffer(frame.pixels, np.uint8).reshape(frame.height, frame.width, 3)


@pytest.fixture(scope="module")
def client(shared):
    """A service with the product's own runners; no test here harms it."""
    folder = shared.root / "peeks"
    with ServiceClient(folder) as mine:
        mine.status()
        yield mine
        mine.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_what_decoding_writes(client, tmp_path, kind):
    held = client.peek(PeekRequest(archive=golden(kind))).facts["archive"]
    numbers = FrameRange.parse(held["frames"]).numbers
    assert len(numbers) == held["count"]
    request = DecodeRequest(archive=golden(kind), out=str(tmp_path / "take"), image_format=DecodeFormat.PNG, bits=8)
    run_decode(request, tmp_path / "take", SilentContext())
    for number in {numbers[0], numbers[-1]}:
        frame = client.peek(PeekRequest(archive=golden(kind), frame=number))
        decoded = read_color(tmp_path / "take" / f"{number:04d}.png")
        assert frame.facts["number"] == number
        assert (frame.width, frame.height) == (held["width"], held["height"])
        if not held["alpha"]:
            np.testing.assert_array_equal(picture(frame), decoded)
        assert frame.seconds > 0


def test_facts_of_an_archive(client):
    held = client.peek(PeekRequest(archive=golden("reel_v2"))).facts["archive"]
    size = Path(golden("reel_v2")).stat().st_size
    assert (held["profile"], held["file_bytes"], held["faults"]) == ("reel", size, [])
    assert held["fps"] > 0
    firsts, counts, sizes, alone = zip(*held["groups"], strict=True)
    assert sum(counts) == held["count"]
    assert 0 < sum(sizes) < size
    assert alone[0] is True
    assert firsts[0] == FrameRange.parse(held["frames"]).numbers[0]


def test_region_and_scale(client):
    held = client.peek(PeekRequest(archive=golden("reel_v2"))).facts["archive"]
    number = FrameRange.parse(held["frames"]).numbers[1]
    whole = picture(client.peek(PeekRequest(archive=golden("reel_v2"), frame=number)))
    part = picture(client.peek(PeekRequest(archive=golden("reel_v2"), frame=number, region=(8, 4, 16, 12))))
    np.testing.assert_array_equal(part, whole[4:16, 8:24])
    half = picture(client.peek(PeekRequest(archive=golden("reel_v2"), frame=number, scale=2)))
    assert half.shape == (-(-whole.shape[0] // 2), -(-whole.shape[1] // 2), 3)
    with pytest.raises(UsageError, match="not inside"):
        client.peek(PeekRequest(archive=golden("reel_v2"), frame=number, region=(0, 0, 9999, 4)))


def test_what_cannot_be_shown_has_its_sentence_and_the_next_peek_works(client, tmp_path):
    with pytest.raises(InputError, match="holds no frame 777777"):
        client.peek(PeekRequest(archive=golden("reel_v2"), frame=777777))
    with pytest.raises(MissingInputError):
        client.peek(PeekRequest(archive=str(tmp_path / "none.nirv"), frame=1))
    (tmp_path / "cut.nirv").write_bytes(Path(golden("reel_v2")).read_bytes()[:-40])
    (tmp_path / "text.nirv").write_text("no archive")
    for name in ("cut.nirv", "text.nirv"):
        with pytest.raises(ArchiveError):
            client.peek(PeekRequest(archive=str(tmp_path / name)))
    assert client.peek(PeekRequest(archive=golden("reel_v2"))).pixels == b""
    with pytest.raises(UsageError, match="no request of the type peek"):
        client.submit(PeekRequest(archive=golden("reel_v2")))


def test_an_archive_that_is_written_anew_is_opened_anew(client, tmp_path):
    path = tmp_path / "shot.nirv"
    shutil.copy(golden("ramp_v2"), path)
    first = client.peek(PeekRequest(archive=str(path)))
    assert client.peek(PeekRequest(archive=str(path))).facts["opening_seconds"] < first.facts["opening_seconds"]
    shutil.copy(golden("reel_v2"), tmp_path / "new.nirv")
    (tmp_path / "new.nirv").replace(path)
    assert client.peek(PeekRequest(archive=str(path))).facts["archive"]["profile"] == "reel"


@pytest.mark.parametrize("space", ["srgb", "lin_rec709"])
def test_light_becomes_srgb_and_alpha_lies_over_black(space):
    whole = PictureFormat(alpha=True)
    samples = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], np.uint8)
    assert screen_pixels(samples, whole, screen_delivery(whole)).tolist() == [
        [[200, 100, 50], [0, 0, 0], [100, 50, 25]]
    ]
    light = PictureFormat(samples=SampleFormat.HALF, colour_space=space)
    values = np.array([[[0.0, 0.2159, 1.0], [8.0, -1.0, 0.0031]]], np.float16)
    assert screen_pixels(values, light, screen_delivery(light)).tolist() == [[[0, 128, 255], [255, 0, 10]]]


def test_two_archives_stay_open_and_no_more():
    window = ArchiveWindow()
    for kind in (*KINDS[:3], *KINDS[:2]):
        window.peek(PeekRequest(archive=golden(kind)))
    assert [Path(key[0]).stem for key in window._open] == ["reel_v2", "ramp_v2"]
    assert len(window._open) == KEPT_ARCHIVES
    window.close()


def test_nobody_there_and_none_wanted(tmp_path):
    with ServiceClient(tmp_path / "state", start=False) as client, pytest.raises(ServiceUnreachableError):
        client.peek(PeekRequest(archive=golden("reel_v2")))
    assert not (tmp_path / "state").exists()


def test_a_newer_peek_takes_the_place_of_one_that_waits():
    room, session = WaitingRoom(), DraftSession()
    asked = [
        DraftQuestion(session.name, session.next_serial(), PeekRequest(archive="/a.nirv", frame=frame))
        for frame in (1, 2)
    ]
    first, second = (room.enter(question) for question in asked)
    assert isinstance(first.answer.exception(0), DraftSupersededError)
    assert room.next() is second
    assert question_from_json(json.loads(json.dumps(asked[1].to_json()))) == asked[1]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"1"])
def test_facts_that_are_none_are_no_answer(body):
    with pytest.raises(ServiceError):
        frame_from_answer({"number": 1, "width": 0, "height": 0, "seconds": 0.1}, body)


@pytest.mark.parametrize(
    "wrong",
    [{"scale": 3}, {"region": (0, 0, 0, 4)}, {"region": (-1, 0, 4, 4)}, {"frame": 10**12}, {"archive": "a.nirv"}],
)
def test_peeks_that_cannot_be_are_refused_when_they_are_made(wrong):
    with pytest.raises(UsageError):
        PeekRequest(**{"archive": "/a.nirv", **wrong})


def test_a_peek_loads_nothing_of_the_renderer():
    code = (
        "import sys; from mapreel.core.contract.requests import PeekRequest;"
        "from mapreel.core.runners import open_drafts;"
        f"open_drafts().draft(PeekRequest(archive={golden('reel_v2')!r}));"
        "sys.exit(any(name.startswith('mapreel.core.vid2vid') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
