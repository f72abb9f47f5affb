# SPDX-License-Identifier: GPL-3.0-or-later
"""The label doctor on the demo shot: silent while it is clean, and each kind of damage, really done, is named."""

from __future__ import annotations

import hashlib
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import (
    DamagedFileError,
    GapError,
    MissingInputError,
    OutputError,
    UnsupportedFileError,
)
from mapreel.core.contract.frames import FrameRange, MissingFrames
from mapreel.core.contract.progress import SilentContext
from mapreel.core.contract.requests import InspectRequest, RepairRequest
from mapreel.core.media.doctor import examine, glance
from mapreel.core.media.doctor_colours import Colours, Sample
from mapreel.core.media.doctor_findings import WORDS, Problem
from mapreel.core.media.doctor_frames import look_at
from mapreel.core.media.doctor_jobs import run_inspect, run_repair
from mapreel.core.media.doctor_picture import WIDTH_PX, draw_report
from mapreel.core.media.doctor_repair import repair
from mapreel.core.media.doctor_time import TimeWindow
from mapreel.core.media.images import read_color, write_png
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.palettes import load_palette

DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo" / "street" / "label"
DRIVE = Path(__file__).resolve().parents[3] / "shared" / "data" / "street" / "test" / "label"
FRAMES = range(1, 9)
STREET = load_palette("street")
ROAD, BUILDING, CAR, POLE, PERSON = 1, 4, 6, 8, 10


@pytest.fixture(scope="module")
def truth():
    """Eight frames of the demo shot, number -> ids [256, 512] uint8."""
    return {number: read_label_map(DEMO / f"{number:04d}.png").astype(np.uint8) for number in FRAMES}


@pytest.fixture
def save(tmp_path):
    """Writes frames as a sequence of PNG and gives its folder."""

    def write(frames, name="maps"):
        folder = tmp_path / name
        folder.mkdir()
        for number, pixels in frames.items():
            write_png(folder / f"{number:04d}.png", pixels)
        return folder

    return write


def each(truth, change):
    return {number: change(ids) for number, ids in truth.items()}


def painted(ids):
    return STREET.lookup[ids]


def resized(size, how, small=cv2.INTER_NEAREST):
    return lambda ids: cv2.resize(cv2.resize(ids, size, interpolation=small), (512, 256), interpolation=how)


def through_jpeg(quality):
    def change(pixels):
        done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        back = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        return np.ascontiguousarray(back[..., ::-1])

    return change


