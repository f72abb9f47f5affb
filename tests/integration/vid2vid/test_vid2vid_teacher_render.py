# SPDX-License-Identifier: GPL-3.0-or-later
"""What a teacher renders: one chain through the whole shot, the same whatever the chunk, begun by references."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import CancelledError, UsageError
from mapreel.core.contract.requests import Quality
from mapreel.core.media.images import read_color
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import SAMPLES, Looks
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import CompositeGenerator
from mapreel.core.vid2vid.teacher_model import save_teacher

TABLE = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))


@pytest.fixture(scope="session", params=[False, True], ids=["teacher", "its student"])
def teacher(request, tmp_path_factory):
    """Random weights, and a memory that lasts: a chain that begins elsewhere shows frames later."""
    torch.manual_seed(2)
    config = PaperConfig(classes=4, edges=True, width=80, height=48, ngf=2, foreground=(2, 3), student=request.param)
    network = CompositeGenerator(config)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("weight") and value.dim() == 4:
                value.normal_(0.0, 0.3)
        network.weight_head.bias.fill_(-1.0)
    looks = Looks(np.zeros((4, 3), np.float32), np.zeros((4, SAMPLES, 3), np.float32), np.zeros(4, np.int32))
    folder = tmp_path_factory.mktemp("teacher")
    path = folder / MODEL_FILE
    save_teacher(path, name="master", generator=network, table=TABLE, looks=looks, licence="", story={})
    return folder


def truths(street, *numbers):
    """True pictures of the street as a request takes them."""
    return tuple((number, str(street / "color" / f"{number}.png")) for number in numbers)


@pytest.mark.parametrize("given", [(), (1001, 1002), (1004,)], ids=["alone", "begun", "corrected"])
def test_a_chunk_gives_the_pixels_of_the_whole(street, render, teacher, short_timeline, tmp_path, pictures, given):
    fields = {"net": teacher, "quality": Quality.TEACHER, "reference": truths(street, *given)}
    whole = render(street, "whole", frames="1001-1016", **fields)
    assert (whole["frames"], whole["key_share"]) == (16, 1.0)
    render(street, "chunk", frames="1013-1014", **fields)
    all_of_it, part = pictures(tmp_path / "whole"), pictures(tmp_path / "chunk")
    assert set(part) == {"1013.png", "1014.png"}
    assert {name: all_of_it[name] for name in part} == part
    for number in given:
        made, true = (read_color(folder / f"{number}.png") for folder in (tmp_path / "whole", street / "color"))
        assert np.array_equal(made, true)


def test_references_begin_the_chain(street, render, teacher, tmp_path, pictures):
    fields = {"net": teacher, "quality": Quality.TEACHER, "frames": "1001-1004"}
    render(street, "alone", **fields)
    render(street, "begun", reference=truths(street, 1001, 1002), **fields)
    alone, begun = pictures(tmp_path / "alone"), pictures(tmp_path / "begun")
    assert all(alone[name] != begun[name] for name in alone)


def test_a_stopped_render_goes_on(street, render, teacher, listener, tmp_path, pictures):
    fields = {"net": teacher, "quality": Quality.TEACHER, "frames": "1001-1006"}
    render(street, "whole", **fields)
    with pytest.raises(CancelledError):
        render(street, "take", context=listener(stop_after=2), **fields)
    resumed = render(street, "take", **fields)
    assert resumed["rendered"] < 6
    assert pictures(tmp_path / "take") == pictures(tmp_path / "whole")


@pytest.mark.parametrize("size", [(37, 61), (9, 50)])
def test_any_size(maps, render, teacher, tmp_path, size):
    odd = maps(tmp_path / "odd", range(1, 4), size=size) if size[0] > 30 else _small(tmp_path / "small", size)
    fields = {} if size[0] > 30 else {"instances": None, "motion": None}
    render(odd, "take", net=teacher, quality=Quality.TEACHER, **fields)
    assert read_color(tmp_path / "take" / "0002.png").shape == (*size, 3)


def _small(folder, size):
    from mapreel.core.media.images import write_png

    (folder / "label").mkdir(parents=True)
    for number in (1, 2):
        write_png(folder / "label" / f"{number:04d}.png", np.zeros(size, np.uint8))
    return folder


def test_each_model_has_its_qualities(street, render, teacher, tmp_path, request):
    with pytest.raises(UsageError, match="no teacher network"):
        render(street, "take", quality=Quality.TEACHER)
    of_student = request.node.callspec.params["teacher"]
    quality = Quality.FULL if of_student else Quality.FAST  # the paper's student has key frames and in-betweens
    with pytest.raises(UsageError, match="holds a teacher network"):
        render(street, "take", net=teacher, quality=quality)
    assert not list(tmp_path.glob("take/*.png"))
