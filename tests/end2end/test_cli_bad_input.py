# SPDX-License-Identifier: GPL-3.0-or-later
"""What bad input gets from the command line: one sentence with file, frame and remedy, exit code 2, nothing lost."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.media.images import write_exr, write_png

BOTH = pytest.mark.parametrize("way", [(), ("--local",)], ids=["service", "local"])


def refused(run, *words, code=2):
    """The sentence of a refused command: it names all of `words`, and stdout is empty."""
    assert run.code == code, run.stderr
    assert run.stdout == ""
    sentence = run.sentence
    for word in words:
        assert word in sentence
    assert "; " in sentence, "no remedy"
    assert sentence.endswith(".")
    return sentence


def no_take(out):
    """Nothing was made, not even an empty folder."""
    return not any(path.name.startswith(out.name) for path in out.parent.iterdir())


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def lying_png(width, height):
    """A few bytes that claim to be a huge picture, every checksum right."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels + png_chunk(b"IEND", b"")


# -- seen before anything is queued: the same with the service and without, and no take is made


@pytest.mark.parametrize(("part", "way"), [("labels", ()), ("labels", ("--local",)), ("instances", ()), ("motion", ())])
def test_missing_folder(warm_mapreel, words, shot, tmp_path, part, way):
    shutil.rmtree(shot / part.removesuffix("s"))
    refused(warm_mapreel(*words(shot, tmp_path / "out", *way)), str(shot / part.removesuffix("s")), "does not exist")
    assert no_take(tmp_path / "out")


def test_empty_sequence(warm_mapreel, words, shot, tmp_path):
    for path in (shot / "label").iterdir():
        path.unlink()
    (shot / "label" / ".DS_Store").write_bytes(b"x")
    refused(warm_mapreel(*words(shot, tmp_path / "out")), str(shot / "label"), "holds no image sequence")
    assert no_take(tmp_path / "out")


def test_pattern_without_a_file(warm_mapreel, words, shot, model, tmp_path):
    pattern = shot / "label" / "name.####.png"
    refused(warm_mapreel("render", pattern, "--model", model, "--out", tmp_path / "out"), str(pattern))
    assert no_take(tmp_path / "out")


def test_gap(warm_mapreel, words, shot, tmp_path):
    (shot / "label" / "1003.png").unlink()
    sentence = refused(warm_mapreel(*words(shot, tmp_path / "out")), "frame 1003")
    assert str(shot / "label") in sentence
    assert no_take(tmp_path / "out")


def test_gap_held_on_request(warm_mapreel, words, shot, tmp_path):
    (shot / "label" / "1003.png").unlink()
    run = warm_mapreel(*words(shot, tmp_path / "out", "--missing", "hold"))
    assert run.code == 0, run.stderr
    assert "1003" in run.stdout
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.png")) == [str(n) for n in range(1001, 1007)]


def test_mixed_sizes(warm_mapreel, words, shot, tmp_path):
    write_png(shot / "label" / "1004.png", np.zeros((32, 32), np.uint8))
    refused(warm_mapreel(*words(shot, tmp_path / "out")), "frame 1001 is 128x64", "frame 1004 is 32x32")
    assert no_take(tmp_path / "out")


@pytest.mark.parametrize(("ending", "way"), [("pt", ()), ("pth", ("--local",)), ("pkl", ()), ("ckpt", ())])
def test_pickle_as_model(warm_mapreel, shot, tmp_path, ending, way):
    """It is refused by its name, unopened: its content would leave a mark."""
    mark = tmp_path / "mark"
    model = tmp_path / f"model.{ending}"
    model.write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(mark) + b"'\ntR.")
    run = warm_mapreel("render", shot / "label", "--model", model, "--out", tmp_path / "out", *way)
    refused(run, str(model), "pickle", "safetensors")
    assert not mark.exists()
    assert no_take(tmp_path / "out")


def test_unknown_model(warm_mapreel, shot, tmp_path):
    run = warm_mapreel("render", shot / "label", "--model", "streat", "--out", tmp_path / "out")
    refused(run, "there is no model called streat", "model.safetensors")
    assert no_take(tmp_path / "out")


