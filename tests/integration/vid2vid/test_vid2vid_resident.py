# SPDX-License-Identifier: GPL-3.0-or-later
"""Fast quality within a device: the frames of the renderer, and nothing that would wait for the device."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from mapreel.core import cli
from mapreel.core.contract.requests import Quality
from mapreel.core.vid2vid import evaluate_device
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.renderer import Renderer
from mapreel.core.vid2vid.resident import ResidentRenderer, upload
from mapreel.core.vid2vid.timeline import Segment

CPU = torch.device("cpu")


@pytest.fixture
def shot(street, opened):
    return opened(street, frames="1001-1016")


def test_frames_are_those_of_the_renderer(shot, model):
    loaded = load_model(str(model))
    maps = upload(shot, loaded, CPU)
    resident = ResidentRenderer(loaded, CPU, shot.size_px)
    made = [frame.numpy().transpose(1, 2, 0) for frame in resident.frames(maps)]
    assert len(made) == len(maps) == 16
    wanted = list(Renderer(loaded, CPU).render(shot, Segment(0, 16, 0, 16), Quality.FAST))[:16]
    compared = range(maps.keys[-2] + 1)  # the renderer goes on to the next anchor, which is a key
    assert len(compared) > 5
    assert [index for index in compared if wanted[index].is_key] == list(maps.keys[:-1])
    for index in compared:
        apart = np.abs(made[index].astype(int) - wanted[index].pixels.astype(int))
        assert np.median(apart) <= 1, index
        assert (apart > 12).mean() < 0.1, index


def test_no_operation_asks_what_the_device_holds(shot, model):
    """On torch's meta device there is no content: whatever reads a value back raises."""
    loaded, meta = load_model(str(model)), torch.device("meta")
    maps = upload(shot, loaded, CPU)
    tensors = {f.name: getattr(maps, f.name) for f in dataclasses.fields(maps) if f.name != "keys"}
    away = {name: tensor[:4].to(meta) for name, tensor in tensors.items()}
    made = list(ResidentRenderer(loaded, meta, shot.size_px).frames(dataclasses.replace(maps, keys=(0, 3), **away)))
    assert len(made) == 4
    assert all(frame.is_meta and frame.dtype == torch.uint8 for frame in made)


def test_the_bench_prints_the_figure(model, capsys, monkeypatch):
    monkeypatch.setattr(evaluate_device, "LEAST_S", 0.01)
    words = ["bench", "render", "--device", "cpu", "--frames", "1-3", "--json"]
    assert cli.main(words) == 0
    told = json.loads(capsys.readouterr().out)["device_to_device"]
    assert (told["device"], told["frames"], told["peak_mb"]) == ("cpu", 3, None)
    assert told["frames_per_second"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--device", "cuda:77"], "no device"), (["--device", "cpu", "--memory"], "--device measures one figure alone")],
)
def test_what_cannot_be_measured_is_said(capsys, words, said):
    assert cli.main(["bench", "render", *words]) != 0
    assert said in capsys.readouterr().err
