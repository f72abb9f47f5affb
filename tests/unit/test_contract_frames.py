# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges and patterns of the field: read as meant, printed back as written."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from mapreel.core.contract.errors import EmptySequenceError, InputError, MissingInputError, UsageError
from mapreel.core.contract.frames import FrameRange, SequencePattern, find_sequence


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1001", [1001]),
        ("1001-1003", [1001, 1002, 1003]),
        ("1001-1006x2", [1001, 1003, 1005]),
        ("1001,1005,1010-1012", [1001, 1005, 1010, 1011, 1012]),
        ("-3--1", [-3, -2, -1]),
        ("5-3", [5, 4, 3]),
        ("3,1-4", [3, 1, 2, 4]),
    ],
)
def test_ranges(text, numbers):
    found = FrameRange.parse(text)
    assert list(found) == numbers
    assert FrameRange.parse(str(found)) == found
    assert all(number in found for number in numbers)
    assert 99 not in found


def test_numbers_are_printed_as_ranges():
    assert str(FrameRange.from_numbers([1001, 1002, 1003, 1010, 1020, 1022, 1024])) == "1001-1003,1010,1020-1024x2"
    assert str(FrameRange.from_numbers([1, 50])) == "1,50"


@pytest.mark.parametrize("text", ["", "a", "1-", "1-5x0", "1:5", "1-10**9", "1--", "٣", "1,,2", "9" * 40, "1-5y2"])
def test_what_is_no_range_is_refused_with_a_sentence(text):
    with pytest.raises(UsageError) as caught:
        FrameRange.parse(text)
    assert caught.value.remedy


def test_a_huge_range_costs_no_memory():
    tracemalloc.start()
    try:
        for text in ("1-999999999", ",".join(["1-900000000"] * 50)):
            with pytest.raises(UsageError, match="at most 1,000,000"):
                FrameRange.parse(text)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_million_frames_are_fine():
    assert len(FrameRange.parse("1-1000000")) == 1_000_000


@pytest.mark.parametrize(
    ("text", "frame", "path", "frames"),
    [
        ("a/name.####.exr", 7, "a/name.0007.exr", None),
        ("a/name.%04d.exr", 7, "a/name.0007.exr", None),
        ("a/name.%d.exr", 7, "a/name.7.exr", None),
        ("a/name.$F4.exr", 12345, "a/name.12345.exr", None),
        ("a/name.@@@@.exr", 10000, "a/name.10000.exr", None),
        ("a/name.#.exr", 7, "a/name.7.exr", None),
        ("a#b/name.####.exr 1001-1100", 1001, "a#b/name.1001.exr", "1001-1100"),
        ("a/name.1001-1100#.exr", 1002, "a/name.1002.exr", "1001-1100"),
        ("my shot/name.####.exr", -5, "my shot/name.-0005.exr", None),
    ],
)
def test_patterns(text, frame, path, frames):
    pattern = SequencePattern.parse(text)
    assert pattern.path(frame) == Path(path)
    assert pattern.format() == str(pattern) == text
    assert str(pattern.frames) == str(frames)
    assert pattern.number(Path(path).name) == frame


@pytest.mark.parametrize("text", ["name.exr", "a.##.####.exr", "shots/####/name.exr", ""])
def test_a_pattern_has_one_place_for_the_number(text):
    with pytest.raises(UsageError, match="for the frame number"):
        SequencePattern.parse(text)


def fill(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"")


def test_a_folder(tmp_path):
    fill(tmp_path, "n.1001.png", "n.1002.png", "n.1005.png", "._n.1003.png", ".DS_Store", "take.json", "render.mp4")
    found = find_sequence(tmp_path)
    assert found.numbers == (1001, 1002, 1005)
    assert found.pattern.format() == str(tmp_path / "n.####.png")
    assert find_sequence(tmp_path / "n.1005.png") == found
    assert find_sequence(str(tmp_path / "n.%04d.png")).numbers == found.numbers
    assert find_sequence(str(tmp_path / "n.####.png") + " 1002-1100").numbers == (1002, 1005)


def test_digits_roll_over(tmp_path):
    fill(tmp_path, "n.9998.png", "n.9999.png", "n.10000.png")
    found = find_sequence(tmp_path)
    assert (found.numbers, found.pattern.digits) == ((9998, 9999, 10000), 4)


def test_unpadded(tmp_path):
    fill(tmp_path, "8.png", "9.png", "10.png")
    assert find_sequence(tmp_path).pattern.format() == str(tmp_path / "#.png")


def test_two_paddings_are_named(tmp_path):
    fill(tmp_path, "n.1.png", "n.0002.png")
    with pytest.raises(InputError, match=r"n\.#\.png and .*n\.####\.png"):
        find_sequence(tmp_path)


def test_two_sequences_are_named(tmp_path):
    fill(tmp_path, "a.0001.png", "b.0001.png")
    with pytest.raises(InputError, match=r"2 sequences: a\.#\.png and b\.#\.png"):
        find_sequence(tmp_path)
    assert find_sequence(tmp_path / "b.####.png").numbers == (1,)


def test_nothing_there(tmp_path):
    with pytest.raises(EmptySequenceError):
        find_sequence(tmp_path)
    with pytest.raises(EmptySequenceError):
        find_sequence(tmp_path / "n.####.png")
    with pytest.raises(MissingInputError):
        find_sequence(tmp_path / "nowhere")
    with pytest.raises(MissingInputError):
        find_sequence(tmp_path / "nowhere" / "n.####.png")


@pytest.mark.parametrize(
    ("stray", "refused"),
    [
        ("colours16.png", False),
        ("preview2.jpg", False),
        ("name0.png", False),
        ("colours_16.png", True),
        ("colours.16.png", True),
        ("colours0016.png", True),
        ("v016.png", True),
        ("4096.jpg", True),
    ],
)
def test_a_single_picture_beside_a_sequence_is_no_second_one(tmp_path, stray, refused):
    for number in range(1, 5):
        (tmp_path / f"label.{number:04d}.png").touch()
    (tmp_path / stray).touch()
    if refused:
        with pytest.raises(InputError, match="holds 2 sequences"):
            find_sequence(tmp_path)
    else:
        assert find_sequence(tmp_path).numbers == (1, 2, 3, 4)


def test_a_single_picture_alone_is_still_a_frame(tmp_path):
    (tmp_path / "colours16.png").touch()
    assert find_sequence(tmp_path).numbers == (16,)
    (tmp_path / "other2.png").touch()
    with pytest.raises(InputError, match="holds 2 sequences"):
        find_sequence(tmp_path)
