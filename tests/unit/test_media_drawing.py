# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks read and drawn: every form they come in, and what may be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mapreel.core.contract.errors import (
    DamagedFileError,
    EmptySequenceError,
    InputError,
    MissingInputError,
    UnsupportedFileError,
)
from mapreel.core.media.drawing import (
    FACE_PARTS,
    LIMBS,
    condition_planes,
    conditions,
    draw,
    drawing_motion,
    read_drawing,
    subject_mask,
)
from mapreel.core.media.images import write_png
from mapreel.core.media.landmarks import JOINTS, MESH_POINTS, Subject, are_landmarks, read_landmarks

SIZE = (120, 160)


def face(frames: int = 2, depth: int = 2) -> NDArray[np.float32]:
    """Landmarks on a circle; enough to be drawn, like no face."""
    around = np.linspace(0, 2 * np.pi, MESH_POINTS, endpoint=False)
    places = np.stack([0.5 + 0.25 * np.cos(around), 0.5 + 0.3 * np.sin(around), 0 * around], axis=1)[:, :depth]
    return np.repeat(places[None], frames, axis=0).astype(np.float32)


def body(frames: int = 2) -> NDArray[np.float32]:
    places = np.zeros((frames, 33, 4), np.float32)
    for index in range(33):
        places[:, index] = (0.3 + 0.4 * (index % 2), 0.1 + 0.025 * index, 0.0, 1.0)
    return places


def saved(path: Path, array: NDArray[np.generic]) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("depth", [2, 3])
def test_a_face_keeps_its_places_whether_or_not_it_has_depth(tmp_path: Path, depth: int) -> None:
    found = read_landmarks(saved(tmp_path / "face.npy", face(3, depth).astype(np.float16)))
    assert (found.subject, found.numbers, found.numbered, found.in_pixels) == (Subject.FACE, (1, 2, 3), False, False)
    assert found.points.shape == (3, MESH_POINTS, 3)
    np.testing.assert_allclose(found.points[..., :2], face(3), atol=1e-3)
    assert found.points[..., 2].all()


def test_a_body_is_brought_to_joints_with_neck_and_hips_between_their_neighbours(tmp_path: Path) -> None:
    places = body()
    places[:, 24, 3] = 0.05  # the right hip is hidden
    found = read_landmarks(saved(tmp_path / "pose.npy", places)).points[0]
    joints = dict(zip(JOINTS, found, strict=True))
    np.testing.assert_allclose(joints["left_elbow"], [*places[0, 13, :2], 1.0], atol=1e-6)
    np.testing.assert_allclose(joints["neck"][:2], places[0, 11:13, :2].mean(axis=0), atol=1e-6)
    assert joints["mid_hip"][2] == pytest.approx(0.05)


def test_pixels_become_shares_of_the_picture_they_count_in(tmp_path: Path) -> None:
    pixels = face() * np.array([640, 480], np.float32)
    found = read_landmarks(saved(tmp_path / "face.npy", pixels))
    assert found.in_pixels
    np.testing.assert_allclose(found.placed((480, 640)).points[..., :2], face(), atol=1e-5)
    with pytest.raises(InputError, match="the size of their pictures is not known"):
        found.placed(None)


def test_what_is_no_number_was_not_seen_and_is_not_drawn(tmp_path: Path) -> None:
    places = face()
    places[0] = np.nan
    places[1, 0] = np.inf
    found = read_landmarks(saved(tmp_path / "face.npy", places)).points
    assert not found[0].any()
    assert not draw(Subject.FACE, found[0], SIZE).any()
    assert draw(Subject.FACE, found[1], SIZE).any()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 68, 2), np.float32), "has the shape 2x68x2"),
        (np.zeros((2, MESH_POINTS, 4), np.float32), "has the shape 2x478x4"),
        (np.zeros((33, 2), np.float32), "has the shape 33x2"),
        (np.zeros((2, 33, 2), np.complex64), "holds no array of numbers"),
    ],
)
def test_arrays_that_are_no_landmarks_are_refused(tmp_path: Path, array: NDArray[np.generic], words: str) -> None:
    with pytest.raises(UnsupportedFileError, match=words):
        read_landmarks(saved(tmp_path / "points.npy", array))


