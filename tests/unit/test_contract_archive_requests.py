# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests about archives: what earlier versions sent is still read, new fields are checked when made and when read."""

from __future__ import annotations

import pytest

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest, EncodeRequest, request_from_json

OLD_ENCODE = {
    "format": "mapreel-request", "type": "encode", "version": 1, "source": "/a", "out": "/b.nirv", "frames": None,
    "fps": 24.0, "profile": "nirvana", "preset": "good", "psnr_db": None, "bits_per_pixel": None, "size_mb": None,
}  # fmt: skip
OLD_DECODE = {
    "format": "mapreel-request", "type": "decode", "version": 1, "archive": "/b.nirv", "out": "/c", "frames": None,
    "image_format": "png",
}  # fmt: skip


def test_what_earlier_versions_sent_is_read():
    encode = request_from_json(OLD_ENCODE)
    assert encode == EncodeRequest(source="/a", out="/b.nirv", profile="nirvana")
    decode = request_from_json(OLD_DECODE)
    assert isinstance(decode, DecodeRequest)
    assert (decode.image_format, decode.region, decode.scale, decode.maps) == (DecodeFormat.PNG, None, 1, False)


def test_new_fields_come_back():
    encode = EncodeRequest(
        source="/a", out="/b.nirv", depth="half", colour_space="ACEScg", alpha=False, labels="/l", instances="/i",
        palette="street", recipe="/r.json", timecode="01:00:00:00", tags=(("shot", "sh010"),), dated=True, intra=4,
    )  # fmt: skip
    assert request_from_json(encode.to_json()) == encode
    assert {path for _, path in encode.paths()} == {"/a", "/b.nirv", "/l", "/i", "/r.json"}
    decode = DecodeRequest(
        archive="/b.nirv", out="/c", image_format=DecodeFormat.EXR32, region=(0, 8, 16, 24), scale=4, maps=True
    )
    assert request_from_json(decode.to_json()) == decode


@pytest.mark.parametrize(
    "fields",
    [
        {"depth": "9"},
        {"intra": 0},
        {"intra": 5000},
        {"colour_space": ""},
        {"colour_space": "x" * 65},
        {"colour_space": "a\nb"},
        {"tags": (("", "x"),)},
        {"tags": (("a", "x"), ("a", "y"))},
        {"labels": "relative/path"},
        {"palette": "../up.json"},
    ],
)
def test_encodes_that_cannot_be(fields):
    with pytest.raises(UsageError):
        EncodeRequest(source="/a", out="/b.nirv", **fields)


@pytest.mark.parametrize("fields", [{"scale": 3}, {"scale": 0}, {"region": (0, 0, 0, 5)}, {"region": (-1, 0, 5, 5)}])
def test_decodes_that_cannot_be(fields):
    with pytest.raises(UsageError):
        DecodeRequest(archive="/b.nirv", out="/c", **fields)


def test_a_region_of_three_numbers_is_refused():
    with pytest.raises(UsageError):
        request_from_json({**OLD_DECODE, "region": [1, 2, 3]})
