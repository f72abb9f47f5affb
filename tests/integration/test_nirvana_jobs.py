# SPDX-License-Identifier: GPL-3.0-or-later
"""Encode, decode and verify as jobs: pictures on disk in, an archive, pictures out, figures that are measured."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.errors import (
    CancelledError,
    DamagedArchiveError,
    FramesLostError,
    InputError,
    MapreelError,
    OutputExistsError,
    UsageError,
)
from mapreel.core.contract.frames import find_sequence, frame_name
from mapreel.core.contract.progress import Progress, SilentContext
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest, EncodeRequest, Preset, VerifyRequest
from mapreel.core.media.images import read_color, write_png
from mapreel.core.media.movies import read_movie
from mapreel.core.nirvana import decoding, jobs
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.config import FitConfig
from mapreel.core.nirvana.supported import refuse_decode
from mapreel.core.quality import psnr

QUICK = FitConfig(first_iterations=20, next_iterations=10, first_search=20, next_search=10)


class Listens(SilentContext):
    """Keeps what is reported; stops after so many checks when asked to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.heard: list[Progress] = []
        self.left = stop_after

    def report(self, progress: Progress) -> None:
        self.heard.append(progress)

    def check(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise CancelledError("stopped")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jobs, "PRESETS", {"draft": QUICK, "good": QUICK, "best": QUICK})


@pytest.fixture
def shot(tmp_path) -> Path:
    folder = tmp_path / "shot"
    folder.mkdir()
    rows, cols = np.mgrid[:34, :50]
    for number in range(1001, 1006):
        picture = np.stack([cols * 5 + number % 7, rows * 7, rows + cols], axis=-1).astype(np.uint8)
        write_png(folder / f"plate.{number}.png", picture)
    return folder


def encode(shot: Path, out: Path, ctx=None, **fields) -> dict:
    request = EncodeRequest(source=str(shot), out=str(out), preset=Preset.DRAFT, **{"profile": "nirvana", **fields})
    return jobs.run_encode(request, out, ctx or Listens())


def test_encode_decode_verify(shot, tmp_path):
    ctx, out = Listens(), tmp_path / "shot.nirv"
    result = encode(shot, out, ctx)
    json.dumps(result)
    assert result["frames"] == 5
    assert result["bits_per_pixel"] == 8 * out.stat().st_size / (5 * 34 * 50)
    assert {progress.stage for progress in ctx.heard} == {"encode", "check"}
    assert (ctx.heard[-1].done, ctx.heard[-1].total, ctx.heard[-1].seconds_left) == (5, 5, 0.0)
    done = [progress.done for progress in ctx.heard if progress.stage == "encode"]
    assert done == sorted(done)
    assert any(progress.seconds_left for progress in ctx.heard if progress.stage == "encode")

    take = tmp_path / "frames"
    decoded = decoding.run_decode(DecodeRequest(archive=str(out), out=str(take)), take, Listens())
    assert decoded["frames"] == 5
    pictures = [f"{number}.png" for number in range(1001, 1006)]
    assert sorted(path.name for path in take.iterdir()) == [*pictures, decoding.SIDECAR]
    values = [psnr(read_color(take / f"{n}.png"), read_color(shot / f"plate.{n}.png")) for n in range(1001, 1006)]
    assert np.mean(values) == pytest.approx(result["psnr_db"])

    verdict = jobs.run_verify(VerifyRequest(archive=str(out)), None, Listens())
    assert verdict["whole"]
    assert verdict["groups_compared"] == verdict["groups"] == 2


def test_decode_of_some_frames_and_to_a_movie(shot, tmp_path):
    out = tmp_path / "shot.nirv"
    encode(shot, out, frames="1002-1004")
    take = tmp_path / "one"
    decoding.run_decode(DecodeRequest(archive=str(out), out=str(take), frames="1003"), take, Listens())
    assert sorted(path.name for path in take.iterdir()) == ["1003.png", decoding.SIDECAR]
    movie = tmp_path / "shot.mp4"
    decoding.run_decode(DecodeRequest(archive=str(out), out=str(movie)), movie, Listens())
    assert len(list(read_movie(movie))) == 3
    with pytest.raises(InputError, match="1001"):
        decoding.run_decode(DecodeRequest(archive=str(out), out=str(take), frames="1001"), take, Listens())
    deep = DecodeRequest(archive=str(out), out=str(movie), image_format=DecodeFormat.EXR)
    with pytest.raises(UsageError, match="movie"):
        refuse_decode(deep)


