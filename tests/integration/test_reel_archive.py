# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of profile reel on disk: targets held, any frame alone, gone on after a stop, damage, depth and alpha."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import CancelledError, DamagedArchiveError, UnsupportedArchiveError, UsageError
from mapreel.core.contract.progress import SilentContext
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.encode import EncodeSettings, encode
from mapreel.core.nirvana.reel.fit import ReelFit
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
from mapreel.core.nirvana.shaper import Shaper
from mapreel.core.quality import psnr

CPU = torch.device("cpu")
QUICK = ReelFit(iterations=3, price=60.0)


class Shot:
    """Soft stripes and a square that moves over them."""

    def __init__(self, frames=9, size=(48, 72), form=None, first=1001):
        self.numbers, self.size = tuple(range(first, first + frames)), size
        self.form = form or PictureFormat()

    def read(self, number):
        rows, cols = np.mgrid[: self.size[0], : self.size[1]].astype(np.float32)
        t = number - self.numbers[0]
        base = 0.5 + 0.3 * np.sin((cols + t) / 9)[..., None] * np.array([1.0, 0.6, 0.2]) + 0.002 * rows[..., None]
        square = (abs(rows - 20) < 9) & (abs(cols - 20 - 3 * t) < 9)
        base[square] = (0.9, 0.3, 0.2)
        if self.form.alpha:
            base = np.concatenate([base, square[..., None] * 1.0], axis=-1)
        return self.form.rounded(base.astype(np.float32))


def make(path, shot, **settings):
    wanted = {"fit": QUICK, "fps": Fraction(24), "group_frames": 4, "intra_interval": 2, **settings}
    encode(shot, EncodeSettings(pictures=shot.form, **wanted), path, SilentContext(), CPU)
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return make(tmp_path_factory.mktemp("reel") / "shot.nirv", Shot())


def pictures(path):
    with Archive(path) as opened:
        return dict(opened.frames())


def test_it_shows_the_shot_in_few_bits(archive):
    shot, seen = Shot(), pictures(archive)
    assert list(seen) == list(shot.numbers)
    assert min(psnr(seen[n], shot.read(n)) for n in shot.numbers) > 28
    with Archive(archive) as opened:
        info = opened.info
        assert info.profile == "reel"
        assert info.bits_per_pixel < 1.0
        assert opened.verify().whole


def test_any_frame_alone_in_any_order(archive):
    whole = pictures(archive)
    for number in (1009, 1001, 1006, 1003):
        with Archive(archive) as opened:
            np.testing.assert_array_equal(opened.frame(number), whole[number])
    with Archive(archive) as opened:
        part = opened.frame(1006, region=(13, 5, 31, 22))
        np.testing.assert_array_equal(part, whole[1006][5:27, 13:44])


def test_the_same_settings_give_the_same_bytes(archive, tmp_path):
    assert make(tmp_path / "again.nirv", Shot()).read_bytes() == archive.read_bytes()


class Stopping(SilentContext):
    """Cancels when the second group has begun."""

    def report(self, progress):
        self.seen = progress.done

    def check(self):
        if getattr(self, "seen", 0) >= 4:
            raise CancelledError("stopped", "go on")


def test_gone_on_after_a_stop_gives_the_same_bytes(archive, tmp_path):
    path = tmp_path / "shot.nirv"
    settings = EncodeSettings(fit=QUICK, fps=Fraction(24), group_frames=4, intra_interval=2)
    with pytest.raises(CancelledError):
        encode(Shot(), settings, path, Stopping(), CPU)
    assert not path.exists()
    encode(Shot(), settings, path, SilentContext(), CPU)
    assert path.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize("wanted_db", [29.0, 31.5])
def test_a_psnr_is_held_and_hardly_passed(tmp_path, wanted_db):
    shot = Shot()
    path = make(tmp_path / "shot.nirv", shot, psnr_db=wanted_db)
    seen = pictures(path)
    mean = np.mean([psnr(seen[n], shot.read(n)) for n in shot.numbers])
    assert wanted_db - 0.02 <= mean <= wanted_db + 0.35  # pictures are rounded to 8 bits; short groups are coarse


def test_a_size_is_not_exceeded(tmp_path):
    path = make(tmp_path / "shot.nirv", Shot(), most_bytes=2600)
    assert 0.85 * 2600 <= path.stat().st_size <= 2600


def test_a_size_that_is_too_small_is_said(tmp_path):
    with pytest.raises(UsageError, match="too few") as caught:
        make(tmp_path / "shot.nirv", Shot(frames=2), most_bytes=280)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "shot.nirv").exists()


def test_a_cancel_is_heard_while_the_first_guess_is_made(tmp_path):
    class Soon(SilentContext):
        checks = 0

        def check(self):
            self.checks += 1
            if self.checks > 2:
                raise CancelledError("stopped", "go on")

    ctx = Soon()
    with pytest.raises(CancelledError):
        encode(Shot(), EncodeSettings(fit=QUICK, fps=Fraction(24)), tmp_path / "x.nirv", ctx, CPU)
    assert ctx.checks == 3


def test_a_damaged_group_costs_its_own_chain_only(archive, tmp_path):
    data = bytearray(archive.read_bytes())
    with Archive(archive) as opened:
        chunk = opened.container.groups[0].planes[0]
    data[chunk.offset + bits.CHUNK_OVERHEAD_BYTES + 20] ^= 64
    broken = tmp_path / "broken.nirv"
    broken.write_bytes(data)
    whole = pictures(archive)
    with Archive(broken) as opened:
        with pytest.raises(DamagedArchiveError, match="group 0"):
            opened.frame(1002)
        np.testing.assert_array_equal(opened.frame(1009), whole[1009])  # its group stands alone
        verdict = opened.verify()
        assert verdict.lost_frames == tuple(range(1001, 1009))


def test_another_prior_is_refused(archive, tmp_path, monkeypatch):
    from mapreel.core.nirvana.reel import decode
    from mapreel.core.nirvana.reel.prior import Prior, load_prior

    other = Prior(load_prior().tensors, b"12345678")
    monkeypatch.setattr(decode, "load_prior", lambda: other)
    with pytest.raises(UnsupportedArchiveError, match="prior"):
        Archive(archive)


@pytest.mark.parametrize("size", [(1, 1), (17, 33)])
def test_odd_sizes(tmp_path, size):
    shot = Shot(frames=3, size=size)
    seen = pictures(make(tmp_path / "odd.nirv", shot))
    assert all(picture.shape == (*size, 3) for picture in seen.values())


def test_ten_bits_and_scene_linear_with_alpha(tmp_path):
    ten = PictureFormat(samples=SampleFormat.BITS_10)
    half = PictureFormat(samples=SampleFormat.HALF, alpha=True, colour_space="lin_rec709", shaper=Shaper(0.0, 3.0))
    for form in (ten, half):
        shot = Shot(frames=3, form=form)
        path = make(tmp_path / f"{form.samples}.nirv", shot, group_frames=3)
        with Archive(path) as opened:
            for number in shot.numbers:
                wanted, seen = form.codes(shot.read(number)[None]), form.codes(opened.frame(number)[None])
                assert float(np.abs(wanted - seen).mean()) < 0.03
            assert opened.verify().whole
