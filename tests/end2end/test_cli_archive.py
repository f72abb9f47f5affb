# SPDX-License-Identifier: GPL-3.0-or-later
"""Shots into archives and back from the command line, and what becomes of archives that are cut or altered."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.frames import find_sequence
from mapreel.core.media.images import read_color, read_color_float, write_png
from mapreel.core.nirvana.archive import Archive

FRAMES = range(1001, 1004)  # one group of the draft preset


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    """Three small frames of something that moves."""
    folder = tmp_path_factory.mktemp("plates")
    y, x = np.mgrid[0:32, 0:48].astype(np.float32)
    for index, number in enumerate(FRAMES):
        picture = np.stack([128 + 100 * np.sin((x + 3 * index) / 9), 4 * y, 255 - 4 * x], axis=2)
        write_png(folder / f"{number}.png", np.clip(picture, 0, 255).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def archive(warm_mapreel, plates, tmp_path_factory):
    """A whole archive of the plates. Read only."""
    path = tmp_path_factory.mktemp("archive") / "shot.nirv"
    run = warm_mapreel("archive", "encode", plates, path, "--preset", "draft", "--json")
    assert run.code == 0, run.stderr
    assert run.data["take"] == str(path)
    assert run.data["result"]["bits_per_pixel"] == pytest.approx(8 * path.stat().st_size / (3 * 32 * 48))
    return path


def test_decode_gives_the_frames_back(warm_mapreel, archive, plates, tmp_path):
    run = warm_mapreel("archive", "decode", archive, tmp_path / "out", "--json")
    assert run.code == 0, run.stderr
    files = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert files == [f"{number}.png" for number in FRAMES]
    error = [
        np.abs(read_color(plates / name).astype(int) - read_color(tmp_path / "out" / name)).mean() for name in files
    ]
    assert max(error) < 12
    one = warm_mapreel("archive", "decode", archive, tmp_path / "one", "--frames", "1003", "--local")
    assert one.code == 0, one.stderr
    assert (tmp_path / "one" / "1003.png").read_bytes() == (tmp_path / "out" / "1003.png").read_bytes()


def test_info_says_what_is_in_it(warm_mapreel, archive):
    data = warm_mapreel("archive", "info", archive, "--json").data
    assert (data["frames"], data["numbers"], data["width"], data["height"]) == (3, "1001-1003", 48, 32)
    assert data["file_bytes"] == archive.stat().st_size
    assert (data["format_version"], data["depth"], data["alpha"], data["faults"]) == (2, "8", False, [])
    assert data["provenance"]["tool"] == "mapreel"
    assert "numbers" in warm_mapreel("archive", "info", archive).stdout


@pytest.mark.parametrize("way", [(), ("--local",)], ids=["service", "local"])
def test_verify_says_that_it_is_whole(warm_mapreel, archive, way):
    run = warm_mapreel("archive", "verify", archive, *way)
    assert run.code == 0, run.stderr
    assert "whole: True" in run.stdout


def test_a_part_of_a_frame_smaller_and_as_exr(warm_mapreel, archive, tmp_path):
    part = ("--region", "8,0,32,24", "--scale", "1/2", "--frames", "1002")
    run = warm_mapreel("archive", "decode", archive, tmp_path / "part", *part, "--format", "exr", "--json")
    assert run.code == 0, run.stderr
    assert run.data["result"]["format"] == "exr"
    assert read_color_float(tmp_path / "part" / "1002.exr").shape == (12, 16, 3)


def test_a_damaged_group_costs_its_frames_and_the_exit_code(warm_mapreel, plates, tmp_path):
    """Two groups, the second one damaged: three frames are written, and one sentence names the lost one."""
    longer = tmp_path / "longer"
    shutil.copytree(plates, longer)
    shutil.copy(longer / "1003.png", longer / "1004.png")
    path = tmp_path / "shot.nirv"
    run = warm_mapreel("archive", "encode", longer, path, "--profile", "nirvana", "--preset", "draft", "--json")
    assert run.code == 0, run.stderr
    data = bytearray(path.read_bytes())
    data[data.rindex(b"GRUP") + 60] ^= 1
    path.write_bytes(data)
    run = warm_mapreel("archive", "decode", path, tmp_path / "out")
    assert run.code == 1, run.stderr
    assert "frame 1004 is lost" in run.sentence
    assert sorted(file.name for file in (tmp_path / "out").glob("*.png")) == ["1001.png", "1002.png", "1003.png"]


def refused(run, name):
    assert run.code == 2, run.stderr
    assert name in run.sentence
    assert "; " in run.sentence
    return run.sentence


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_cut(warm_mapreel, archive, tmp_path, share):
    """However little is missing, neither verify nor decode nor info takes it for whole."""
    data = archive.read_bytes()
    cut = tmp_path / "cut.nirv"
    cut.write_bytes(data[: round(share * len(data))])
    refused(warm_mapreel("archive", "verify", cut), "cut.nirv")
    refused(warm_mapreel("archive", "info", cut), "cut.nirv")
    refused(warm_mapreel("archive", "decode", cut, tmp_path / "out"), "cut.nirv")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_one_bit_flipped(warm_mapreel, archive, tmp_path, share):
    data = bytearray(archive.read_bytes())
    data[round(share * (len(data) - 1))] ^= 0x10
    flipped = tmp_path / "flipped.nirv"
    flipped.write_bytes(data)
    refused(warm_mapreel("archive", "verify", flipped), "flipped.nirv")


def test_verify_in_this_process_finds_it_too(warm_mapreel, archive, tmp_path):
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.nirv").write_bytes(data)
    refused(warm_mapreel("archive", "verify", tmp_path / "flipped.nirv", "--local"), "flipped.nirv")


def test_what_is_no_archive(warm_mapreel, plates, tmp_path):
    refused(warm_mapreel("archive", "verify", plates / "1001.png"), "1001.png")
    refused(warm_mapreel("archive", "info", tmp_path / "nothing.nirv"), "nothing.nirv")
    refused(warm_mapreel("archive", "encode", tmp_path / "nothing", tmp_path / "x.nirv"), "nothing")
    refused(warm_mapreel("archive", "encode", plates, tmp_path / "x.zip"), "x.zip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        ("--timecode", "1:2:3"),
        ("--labels", "nowhere"),
        ("--recipe", "none.json"),
        ("--palette", "nobody"),
        ("--depth", "9"),
        ("--tag", "shot"),
    ],
)
def test_what_cannot_go_along_takes_no_name(warm_mapreel, plates, tmp_path, options):
    run = warm_mapreel("archive", "encode", plates, tmp_path / "x.nirv", *options)
    refused(run, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("local", [(), ("--local",)])
@pytest.mark.parametrize("options", [("--bpp", "0.5"), ("--size", "2")])
def test_what_no_encode_can_do_takes_no_name_and_no_place_in_the_queue(warm_mapreel, plates, tmp_path, options, local):
    jobs = len(warm_mapreel("jobs", "list", "--json").data["jobs"])
    run = warm_mapreel("archive", "encode", plates, tmp_path / "x.nirv", "--profile", "nirvana", *options, *local)
    refused(run, "nirvana")
    assert not list(tmp_path.iterdir())
    assert len(warm_mapreel("jobs", "list", "--json").data["jobs"]) == jobs


@pytest.mark.parametrize(
    "options",
    [
        ("out.mp4", "--format", "exr"),
        ("out.mov", "--format", "ffv1"),
        ("out.mkv", "--maps"),
        ("out", "--bits", "12"),
        ("out", "--colour-space", "no such space"),
        ("out", "--format", "exr", "--c2pa", "--c2pa-cert", "a.pem", "--c2pa-key", "b.pem"),
        ("out", "--region", "1,2,3"),
        ("out", "--region", "40,0,9,9"),
        ("out", "--region", "1,0,8,8", "--scale", "1/2"),
        ("out", "--scale", "1/3"),
    ],
)
def test_what_no_decode_can_do_takes_no_name(warm_mapreel, archive, tmp_path, options):
    name, *rest = options
    run = warm_mapreel("archive", "decode", archive, tmp_path / name, *rest)
    assert run.code == 2
    assert not list(tmp_path.iterdir())


def test_frames_that_it_does_not_hold(warm_mapreel, archive, tmp_path):
    run = warm_mapreel("archive", "decode", archive, tmp_path / "out", "--frames", "1003-1009")
    assert run.code == 2
    assert "1004" in run.sentence
    assert "1001-1003" in run.sentence


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_second_archive_is_a_new_take_and_survives_a_kill(warm_mapreel, archive, plates):
    """The encode goes on by itself; the new archive is the same as the first, to the last bit."""
    before = archive.read_bytes()
    process = warm_mapreel.start("archive", "encode", plates, archive, "--preset", "draft")
    deadline = time.monotonic() + 60
    while not ((facts := warm_mapreel.facts()).get("busy") and facts["compute_pid"]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(facts["compute_pid"], signal.SIGKILL)
    run = warm_mapreel.finish(process)
    assert run.code == 0, run.stderr
    assert "crashed (SIGKILL); going on with what is finished" in run.stderr
    second = archive.with_name("shot_v002.nirv")
    assert run.stdout.splitlines()[-1] == str(second)
    assert archive.read_bytes() == before == second.read_bytes()


def test_maps_by_layer_and_classes_go_along(warm_mapreel, tmp_path):
    blender = str(Path(__file__).resolve().parents[1] / "data" / "blender" / "blender50.%04d.exr")
    plates = tmp_path / "plates"
    plates.mkdir()
    for number in (2, 3):
        write_png(plates / f"p.{number:04d}.png", np.full((48, 64, 3), 40 * number, np.uint8))
    given = ("car*=car", "ground=road", "*=vegetation", "nothing=sky")
    rules = [word for rule in given for word in ("--classes", rule)]
    words = ("archive", "encode", plates, tmp_path / "a.nirv", "--preset", "draft", "--labels", blender)
    run = warm_mapreel(*words, "--palette", "street", "--layer", "CryptoObject", *rules)
    assert run.code == 0, run.stderr
    with Archive(tmp_path / "a.nirv") as archive:
        names = archive.info.notes.classes
        assert {names[label] for label in np.unique(archive.labels(3)).tolist()} == {"car", "road", "vegetation", "sky"}


def test_slips_are_said_before_anything_is_queued(warm_mapreel, plates, tmp_path):
    out = tmp_path / "a.nirv"
    found = find_sequence(plates)
    labels = tmp_path / "labels"
    labels.mkdir()
    for number in found.numbers[:-1]:
        write_png(labels / f"{number:04d}.png", np.zeros((8, 8), np.uint8))
    before = len(warm_mapreel("jobs", "list", "--all", "--json").data["jobs"])
    for words, said in (
        (("encode", plates, out, "--frames", "90000"), "frame 90000 is missing"),
        (("encode", plates, out, "--labels", labels), f"frame {found.numbers[-1]} is missing"),
    ):
        run = warm_mapreel("archive", *words)
        assert run.code == 2, run.stderr
        assert said in run.stderr
    golden = Path(__file__).resolve().parents[1] / "integration" / "nirvana_golden" / "reel_v2.nirv"
    run = warm_mapreel("archive", "decode", golden, tmp_path / "take", "--frames", "777777")
    assert (run.code, "holds no frame 777777" in run.stderr) == (2, True)
    assert len(warm_mapreel("jobs", "list", "--all", "--json").data["jobs"]) == before
    assert not (tmp_path / "take").exists()