def test_stopped_decode_goes_on_but_never_with_the_pictures_of_another_archive(shot, tmp_path):
    one, other, take = tmp_path / "one.nirv", tmp_path / "other.nirv", tmp_path / "take"
    encode(shot, one)
    encode(shot, other, psnr_db=3.0)
    first = DecodeRequest(archive=str(one), out=str(take))
    with pytest.raises(CancelledError):
        decoding.run_decode(first, take, Listens(stop_after=2))
    kept = {path.name: path.stat().st_mtime_ns for path in take.iterdir()}
    assert sorted(kept) == ["1001.png", "1002.png", decoding.SIDECAR]
    story = json.loads((take / decoding.SIDECAR).read_text())
    told = {"format": "mapreel-decoded", "version": 1, "frames": "1001-1005", "archive": "../one.nirv"}
    told["archive_sha256"] = hashlib.sha256(one.read_bytes()).hexdigest()
    assert {name: story[name] for name in told} == told
    assert story["pictures"]["colour"]["to"] == "sRGB Encoded Rec.709 (sRGB)"
    assert "digital_source_type" not in story["pictures"]  # nobody says that a network made this shot
    for request in (
        DecodeRequest(archive=str(other), out=str(take)),
        DecodeRequest(archive=str(one), out=str(take), frames="1001-1002"),
    ):
        with pytest.raises(OutputExistsError) as caught:
            decoding.run_decode(request, take, Listens())
        assert "\n" not in str(caught.value)
    assert {path.name: path.stat().st_mtime_ns for path in take.iterdir()} == kept
    decoding.run_decode(first, take, Listens())
    assert len(list(take.glob("*.png"))) == 5
    assert (take / "1001.png").stat().st_mtime_ns == kept["1001.png"]
    (take / decoding.SIDECAR).unlink()
    with pytest.raises(OutputExistsError):
        decoding.run_decode(first, take, Listens())


