# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes by name, palettes against their data sets, the hash of Cryptomatte against published values, manifests."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.errors import DamagedFileError, UnknownLabelError, UsageError
from mapreel.core.contract.maps import MapOptions, split_layout
from mapreel.core.media.classes import EMPTY, UNKNOWN, ClassRules, Coded, Entry, apply_rules, parse_rules
from mapreel.core.media.cryptomatte import parse_manifest
from mapreel.core.media.motioncheck import combined, judge
from mapreel.core.media.murmur import crypto_id, float_bits, murmur3_32
from mapreel.core.media.palettes import load_palette, palette_names

IDS = {"sky": 0, "road": 1, "car": 6}


@pytest.mark.parametrize(
    ("data", "seed", "hashed"),
    [
        (b"", 0, 0),
        (b"", 1, 0x514E28B7),
        (b"", 0xFFFFFFFF, 0x81F16F39),
        (b"\xff\xff\xff\xff", 0, 0x76293B50),
        (b"\x21\x43\x65\x87", 0, 0xF55B516B),
        (b"\x21\x43\x65\x87", 0x5082EDEE, 0x2362F9DE),
        (b"\x21\x43\x65", 0, 0x7E4A8634),
        (b"\x21\x43", 0, 0xA0F7B07A),
        (b"\x21", 0, 0x72661CF4),
        (b"\0\0\0\0", 0, 0x2362F9DE),
        (b"Hello, world!", 1234, 0xFAF6CDB3),
        (b"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD),
    ],
)
def test_the_hash_against_published_values(data, seed, hashed):
    assert murmur3_32(data, seed) == hashed


def test_ids_are_plain_numbers_as_floats():
    """The bit-23 rule: an exponent of 0 or 255 is none of a plain number, and done twice nothing more happens."""
    for hashed, bits in ((0x007FFFFF, 0x00FFFFFF), (0x7F800001, 0x7F000001), (0xFFFFFFFF, 0xFF7FFFFF), (1, 0x00800001)):
        assert float_bits(hashed) == float_bits(bits) == bits
        assert np.isfinite(np.array([bits], np.uint32).view(np.float32)[0])
    assert float_bits(0x3F800000) == 0x3F800000


def test_rules_are_patterns_and_the_first_counts():
    rules = ClassRules((("car*", "car"), ("1?", "road"), ("20-29", "road"), ("[ab]=c", "sky"), ("*", "sky")), IDS)
    cases = {"car_01": 6, "Car": 0, "scar": 0, "a=c": 0}
    assert {name: rules.target(Entry(name), certain=False) for name in cases} == cases
    ids = {i: rules.target(Entry(str(i), i), certain=True) for i in (7, 12, 19, 20, 29, 30)}
    assert ids == {7: 0, 12: 1, 19: 1, 20: 1, 29: 1, 30: 0}


def test_nothing_is_taken_by_its_word_alone():
    assert ClassRules((("*", "sky"),), IDS).target(EMPTY, certain=False) == UNKNOWN
    assert ClassRules((("nothing", "sky"),), IDS).target(EMPTY, certain=False) == 0


def test_without_a_rule_names_count_and_then_only_sure_ids():
    palette_entry = Entry("dynamic", 5)
    assert ClassRules((), IDS).target(Entry("car", 26), certain=False) == 6
    assert ClassRules((), IDS).target(palette_entry, certain=False) == UNKNOWN
    assert ClassRules((), IDS).target(palette_entry, certain=True) == 5
    assert ClassRules().target(palette_entry, certain=False) == 5


def test_a_rule_that_leads_nowhere():
    with pytest.raises(UsageError, match=r"“lorry” is no class of the model.*sky, road, car"):
        ClassRules((("truck", "lorry"),), IDS).target(Entry("truck"), certain=False)


def test_what_has_no_class_is_named_with_its_pixels():
    codes = np.array([[1, 1, 2], [3, 3, 3]], np.uint32)
    coded = Coded(codes, {1: Entry("tree"), 2: Entry("car"), 3: Entry("house")})
    with pytest.raises(UnknownLabelError, match=r"frame 9 .*“house” \(3 pixels\), “tree” \(2 pixels\).*'house=CLASS'"):
        apply_rules(coded, ClassRules((), IDS), Path("x.exr"), 9)


def test_large_codes_and_small_ones_become_the_same_classes():
    ids = np.random.default_rng(1).integers(0, 5, (13, 17)).astype(np.uint32)
    rules = ClassRules((("n0", "3"), ("n1", "9"), ("n2", "65535"), ("n3", "0"), ("n4", "7")))
    expected = np.array([3, 9, 65535, 0, 7], np.uint16)[ids]
    for scale in (1, 800_000_000):
        coded = Coded(ids * np.uint32(scale), {i * scale: Entry(f"n{i}") for i in range(5)})
        assert np.array_equal(apply_rules(coded, rules, Path("x"), 1), expected)


def test_rules_as_words_and_files(tmp_path):
    (tmp_path / "mine.json").write_text('{"car*": "vehicle", "7": 3}')
    (tmp_path / "ours.json").write_text('{"format": "mapreel-classes", "version": 1, "classes": {"*": "rest"}}')
    words = ["a=b=c", str(tmp_path / "mine.json"), str(tmp_path / "ours.json")]
    assert parse_rules(words) == (("a=b", "c"), ("car*", "vehicle"), ("7", "3"), ("*", "rest"))
    for word in ("car", "=car", "car="):
        with pytest.raises(UsageError, match=r"car\*=vehicle"):
            parse_rules([word])
    for text in ("{", "[1]", '{"a": 1.5}', '{"format": "mapreel-classes", "version": 9, "classes": {}}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DamagedFileError):
            parse_rules([str(tmp_path / "bad.json")])


@pytest.mark.parametrize(
    ("name", "count", "known"),
    [
        ("cityscapes", 35, {7: ("road", (128, 64, 128)), 26: ("car", (0, 0, 142)), 33: ("bicycle", (119, 11, 32))}),
        ("cityscapes-train", 20, {0: ("road", (128, 64, 128)), 13: ("car", (0, 0, 142)), 255: ("void", (0, 0, 0))}),
        ("ade20k", 151, {1: ("wall", (120, 120, 120)), 21: ("car", (0, 102, 200)), 150: ("flag", (92, 0, 255))}),
        ("coco-stuff", 183, {0: ("person", (128, 0, 0)), 91: ("banner", (96, 64, 128)), 181: ("wood", (0, 224, 192))}),
        ("celebamask", 19, {0: ("background", (0, 0, 0)), 13: ("hair", (0, 0, 204)), 18: ("cloth", (0, 204, 0))}),
    ],
)
def test_palettes_of_data_sets(name, count, known):
    palette = load_palette(name)
    assert name in palette_names()
    assert palette.source
    assert len(palette.classes) == count
    assert len({entry.name for entry in palette.classes}) == count
    found = {entry.id: (entry.name, entry.color) for entry in palette.classes}
    assert {i: found[i] for i in known} == known


def test_train_ids_are_those_classes_of_cityscapes():
    ids, train = load_palette("cityscapes"), load_palette("cityscapes-train")
    colors = {entry.name: entry.color for entry in ids.classes}
    assert all(colors[entry.name] == entry.color for entry in train.classes if entry.id != 255)
    assert [ids.ids[entry.name] for entry in train.classes if entry.id != 255] == [
        7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33
    ]  # fmt: skip


def test_classes_that_share_a_colour_are_known():
    shared = load_palette("cityscapes").shared_colors
    assert ("car", "license plate") in shared
    assert load_palette("ade20k").shared_colors == [("road", "skyscraper")]


@pytest.mark.parametrize("text", ['{"a\\u00e9": "1234abcd", "b": "0x00000002"}', '{"a\\u00e9": "1234abcd ", "b": "2"}'])
def test_json_with_escapes_may_write_its_numbers_as_it_likes(text):
    assert set(parse_manifest(text).values()) == {"aé", "b"}


@pytest.mark.parametrize("number", ["-1", "1ffffffff", "", "zz"])
def test_numbers_that_no_id_can_be(number):
    with pytest.raises(ValueError, match=r"32 bits|invalid literal"):
        parse_manifest(f'{{"a": "{number}"}}')


def test_a_manifest_as_json_and_as_it_is_written_without_escapes():
    names = ["car_01", 'car "two" ß', "tree\\old", 'end":"x', "日本", "a,b{c}"]
    good = json.dumps({name: f"{crypto_id(name):08x}" for name in names})
    raw = "{" + ",".join(f'"{name}":"{crypto_id(name):08x}"' for name in names) + "}"
    expected = {crypto_id(name): name for name in names}
    assert dict(parse_manifest(good)) == expected
    assert dict(parse_manifest(raw)) == expected
    assert dict(parse_manifest("{}")) == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "nonsense", '{"a":"12345678"', '{"a":"zz"}', '"' * 1_000_000])
