# SPDX-License-Identifier: GPL-3.0-or-later
"""Label maps, faces and bodies: packed into data sets, learnt from and rendered, and what may be wrong with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from mapreel.core.contract.errors import (
    CancelledError,
    DamagedFileError,
    DamagedModelError,
    EmptySequenceError,
    GapError,
    InputError,
    MapreelError,
    MissingInputError,
    MixedSizesError,
    ModelMismatchError,
    UnsupportedFileError,
    UsageError,
)
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.requests import Quality, RenderRequest
from mapreel.core.media.images import read_color, write_png
from mapreel.core.media.landmarks import MESH_POINTS
from mapreel.core.media.moviewriter import MovieWriter
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.config import config_from_dict
from mapreel.core.vid2vid.dataset import load_shot
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.packed import PackedShot, open_packed
from mapreel.core.vid2vid.prepare import MotionFrom, PreparePlan, run_prepare
from mapreel.core.vid2vid.render_job import run_render
from mapreel.core.vid2vid.score import score_model
from mapreel.core.vid2vid.shot import open_shot
from mapreel.core.vid2vid.train_job import run_train
from mapreel.core.vid2vid.training_data import class_table, drawn_frames, load_data

SIZE = (48, 80)
FRAMES = 14
LPIPS = Path(__file__).parents[4] / "shared" / "data" / "networks" / "lpips_squeeze.safetensors"
Prepare = Callable[..., PackedShot]


def talking(frames: int = FRAMES, *, pixels: bool = False) -> NDArray[np.float32]:
    """A face of points on circles that drifts to the right by half a pixel a frame."""
    around = np.linspace(0, 14 * np.pi, MESH_POINTS)
    grown = np.linspace(0.1, 0.35, MESH_POINTS)
    face = np.stack([0.4 + grown * np.cos(around), 0.5 + grown * np.sin(around)], axis=1)
    places = face[None] + np.arange(frames)[:, None, None] * np.array([0.5 / SIZE[1], 0.0])
    return (places * (np.array(SIZE[::-1]) if pixels else 1.0)).astype(np.float32)


def waving(frames: int = FRAMES) -> NDArray[np.float32]:
    places = np.ones((frames, 33, 4), np.float32)
    for index in range(33):
        places[:, index, 0] = 0.3 + 0.4 * (index % 2) + 0.01 * np.arange(frames)
        places[:, index, 1] = 0.1 + 0.025 * index
    return places


def write_frames(folder: Path, numbers: range, size: tuple[int, int] = SIZE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    for index, number in enumerate(numbers):
        wave = 120 + 90 * np.sin((columns - 0.5 * index) * 0.3) * np.cos(rows * 0.2)
        write_png(folder / f"{number:04d}.png", np.stack([wave, wave * 0.7, 255 - wave], axis=2).astype(np.uint8))
    return folder


def write_movie(path: Path, frames: int, size: tuple[int, int] = SIZE) -> Path:
    with MovieWriter(path, size, 24) as movie:
        for index in range(frames):
            movie.write(np.full((*size, 3), 5 * index + 20, np.uint8))
    return path


@pytest.fixture
def prepare(tmp_path: Path, listener: type) -> Prepare:
    """Pack and open a data set; gives it open."""

    def run(maps: Path, pictures: Path, name: str = "set.safetensors", **fields: object) -> PackedShot:
        plan = PreparePlan(maps=str(maps), pictures=str(pictures), **fields)  # type: ignore[arg-type]
        run_prepare(plan, tmp_path / name, listener())
        return open_packed(tmp_path / name)

    return run


@pytest.fixture
def face(tmp_path: Path) -> tuple[Path, Path]:
    """Landmarks and frames of a face, frames from 101."""
    np.save(tmp_path / "face.npy", talking())
    return tmp_path / "face.npy", write_frames(tmp_path / "frames", range(101, 101 + FRAMES))


# --- packing ----------------------------------------------------------------------------------------------------


def test_a_packed_street_is_the_street_in_its_folders(street: Path, prepare: Prepare, tmp_path: Path) -> None:
    packed = prepare(
        street / "label",
        street / "color",
        instances=str(street / "instance"),
        motion=str(street / "motion"),
        frames=FrameRange.parse("1005-1016"),
    )
    assert (packed.task, packed.size_px, packed.labels) == ("city", SIZE, (0, 1, 5, 9))
    assert packed.numbers == tuple(range(1005, 1017))
    table = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))
    whole, part = load_shot(street, table), load_data(tmp_path / "set.safetensors", table)
    some = slice(4, 16)
    np.testing.assert_array_equal(part.colors, whole.colors[some])
    np.testing.assert_array_equal(part.classes, whole.classes[some])
    np.testing.assert_array_equal(part.instances, whole.instances[some])
    assert whole.motions is not None
    assert part.motions is not None
    np.testing.assert_array_equal(part.motions[1:], whole.motions[5:16])
    assert not part.motions[0].any()
    assert isinstance(part.colors, np.memmap)  # read when needed, not copied


def test_motion_is_estimated_on_frames_or_maps_or_left_out(street: Path, prepare: Prepare) -> None:
    few = FrameRange.parse("1001-1006")
    estimated = {
        source: prepare(street / "label", street / "color", f"{source}.safetensors", frames=few, motion_from=source)
        for source in MotionFrom
    }
    assert "motion" not in estimated[MotionFrom.NONE].arrays
    for source in (MotionFrom.FRAMES, MotionFrom.MAPS):
        assert np.isfinite(estimated[source].arrays["motion"]).all()
    sky = estimated[MotionFrom.FRAMES].arrays["motion"][1:, 4:14, 10:-10]
    np.testing.assert_allclose(np.median(sky, axis=(0, 1, 2)).astype(float), [-1.0, 0.0], atol=0.3)


def test_sizes_change_on_both_sides_alike(street: Path, prepare: Prepare) -> None:
    few = FrameRange.parse("1001-1004")
    same = prepare(street / "label", street / "color", frames=few, motion=str(street / "motion"))
    half = prepare(
        street / "label",
        street / "color",
        "half.safetensors",
        frames=few,
        motion=str(street / "motion"),
        size_px=(24, 40),
    )
    assert half.size_px == (24, 40)
    assert half.canvas_px == SIZE
    assert set(np.unique(half.arrays["label"])) <= set(same.labels)
    np.testing.assert_allclose(
        np.median(half.arrays["motion"][1:, :6], axis=(1, 2)).astype(float),
        np.median(same.arrays["motion"][1:, :12], axis=(1, 2)).astype(float) / 2,
        atol=0.05,
    )


def test_movies_and_arrays_begin_where_the_other_side_does(tmp_path: Path, prepare: Prepare, street: Path) -> None:
    movie = write_movie(tmp_path / "true.mp4", 40)
    packed = prepare(street / "label", movie, frames=FrameRange.parse("1003-1005"))
    assert packed.numbers == (1003, 1004, 1005)
    np.testing.assert_allclose(packed.arrays["color"].mean(axis=(1, 2, 3)), [30, 35, 40], atol=2)
    np.save(tmp_path / "face.npy", talking(5))
    both = prepare(tmp_path / "face.npy", write_movie(tmp_path / "face.mp4", 5), "both.safetensors")
    assert both.numbers == (1, 2, 3, 4, 5)
    np.testing.assert_allclose(both.arrays["points"][3, :, :2], talking(5)[3], atol=1e-6)


def test_a_face_is_kept_as_points_and_numbered_as_its_frames(face: tuple[Path, Path], prepare: Prepare) -> None:
    packed = prepare(*face)
    assert (packed.task, packed.numbers) == ("face", tuple(range(101, 101 + FRAMES)))
    drawings = drawn_frames(packed)
    assert drawings is not None
    assert drawings[0].shape == (*SIZE, 14)
    assert set(packed.arrays) == {"color", "points", "motion"}


def test_landmarks_in_pixels_count_in_the_frames_as_they_were(tmp_path: Path, prepare: Prepare) -> None:
    np.save(tmp_path / "face.npy", talking(4, pixels=True))
    frames = write_frames(tmp_path / "frames", range(1, 5))
    packed = prepare(tmp_path / "face.npy", frames, size_px=(24, 40))
    assert packed.canvas_px == SIZE
    np.testing.assert_allclose(packed.arrays["points"][..., :2], talking(4), atol=1e-5)


def test_drawn_pictures_are_kept_as_pictures(tmp_path: Path, prepare: Prepare) -> None:
    frames = write_frames(tmp_path / "frames", range(1, 4))
    lines = np.zeros((*SIZE, 3), np.uint8)
    lines[10:30, 40] = (255, 40, 0)
    for number in (1, 2, 3):
        (tmp_path / "drawn").mkdir(exist_ok=True)
        write_png(tmp_path / "drawn" / f"{number:04d}.png", lines)
    pose = prepare(tmp_path / "drawn", frames, task="pose")
    np.testing.assert_array_equal(pose.arrays["drawing"][1], lines)
    drawn = prepare(tmp_path / "drawn", frames, "face.safetensors", task="face")
    assert drawn.arrays["drawing"].shape == (3, *SIZE, 1)
    assert drawn.arrays["drawing"].max() == 255


# --- what may be wrong ------------------------------------------------------------------------------------------


def test_a_frame_on_one_side_only_is_named(own_street: Path, prepare: Prepare, tmp_path: Path) -> None:
    (own_street / "color" / "1007.png").unlink()
    with pytest.raises(GapError, match=r"frame 1007 is missing from .*color"):
        prepare(own_street / "label", own_street / "color")
    (own_street / "label" / "1003.png").unlink()
    with pytest.raises(GapError, match=r"frame 1003 is missing from .*label"):
        prepare(own_street / "label", own_street / "color", frames=FrameRange.parse("1001-1005"))
    with pytest.raises(GapError, match=r"2 frames \(1041-1042\) are missing"):
        prepare(own_street / "label", own_street / "color", frames=FrameRange.parse("1038-1042"))
    assert not (tmp_path / "set.safetensors").exists()


def test_arrays_and_movies_of_another_length_are_refused(
    face: tuple[Path, Path], prepare: Prepare, tmp_path: Path
) -> None:
    np.save(tmp_path / "short.npy", talking(FRAMES - 1))
    with pytest.raises(GapError, match=rf"frame {100 + FRAMES} is missing from .*short.npy"):
        prepare(tmp_path / "short.npy", face[1])
    with pytest.raises(GapError, match=r"2 frames \(13-14\) are missing from .*true.mp4"):
        prepare(face[0], write_movie(tmp_path / "true.mp4", 12))


def test_sizes_that_differ_or_would_stretch_are_refused(own_street: Path, prepare: Prepare, tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "big", range(1001, 1041), (96, 160))
    with pytest.raises(MixedSizesError, match="bring them to one with --size"):
        prepare(own_street / "label", frames)
    assert prepare(own_street / "label", frames, size_px=SIZE).size_px == SIZE
    with pytest.raises(MixedSizesError, match="80x48 would stretch") as caught:
        prepare(own_street / "label", write_frames(tmp_path / "square", range(1001, 1041), (64, 64)), size_px=SIZE)
    assert "choose a --size of the same shape" in str(caught.value)


def test_one_frame_gaps_in_motion_and_other_endings_are_refused(street: Path, prepare: Prepare, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="two frames at least, not 1"):
        prepare(street / "label", street / "color", frames=FrameRange.parse("1003"))
    with pytest.raises(GapError, match="gap after frame 1001"):
        prepare(street / "label", street / "color", frames=FrameRange.parse("1001,1003"), motion=str(street / "motion"))
    with pytest.raises(UsageError, match="another ending"):
        prepare(street / "label", street / "color", "set.npz")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(EmptySequenceError, match="holds no image sequence"):
        prepare(street / "label", tmp_path / "nothing")
    with pytest.raises(UnsupportedFileError, match="h264 yuv420p, and compression has changed the ids"):
        prepare(write_movie(tmp_path / "maps.mp4", 3), street / "color", frames=FrameRange.parse("1001-1003"))


def test_landmarks_of_another_task_are_refused(face: tuple[Path, Path], prepare: Prepare) -> None:
    with pytest.raises(UsageError, match="holds landmarks of a face"):
        prepare(*face, task="pose")


def test_a_cancelled_preparation_leaves_nothing(street: Path, tmp_path: Path, listener: type) -> None:
    plan = PreparePlan(maps=str(street / "label"), pictures=str(street / "color"))
    with pytest.raises(CancelledError):
        run_prepare(plan, tmp_path / "set.safetensors", listener(stop_after=3))
    assert not list(tmp_path.iterdir())


def test_a_data_set_that_was_cut_or_changed_is_refused(
    face: tuple[Path, Path], prepare: Prepare, tmp_path: Path
) -> None:
    prepare(*face)
    path = tmp_path / "set.safetensors"
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])

    def refused(words: str, data: bytes) -> None:
        path.write_bytes(data)
        with pytest.raises(DamagedFileError, match=words) as caught:
            open_packed(path)
        assert "mapreel train prepare" in str(caught.value)

    def with_header(change: Callable[[dict], object]) -> bytes:
        changed = json.loads(json.dumps(header))
        change(changed)
        text = json.dumps(changed).encode().ljust(length + 200)
        return len(text).to_bytes(8, "little") + text + whole[8 + length :]

    refused("does not fit the file", whole[:-10])
    refused("cut short or something else", whole[:5])
    refused("cut short or something else", b"\xff" * 200)
    refused("header cannot be read", b"\x02\0\0\0\0\0\0\0[]" + bytes(100))
    refused("has the version 9", with_header(lambda h: h["__metadata__"].update(version="9")))
    refused("says that it is “other”", with_header(lambda h: h["__metadata__"].update(format="other")))
    refused("lacks its colours or its task", with_header(lambda h: h["__metadata__"].update(task="dance")))
    refused("lacks its maps", with_header(lambda h: h.pop("points")))
    refused("does not fit the others", with_header(lambda h: h["__metadata__"].update(numbers="1-3")))
    refused("does not fit the file", with_header(lambda h: h["color"].update(dtype="F32")))
    refused("header cannot be read", with_header(lambda h: h["__metadata__"].pop("canvas")))
    refused("header cannot be read", with_header(lambda h: h.update(other=h["color"])))
    with pytest.raises(MissingInputError, match="is not there"):
        open_packed(tmp_path / "gone.safetensors")


def test_other_libraries_read_our_data_sets(face: tuple[Path, Path], prepare: Prepare, tmp_path: Path) -> None:
    packed = prepare(*face)
    read = safetensors.numpy.load_file(tmp_path / "set.safetensors")
    for name, array in packed.arrays.items():
        np.testing.assert_array_equal(read[name], array)


# --- learning and rendering -------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["city", "face", "pose", "drawn"])
def test_a_task_is_packed_learnt_and_rendered(
    task: str, street: Path, tmp_path: Path, prepare: Prepare, listener: type
) -> None:
    maps, pictures = street / "label", street / "color"
    if task != "city":
        pictures = write_frames(tmp_path / "frames", range(1, 1 + FRAMES))
        maps = tmp_path / "points.npy"
        np.save(maps, waving() if task == "pose" else talking())
    if task == "drawn":
        drawn = drawn_frames(prepare(maps, pictures, "points.safetensors"))
        assert drawn is not None
        maps = tmp_path / "drawn"
        maps.mkdir()
        for number in range(1, 1 + FRAMES):
            write_png(maps / f"{number:04d}.png", drawn[number - 1].max(axis=2))
    packed = prepare(maps, pictures, task="face" if task == "drawn" else None)
    run_train([packed.path], tmp_path / "out", steps=2, context=listener())
    model = load_model(str(tmp_path / "out" / "model"))
    wanted = {"city": ("city", 0, 4), "face": ("face", 15, 2), "pose": ("pose", 3, 2), "drawn": ("face", 2, 2)}
    assert (model.config.task, model.config.conditions, model.config.classes) == wanted[task]
    for quality in (Quality.FULL, Quality.FAST, Quality.DRAFT):
        request = RenderRequest(
            labels=str(maps),
            model=str(tmp_path / "out" / "model"),
            out=str(tmp_path / quality.value),
            frames="1001-1004" if task == "city" else "2-5",
            quality=quality,
        )
        assert run_render(request, tmp_path / quality.value, listener())["frames"] == 4
    if task == "drawn":  # an artist's model takes landmarks too: they are drawn as lines of no part
        request = RenderRequest(
            labels=str(tmp_path / "points.npy"), model=str(tmp_path / "out" / "model"), out=str(tmp_path / "other")
        )
        assert open_shot(model, request).maps(0).condition.shape == (*SIZE, 2)  # type: ignore[union-attr]


@pytest.fixture
def face_model(make_model: Callable[..., Path]) -> Path:
    return make_model(ClassTable((0, 1), ("background", "face")), task="face", conditions=15, edges=False, looks=False)


@pytest.mark.usefixtures("short_timeline")
@pytest.mark.parametrize("quality", [Quality.FULL, Quality.FAST])
def test_a_chunk_of_landmarks_gives_the_pixels_of_the_whole(
    quality: Quality, tmp_path: Path, face_model: Path, listener: type
) -> None:
    np.save(tmp_path / "face.npy", talking(26))
    for name, frames in (("whole", None), ("chunk", "11-15")):
        request = RenderRequest(
            labels=str(tmp_path / "face.npy"),
            model=str(face_model),
            out=str(tmp_path / name),
            frames=frames,
            quality=quality,
        )
        run_render(request, tmp_path / name, listener())
    for number in range(11, 16):
        name = f"{number:04d}.png"
        np.testing.assert_array_equal(read_color(tmp_path / "whole" / name), read_color(tmp_path / "chunk" / name))


def test_maps_of_another_task_are_refused_by_a_sentence(
    tmp_path: Path, face_model: Path, model: Path, street: Path, listener: type
) -> None:
    np.save(tmp_path / "face.npy", talking(3))
    np.save(tmp_path / "pose.npy", waving(3))

    def refused(labels: Path, net: Path, words: str, kind: type[MapreelError] = ModelMismatchError) -> None:
        request = RenderRequest(labels=str(labels), model=str(net), out=str(tmp_path / "take"))
        with pytest.raises(kind, match=words):
            run_render(request, tmp_path / "take", listener())
        assert not (tmp_path / "take").exists()

    refused(tmp_path / "pose.npy", face_model, "landmarks of a pose, but the model reads a face")
    refused(tmp_path / "face.npy", model, "holds landmarks, but the model reads label maps")
    refused(street / "color", face_model, "belong to no part")
    refused(tmp_path / "gone.npy", face_model, "is not there", MissingInputError)


def test_frames_without_landmarks_are_missing_or_held(tmp_path: Path, face_model: Path, listener: type) -> None:
    np.save(tmp_path / "face.npy", talking(3))
    request = RenderRequest(
        labels=str(tmp_path / "face.npy"), model=str(face_model), out=str(tmp_path / "take"), frames="2-5"
    )
    with pytest.raises(GapError, match=r"2 frames \(4-5\) are missing from .*face.npy, which has 1-3"):
        run_render(request, tmp_path / "take", listener())
    for policy in ("hold", "black"):
        held = RenderRequest(**{**vars(request), "missing": type(request.missing)(policy)})
        shot = open_shot(load_model(str(face_model)), held)
        last = shot.maps(shot.timeline.numbers.index(5)).drawing
        assert last is not None
        assert last.any() == (policy == "hold")


def test_tasks_and_ways_of_drawing_are_not_mixed_in_a_training(
    face: tuple[Path, Path], street: Path, prepare: Prepare, tmp_path: Path, listener: type
) -> None:
    points = prepare(*face)
    with pytest.raises(InputError, match="of different tasks"):
        class_table([points.path, street], None)
    drawn = drawn_frames(points)
    assert drawn is not None
    (tmp_path / "drawn").mkdir()
    for index in range(FRAMES):
        write_png(tmp_path / "drawn" / f"{101 + index:04d}.png", drawn[index].max(axis=2))
    lines = prepare(tmp_path / "drawn", face[1], "lines.safetensors", task="face")
    with pytest.raises(InputError, match="some by hand"):
        run_train([points.path, lines.path], tmp_path / "out", steps=1, context=listener())


def test_configs_of_older_models_are_those_of_label_maps_and_nonsense_is_refused() -> None:
    old = {"classes": 4, "width": 80, "height": 48}
    config = config_from_dict(old, file="m")
    assert (config.task, config.conditions, config.canvas_px, config.label_channels) == ("city", 0, (0, 0), 5)
    bad = [{"task": "dance"}, {"task": "face"}, {"conditions": 3}, {"canvas_px": [1]}, {"conditions": -1}, {"task": 3}]
    for wrong in bad:
        with pytest.raises(DamagedModelError):
            config_from_dict({**old, **wrong}, file="m")


@pytest.mark.skipif(not LPIPS.is_file(), reason="the LPIPS weights are not here")
def test_a_model_is_scored_on_a_data_set(
    face: tuple[Path, Path], prepare: Prepare, tmp_path: Path, face_model: Path, model: Path, street: Path
) -> None:
    packed = prepare(*face)
    score = score_model(str(face_model), [packed.path], LPIPS, Quality.FAST, [packed.path], tmp_path / "seen")
    assert score.frames == FRAMES
    assert 0 < score.key_share < 1
    assert score.mean is not None
    assert 0 < score.mean < score.lpips < 2
    assert read_color(tmp_path / "seen" / "fast_sheet.png").shape[0] > SIZE[0]
    with pytest.raises(ModelMismatchError, match="is of the task face"):
        score_model(str(model), [packed.path], LPIPS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a full disk of Linux")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk of Linux")
def test_a_full_disk_is_told(street: Path, tmp_path: Path, listener: type, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(self: Path, mode: str = "r", **kind: object):
        return opened(Path("/dev/full"), "wb") if mode == "xb" else opened(self, mode, **kind)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", full)
    plan = PreparePlan(maps=str(street / "label"), pictures=str(street / "color"))
    with pytest.raises(MapreelError, match="the disk is full"):
        run_prepare(plan, tmp_path / "set.safetensors", listener())