def test_a_decode_that_gives_no_picture_leaves_nothing(shot, tmp_path):
    out, take = tmp_path / "shot.nirv", tmp_path / "take"
    encode(shot, out)
    data = bytearray(out.read_bytes())
    data[len(data) // 3] ^= 8
    out.write_bytes(data)
    with pytest.raises(DamagedArchiveError):
        decoding.run_decode(DecodeRequest(archive=str(out), out=str(take)), take, Listens())
    assert list(take.iterdir()) == []


@pytest.fixture
def half_lost(shot, tmp_path) -> Path:
    """An archive whose second group, frames 1004 and 1005, is damaged."""
    out = tmp_path / "half.nirv"
    encode(shot, out)
    with Archive(out) as archive:
        at = archive.container.groups[1].colours.offset + 40
    data = bytearray(out.read_bytes())
    data[at] ^= 8
    out.write_bytes(data)
    return out


def test_a_damaged_group_costs_its_own_frames(half_lost, tmp_path):
    take = tmp_path / "take"
    request = DecodeRequest(archive=str(half_lost), out=str(take))
    for _ in range(2):  # a second attempt finds what the first one wrote
        with pytest.raises(FramesLostError, match=r"2 frames \(1004-1005\) are lost.*other 3 are written") as caught:
            decoding.run_decode(request, take, Listens())
        assert caught.value.exit_code == 1
        assert "\n" not in str(caught.value)
        assert "group 1" in str(caught.value)
    assert sorted(path.name for path in take.glob("*.png")) == ["1001.png", "1002.png", "1003.png"]
    sound = tmp_path / "sound"
    decoding.run_decode(DecodeRequest(archive=str(half_lost), out=str(sound), frames="1001-1003"), sound, Listens())
    with pytest.raises(DamagedArchiveError):
        decoding.run_decode(
            DecodeRequest(archive=str(half_lost), out=str(tmp_path / "none"), frames="1005"),
            tmp_path / "none",
            Listens(),
        )


def test_intra_groups_bound_what_is_lost(shot, tmp_path):
    out = tmp_path / "intra.nirv"
    encode(shot, out, intra=1)
    with Archive(out) as archive:
        assert archive.info.intra_interval == 1
        at = archive.container.groups[0].colours.offset + 40
    data = bytearray(out.read_bytes())
    data[at] ^= 8
    out.write_bytes(data)
    with pytest.raises(FramesLostError, match=r"3 frames \(1001-1003\)"):
        decoding.run_decode(DecodeRequest(archive=str(out), out=str(tmp_path / "x")), tmp_path / "x", Listens())


def test_a_movie_holds_what_was_before_a_lost_frame(half_lost, tmp_path):
    movie = tmp_path / "half.mp4"
    with pytest.raises(FramesLostError, match="holds the frame before"):
        decoding.run_decode(DecodeRequest(archive=str(half_lost), out=str(movie)), movie, Listens())
    frames = list(read_movie(movie))
    assert len(frames) == 5
    assert np.abs(frames[4].astype(int) - frames[2]).mean() < 3
    nothing = tmp_path / "nothing.mp4"
    with pytest.raises(DamagedArchiveError):
        decoding.run_decode(DecodeRequest(archive=str(half_lost), out=str(nothing), frames="1004"), nothing, Listens())
    assert not nothing.exists()


def test_negative_frames_have_as_many_digits(shot, tmp_path):
    for number in range(1001, 1006):
        (shot / f"plate.{number}.png").rename(shot / f"plate.{frame_name(number - 1003, 4)}.png")
    out, take = tmp_path / "shot.nirv", tmp_path / "frames"
    encode(f"{shot}/plate.####.png", out)
    decoding.run_decode(DecodeRequest(archive=str(out), out=str(take)), take, Listens())
    wanted = ["-0001.png", "-0002.png", "0000.png", "0001.png", "0002.png"]
    assert sorted(path.name for path in take.glob("*.png")) == wanted
    assert find_sequence(f"{take}/####.png").numbers == (-2, -1, 0, 1, 2)


def test_cancelled_encode_goes_on_with_the_same_bytes(shot, tmp_path):
    whole = tmp_path / "whole.nirv"
    encode(shot, whole)
    stopped = tmp_path / "stopped.nirv"
    with pytest.raises(CancelledError):
        encode(shot, stopped, Listens(stop_after=50))
    assert (tmp_path / ".stopped.nirv.work" / "group_000000.grp").is_file()
    assert not stopped.exists()
    encode(shot, stopped)
    assert stopped.read_bytes() == whole.read_bytes()
    before = stopped.stat().st_mtime_ns
    assert encode(shot, stopped)["frames"] == 5  # complete: measured again, not encoded again
    assert stopped.stat().st_mtime_ns == before


def test_killed_encode_goes_on_with_the_same_bytes(shot, tmp_path):
    """kill -9 (the process ends itself without a word) after the first group."""
    whole, killed = tmp_path / "whole.nirv", tmp_path / "killed.nirv"
    encode(shot, whole)
    program = f"""
import os, pathlib, torch
torch.set_num_threads({__import__("torch").get_num_threads()})
from mapreel.core.contract.progress import SilentContext
from mapreel.core.contract.requests import EncodeRequest, Preset
from mapreel.core.nirvana import decoding, jobs
from mapreel.core.nirvana.config import FitConfig
jobs.PRESETS = {{"draft": FitConfig(first_iterations=20, next_iterations=10, first_search=20, next_search=10)}}
class Dies(SilentContext):
    def report(self, progress):
        if progress.done == 3:
            os._exit(9)
jobs.run_encode(EncodeRequest(source={str(shot)!r}, out={str(killed)!r}, preset=Preset.DRAFT, profile="nirvana"),
                pathlib.Path({str(killed)!r}), Dies())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    assert not killed.exists()
    encode(shot, killed)
    assert killed.read_bytes() == whole.read_bytes()


def test_target_is_measured_and_said(shot, tmp_path):
    assert encode(shot, tmp_path / "low.nirv", psnr_db=3.0)["psnr_target_met"] is True
    assert encode(shot, tmp_path / "high.nirv", psnr_db=90.0)["psnr_target_met"] is False


@pytest.mark.parametrize("fields", [{"bits_per_pixel": 0.5}, {"size_mb": 1.0}])
def test_what_cannot_be_met_is_refused(shot, tmp_path, fields):
    with pytest.raises(UsageError) as caught:
        encode(shot, tmp_path / "no.nirv", **fields)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.glob("*.nirv")) == []


def test_bad_input_leaves_nothing(shot, tmp_path):
    (shot / "plate.1003.png").write_bytes((shot / "plate.1003.png").read_bytes()[:100])
    with pytest.raises(MapreelError) as caught:
        encode(shot, tmp_path / "no.nirv")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "no.nirv").exists()


def test_verify_names_group_and_frames(shot, tmp_path):
    out = tmp_path / "shot.nirv"
    encode(shot, out)
    data = bytearray(out.read_bytes())
    data[len(data) // 3] ^= 8
    out.write_bytes(data)
    with pytest.raises(DamagedArchiveError, match=r"group 0.*frames 1001-1005 are lost"):
        jobs.run_verify(VerifyRequest(archive=str(out)), None, Listens())
    with pytest.raises(DamagedArchiveError, match="group 0"):
        decoding.run_decode(DecodeRequest(archive=str(out), out=str(tmp_path / "x")), tmp_path / "x", Listens())