def test_an_array_that_is_empty_cut_or_pickled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptySequenceError, match="hold no frame"):
        read_landmarks(saved(tmp_path / "none.npy", np.zeros((0, 33, 2), np.float32)))
    whole = saved(tmp_path / "cut.npy", body())
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(DamagedFileError, match="cannot be read as an array"):
        read_landmarks(whole)
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DamagedFileError, match="cannot be read as an array"):
        read_landmarks(tmp_path / "pickled.npy")
    with pytest.raises(MissingInputError):
        read_landmarks(tmp_path / "gone.npy")


# --- OpenPose ----------------------------------------------------------------------------------------------------


def person(points: int, offset: float = 0.0, confidence: float = 0.9) -> dict[str, list[float]]:
    return {"pose_keypoints_2d": [v for i in range(points) for v in (100.0 + i + offset, 50.0 + 2 * i, confidence)]}


def openpose(folder: Path, number: int, people: list[dict[str, list[float]]]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"shot_{number:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": people}))
    return path


def test_openpose_folders_keep_their_frame_numbers_and_the_person_seen_best(tmp_path: Path) -> None:
    for number in (7, 8):
        openpose(tmp_path / "op", number, [person(25, confidence=0.2), person(25, offset=300.0)])
    openpose(tmp_path / "op", 9, [])
    assert are_landmarks(tmp_path / "op")
    found = read_landmarks(tmp_path / "op")
    assert (found.subject, found.numbers, found.numbered, found.in_pixels) == (Subject.POSE, (7, 8, 9), True, True)
    np.testing.assert_allclose(found.points[0, JOINTS.index("neck")], [401.0, 52.0, 0.9], atol=1e-5)
    assert not found.points[2].any()
    assert found.filed(8).name == "shot_000000000008_keypoints.json"


def test_coco_bodies_and_hands_are_known(tmp_path: Path) -> None:
    hand = [v for i in range(21) for v in (10.0 + i, 20.0 + i, 0.8)]
    openpose(tmp_path / "op", 1, [{**person(18), "hand_left_keypoints_2d": hand}])
    joints = dict(zip(JOINTS, read_landmarks(tmp_path / "op").points[0], strict=True))
    np.testing.assert_allclose(joints["left_index"], [15.0, 25.0, 0.8], atol=1e-5)
    np.testing.assert_allclose(joints["right_ear"], [116.0, 82.0, 0.9], atol=1e-5)
    assert not joints["right_index"].any()


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("{", DamagedFileError, "cannot be read as OpenPose"),
        ("[]", DamagedFileError, "cannot be read as OpenPose"),
        ('{"people": [{}]}', DamagedFileError, "cannot be read as OpenPose"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', DamagedFileError, "cannot be read as OpenPose"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 1]}]}', UnsupportedFileError, "1 body landmarks"),
    ],
)
def test_json_that_is_no_openpose_is_refused(tmp_path: Path, text: str, kind: type[InputError], words: str) -> None:
    (tmp_path / "a_000001_keypoints.json").write_text(text)
    with pytest.raises(kind, match=words):
        read_landmarks(tmp_path)


def test_folders_without_landmarks_and_doubled_frames_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(EmptySequenceError, match="no numbered JSON files"):
        read_landmarks(tmp_path)
    openpose(tmp_path, 1, [])
    (tmp_path / "b_000001_keypoints.json").write_text("{}")
    with pytest.raises(InputError, match="frame 1 is there twice"):
        read_landmarks(tmp_path)
    with pytest.raises(MissingInputError, match="does not exist"):
        read_landmarks(tmp_path / "gone.json")


# --- drawings ----------------------------------------------------------------------------------------------------


def test_connection_lists_name_landmarks_that_there_are() -> None:
    assert len(FACE_PARTS) == 14
    assert all(0 <= point < MESH_POINTS for _, chains in FACE_PARTS for chain in chains for point in chain)
    assert all(joint in JOINTS for limb in LIMBS for joint in limb)
    assert len(set(LIMBS)) == len(LIMBS)


