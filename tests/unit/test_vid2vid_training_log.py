# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a training and the charts drawn from it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import DamagedFileError, InternalError, MissingInputError
from mapreel.core.media.images import read_color
from mapreel.core.vid2vid import charts
from mapreel.core.vid2vid.training_log import read_log, trim_log
from mapreel.core.vid2vid.training_state import step_within


def line(step, **terms):
    return json.dumps({"step": step, "seconds": 0.5, **terms}) + "\n"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.jsonl"


def test_of_a_step_done_twice_the_later_line_counts(log):
    log.write_text(line(1, l1=4.0) + line(2, l1=3.0) + line(3, l1=9.0) + line(2, l1=2.0) + line(3, l1=1.0))
    assert [(e["step"], e["l1"]) for e in read_log(log)] == [(1, 4.0), (2, 2.0), (3, 1.0)]


@pytest.mark.parametrize(
    "half", ['{"step": 3, "l1"', "[1]", '{"step": "3"}', '{"l1": 2}', "\x00\x00", '{"step": true}']
)
def test_what_is_no_step_is_left_out(log, half):
    log.write_text(line(1) + half + "\n" + line(2))
    assert [e["step"] for e in read_log(log)] == [1, 2]


def test_a_log_that_is_not_there_or_empty_is_told(log):
    with pytest.raises(MissingInputError, match="no training"):
        read_log(log)
    log.write_text('{"ste')
    with pytest.raises(DamagedFileError, match="no step yet"):
        read_log(log)


def test_a_resume_cuts_the_log_to_its_checkpoint(log):
    log.write_text("".join(line(n) for n in range(1, 8)) + '{"step": 8, "sec')
    trim_log(log, 5)
    assert log.read_text() == "".join(line(n) for n in range(1, 6))
    before = log.stat().st_mtime_ns
    trim_log(log, 5)
    assert log.stat().st_mtime_ns == before
    trim_log(log.with_name("none"), 5)


def test_a_moving_average_looks_back_only():
    values = np.array([2.0, 4.0, 6.0, 0.0, 0.0, 0.0])
    assert charts.moving_average(values, 3) == pytest.approx([2, 3, 4, 10 / 3, 2, 0])
    assert charts.moving_average(values, 1) == pytest.approx(values)


@pytest.mark.parametrize("span", [(0, 1), (-0.013, 0.027), (1, 3700), (0.4, 0.41), (-3, -2), (17, 18)])
def test_ticks_are_round_few_and_inside(span):
    found = charts.ticks(*span)
    assert 2 <= len(found) <= 5
    slack = 1e-9 * (span[1] - span[0])
    assert all(span[0] - slack <= t <= span[1] + slack for t in found)
    steps = np.diff(found)
    assert steps == pytest.approx(np.full(len(steps), steps[0]))
    assert float(f"{steps[0]:.1g}") == pytest.approx(steps[0])


def curve_of(panel):
    """Height of the blue curve over the width of a panel, rows from the top."""
    blue = (panel[..., 2] > 150) & (panel[..., 0] < 90)
    return [float(np.flatnonzero(column).mean()) for column in blue.T if column.any()]


def test_a_falling_loss_falls_in_its_panel(tmp_path):
    entries = [json.loads(line(n, total=5 - n / 25, critic=1.0 + n / 100, l1=2.0)) for n in range(1, 101)]
    path = charts.write_charts(tmp_path / "charts.png", entries)
    drawn = read_color(path)
    height, width = charts.PANEL_PX
    assert drawn.shape == (2 * height, 3 * width, 3)
    total, critic, l1 = (curve_of(drawn[:height, i * width : (i + 1) * width]) for i in range(3))
    assert total[-1] > total[0] + 100
    assert critic[-1] < critic[0] - 100
    assert max(l1) - min(l1) < 3
    assert (drawn[height:, 2 * width :] == 255).all()


def test_a_term_that_came_late_and_one_that_is_no_number_are_drawn_where_they_are():
    entries = [{"step": 1, "seconds": 1.0, "total": float("nan")}, {"step": 2, "seconds": 1.0, "total": 3.0, "late": 2}]
    drawn = charts.charts(entries)
    assert drawn.shape == (charts.PANEL_PX[0], 3 * charts.PANEL_PX[1], 3)
    assert charts.charts(entries[:1]).any()


def test_a_look_at_a_training_loads_no_torch():
    code = (
        "import sys, mapreel.core.vid2vid.charts, mapreel.core.vid2vid.training_log; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_gradient_that_is_no_number_changes_no_weight():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    weight.grad = torch.tensor([1.0, float("inf"), 0.0])
    assert step_within(optimizer, [weight], 1.0, 4) == 5
    assert torch.equal(weight, torch.ones(3))
    with pytest.raises(InternalError, match="20 steps in a row"):
        step_within(optimizer, [weight], 1.0, 19)
    weight.grad = torch.tensor([2.0, 0.0, 0.0])
    assert step_within(optimizer, [weight], 1.0, 19) == 0
    assert torch.allclose(weight, torch.tensor([0.0, 1.0, 1.0]), atol=1e-5)
