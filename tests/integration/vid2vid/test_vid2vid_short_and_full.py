# SPDX-License-Identifier: GPL-3.0-or-later
"""Shots at the edge of what can be rendered: one frame, two frames, motion that is no number, a device that is full."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import FramesLostError, MapreelError, MixedSizesError
from mapreel.core.contract.requests import Quality
from mapreel.core.media.images import read_color, write_exr
from mapreel.core.vid2vid import renderer as renderer_module
from mapreel.core.vid2vid.network import Generator

CPU_FULL = "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried …"


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("given", [False, True])
def test_a_shot_of_one_or_two_frames(maps, render, tmp_path, quality, count, given):
    shot = maps(tmp_path / "maps", range(7, 7 + count), color=True)
    reference = ((7, str(shot / "color" / "0007.png")),) if given else ()
    result = render(shot, "take", quality=quality, reference=reference)
    assert (result["frames"], result["rendered"]) == (count, count)
    assert sorted(path.stem for path in (tmp_path / "take").glob("*.png")) == ["0007", "0008"][:count]
    if given:
        made = read_color(tmp_path / "take" / "0007.png")
        assert np.array_equal(made, read_color(shot / "color" / "0007.png"))


def test_a_movie_of_one_frame(maps, render, tmp_path):
    shot = maps(tmp_path / "maps", [3])
    assert render(shot, "one.mp4", quality=Quality.FAST)["frames"] == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_motion_that_is_no_number_is_told_with_its_frame_and_the_others_are_made(
    own_street, render, tmp_path, pictures, value
):
    motion = np.zeros((48, 80, 2), np.float32)
    motion[7, 11] = value
    write_exr(own_street / "motion" / "1004.exr", motion, channels=("motion.X", "motion.Y"))
    _keep(own_street / "motion" / "1004.exr", motion)
    with pytest.raises(FramesLostError, match="NaN or infinite") as caught:
        render(own_street, "take", frames="1001-1006")
    assert "frame 1004" in str(caught.value)
    assert "x 11, y 7" in str(caught.value)
    assert list(pictures(tmp_path / "take")) == [f"{number}.png" for number in (1001, 1002, 1003, 1005, 1006)]


def _keep(path, motion):
    """`write_exr` cuts infinity to what half floats hold; here the file shall have it."""
    import OpenImageIO as oiio  # noqa: N813

    spec = oiio.ImageSpec(80, 48, 2, "float")
    spec.channelnames = ("motion.X", "motion.Y")
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec)
    assert output.write_image(motion)
    assert output.close()


def test_motion_of_another_size_in_one_frame_leaves_no_take(own_street, render, tmp_path):
    write_exr(own_street / "motion" / "1004.exr", np.zeros((24, 40, 2)), channels=("motion.X", "motion.Y"))
    with pytest.raises(MixedSizesError, match="1004 is 40x24"):
        render(own_street, "take", frames="1001-1006")
    assert not (tmp_path / "take").exists()


# --- memory -----------------------------------------------------------------------------------------------------


@pytest.fixture
def device(monkeypatch):
    """A processor that has memory for `most_px` pixels at once from its third frame on."""
    monkeypatch.setattr(renderer_module, "can_prepare", lambda *_: False)
    real, small = Generator.forward, SimpleNamespace(sizes=[], most_px=8000)

    def forward(self, labels, *others):
        small.sizes.append(labels.shape[-2:])
        if len(small.sizes) > 2 and labels.shape[-2] * labels.shape[-1] > small.most_px:
            raise RuntimeError(CPU_FULL)
        return real(self, labels, *others)

    monkeypatch.setattr(Generator, "forward", forward)
    return small


def test_a_device_that_runs_out_of_memory_in_mid_shot_goes_on_in_tiles_and_says_so(
    maps, render, tmp_path, quality, device
):
    shot = maps(tmp_path / "maps", range(1, 13), size=(64, 160))
    result = render(shot, "take", quality=quality)
    assert result["rendered"] == 12
    (note,) = result["notes"]
    assert "ran out of memory, so frames are made in tiles of 80x64" in note
    assert json.loads((tmp_path / "take" / "mapreel.json").read_text())["notes"] == [note]
    assert torch.Size((64, 120)) in device.sizes


def test_frames_of_tiles_are_nearly_the_frames_made_at_once(maps, render, tmp_path, device):
    shot = maps(tmp_path / "maps", range(1, 6), size=(64, 160))
    render(shot, "tiles")
    device.most_px = 1 << 20
    assert render(shot, "whole")["notes"] == []
    for number in range(1, 6):
        tiles, whole = (read_color(tmp_path / take / f"{number:04d}.png").astype(int) for take in ("tiles", "whole"))
        assert number > 2 or np.array_equal(tiles, whole)
        assert np.abs(tiles - whole).max() <= 8


def test_a_device_that_has_no_memory_at_all_is_one_sentence_and_keeps_what_is_finished(
    maps, render, tmp_path, pictures, monkeypatch
):
    monkeypatch.setattr(renderer_module, "can_prepare", lambda *_: False)
    real, calls = Generator.forward, []

    def forward(self, *inputs):
        calls.append(1)
        if len(calls) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return real(self, *inputs)

    monkeypatch.setattr(Generator, "forward", forward)
    shot = maps(tmp_path / "maps", range(1, 6))
    with pytest.raises(MapreelError, match="not enough memory for pictures of 80x48") as caught:
        render(shot, "take")
    assert caught.value.remedy
    assert list(pictures(tmp_path / "take")) == ["0001.png", "0002.png"]