def test_a_face_of_landmarks_gives_an_edge_map_and_fourteen_distances() -> None:
    points = np.concatenate([face(1)[0], np.ones((MESH_POINTS, 1), np.float32)], axis=1)
    drawing = draw(Subject.FACE, points, SIZE)
    assert drawing.shape == (*SIZE, 14)
    read = conditions(drawing)
    assert read.shape == (*SIZE, 15) == (*SIZE, condition_planes(14))
    assert read.dtype == np.float32
    assert read.min() >= 0.0
    assert read.max() <= 1.0
    np.testing.assert_allclose(read[..., 0], drawing.max(axis=2) / 255.0, atol=1e-6)
    assert (read[..., 1:][drawing >= 64] == 0.0).all()
    assert read[0, 0, 1] > 0.4  # px to the oval, over half the height


def test_a_distance_is_that_to_the_nearest_line() -> None:
    drawing = np.zeros((40, 60, 1), np.uint8)
    drawing[:, 30] = 255
    read = conditions(drawing)
    assert read.shape == (40, 60, 2)
    np.testing.assert_allclose(read[20, :, 1], np.minimum(np.abs(np.arange(60) - 30) / 20.0, 1.0), atol=0.02)
    assert (conditions(np.zeros((40, 60, 1), np.uint8))[..., 1] == 1.0).all()


def test_a_body_is_drawn_in_one_colour_for_each_bone_and_masked_around_them(tmp_path: Path) -> None:
    points = read_landmarks(saved(tmp_path / "pose.npy", body())).points[0]
    drawing = draw(Subject.POSE, points, SIZE)
    assert drawing.shape == (*SIZE, 3)
    np.testing.assert_allclose(conditions(drawing), drawing / 255.0, atol=1e-6)
    assert len(np.unique(drawing[drawing.max(axis=2) == 255].reshape(-1, 3), axis=0)) >= 10
    mask = subject_mask(drawing)
    assert mask[drawing.max(axis=2) >= 64].all()
    assert 0.05 < mask.mean() < 0.9


def test_lines_move_with_their_landmarks_by_less_than_a_pixel() -> None:
    points = np.concatenate([face(1)[0], np.ones((MESH_POINTS, 1), np.float32)], axis=1)
    moved = points.copy()
    moved[:, 0] += 0.25 / SIZE[1]
    a, b = (draw(Subject.FACE, p, SIZE).astype(int) for p in (points, moved))
    assert 5 < np.abs(a - b)[a + b > 0].mean() < 128


def test_the_motion_of_drawings_is_that_of_their_lines() -> None:
    points = np.concatenate([face(1)[0], np.ones((MESH_POINTS, 1), np.float32)], axis=1)
    later = points + np.array([4 / SIZE[1], 2 / SIZE[0], 0], np.float32)
    here, there = (draw(Subject.FACE, p, SIZE) for p in (later, points))
    motion = drawing_motion(here, there)
    on_lines = here.max(axis=2) >= 64
    np.testing.assert_allclose(np.median(motion[on_lines], axis=0), [-4.0, -2.0], atol=0.7)


def test_drawn_faces_are_read_from_bright_and_from_dark_lines(tmp_path: Path) -> None:
    lines = np.zeros((40, 60, 3), np.uint8)
    lines[20, 10:50] = 255
    write_png(tmp_path / "bright.png", lines)
    write_png(tmp_path / "dark.png", 255 - lines)
    for name in ("bright", "dark"):
        drawing = read_drawing(Subject.FACE, tmp_path / f"{name}.png")
        np.testing.assert_array_equal(drawing[..., 0], lines[..., 0])
        assert subject_mask(drawing)[20, 30]
    assert read_drawing(Subject.POSE, tmp_path / "bright.png").shape == (40, 60, 3)


@pytest.mark.parametrize("subject", list(Subject))
def test_an_empty_drawing_has_no_one_in_it(subject: Subject) -> None:
    points = np.zeros((MESH_POINTS if subject is Subject.FACE else len(JOINTS), 3), np.float32)
    drawing = draw(subject, points, SIZE)
    assert not drawing.any()
    assert not subject_mask(drawing).any()
    assert np.isfinite(drawing_motion(drawing, drawing)).all()
