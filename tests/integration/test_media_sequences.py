# SPDX-License-Identifier: GPL-3.0-or-later
"""Sequences: numbers in are numbers out, gaps follow the policy, mixed sizes and broken frames are told before work."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import (
    DamagedFileError,
    EmptySequenceError,
    GapError,
    InputError,
    MissingInputError,
    MixedSizesError,
    UnknownLabelError,
    UnsupportedFileError,
    UsageError,
)
from mapreel.core.contract.frames import FrameRange, MissingFrames
from mapreel.core.media.images import write_exr, write_png
from mapreel.core.media.moviewriter import MovieWriter
from mapreel.core.media.sequence import MapKind, open_maps


def ids(number: int, shape=(6, 8)) -> np.ndarray:
    return np.full(shape, number % 256, np.uint8)


def shot(folder, numbers, name="{:04d}.png", shape=(6, 8)):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        _, data = cv2.imencode(".png", ids(number, shape))
        (folder / name.format(number)).write_bytes(data.tobytes())
    return folder


def test_numbers_in_are_numbers_out(tmp_path):
    maps = open_maps(shot(tmp_path / "label", range(1001, 1006)), "label")
    assert maps.numbers == (1001, 1002, 1003, 1004, 1005)
    assert maps.size == (6, 8)
    assert not maps.filled
    assert maps.filled_note() == ""
    for number in maps.numbers:
        assert (maps.read(number) == number % 256).all()
        assert maps.path(number).name == f"{number}.png"


@pytest.mark.parametrize(
    ("source", "frames", "numbers"),
    [
        ("####.png", None, (9998, 9999, 10000, 10001)),
        ("%04d.png", "9999-10001x2", (9999, 10001)),
        ("$F4.png", "10000,9998", (10000, 9998)),
        ("####.png 9999-10000", None, (9999, 10000)),
        ("9999.png", "9999", (9999,)),
    ],
)
def test_every_spelling_and_the_roll_over_to_five_digits(tmp_path, source, frames, numbers):
    shot(tmp_path, range(9998, 10002))
    chosen = FrameRange.parse(frames) if frames else None
    maps = open_maps(str(tmp_path / source), MapKind.LABEL, chosen)
    assert maps.numbers == numbers
    assert [int(maps.read(number)[0, 0]) for number in numbers] == [number % 256 for number in numbers]


def test_files_that_file_managers_leave_are_not_seen(tmp_path):
    folder = shot(tmp_path / "label", [1, 2])
    for name in (".DS_Store", "._0001.png", "._0003.png", "Thumbs.db"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    assert open_maps(folder, "label").numbers == (1, 2)


def test_a_gap_is_an_error_that_names_the_missing_frames(tmp_path):
    folder = shot(tmp_path / "label", [1001, 1002, 1005, 1009])
    with pytest.raises(GapError) as caught:
        open_maps(folder, "label")
    text = str(caught.value)
    assert "5 frames (1003-1004,1006-1008) are missing" in text
    assert "--frames" in text
    assert "--missing hold" in text
    assert caught.value.frame == 1003
    assert open_maps(folder, "label", FrameRange.parse("1001-1002,1009")).numbers == (1001, 1002, 1009)


def test_thousands_of_missing_frames_still_make_one_readable_sentence(tmp_path):
    folder = shot(tmp_path / "label", [1, 9999])
    with pytest.raises(GapError) as caught:
        open_maps(folder, "label", FrameRange.from_numbers(range(1, 9999, 3)))
    assert len(str(caught.value)) < 600
    folder = shot(tmp_path / "ragged", [n for n in range(1, 400) if n % 7 and n % 5])
    with pytest.raises(GapError, match="…") as caught:
        open_maps(folder, "label")
    assert len(str(caught.value)) < 600


def test_hold_repeats_the_frame_before_and_says_so(tmp_path):
    folder = shot(tmp_path / "label", [3, 4, 7])
    maps = open_maps(folder, "label", FrameRange.parse("1-9"), MissingFrames.HOLD)
    assert maps.numbers == tuple(range(1, 10))
    assert [int(maps.read(number)[0, 0]) for number in maps.numbers] == [3, 3, 3, 4, 4, 4, 7, 7, 7]
    assert dict(maps.filled) == {1: 3, 2: 3, 5: 4, 6: 4, 8: 7, 9: 7}
    assert "6 frames (1-2,5-6,8-9) are held" in maps.filled_note()


@pytest.mark.parametrize(("kind", "shape"), [("label", (6, 8)), ("instance", (6, 8)), ("color", (6, 8, 3))])
def test_black_is_zero_and_says_so(tmp_path, kind, shape):
    maps = open_maps(shot(tmp_path / "in", [1, 3]), kind, None, MissingFrames.BLACK)
    assert maps.read(2).shape == shape
    assert maps.read(2).dtype == maps.read(1).dtype
    assert not maps.read(2).any()
    assert maps.read(3).any()
    assert "frame 2 is black" in maps.filled_note()


@pytest.mark.parametrize("missing", [MissingFrames.HOLD, MissingFrames.BLACK])
def test_motion_of_a_filled_frame_is_zero(tmp_path, missing):
    for number in (1, 3):
        write_exr(tmp_path / f"{number:04d}.exr", np.full((4, 5, 2), 2.5), channels=("motion.X", "motion.Y"))
    maps = open_maps(tmp_path, "motion", None, missing)
    assert maps.read(2).shape == (4, 5, 2)
    assert maps.read(2).dtype == np.float32
    assert not maps.read(2).any()
    assert (maps.read(3) == 2.5).all()


def test_mixed_sizes_name_both_frames_and_sizes(tmp_path):
    folder = shot(tmp_path / "label", [1, 2, 3])
    write_png(folder / "0003.png", ids(3, (10, 20)))
    with pytest.raises(MixedSizesError, match="frame 1 is 8x6, frame 3 is 20x10") as caught:
        open_maps(folder, "label")
    assert caught.value.frame == 3


def test_a_file_that_changes_its_size_while_the_shot_is_read(tmp_path):
    folder = shot(tmp_path / "label", [1, 2])
    maps = open_maps(folder, "label")
    write_png(folder / "0002.png", ids(2, (10, 20)))
    with pytest.raises(MixedSizesError, match="frame 2 is 20x10"):
        maps.read(2)
    (folder / "0001.png").unlink()
    with pytest.raises(MissingInputError, match="frame 1 "):
        maps.read(1)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\0\0", b"hello"])
def test_a_broken_frame_is_found_at_the_start(tmp_path, content):
    folder = shot(tmp_path / "label", range(1, 6))
    (folder / "0004.png").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"frame 4 \(label/0004\.png\)"):
        open_maps(folder, "label")


def test_pictures_of_another_kind_are_told_at_the_start(tmp_path):
    for number in (7, 8):
        write_png(tmp_path / f"{number:04d}.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UnknownLabelError, match="frame 7"):
        open_maps(tmp_path, "label")
    with pytest.raises(UnsupportedFileError, match=r"frame 7 .*motion\.X"):
        open_maps(tmp_path, "motion")
    assert open_maps(tmp_path, "color").numbers == (7, 8)


def test_nothing_there(tmp_path):
    with pytest.raises(MissingInputError, match="nowhere"):
        open_maps(tmp_path / "nowhere", "label")
    with pytest.raises(EmptySequenceError):
        open_maps(tmp_path, "label")
    with pytest.raises(EmptySequenceError):
        open_maps(str(tmp_path / "label.####.png"), "label")


def test_two_sequences_in_one_folder(tmp_path):
    shot(tmp_path, [1, 2], "a.{:04d}.png")
    shot(tmp_path, [1, 2], "b.{:04d}.png")
    with pytest.raises(InputError, match=r"a\.#.* and b\.#"):
        open_maps(tmp_path, "label")


def test_a_frame_that_is_not_planned(tmp_path):
    maps = open_maps(shot(tmp_path / "label", [1, 2, 3]), "label", FrameRange.parse("1-2"))
    with pytest.raises(UsageError, match="frame 3"):
        maps.read(3)
    with pytest.raises(ValueError, match="depth"):
        open_maps(tmp_path / "label", "depth")


def movie(path, numbers):
    with MovieWriter(path, (32, 48), 24.0) as writer:
        for number in numbers:
            writer.write(np.full((32, 48, 3), 20 * number, np.uint8))
    return path


def test_a_colour_movie_is_a_sequence_from_frame_one(tmp_path):
    maps = open_maps(movie(tmp_path / "plate.mp4", range(1, 11)), "color", FrameRange.parse("2-8x3,1"))
    assert maps.numbers == (2, 5, 8, 1)
    assert maps.size == (32, 48)
    for number in maps.numbers:
        assert abs(int(maps.read(number).mean()) - 20 * number) <= 2
    with pytest.raises(GapError, match=r"frames \(11-12\)"):
        open_maps(tmp_path / "plate.mp4", "color", FrameRange.parse("9-12"))
    held = open_maps(tmp_path / "plate.mp4", "color", FrameRange.parse("9-12"), MissingFrames.HOLD)
    assert abs(int(held.read(12).mean()) - 200) <= 2


def test_ids_out_of_a_movie_are_refused(tmp_path):
    with pytest.raises(UnsupportedFileError, match="changed the ids of its maps"):
        open_maps(movie(tmp_path / "labels.mp4", [1, 2]), "label")
    with pytest.raises(MissingInputError, match=r"gone\.mp4"):
        open_maps(tmp_path / "gone.mp4", "color")


def test_indexed_maps_of_another_program_in_a_sequence(tmp_path):
    for number in (1, 2):
        assert cv2.imwrite(str(tmp_path / f"car_{number:03d}.png"), ids(number))
    assert (open_maps(tmp_path, "label").read(2) == 2).all()
