# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's networks: their cost and size are the published ones, and what they return means what it says."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mapreel.core.contract.errors import DamagedModelError
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.macs import Macs, count, count_composite, count_generator
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.paper_config import PRESETS, PaperConfig, paper_config_from_dict
from mapreel.core.vid2vid.paper_network import CompositeGenerator, start_from

SMALL = PaperConfig(classes=3, edges=True, width=32, height=16, ngf=4, foreground=(1,))


# --- what it costs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "true", "thop", "parameters"),
    [("face", 1717, 2066, 365), ("city", 1058, 1254, 411), ("pose", 1464, 1769, 365)],
)
def test_teacher_costs_what_the_paper_says(task, true, thop, parameters):
    macs = count_composite(PRESETS[task])
    assert macs.true / 1e9 == pytest.approx(true, rel=0.01)
    assert macs.thop / 1e9 == pytest.approx(thop, rel=0.01)
    assert macs.parameters / 1e6 == pytest.approx(parameters, rel=0.01)


@pytest.mark.parametrize(("task", "true", "parameters"), [("face", 418, 63), ("city", 259, 72), ("pose", 356, 63)])
def test_student_costs_what_the_paper_says(task, true, parameters):
    macs = count_composite(PRESETS[task].as_student())
    assert macs.true / 1e9 == pytest.approx(true, rel=0.01)
    assert macs.parameters / 1e6 == pytest.approx(parameters, rel=0.01)


@pytest.mark.parametrize(("ngf", "true", "parameters"), [(64, 112, 16), (48, 66, 9)])
def test_narrow_student_costs_what_the_paper_says(ngf, true, parameters):
    macs = count_composite(PRESETS["face"].as_student(ngf))
    assert macs.true / 1e9 == pytest.approx(true, rel=0.01)
    assert macs.parameters / 1e6 == pytest.approx(parameters, rel=0.01)


def test_share_of_the_mobile_blocks_in_the_face_student():
    """37 % of the true MACs sit in the 18 mobile blocks, each of two 1x1 and one 3x3 for each channel alone."""
    block = (2 * 1024 * 1024 + 9 * 1024) * 64 * 64
    assert 18 * block / count_composite(PRESETS["face"].as_student()).true == pytest.approx(0.37, abs=0.005)


# --- the counter -------------------------------------------------------------------------------------------------


def test_counts_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1), nn.ConvTranspose2d(8, 4, 4, 2, 1))
    macs = count(net, (torch.zeros(2, 3, 8, 6),))
    conv, transposed = 2 * 4 * 3 * 8 * 27, 2 * 4 * 3 * 8 * 4 * 16
    assert macs == Macs(conv + transposed, conv + 4 * transposed, 3 * 8 * 9 + 8 + 8 * 4 * 16 + 4)
    assert count(nn.Conv2d(6, 6, 3, padding=1, groups=6), (torch.zeros(1, 6, 5, 5),)).true == 25 * 6 * 9
    assert count(nn.Linear(7, 5), (torch.zeros(3, 7),)).true == 3 * 7 * 5


def test_counts_functions_and_leaves_the_module_alone():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Parameter(torch.ones(2, 3, 1, 1))

        def forward(self, x):
            return F.conv2d(x, self.kernel)

    net = Bare()
    assert count(net, (torch.zeros(1, 3, 4, 4),)).true == 16 * 6
    assert not net.kernel.is_meta
    assert float(net.kernel.detach().sum()) == 6


@pytest.mark.parametrize("previous", [True, False])
def test_counts_our_generator_with_its_padding(previous):
    config = GeneratorConfig(classes=3, width=32, height=16, widths=(4, 8), blocks=(1, 1), previous=previous)
    generator = Generator(config)
    macs = count_generator(generator, (15, 30))
    assert macs == count_generator(generator, (16, 32))
    assert macs.true == macs.thop > 0
    assert macs.parameters == sum(p.numel() for p in generator.parameters())


# --- the network -------------------------------------------------------------------------------------------------


