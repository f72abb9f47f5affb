# SPDX-License-Identifier: GPL-3.0-or-later
"""The border between container and codecs, with a codec made up for it: tiles in any order, grey, at a smaller size."""

from __future__ import annotations

import zlib
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import DamagedArchiveError
from mapreel.core.nirvana import profile as border
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.bitstream import damaged
from mapreel.core.nirvana.header import Header
from mapreel.core.nirvana.profile import Profile, Tile
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
from mapreel.core.nirvana.writer import FinishedGroup, Parts, write_archive

HEIGHT, WIDTH, LENGTH, FRAMES = 21, 37, 4, 10


def picture(index: int) -> torch.Tensor:
    """Codes [H, W, 3] of a frame of the shot."""
    rows, cols = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return torch.stack([rows / HEIGHT, cols / WIDTH, torch.full_like(rows, index) / FRAMES], dim=-1).float()


class Flip:
    """A payload is the number of its group; a state is all groups that were read since the intra group."""

    reads = made = 0

    def __init__(self, settings: bytes) -> None:
        self.native = settings == b"native"

    def decode(self, payload, number, previous, frames, device, show, view):
        type(self).reads += 1
        if payload != str(number).encode():
            raise damaged(f"group {number}", "it is another")
        state = [*(previous or []), number]
        assert state == list(range(number - number % 3, number + 1)), state
        if show is not None:
            type(self).made += frames if view.frames is None else len(view.frames)
            for frame in reversed(range(frames)):
                for tile in self.tiles(frame, number * LENGTH + frame, view):
                    show(tile)
        return state

    def expect(self, payload, number, frames, intra):
        """This one prepares nothing."""

    def tiles(self, frame, index, view):
        whole = picture(index)
        if self.native and view.scale > 1:
            small = torch.nn.functional.avg_pool2d(
                whole.permute(2, 0, 1)[None], view.scale, ceil_mode=True, count_include_pad=False
            )
            yield Tile(small.permute(0, 2, 3, 1), frame, 0, 0, view.scale)
            return
        for top in (16, 0):
            yield Tile(whole[None, top : top + 16, :24], frame, top, 0)
            yield Tile(whole[None, top : top + 16, 24:], frame, top, 24)

    def symbols_crc(self, state):
        return zlib.crc32(bytes(state))


def write(path, form=None, payload=lambda group: str(group).encode(), settings=b""):
    form = form or PictureFormat()
    header = Header(
        total_bytes=0, width=WIDTH, height=HEIGHT, frames=FRAMES, fps=Fraction(24), group_frames=LENGTH,
        intra_interval=3, pictures=form,
    )  # fmt: skip
    groups = [FinishedGroup(payload(group), b"", payload(group) * form.alpha) for group in range(header.groups)]
    parts = Parts(
        header=header, numbers=tuple(range(11, 11 + FRAMES)), settings=(settings,) * form.planes, groups=groups
    )
    write_archive(path, parts)
    return path


@pytest.fixture(autouse=True)
def flip(monkeypatch):
    codec = Profile(number=1, name="nirvana", open=lambda settings, _: Flip(settings), describe=lambda *_: {})
    profiles = MappingProxyType({1: codec})
    monkeypatch.setattr(border, "PROFILES", profiles)
    monkeypatch.setattr(Flip, "reads", 0)
    monkeypatch.setattr(Flip, "made", 0)
    return Flip


def expected(number: int) -> np.ndarray:
    return (picture(number - 11) * 255 + 0.5).floor().numpy().astype(np.uint8)


def test_frames_in_any_order(tmp_path):
    with Archive(write(tmp_path / "a.nirv")) as archive:
        for number in (20, 11, 15, 14, 19, 12):
            assert np.array_equal(archive.frame(number), expected(number))
        assert archive.verify().whole


def test_reading_on_costs_one_group_each(tmp_path, flip):
    with Archive(write(tmp_path / "a.nirv")) as archive:
        assert [number for number, _ in archive.frames()] == list(range(11, 21))
        assert flip.reads == 3
        archive.frame(20, scale=2)  # another view of the same group needs nothing before it
        assert flip.reads == 4


def test_only_frames_that_are_wanted_are_made(tmp_path, flip):
    path = write(tmp_path / "a.nirv")
    for numbers, made in (((12, 14, 19), 3), (range(11, 21), 10), ((20, 12, 20), 3)):
        flip.made = 0
        with Archive(path) as archive:
            for number, shown in archive.frames(numbers):
                assert np.array_equal(shown, expected(number))
        assert flip.made == made
    flip.made = 0
    with Archive(path) as archive:
        assert np.array_equal(archive.frame(16), expected(16))  # out of the blue
        assert flip.made == 1
        assert np.array_equal(archive.frame(17), expected(17))  # who reads on will want them all
        assert np.array_equal(archive.frame(18), expected(18))
        assert flip.made == 5
        archive.expect([11, 13])
        assert np.array_equal(archive.frame(13), expected(13))
        assert np.array_equal(archive.frame(11), expected(11))
        assert flip.made == 7


def test_alpha_is_the_mean_of_what_its_codec_shows(tmp_path):
    form = PictureFormat(alpha=True, samples=SampleFormat.BITS_16)
    with Archive(write(tmp_path / "a.nirv", form)) as archive:
        shown = archive.frame(13)
    assert shown.shape == (HEIGHT, WIDTH, 4)
    assert shown[..., 3] == pytest.approx(picture(2).numpy().mean(axis=2) * 65535, abs=1)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("region", [None, (8, 8, 29, 13), (0, 16, 5, 5), (32, 0, 5, 21)])
def test_a_codec_may_show_smaller_pictures_itself(tmp_path, region, scale):
    paths = write(tmp_path / "a.nirv"), write(tmp_path / "b.nirv", settings=b"native")
    seen = []
    for path in paths:
        with Archive(path) as archive:
            seen.append(archive.frame(12, region=region, scale=scale).astype(int))
    inner = (slice(0, -1), slice(0, -1))  # a region cut off inside a block has other means at its edge
    assert seen[0].shape == seen[1].shape
    assert np.abs(seen[0] - seen[1])[inner].max(initial=0) <= 1


def test_a_lost_group_is_not_read_again_for_each_frame(tmp_path, flip):
    path = write(tmp_path / "a.nirv", payload=lambda group: b"nonsense" if group == 1 else str(group).encode())
    with Archive(path) as archive:
        for number in range(15, 21):
            with pytest.raises(DamagedArchiveError, match="group 1"):
                archive.frame(number)
        assert flip.reads == 2
        assert np.array_equal(archive.frame(11), expected(11))
        assert archive.verify().lost_frames == tuple(range(15, 21))


def test_pictures_that_are_no_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(Flip, "tiles", lambda *_: [Tile(torch.full((1, HEIGHT, WIDTH, 3), float("nan")), 0, 0, 0)])
    with Archive(write(tmp_path / "a.nirv")) as archive, pytest.raises(DamagedArchiveError, match="group 0"):
        archive.frame(11)