def test_broken_manifests(text):
    started = time.monotonic()
    with pytest.raises(ValueError):  # noqa: PT011 - the reader of the file makes the sentence
        parse_manifest(text)
    assert time.monotonic() - started < 5


def test_a_manifest_of_32000_names():
    names = [f'/world/set/"block_{i:05d}" ü' for i in range(32_000)]
    hashes = {name: f"{crypto_id(name):08x}" for name in names}
    started = time.monotonic()
    assert len(parse_manifest(json.dumps(hashes))) == 32_000
    raw = "{" + ", ".join(f'"{name}": "{bits}"' for name, bits in hashes.items()) + "}"
    assert parse_manifest(raw) == {int(bits, 16): name for name, bits in hashes.items()}
    assert time.monotonic() - started < 20


def test_motion_layouts():
    assert split_layout("x,-y") == (None, "x,-y")
    assert split_layout("mv:-x,y") == ("mv", "-x,y")
    assert split_layout("Vector:") == ("Vector", None)
    for text in ("", "y,x", "mv", ":x,y", "x,y,z"):
        with pytest.raises(UsageError, match="x,-y"):
            split_layout(text)


@pytest.mark.parametrize("axes", ["x,y", "x,-y", "-x,y", "-x,-y"])
def test_the_warp_test_finds_every_wrong_sign(axes):
    before, here = np.zeros((60, 80), np.uint16), np.zeros((60, 80), np.uint16)
    before[10:40, 10:40] = here[16:46, 19:49] = 5
    motion = np.zeros((60, 80, 2), np.float32)
    motion[here == 5] = (-9, -6)
    signs = np.array([-1.0 if part[0] == "-" else 1.0 for part in axes.split(",")], np.float32)
    verdict = judge([(motion * signs, here, before)])
    if axes == "x,y":
        assert verdict.better is None
        assert verdict.sure
    else:
        assert verdict.better is not None
        assert combined("x,y", verdict.better.axes) == axes
        assert combined(axes, verdict.better.axes) == "x,y"


def test_the_warp_test_says_nothing_where_nothing_tells():
    still = np.zeros((40, 40), np.uint16)
    verdict = judge([(np.ones((40, 40, 2), np.float32), still, still)])
    assert verdict.better is None
    assert not verdict.sure


def test_options_of_maps_are_checked():
    for bad in ({"classes": (("", "a"),)}, {"layer": ""}, {"motion_layout": "up"}):
        with pytest.raises(UsageError):
            MapOptions(**bad).check_map_options()