def _inputs(config: PaperConfig, n: int = 1):
    labels = torch.zeros(n, config.previous + 1, config.label_channels, config.height, config.width)
    labels[:, :, 0] = 1
    labels[:, -1, :, :, 8:] = 0
    labels[:, -1, 1, :, 8:] = 1  # the right part of this frame is foreground
    return labels.flatten(1, 2), torch.rand(n, 3 * config.previous, config.height, config.width) * 2 - 1


@pytest.mark.parametrize("student", [False, True])
@pytest.mark.parametrize("previous", [1, 2, 3])
def test_any_number_of_previous_frames(student, previous):
    config = dataclasses.replace(SMALL, student=student, previous=previous)
    made = CompositeGenerator(config)(*_inputs(config, 2))
    assert made.picture.shape == made.synthesised.shape == made.warped.shape == (2, 3, 16, 32)
    assert made.flow.shape == (2, 2, 16, 32)
    expected = made.weight * made.synthesised + (1 - made.weight) * made.warped
    assert torch.equal(made.picture, expected)
    assert float(made.picture.detach().abs().max()) <= 1


def test_begins_without_motion_and_takes_the_newest_frame():
    labels, previous = _inputs(SMALL)
    made = CompositeGenerator(SMALL)(labels, previous)
    assert torch.allclose(made.warped, previous[:, 3:], atol=1e-5)


def test_takes_nothing_from_a_frame_that_is_not_there():
    labels, _ = _inputs(SMALL)
    made = CompositeGenerator(SMALL)(labels, torch.zeros(1, 6, 16, 32), torch.zeros(1, 1, 1, 1))
    assert torch.equal(made.picture, made.synthesised)


def test_foreground_is_drawn_from_labels_alone_and_only_where_it_is():
    torch.manual_seed(0)
    network = CompositeGenerator(SMALL)
    labels, previous = _inputs(SMALL)
    first = network(labels, previous).synthesised
    second = network(labels, -previous).synthesised
    assert torch.equal(first[..., 8:], second[..., 8:])
    assert not torch.equal(first[..., :8], second[..., :8])


def test_student_begins_with_the_teachers_weights_where_shapes_match():
    teacher, student = CompositeGenerator(SMALL), CompositeGenerator(SMALL.as_student())
    shared = start_from(student, teacher)
    assert "labels.downs.0.0.weight" in shared
    assert not [name for name in shared if ".blocks." in name and name.endswith("body.0.weight")]
    assert torch.equal(student.image_head.weight, teacher.image_head.weight)


def test_every_weight_learns():
    network = CompositeGenerator(SMALL)
    nn.init.normal_(network.flow_head.weight, 0, 0.02)
    made = network(*_inputs(SMALL))
    (made.picture.square().mean() + made.flow.square().mean()).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


# --- the config --------------------------------------------------------------------------------------------------


def test_config_comes_back_from_a_header():
    assert paper_config_from_dict(dataclasses.asdict(PRESETS["city"]), file="x") == PRESETS["city"]


@pytest.mark.parametrize(
    "wrong",
    [{"ngf": 0}, {"ngf": "8"}, {"classes": True}, {"foreground": [3]}, {"depth": 2}, {"classes": 0, "edges": False}],
)
def test_config_refuses(wrong):
    with pytest.raises(DamagedModelError, match="settings inside the model x"):
        paper_config_from_dict({**dataclasses.asdict(SMALL), **wrong}, file="x")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_do_not_depend_on_how_the_pictures_lie_in_memory(layout):
    """The gradient of a batch is the mean of its pictures' gradients; torch's instance norm broke that."""
    torch.manual_seed(0)
    network = CompositeGenerator(PaperConfig(classes=4, edges=True, width=32, height=32, ngf=4))
    network.to(memory_format=layout)
    labels, previous = torch.randn(2, 15, 32, 32), torch.rand(2, 6, 32, 32)

    def gradients(*rows):
        made = network(labels[list(rows)].contiguous(memory_format=layout), previous[list(rows)])
        return torch.autograd.grad(made.synthesised.square().mean(), list(network.image.parameters()))

    for both, first, second in zip(gradients(0, 1), gradients(0), gradients(1), strict=True):
        assert torch.allclose(both, (first + second) / 2, rtol=1e-3, atol=1e-4 * float(both.abs().max()) + 1e-9)
