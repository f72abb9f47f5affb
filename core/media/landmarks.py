# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads landmarks of faces and bodies: NumPy arrays of a whole shot, or one OpenPose JSON file for each frame.

Coordinates up to 8 are taken as shares of the picture (0 its left or upper edge, 1 its right or lower one), larger ones
as pixels. A landmark that is no number was not seen.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import EmptySequenceError, InputError, MissingInputError, UnsupportedFileError
from mapreel.core.contract.frames import IMAGE_SUFFIXES, SequencePattern, find_sequence
from mapreel.core.media.files import damaged, read_file, unsupported

MESH_POINTS = 478
"""Landmarks of the face mesh, irises included."""
BODY_POINTS = 33
"""Landmarks of the body as BlazePose counts them (Bazarevsky et al., 2020)."""
LARGEST_SHARE = 8.0
"""Coordinates beyond count pixels: no landmark lies eight pictures away, and no picture is eight pixels wide."""
JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_mouth", "right_mouth", "neck",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_thumb",
    "right_thumb", "left_index", "right_index", "left_pinky", "right_pinky", "mid_hip", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel",
    "left_toe", "right_toe",
)  # fmt: skip
"""The joints that are drawn; every kind of body landmarks is brought to these."""
_BLAZEPOSE = {
    "nose": 0, "left_eye": 2, "right_eye": 5, "left_ear": 7, "right_ear": 8, "left_mouth": 9, "right_mouth": 10,
    "left_shoulder": 11, "right_shoulder": 12, "left_elbow": 13, "right_elbow": 14, "left_wrist": 15,
    "right_wrist": 16, "left_pinky": 17, "right_pinky": 18, "left_index": 19, "right_index": 20, "left_thumb": 21,
    "right_thumb": 22, "left_hip": 23, "right_hip": 24, "left_knee": 25, "right_knee": 26, "left_ankle": 27,
    "right_ankle": 28, "left_heel": 29, "right_heel": 30, "left_toe": 31, "right_toe": 32,
}  # fmt: skip
_BODY_25 = {
    "nose": 0, "neck": 1, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4, "left_shoulder": 5, "left_elbow": 6,
    "left_wrist": 7, "mid_hip": 8, "right_hip": 9, "right_knee": 10, "right_ankle": 11, "left_hip": 12,
    "left_knee": 13, "left_ankle": 14, "right_eye": 15, "left_eye": 16, "right_ear": 17, "left_ear": 18,
    "left_toe": 19, "left_heel": 21, "right_toe": 22, "right_heel": 24,
}  # fmt: skip
_COCO_18 = {
    "nose": 0, "neck": 1, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4, "left_shoulder": 5, "left_elbow": 6,
    "left_wrist": 7, "right_hip": 8, "right_knee": 9, "right_ankle": 10, "left_hip": 11, "left_knee": 12,
    "left_ankle": 13, "right_eye": 14, "left_eye": 15, "right_ear": 16, "left_ear": 17,
}  # fmt: skip
_HAND_21 = {"thumb": 3, "index": 5, "pinky": 17}
_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
_JSON = re.compile(r"(.*?)([0-9]{1,12})((?:_keypoints)?\.json)", re.DOTALL)