def test_palette_that_is_not_the_models(warm_mapreel, words, shot, tmp_path):
    (tmp_path / "mine.json").write_text(
        '{"format": "mapreel-palette", "version": 1, "name": "mine",'
        ' "classes": [{"id": 1, "name": "river", "color": [0, 0, 255]}]}'
    )
    run = warm_mapreel(*words(shot, tmp_path / "out", "--palette", tmp_path / "mine.json"))
    refused(run, "label id 1", "“river”", "“road”", "mine")
    assert no_take(tmp_path / "out")


def test_output_that_is_a_file(warm_mapreel, words, shot, tmp_path):
    (tmp_path / "out").write_text("mine")
    refused(warm_mapreel(*words(shot, tmp_path / "out")), str(tmp_path / "out"), "is a file", code=1)
    assert (tmp_path / "out").read_text() == "mine"


# -- seen when the pixels are read: the job fails


@BOTH
def test_unknown_labels(warm_mapreel, words, shot, tmp_path, way):
    label = np.zeros((64, 128), np.uint8)
    label[3, 4:9] = 77
    write_png(shot / "label" / "1001.png", label)
    refused(warm_mapreel(*words(shot, tmp_path / "out", *way)), "frame 1001", "77 (5 pixels)", "1001.png")
    assert no_take(tmp_path / "out")


# -- one map that cannot be read costs its own frame


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def lie(path):
    path.write_bytes(lying_png(30000, 30000))


def no_png(path):
    path.write_bytes(b"MZ" + b"\0" * 1000)


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lying_exr(path):
    data, honest = path.read_bytes(), struct.pack("<iiii", 0, 0, 127, 63)
    assert honest in data
    path.write_bytes(data.replace(honest, struct.pack("<iiii", 0, 0, 29999, 29999)))


@pytest.mark.parametrize(
    ("file", "harm", "way"),
    [
        ("label/1001.png", cut, ()),
        ("label/1001.png", cut, ("--local",)),
        ("label/1002.png", lie, ()),
        ("label/1002.png", lie, ("--local",)),
        ("label/1002.png", no_png, ()),
        ("instance/1003.png", cut, ("--local",)),
        ("motion/1002.exr", half, ()),
        ("motion/1002.exr", lying_exr, ("--local",)),
    ],
)
def test_a_map_that_cannot_be_read_costs_its_own_frame(warm_mapreel, words, shot, tmp_path, file, harm, way):
    harm(shot / file)
    number = file.split("/")[1].split(".")[0]
    run = warm_mapreel(*words(shot, tmp_path / "out", *way))
    said = f"frame {number} is not rendered, the other 5 are: frame {number}"
    refused(run, said, Path(file).name, "--missing hold", "mapreel jobs retry" if not way else "--resume", code=1)
    standing = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert standing == {str(n) for n in range(1001, 1007)} - {number}
    held = warm_mapreel(*words(shot, tmp_path / "held", "--missing", "hold", *way))
    assert held.code == 0, held.stderr
    assert f"frame {number} is held from the nearest frame, because files cannot be read" in held.stdout
    assert len(list((tmp_path / "held").glob("*.png"))) == 6


def test_a_retry_makes_just_the_frame_that_failed(warm_mapreel, words, shot, tmp_path):
    path = shot / "label" / "1006.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-60])
    run = warm_mapreel(*words(shot, tmp_path / "out"))
    sentence = refused(run, "frame 1006", "1006.png", "mapreel jobs retry ", code=1)
    standing = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("*.png")}
    assert len(standing) == 5
    job = sentence.split("mapreel jobs retry ")[1].rstrip(".")
    assert warm_mapreel("jobs", "retry", job).code == 0
    again = warm_mapreel("jobs", "watch", job)  # still broken: still failed, and no worse
    refused(again, "frame 1006 is not rendered, the other 5 are", code=1)
    path.write_bytes(whole)
    assert warm_mapreel("jobs", "retry", job).code == 0
    assert warm_mapreel("jobs", "watch", job).code == 0
    now = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("*.png")}
    assert len(now) == 6
    assert standing.items() <= now.items()
    shown = warm_mapreel("jobs", "show", job, "--json").data
    assert (shown["state"], shown["result"]["rendered"], len(shown["attempts"])) == ("finished", 1, 3)


def test_motion_of_another_kind(warm_mapreel, words, shot, tmp_path):
    for number in range(1001, 1007):
        write_exr(shot / "motion" / f"{number}.exr", np.zeros((64, 128, 3), np.float32), channels=("A", "B", "C"))
    refused(warm_mapreel(*words(shot, tmp_path / "out")), "motion.X", ".exr")


