# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dropped path is taken for: real folders, movies and edits."""

from __future__ import annotations

import cv2
import numpy as np
import opentimelineio as otio
import pytest

from mapreel.core.contract.errors import DamagedFileError, EmptySequenceError, MissingInputError
from mapreel.ui.state.discovery import discover
from mapreel.ui.state.shot import ShotKind


def test_a_data_set_folder_is_one_shot_with_all_its_parts(shot_folder):
    (shot,) = discover(str(shot_folder))
    assert shot.kind is ShotKind.MAPS
    assert (shot.numbers[0], shot.numbers[-1], shot.size) == (1001, 1008, (64, 32))
    assert shot.labels.endswith("label")
    assert shot.truth.endswith("color")
    assert shot.gaps == ()


def test_its_label_folder_alone_finds_what_lies_beside_it(shot_folder):
    (shot,) = discover(str(shot_folder / "label"))
    assert shot.truth == str(shot_folder / "color")
    assert shot.name == "shot"


def test_pictures_are_footage_and_flat_pictures_are_maps(tmp_path, make_labels, make_pictures):
    (photos,) = discover(str(make_pictures(tmp_path / "a", [1, 2, 3])))
    assert (photos.kind, photos.labels) == (ShotKind.FOOTAGE, "")
    (maps,) = discover(str(make_labels(tmp_path / "b", [1, 2, 3])))
    assert (maps.kind, maps.truth) == (ShotKind.MAPS, "")


def test_one_frame_means_its_sequence(tmp_path, make_labels):
    folder = make_labels(tmp_path / "b", [7, 8, 9])
    (shot,) = discover(str(folder / "0008.png"))
    assert shot.numbers == (7, 8, 9)


def test_gaps_are_told_in_the_step_of_the_shot(tmp_path, make_labels):
    (shot,) = discover(str(make_labels(tmp_path / "b", [1, 3, 5, 9, 11])))
    assert shot.gaps == (7,)


def test_a_movie_is_footage_with_its_rate(tmp_path):
    path = tmp_path / "plate.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 32))
    random = np.random.default_rng(1)
    for _ in range(5):
        writer.write(random.integers(0, 255, (32, 64, 3), np.uint8))
    writer.release()
    (shot,) = discover(str(path))
    assert (shot.kind, shot.fps, len(shot.numbers)) == (ShotKind.FOOTAGE, 25.0, 5)


def span(start, count):
    time = otio.opentime.RationalTime
    return otio.opentime.TimeRange(time(start, 24), time(count, 24))


def clip(name, media, start, count):
    return otio.schema.Clip(name, media, span(start, count))


def timeline(path, clips):
    track = otio.schema.Track("v1", kind="Video")
    track.extend(clips)
    edit = otio.schema.Timeline("cut")
    edit.tracks.append(track)
    otio.adapters.write_to_file(edit, str(path))
    return str(path)


def sequence(folder, first, count=20):
    return otio.schema.ImageSequenceReference(
        target_url_base=folder.as_uri(),
        name_prefix="",
        name_suffix=".png",
        start_frame=first,
        rate=24,
        frame_zero_padding=4,
        available_range=span(0, count),
    )


def gone():
    return otio.schema.ExternalReference("gone.mov")


def test_an_edit_opens_its_shots_cut_as_it_cuts_them(tmp_path, make_labels):
    folder = make_labels(tmp_path / "maps ü", range(1001, 1021))
    edit = timeline(tmp_path / "cut.otio", [clip("sh010", sequence(folder, 1001), 4, 6), clip("sh020", gone(), 0, 5)])
    (shot,) = discover(edit)
    assert (shot.name, shot.cut, shot.fps) == ("sh010", (1005, 1010), 24.0)


def test_an_edit_without_media_here_and_a_broken_one_say_so(tmp_path):
    with pytest.raises(EmptySequenceError, match=r"none of the 1 clips of cut\.otio"):
        discover(timeline(tmp_path / "cut.otio", [clip("a", gone(), 0, 5)]))
    (tmp_path / "bad.otio").write_text("{", encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"the edit bad\.otio cannot be read"):
        discover(str(tmp_path / "bad.otio"))


def test_a_wrong_path_is_one_sentence(tmp_path):
    with pytest.raises(MissingInputError, match="does not exist"):
        discover(str(tmp_path / "nothing"))
    with pytest.raises(MissingInputError, match="does not exist"):
        discover(str(tmp_path / "nothing.nirv"))