class Subject(StrEnum):
    """Whose landmarks they are."""

    FACE = "face"
    POSE = "pose"


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Landmarks of one shot.

    Attributes:
        points: [T, N, 3] float32: x and y as shares of the picture (see the module; pixels until `placed`), seen 0..1;
            N is MESH_POINTS for a face and len(JOINTS) for a body.
        numbers: frame numbers; counted from 1 where the file knows none, and then `numbered` is false.
        in_pixels: x and y still count pixels.
    """

    subject: Subject
    source: str
    points: NDArray[np.float32]
    numbers: tuple[int, ...]
    numbered: bool
    in_pixels: bool
    filed: Callable[[int], Path]

    def placed(self, canvas_px: tuple[int, int] | None) -> Landmarks:
        """The same with shares of the picture; `canvas_px` (H, W) is the picture that pixels count in.

        Raises:
            InputError: pixels, and nobody knows of which picture.
        """
        if not self.in_pixels:
            return self
        if canvas_px is None or 0 in canvas_px:
            raise InputError(
                f"the landmarks {self.source} count pixels, but the size of their pictures is not known",
                "give landmarks as shares of the picture, 0 to 1",
                file=self.source,
            )
        points = self.points.copy()
        points[..., :2] /= np.array(canvas_px[::-1], np.float32)
        return replace(self, points=points, in_pixels=False)


def are_landmarks(source: str | Path) -> bool:
    """True for a `.npy` file, a `.json` file or pattern, and a folder whose numbered files are JSON."""
    path = Path(source)
    if path.suffix.lower() in (".npy", ".json"):
        return True
    if SequencePattern.looks_like(str(source)):
        return SequencePattern.parse(str(source)).tail.lower().endswith(".json")
    if not path.is_dir():
        return False
    suffixes = {entry.suffix.lower() for entry in path.iterdir()}
    return ".json" in suffixes and not suffixes & IMAGE_SUFFIXES


def read_landmarks(source: str | Path) -> Landmarks:
    """Landmarks of a whole shot.

    source: `.npy` of numbers [T, 478, 2 or 3] (face mesh: x, y and a depth that is not used) or [T, 33, 2, 3 or 4]
    (body: x, y, depth, seen 0..1); or a folder of OpenPose JSON files (BODY_25 or COCO, hands where there are any; of
    several people the one seen best). Nothing in a file is ever run: pickled arrays are refused.
    Raises MissingInputError, EmptySequenceError, DamagedFileError, FileTooLargeError, UnsupportedFileError.
    """
    path = Path(source)
    return _from_array(path) if path.suffix.lower() == ".npy" else _from_json(path)


# --- arrays ------------------------------------------------------------------------------------------------------


def _from_array(path: Path) -> Landmarks:
    data = read_file(path)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise damaged(path, None, "cannot be read as an array of numbers", str(error)) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise unsupported(path, None, "holds no array of numbers", "save landmarks as numbers [frames, points, 2 or 3]")
    face, body = array.shape[1:2] == (MESH_POINTS,), array.shape[1:2] == (BODY_POINTS,)
    if array.ndim != 3 or not (face or body) or array.shape[2] not in ((2, 3) if face else (2, 3, 4)):
        raise unsupported(
            path,
            None,
            f"has the shape {'x'.join(map(str, array.shape)) or 'of one number'}",
            f"give landmarks [frames, {MESH_POINTS}, 2 or 3] of a face or [frames, {BODY_POINTS}, 2 to 4] of a body",
        )
    if not len(array):
        raise EmptySequenceError(f"the landmarks {path} hold no frame", "detect them again", file=str(path))
    seen = array[..., 3:4] if array.shape[2] == 4 else np.ones((*array.shape[:2], 1))
    points = _sane(np.concatenate([array[..., :2], seen], axis=2))
    return Landmarks(
        subject=Subject.FACE if face else Subject.POSE,
        source=str(path),
        points=points if face else _joints(points, _BLAZEPOSE),
        numbers=tuple(range(1, len(points) + 1)),
        numbered=False,
        in_pixels=_counts_pixels(points),
        filed=lambda _: path,
    )


def _sane(points: NDArray[Any]) -> NDArray[np.float32]:
    """As float32; what is no number, or too far away to be drawn, was not seen."""
    with np.errstate(over="ignore"):
        sane = points.astype(np.float32)
    lost = ~np.isfinite(sane).all(axis=-1) | (np.abs(sane[..., :2]) > 1e6).any(axis=-1)
    sane[lost] = 0.0
    return sane


def _counts_pixels(points: NDArray[np.float32]) -> bool:
    seen = points[points[..., 2] > 0]
    return bool(len(seen)) and float(np.abs(seen[:, :2]).max()) > LARGEST_SHARE


def _joints(points: NDArray[np.float32], places: dict[str, int]) -> NDArray[np.float32]:
    """[T, N, 3] of any kind of body landmarks to [T, len(JOINTS), 3]; what the kind lacks was not seen."""
    found = np.zeros((len(points), len(JOINTS), 3), np.float32)
    for joint, place in places.items():
        found[:, JOINTS.index(joint)] = points[:, place]
    for joint, (left, right) in _MIDDLES.items():
        if joint not in places:
            pair = found[:, [JOINTS.index(left), JOINTS.index(right)]]
            found[:, JOINTS.index(joint), :2] = pair[..., :2].mean(axis=1)
            found[:, JOINTS.index(joint), 2] = pair[..., 2].min(axis=1)
    return found


# --- OpenPose ----------------------------------------------------------------------------------------------------


def _from_json(path: Path) -> Landmarks:
    files = _numbered(path)
    numbers = tuple(sorted(files))
    points = np.stack([_person(files[number], number) for number in numbers])
    return Landmarks(
        subject=Subject.POSE,
        source=str(path),
        points=points,
        numbers=numbers,
        numbered=True,
        in_pixels=_counts_pixels(points),
        filed=lambda number: files.get(number, path),
    )


def _by_pattern(text: str) -> dict[int, Path]:
    """Files of a pattern such as `walk_%012d_keypoints.json`, in its range where it has one."""
    found = find_sequence(text)
    return {number: found.pattern.path(number) for number in found.numbers}


def _numbered(path: Path) -> dict[int, Path]:
    if not path.exists() and SequencePattern.looks_like(str(path)):
        return _by_pattern(str(path))
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir() or (folder != path and not path.is_file()):
        raise MissingInputError(f"{path} does not exist", "check its name", file=str(path))
    wanted = _JSON.fullmatch(path.name) if folder != path else None
    files: dict[int, Path] = {}
    for entry in sorted(folder.iterdir()):
        match = _JSON.fullmatch(entry.name)
        if match is None or (wanted and (match[1], match[3]) != (wanted[1], wanted[3])):
            continue
        if int(match[2]) in files:
            raise InputError(
                f"frame {int(match[2])} is there twice: {files[int(match[2])].name} and {entry.name}",
                "keep the landmarks of one shot in a folder",
                file=str(entry),
            )
        files[int(match[2])] = entry
    if not files:
        raise EmptySequenceError(
            f"the folder {folder} holds no numbered JSON files",
            "give a folder of OpenPose output such as name_000000000001_keypoints.json",
            file=str(folder),
        )
    return files


def _person(path: Path, frame: int) -> NDArray[np.float32]:
    """Joints [len(JOINTS), 3] of the person seen best; nothing is seen when there is nobody."""
    try:
        content = json.loads(read_file(path, frame))
        people = content["people"]
        bodies = [(_triples(p["pose_keypoints_2d"]), p) for p in people]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise damaged(path, frame, "cannot be read as OpenPose landmarks", str(error)) from error
    if not bodies:
        return np.zeros((len(JOINTS), 3), np.float32)
    body, person = max(bodies, key=lambda entry: float(entry[0][:, 2].sum()))
    places = {25: _BODY_25, 18: _COCO_18}.get(len(body))
    if places is None:
        raise UnsupportedFileError(
            f"{path.name} has {len(body)} body landmarks, Mapreel knows OpenPose's 25 (BODY_25) and 18 (COCO)",
            "detect again with one of these models",
            file=str(path),
            frame=frame,
        )
    joints: NDArray[np.float32] = _joints(body[None], places)[0]
    for side in ("left", "right"):
        _add_hand(joints, side, person, path, frame)
    return joints


def _add_hand(joints: NDArray[np.float32], side: str, person: dict[str, Any], path: Path, frame: int) -> None:
    try:
        hand = _triples(person.get(f"hand_{side}_keypoints_2d") or [])
    except (ValueError, TypeError) as error:
        raise damaged(path, frame, f"has a {side} hand that cannot be read", str(error)) from error
    if len(hand) == 21:
        for name, place in _HAND_21.items():
            joints[JOINTS.index(f"{side}_{name}")] = hand[place]


def _triples(values: Iterable[float]) -> NDArray[np.float32]:
    """x, y, confidence of each landmark [N, 3]; 0, 0, 0 where OpenPose saw nothing."""
    return _sane(np.array(list(values), np.float64).reshape(-1, 3))