def test_maps_smaller_than_the_model(warm_mapreel, model, tmp_path):
    (tmp_path / "label").mkdir()
    write_png(tmp_path / "label" / "0001.png", np.zeros((2, 2), np.uint8))
    run = warm_mapreel("render", tmp_path / "label", "--model", model, "--out", tmp_path / "out")
    refused(run, "2x2", "tiny")


def test_model_cut_off(warm_mapreel, model, shot, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-1000])
    run = warm_mapreel("render", shot / "label", "--model", broken, "--out", tmp_path / "out")
    refused(run, str(broken), "cannot be used")
    assert no_take(tmp_path / "out")


def test_a_model_without_a_teacher(warm_mapreel, words, shot, tmp_path):
    refused(warm_mapreel(*words(shot, tmp_path / "out", "--quality", "teacher")), "teacher")


@pytest.mark.parametrize(
    ("number", "size", "said"),
    [
        (1001, None, "does not exist"),
        (900, (64, 128), "frame 900 is not in the shot"),
        (1001, (64, 64), "64x64 but the label maps are 128x64"),
    ],
)
def test_references_that_cannot_be_used(warm_mapreel, words, shot, tmp_path, number, size, said):
    look = tmp_path / "look.png"
    if size is not None:
        write_png(look, np.zeros((*size, 3), np.uint8))
    refused(warm_mapreel(*words(shot, tmp_path / "out", "--reference", f"{number}={look}")), said)
    assert no_take(tmp_path / "out")


# -- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 160 kB; skips where this user may not mount one."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        pytest.skip("no mount program here")
    if done.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_full_disk(warm_mapreel, words, long_shot, small_disk, read_pictures, undisturbed):
    take = small_disk / "out"
    sentence = refused(warm_mapreel(*words(long_shot, take)), "the disk is full", str(take), code=1)
    standing = read_pictures(take)
    assert 0 < len(standing) < 96
    assert standing.items() <= undisturbed.items(), "a frame is half"
    assert not [path.name for path in take.iterdir() if ".part" in path.name]
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    job = sentence.split("mapreel jobs retry ")[1].rstrip(".")
    assert warm_mapreel("jobs", "retry", job).code == 0
    assert warm_mapreel("jobs", "watch", job).code == 0
    assert read_pictures(take) == undisturbed


# -- wrong words


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["render", "x", "--modle", "y"], "--model"),
        (["rendr"], "render"),
        (["render", "x"], "--model"),
        (["render", "x", "--model", "m", "--out", "o", "--quality", "best"], "teacher"),
        (["render", "x", "--model", "m", "--out", "o", "--frames", "1-"], "1-"),
        (["render", "x", "--model", "m", "--out", "o", "--reference", "look.png"], "1001=look.png"),
        (["archive", "encode", "x", "y.nirv", "--psnr", "30", "--bpp", "0.1"], "more than one target"),
        (["jobs", "list", "--state", "lost"], "queued"),
    ],
)
def test_wrong_words(warm_mapreel, given, expected):
    refused(warm_mapreel(*given), expected)


def test_an_error_for_machines(warm_mapreel, words, shot, tmp_path):
    (shot / "label" / "1003.png").unlink()
    run = warm_mapreel(*words(shot, tmp_path / "out", "--json"))
    assert run.code == run.data["exit_code"] == 2
    assert run.data["error"]["code"] == "gap"
    assert run.data["error"]["frame"] == 1003
    assert Path(run.data["error"]["file"]).name == "1003.png"
    assert "frame 1003" in run.sentence


def test_unknown_job(warm_mapreel):
    refused(warm_mapreel("jobs", "show", "nobody"), "nobody", code=1)
    refused(warm_mapreel("jobs", "watch", "nobody"), "nobody", code=1)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGPIPE")
def test_a_reader_that_leaves_is_no_error(warm_mapreel):
    process = warm_mapreel.start("palettes", "street")
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert stderr == ""


def test_a_gap_in_the_instances_is_said_before_anything_is_queued(warm_mapreel, words, shot, tmp_path):
    (shot / "instance" / "1003.png").unlink()
    refused(warm_mapreel(*words(shot, tmp_path / "out")), "frame 1003 is missing", str(shot / "instance"))
    assert no_take(tmp_path / "out")