def grey_through_jpeg(quality):
    def change(ids):
        done, data = cv2.imencode(".jpg", ids, [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)

    return change


def problems(report):
    return {finding.problem.value for finding in report.findings}


# -- nothing is said about what is sound


@pytest.mark.parametrize("palette", [None, "street"])
def test_the_whole_demo_shot_is_clean(palette):
    report = examine(DEMO, palette=palette)
    assert report.findings == ()
    assert len(report.numbers) == 96
    assert report.size == (256, 512)
    assert report.to_dict()["clean"] is True


@pytest.mark.skipif(not DRIVE.is_dir(), reason="the big test data is not here")
@pytest.mark.parametrize("drive", ["train_a", "train_b"])
def test_other_drives_with_people_poles_and_signs_are_clean(drive):
    assert examine(DRIVE.parents[1] / drive / "label", palette="street").findings == ()


def test_clean_in_other_clothes(truth, save):
    assert examine(save(each(truth, painted), "colours"), palette="street").findings == ()
    assert problems(examine(save(each(truth, painted), "unnamed"))) == {"colour-picture"}
    assert examine(save(each(truth, lambda ids: ids.astype(np.uint16)), "deep")).findings == ()
    assert (
        examine(save(each(truth, lambda ids: cv2.resize(ids, (256, 128), interpolation=cv2.INTER_NEAREST)))).findings
        == ()
    )


def test_a_still_of_flat_shapes_is_clean(save):
    shape = np.zeros((128, 160), np.uint8)
    shape[40:90, 32:96] = 3
    cv2.circle(shape, (120, 60), 20, 7, -1)
    assert examine(save(dict.fromkeys(range(1001, 1011), shape))).findings == ()


def test_it_is_quick_and_keeps_a_window_only(truth):
    window, colours = TimeWindow(), Colours(STREET)
    samples = [Sample(pixels=ids, kind="png", channels="grey", bits=8) for ids in truth.values()] * 3
    tracemalloc.start()
    look_at(samples[0], 1, colours)
    tracemalloc.stop()
    started = time.thread_time()
    for number, sample in enumerate(samples):
        window.push(look_at(sample, number, colours), follows=True)
    seconds = time.thread_time() - started
    assert len(window.looks) == 6
    assert len(samples) / seconds > 20


# -- each kind of damage, done for real


def one_frame(change, number=4):
    return lambda truth: {**truth, number: change(truth[number].copy())}


def with_values(places):
    def change(ids):
        for rows, columns, value in places:
            ids[rows, columns] = value
        return ids

    return change


def without(label, by):
    return lambda ids: np.where(ids == label, np.uint8(by), ids)


def salted(share):
    def change(ids):
        random = np.random.default_rng(3)
        return np.where(random.random(ids.shape) < share, random.integers(0, 12, ids.shape).astype(np.uint8), ids)

    return change


def all_frames(change):
    return lambda truth: each(truth, change)


DAMAGE = {
    "jpeg of ids, quality 50": (all_frames(grey_through_jpeg(50)), "lossy", FRAMES),
    "jpeg of ids, quality 90": (all_frames(grey_through_jpeg(90)), "lossy", FRAMES),
    "jpeg of ids, quality 98": (all_frames(grey_through_jpeg(98)), "lossy", FRAMES),
    "jpeg of colours, quality 75": (all_frames(lambda ids: through_jpeg(75)(painted(ids))), "lossy", FRAMES),
    "jpeg of colours, quality 95": (all_frames(lambda ids: through_jpeg(95)(painted(ids))), "lossy", FRAMES),
    "one frame was jpeg": (one_frame(grey_through_jpeg(85)), "lossy", [4]),
    "twice as large, linear": (all_frames(resized((256, 128), cv2.INTER_LINEAR)), "resized-smooth", FRAMES),
    "twice as large, cubic": (all_frames(resized((256, 128), cv2.INTER_CUBIC)), "resized-smooth", FRAMES),
    "twice as large, Lanczos": (all_frames(resized((256, 128), cv2.INTER_LANCZOS4)), "resized-smooth", FRAMES),
    "colours twice as large": (
        all_frames(lambda ids: resized((256, 128), cv2.INTER_LINEAR)(painted(ids))),
        "resized-smooth",
        FRAMES,
    ),
    "a little larger, linear": (all_frames(resized((480, 240), cv2.INTER_LINEAR)), "soft-edges", FRAMES),
    "half, by area": (
        all_frames(lambda ids: cv2.resize(ids, (256, 128), interpolation=cv2.INTER_AREA)),
        "soft-edges",
        FRAMES,
    ),
    "colours, anti-aliased": (
        all_frames(
            lambda ids: cv2.resize(cv2.resize(painted(ids), (1280, 640), interpolation=0), (512, 256), interpolation=3)
        ),
        "soft-edges",
        FRAMES,
    ),
    "twice as large, nearest": (all_frames(resized((256, 128), cv2.INTER_NEAREST)), "resized-nearest", FRAMES),
    "4/3 as large, nearest": (all_frames(resized((384, 192), cv2.INTER_NEAREST)), "resized-nearest", FRAMES),
    "1.07 as large, nearest": (all_frames(resized((480, 240), cv2.INTER_NEAREST)), "resized-nearest", FRAMES),
    "8 bits as 16": (all_frames(lambda ids: ids.astype(np.uint16) * 257), "scaled-ids", FRAMES),
    "8 bits shifted to 16": (all_frames(lambda ids: ids.astype(np.uint16) << 8), "scaled-ids", FRAMES),
    "stretched to be seen": (all_frames(lambda ids: ids * 20), "scaled-ids", FRAMES),
    "grey as colours": (all_frames(lambda ids: np.repeat(ids[..., None], 3, 2)), "grey-as-colour", FRAMES),
    "an id beyond the palette": (one_frame(with_values([(slice(40, 60), slice(9, 30), 77)])), "unknown-id", [4]),
    "a colour beyond the palette": (
        lambda truth: {
            **each(truth, painted),
            4: with_values([(slice(40, 60), slice(9, 30), (9, 8, 7))])(painted(truth[4])),
        },
        "unknown-colour",
        [4],
    ),
    "a frame of one class": (one_frame(np.zeros_like), "single-class", [4]),
    "cars gone for a frame": (one_frame(without(CAR, ROAD)), "class-pop", [4]),
    "poles gone for two frames": (
        lambda truth: {**truth, **{n: without(POLE, BUILDING)(truth[n]) for n in (4, 5)}},
        "class-pop",
        [4, 5],
    ),
    "a person for two frames": (
        lambda truth: {
            **truth,
            **{n: with_values([(slice(180, 192), slice(200, 212), PERSON)])(truth[n].copy()) for n in (4, 5)},
        },
        "region-pop",
        [4, 5],
    ),
    "salt": (one_frame(salted(0.002)), "specks", [4]),
    "salt at the end": (one_frame(salted(0.002), number=8), "specks", [8]),
    "a gap": (lambda truth: {n: ids for n, ids in truth.items() if n not in (3, 6, 7)}, "gap", [3, 6, 7]),
    "another size": (one_frame(lambda ids: ids[:, :500]), "mixed-sizes", [4]),
    "other channels": (one_frame(painted), "mixed-channels", [4]),
    "another depth": (one_frame(lambda ids: ids.astype(np.uint16)), "mixed-depths", [4]),
}
COMPANIONS = {  # what comes along: JPEG and filters make ids that no palette has, and what is new for a frame pops
    "lossy": {"unknown-id", "unknown-colour"},
    "soft-edges": {"unknown-id"},
    "resized-smooth": {"unknown-id"},
    "unknown-id": {"class-pop"},
    "mixed-channels": {"grey-as-colour"},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_with_its_frames(truth, save, damage):
    change, name, frames = DAMAGE[damage]
    report = examine(save(change(truth)), palette="street")
    finding = report.find(name)
    assert finding is not None, report.counts
    assert finding.frames == tuple(frames)
    assert finding.count >= len(frames) or finding.counts == "regions"
    assert str(FrameRange.from_numbers(frames)) in finding.sentence(report.names)
    assert problems(report) - COMPANIONS.get(name, set()) == {name}


def odd_frame(random, kind):
    """A picture of an odd size and kind, blocks or noise."""
    height, width = (int(side) for side in random.choice([1, 2, 3, 8, 31, 33, 70], 2))
    top = int(random.choice([2, 12, 300, 65536]))
    blocks = np.kron(random.integers(0, top, (height // 4 + 1, width // 4 + 1)), np.ones((4, 4), int))[:height, :width]
    colors = np.stack([blocks, blocks * 7, blocks * 13, blocks * 0 + 255], axis=-1)
    noise = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return [blocks.astype(np.uint8), blocks.astype(np.uint16), colors.astype(np.uint16), noise][kind]


def test_odd_sizes_kinds_and_mixtures_come_through(tmp_path):
    random = np.random.default_rng(7)
    for turn in range(24):
        folder = tmp_path / f"maps{turn}"
        folder.mkdir()
        frame = odd_frame(random, turn % 4)
        for number in (1, 2, 3, 5, 6):
            odd = random.random() < 0.15
            shown = odd_frame(random, int(random.integers(0, 4))) if odd else np.roll(frame, number, axis=0)
            write_png(folder / f"{number:04d}.png", np.ascontiguousarray(shown))
        done = repair(
            folder, tmp_path / f"out{turn}", palette="street" if turn % 2 else None, missing=MissingFrames.HOLD
        )
        assert len(list((tmp_path / f"out{turn}").iterdir())) == 6
        assert done.after.find("gap") is None
        assert draw_report(done.before).shape[1] == WIDTH_PX


def test_more_ids_than_a_label_map_has(save):
    ids = (np.arange(64 * 64, dtype=np.uint16) // 8).reshape(64, 64)
    assert "too-many-ids" in problems(examine(save({1: ids, 2: ids})))


def test_a_jpeg_file_and_a_broken_file(truth, save):
    folder = save(truth)
    (folder / "0003.png").write_bytes((folder / "0003.png").read_bytes()[:2000])
    report = examine(folder)
    assert report.find("damaged").frames == (3,)
    assert "0003.png" in report.find("damaged").places[0].note
    photos = folder.parent / "photos"
    photos.mkdir()
    for number, ids in truth.items():
        (photos / f"{number:04d}.jpg").write_bytes(cv2.imencode(".jpg", ids)[1].tobytes())
    assert examine(photos).find("lossy").frames == tuple(FRAMES)


def test_where_there_is_no_sequence(tmp_path):
    with pytest.raises(MissingInputError):
        examine(tmp_path / "nowhere")
    with pytest.raises(UnsupportedFileError, match="movie"):
        examine(tmp_path / "a.mp4")


def test_a_glance_says_one_sentence_or_nothing(truth, save, tmp_path):
    assert glance(DEMO) == ""
    assert glance(tmp_path / "nowhere") == ""
    told = glance(save(each(truth, grey_through_jpeg(80))))
    assert "JPEG" in told
    assert "mapreel label doctor" in told
    assert "\n" not in told


# -- mended copies


def wrong(folder, truth):
    return sum(int((read_label_map(folder / f"{n:04d}.png") != ids).sum()) for n, ids in truth.items())


def prints(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


REPAIRS = {  # what is left of the wrong pixels, at most
    "8 bits as 16": 0.0,
    "8 bits shifted to 16": 0.0,
    "grey as colours": 0.0,
    "stretched to be seen": 0.0,
    "cars gone for a frame": 0.1,
    "a person for two frames": 0.15,
    "salt": 0.5,
    "a frame of one class": 0.2,
    "a little larger, linear": 0.8,
    "twice as large, linear": 0.8,
}


@pytest.mark.parametrize("damage", REPAIRS)
def test_repair_mends_copies_and_leaves_the_originals(truth, save, tmp_path, damage):
    change, name, frames = DAMAGE[damage]
    folder = save(change(truth))
    originals = prints(folder)
    before = sum(
        int((np.asarray(pixels[..., 0] if pixels.ndim == 3 else pixels) != truth[n]).sum())
        for n, pixels in change(truth).items()
    )
    done = repair(folder, tmp_path / "mended", palette="street")
    assert prints(folder) == originals
    assert sorted(path.name for path in (tmp_path / "mended").iterdir()) == sorted(originals)
    assert done.after.find(name) is None
    assert done.mended == tuple(frames)
    if name not in ("scaled-ids", "grey-as-colour"):
        assert wrong(tmp_path / "mended", truth) <= REPAIRS[damage] * before
    else:
        assert wrong(tmp_path / "mended", truth) == 0
    counts = done.to_dict()["counts"][name]
    assert counts["before"] > counts["after"] == 0


def test_frames_that_need_nothing_are_copied_byte_by_byte(truth, save, tmp_path):
    folder = save(DAMAGE["salt"][0](truth))
    repair(folder, tmp_path / "mended")
    same = [name for name, text in prints(folder).items() if prints(tmp_path / "mended")[name] == text]
    assert same == [f"{n:04d}.png" for n in FRAMES if n != 4]


def test_soft_colours_become_colours_of_the_palette(truth, save, tmp_path):
    folder = save(DAMAGE["colours, anti-aliased"][0](truth))
    done = repair(folder, tmp_path / "mended", palette="street")
    assert done.after.find("soft-edges") is None
    colors = {tuple(color) for color in STREET.lookup[:12].tolist()}
    mended = read_color(tmp_path / "mended" / "0004.png")
    assert {tuple(color) for color in np.unique(mended.reshape(-1, 3), axis=0).tolist()} <= colors
    assert (mended == painted(truth[4])).all(axis=2).mean() > 0.95


def test_a_strange_surface_is_never_guessed(truth, save, tmp_path):
    folder = save(DAMAGE["a colour beyond the palette"][0](truth))
    done = repair(folder, tmp_path / "mended", palette="street")
    assert done.mended == ()
    assert done.to_dict()["counts"]["unknown-colour"] == {"before": 420, "after": 420}


def test_an_indexed_png_keeps_its_palette(truth, tmp_path):
    from mapreel.core.media.pngfile import PngColor, parse_png

    folder = tmp_path / "maps"
    folder.mkdir()
    for number, ids in DAMAGE["salt"][0](truth).items():
        (folder / f"{number:04d}.png").write_bytes(indexed(ids))
    done = repair(folder, tmp_path / "mended")
    assert done.mended == (4,)
    path = tmp_path / "mended" / "0004.png"
    png = parse_png(path.read_bytes(), path)
    assert png.header.color is PngColor.INDEXED
    assert png.palette_entries == 12
    assert (read_label_map(path) == truth[4]).mean() > 0.99


def indexed(ids):
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = ids.shape
    lines = b"".join(b"\0" + line.tobytes() for line in ids)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"PLTE", STREET.lookup[:12].tobytes())
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_gaps_follow_the_named_policy(truth, save, tmp_path):
    folder = save(DAMAGE["a gap"][0](truth))
    with pytest.raises(GapError, match=r"3 frames \(3,6-7\) are missing"):
        repair(folder, tmp_path / "error")
    assert not (tmp_path / "error").exists()
    held = repair(folder, tmp_path / "hold", missing=MissingFrames.HOLD)
    assert held.filled == (3, 6, 7)
    assert held.after.findings == ()
    assert (read_label_map(tmp_path / "hold" / "0007.png") == truth[5]).all()
    repair(folder, tmp_path / "black", missing=MissingFrames.BLACK)
    assert not read_label_map(tmp_path / "black" / "0003.png").any()
    (folder / "0004.png").write_bytes(b"no picture")
    with pytest.raises(DamagedFileError):
        repair(folder, tmp_path / "again", frames=FrameRange.parse("4-5"))


def test_it_never_writes_among_the_originals(truth, save, tmp_path):
    folder = save(truth)
    (tmp_path / "link").symlink_to(folder)
    for same in (folder, tmp_path / "link", folder / ".." / folder.name):
        with pytest.raises(OutputError, match="originals"):
            repair(folder, same)
    with pytest.raises(OutputError, match="originals"):
        repair(folder / "0001.png", folder)


def test_names_numbers_and_other_kinds_of_files(truth, tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    for number, ids in truth.items():
        path = folder / f"shot_label.{1000 + number}.jpg"
        path.write_bytes(cv2.imencode(".jpg", ids, [cv2.IMWRITE_JPEG_QUALITY, 99])[1].tobytes())
    done = repair(folder / "shot_label.####.jpg", tmp_path / "mended")
    names = sorted(path.name for path in (tmp_path / "mended").iterdir())
    assert names == [f"shot_label.{1000 + number}.png" for number in FRAMES]
    assert done.before.find("lossy") is not None
    assert done.pixels > 0


@pytest.mark.parametrize("policy", [MissingFrames.HOLD, MissingFrames.BLACK])
def test_indexed_frames_that_are_missing_are_filled_as_the_others_are(truth, tmp_path, policy):
    from mapreel.core.media.pngfile import PngColor, parse_header

    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1, 2, 4):
        (folder / f"{number:04d}.png").write_bytes(indexed(truth[number]) if number > 1 else b"")
    done = repair(folder, tmp_path / "out", missing=policy)
    assert (done.filled, done.before.counts["damaged"], "damaged" in done.after.counts) == ((1, 3), 1, False)
    for path in sorted((tmp_path / "out").iterdir()):
        assert parse_header(path.read_bytes()[:33], path, None).color is PngColor.INDEXED
    wanted = np.zeros_like(truth[2]) if policy is MissingFrames.BLACK else truth[2]
    assert (read_label_map(tmp_path / "out" / "0001.png") == wanted).all()


@pytest.mark.parametrize("name", ["render@2x.", "shot#7_", "50%d.", "$F."])
def test_names_that_look_like_patterns_are_names(truth, tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1, 2, 4, 5):
        ids = truth[number].copy()
        ids[5:8, 5:8] = 99 if number == 2 else ids[5:8, 5:8]
        write_png(folder / f"{name}{number:04d}.png", ids)
    done = repair(folder, tmp_path / "out", palette="street", missing=MissingFrames.HOLD)
    assert draw_report(done.before).shape[1] == WIDTH_PX
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}{n:04d}.png" for n in range(1, 6)]
    assert "unknown-id" not in done.after.counts


# -- the picture, and as jobs


def test_the_picture_shows_each_finding(truth, save):
    clean = draw_report(examine(DEMO, frames=FrameRange.parse("1-2")))
    one = draw_report(examine(save(DAMAGE["cars gone for a frame"][0](truth), "one")))
    change = {**DAMAGE["salt"][0](DAMAGE["a gap"][0](truth)), 8: np.zeros_like(truth[8])}
    several = draw_report(examine(save(change, "several")))
    assert clean.shape[1] == one.shape[1] == several.shape[1] == WIDTH_PX
    assert clean.shape[0] < one.shape[0] < several.shape[0]
    assert ((one == (255, 92, 70)).all(axis=2)).sum() > 1000


def test_as_jobs(truth, save, tmp_path):
    folder = save(DAMAGE["cars gone for a frame"][0](truth))
    picture = tmp_path / "where.png"
    request = InspectRequest(source=str(folder), palette="street", picture=str(picture))
    first = run_inspect(request, None, SilentContext())
    second = run_inspect(request, None, SilentContext())
    assert first["picture"] == str(picture)
    assert second["picture"] == str(tmp_path / "where_v002.png")
    assert first["lines"] == ["frame 4: a class that comes or goes for a few frames (4 regions; car)"]
    done = run_repair(RepairRequest(source=str(folder), out=str(tmp_path / "out")), tmp_path / "out", SilentContext())
    assert done["repair"]["counts"] == {"class-pop": {"before": 4, "after": 0}}
    assert done["lines_after"] == []


def test_every_problem_is_explained():
    assert set(WORDS) == set(Problem)
