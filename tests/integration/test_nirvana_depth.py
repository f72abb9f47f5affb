# SPDX-License-Identifier: GPL-3.0-or-later
"""Shots of every depth through an archive and back to files: 16-bit PNG, scene-linear EXR, alpha, maps and notes."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.progress import SilentContext
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest, EncodeRequest, Preset, VerifyRequest
from mapreel.core.media.exrfile import exr_facts
from mapreel.core.media.images import read_color, read_picture, write_exr, write_png
from mapreel.core.media.movies import read_movie
from mapreel.core.media.plates import PRIMARIES, exr_attributes, read_plate
from mapreel.core.nirvana import decoding, jobs
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.config import FitConfig
from mapreel.core.nirvana.metadata import Timecode

QUICK = FitConfig(first_iterations=20, next_iterations=10, first_search=20, next_search=10)
NUMBERS = range(1001, 1005)
SIZE = (34, 50)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jobs, "PRESETS", {"draft": QUICK, "good": QUICK, "best": QUICK})


def ramp(number: int) -> np.ndarray:
    """A colour ramp 0..1 that moves, [H, W, 3]."""
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]] / 50
    return np.stack([cols, rows, (rows + cols + (number - 1001) / 9) / 3], axis=-1)


def encode(source: Path, out: Path, **fields) -> dict:
    request = EncodeRequest(source=str(source), out=str(out), preset=Preset.DRAFT, **fields)
    return jobs.run_encode(request, out, SilentContext())


def decode(archive: Path, take: Path, **fields) -> dict:
    return decoding.run_decode(DecodeRequest(archive=str(archive), out=str(take), **fields), take, SilentContext())


@pytest.fixture
def deep(tmp_path) -> Path:
    """PNG of 16 bits with alpha."""
    folder = tmp_path / "deep"
    folder.mkdir()
    for number in NUMBERS:
        alpha = np.full((*SIZE, 1), 0.5 + (number - 1001) / 8)
        picture = np.concatenate([ramp(number), alpha], axis=2) * 65535
        write_png(folder / f"deep.{number}.png", picture.astype(np.uint16))
    return folder


@pytest.mark.parametrize("depth", [None, "8", "10", "12", "16"])
def test_whole_numbers_of_every_depth(deep, tmp_path, depth):
    out, take = tmp_path / "deep.nirv", tmp_path / "frames"
    result = encode(deep, out, depth=depth, frames="1001-1003")
    assert (result["depth"], result["alpha"]) == (depth or "16", True)
    with Archive(out) as archive:
        picture = archive.frame(1002)
        assert picture.shape == (*SIZE, 4)
        assert picture.dtype == (np.uint8 if depth == "8" else np.uint16)
        assert int(picture.max()) <= archive.header.pictures.samples.peak
        assert archive.verify().whole
    assert decode(out, take)["format"] == ("png" if depth == "8" else "png16")
    back = read_picture(take / "1002.png")
    there = read_picture(deep / "deep.1002.png")
    assert back.dtype == (np.uint8 if depth == "8" else np.uint16)
    error = back.astype(float) / np.iinfo(back.dtype).max - there / 65535.0
    assert -10 * np.log10(np.mean(error[..., :3] ** 2)) == pytest.approx(result["psnr_db"], abs=3)
    assert np.abs(error[..., 3]).mean() < 0.05


def test_alpha_is_left_out_when_asked(deep, tmp_path):
    encode(deep, tmp_path / "flat.nirv", alpha=False, frames="1001")
    with Archive(tmp_path / "flat.nirv") as archive:
        assert archive.frame(1001).shape == (*SIZE, 3)
        assert not archive.info.alpha


@pytest.fixture(scope="module")
def lit(tmp_path_factory) -> Path:
    """EXR: a lamp of 16.0 on the left, black that is slightly negative on the right, alpha; AP1 primaries."""
    folder = tmp_path_factory.mktemp("lit")
    picture = np.zeros((32, 64, 4), np.float32)
    picture[:, :32, :3], picture[:, 32:, :3] = (16.0, 4.0, 1.0), (-0.05, 0.18, 0.5)
    picture[:, :32, 3], picture[:, 32:, 3] = 1.0, 0.25
    told = exr_attributes("ACEScg", Fraction(2), Fraction(24), "01:00:00:00")
    for number in (1, 2):
        write_exr(folder / f"lit.{number:04d}.exr", picture, channels=("R", "G", "B", "A"), attributes=told)
    return folder


def test_scene_linear_comes_back(lit, tmp_path, monkeypatch):
    """Through profile nirvana, which at 40 dB of codes is coarse: 16.0, mid grey, negative values, alpha, metadata."""
    longer = FitConfig(first_iterations=200, next_iterations=10, first_search=60, next_search=10)
    monkeypatch.setattr(jobs, "PRESETS", {"draft": longer})
    out, take = tmp_path / "lit.nirv", tmp_path / "frames"
    result = encode(lit, out, profile="nirvana")
    assert result["psnr_db"] > 37
    with Archive(out) as archive:
        info, picture = archive.info, archive.frame(2).astype(np.float32)
        assert archive.verify().whole
    assert (info.depth, info.colour_space, info.pixel_aspect, info.alpha) == ("half", "ACEScg", 2.0, True)
    assert info.shaper == (pytest.approx(-0.05, rel=1e-3), 16.0)
    left, right = np.median(picture[:, :32], axis=(0, 1)), np.median(picture[:, 32:], axis=(0, 1))
    assert left == pytest.approx([16.0, 4.0, 1.0, 1.0], rel=0.08)
    assert right == pytest.approx([-0.05, 0.18, 0.5, 0.25], rel=0.08, abs=0.02)
    assert decode(out, take)["format"] == "exr"
    assert np.array_equal(read_plate(take / "0002.exr"), picture)
    facts = exr_facts(take / "0002.exr")
    assert (facts.pixel_aspect, facts.timecode) == (2.0, "01:00:00:01")
    assert facts.chromaticities == pytest.approx(PRIMARIES["ACEScg"], abs=1e-6)


def test_scene_linear_to_other_files(lit, tmp_path):
    out = tmp_path / "lit.nirv"
    encode(lit, out, frames="1")
    full = decode(out, tmp_path / "full", image_format=DecodeFormat.EXR32)
    assert full["format"] == "exr32"
    assert read_plate(tmp_path / "full" / "0001.exr")[..., 0].max() > 8.0
    decode(out, tmp_path / "shown", image_format=DecodeFormat.PNG)
    assert read_picture(tmp_path / "shown" / "0001.png").shape == (32, 64, 4)
    decode(out, tmp_path / "shown.mp4")
    assert len(list(read_movie(tmp_path / "shown.mp4"))) == 1


def test_one_pixel_with_alpha(tmp_path):
    source, out = tmp_path / "one", tmp_path / "one.nirv"
    source.mkdir()
    write_exr(source / "1.exr", np.full((1, 1, 4), 3.0, np.float16), channels=("R", "G", "B", "A"))
    encode(source, out)
    with Archive(out) as archive:
        assert archive.frame(1).shape == archive.frame(1, scale=8).shape == (1, 1, 4)
        assert archive.verify().whole
    decode(out, tmp_path / "take")
    assert read_plate(tmp_path / "take" / "0001.exr").shape == (1, 1, 4)


def test_a_depth_that_the_source_has_not(lit, deep, tmp_path):
    for source, depth in ((lit, "10"), (deep, "half")):
        with pytest.raises(UsageError):
            encode(source, tmp_path / "no.nirv", depth=depth)
    assert not (tmp_path / "no.nirv").exists()


@pytest.fixture
def plain(tmp_path) -> Path:
    folder = tmp_path / "plain"
    folder.mkdir()
    for number in NUMBERS:
        write_png(folder / f"{number}.png", (ramp(number) * 255).astype(np.uint8))
    return folder


def test_maps_notes_and_recipe_go_along(plain, tmp_path):
    maps, rng = tmp_path / "maps", np.random.default_rng(0)
    maps.mkdir()
    ids = {number: rng.integers(0, 30, (17, 25)).astype(np.uint8) for number in NUMBERS}
    for number, picture in ids.items():
        write_png(maps / f"label.{number}.png", picture)
        write_png(maps / f"instance.{number}.png", picture.astype(np.uint16) * 1000)
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"model": "street", "seed": 4}')
    out, take = tmp_path / "all.nirv", tmp_path / "take"
    kept = {"labels": f"{maps}/label.####.png", "instances": f"{maps}/instance.####.png", "palette": "street"}
    encode(
        plain, out, **kept, recipe=str(recipe), timecode="10:00:00:00", tags=(("shot", "sh010"),), frames="1002-1004"
    )
    with Archive(out) as archive:
        info = archive.info
        for number in (1004, 1002):
            assert np.array_equal(archive.labels(number), ids[number])
            assert np.array_equal(archive.instances(number), ids[number].astype(np.uint16) * 1000)
        assert archive.verify().whole
    assert (info.label_maps, info.instance_maps) == (3, 3)
    assert info.notes.timecode == Timecode.parse("10:00:00:00")
    assert info.notes.tags == {"shot": "sh010"}
    assert info.notes.recipe == {"model": "street", "seed": 4}
    assert info.notes.provenance["source"] == "plain"
    assert "date" not in info.notes.provenance
    assert "road" in " ".join(info.notes.classes.values()).lower()
    assert decode(out, take, frames="1003", maps=True)["maps"] == 2
    assert np.array_equal(read_picture(take / "labels" / "1003.png")[..., 0], ids[1003])
    assert json.loads((take / "recipe.json").read_text()) == info.notes.recipe
    assert json.loads((take / "label_names.json").read_text())["0"]
    again = tmp_path / "again.nirv"
    encode(
        plain, again, **kept, recipe=str(recipe), timecode="10:00:00:00", tags=(("shot", "sh010"),), frames="1002-1004"
    )
    assert again.read_bytes() == out.read_bytes()
    encode(plain, tmp_path / "dated.nirv", dated=True, frames="1002")
    with Archive(tmp_path / "dated.nirv") as archive:
        assert len(archive.info.notes.provenance["date"]) == 10


def test_a_damaged_map_costs_no_picture(plain, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    for number in NUMBERS:
        write_png(maps / f"{number}.png", np.full(SIZE, number - 1000, np.uint8))
    out = tmp_path / "all.nirv"
    encode(plain, out, labels=str(maps))
    whole = out.read_bytes()
    data = bytearray(whole)
    data[-3] ^= 1  # in the checksum of the last map
    out.write_bytes(data)
    with Archive(out) as archive:
        assert len(list(archive.frames())) == 4
        assert archive.labels(1001)[0, 0] == 1
        verdict = archive.verify()
    assert len(verdict.faults) == 1
    assert "label map of picture 3" in verdict.faults[0]
    assert verdict.lost_frames == ()
    data = bytearray(whole)
    data[whole.rindex(b"labl") + 4] ^= 1  # in the head of the last map: the archive opens all the same
    out.write_bytes(data)
    with Archive(out) as archive:
        assert len(list(archive.frames())) == 4
        assert archive.info.label_maps == 3
        assert not archive.verify().whole


@pytest.mark.parametrize("region", [None, (0, 0, 50, 34), (8, 16, 33, 11), (40, 32, 10, 2), (48, 0, 1, 1)])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_regions_and_smaller_sizes_are_parts_and_means_of_the_whole(archive_of_plain, region, scale):
    x, y, width, height = region or (0, 0, 50, 34)
    with Archive(archive_of_plain) as archive:
        whole = archive.frame(1003).astype(float)[y : y + height, x : x + width]
        shown = archive.frame(1003, region=region, scale=scale)
        assert archive.view_size(region=region, scale=scale) == shown.shape[:2]
    for row in range(shown.shape[0]):
        for col in range(shown.shape[1]):
            block = whole[row * scale : (row + 1) * scale, col * scale : (col + 1) * scale]
            assert np.abs(block.mean(axis=(0, 1)) - shown[row, col]).max() <= 1.01


@pytest.fixture(scope="module")
def archive_of_plain(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    for number in NUMBERS:
        write_png(folder / f"{number}.png", (ramp(number) * 255).astype(np.uint8))
    out = folder / "plain.nirv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "PRESETS", {"draft": QUICK})
        encode(folder, out)
    return out


@pytest.mark.parametrize(
    ("region", "scale"), [((0, 0, 51, 1), 1), ((-1, 0, 5, 5), 1), ((0, 0, 0, 5), 1), ((1, 0, 8, 8), 2), (None, 3)]
)
def test_views_that_cannot_be(archive_of_plain, region, scale):
    with Archive(archive_of_plain) as archive, pytest.raises(UsageError):
        archive.frame(1001, region=region, scale=scale)


def test_decode_of_a_region_at_half_size(archive_of_plain, tmp_path):
    decode(archive_of_plain, tmp_path / "part", region=(8, 8, 20, 12), scale=2)
    assert read_color(tmp_path / "part" / "1001.png").shape == (6, 10, 3)
    story = json.loads((tmp_path / "part" / decoding.SIDECAR).read_text())
    assert (story["region"], story["scale"]) == ([8, 8, 20, 12], 2)
    verdict = jobs.run_verify(VerifyRequest(archive=str(archive_of_plain)), None, SilentContext())
    assert verdict["whole"]
