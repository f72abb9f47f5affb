# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's student: learns from its teacher in two halves, goes on after a kill, and renders key frames only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import safetensors
import torch

from mapreel.core.contract.errors import ModelMismatchError, UsageError
from mapreel.core.contract.progress import SilentContext
from mapreel.core.contract.requests import Quality
from mapreel.core.vid2vid import paper_student
from mapreel.core.vid2vid.dataset import load_shot
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import gather_looks
from mapreel.core.vid2vid.losses import carried
from mapreel.core.vid2vid.models import LOG_FILE, MODEL_FILE, holds_paper_student
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import CompositeGenerator
from mapreel.core.vid2vid.paper_student import PaperStudentPlan, PaperStudentTrainer
from mapreel.core.vid2vid.teacher_model import load_teacher, save_teacher
from mapreel.core.vid2vid.teacher_streams import SequenceStream
from mapreel.core.vid2vid.train_paper_student import run_train_paper_student
from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE

TABLE = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))
CONFIG = PaperConfig(classes=4, edges=True, width=80, height=48, ngf=2, foreground=(2, 3))


@pytest.fixture(scope="module")
def shot(street):
    whole = load_shot(street, TABLE)
    fields = {name: getattr(whole, name)[:16] for name in ("colors", "classes", "instances", "motions")}
    return replace(whole, **fields)


@pytest.fixture(scope="module")
def master(shot, tmp_path_factory):
    folder = tmp_path_factory.mktemp("master")
    torch.manual_seed(4)
    looks = gather_looks([(shot.means, shot.pixels)])
    network = CompositeGenerator(CONFIG)
    save_teacher(folder / MODEL_FILE, name="m", generator=network, table=TABLE, looks=looks, licence="", story={})
    return folder


def test_part_time_sequences_leave_frames_out(shot):
    """With the truth as teacher, the in-between is the truth wherever both keys bring it, mirrored or not."""
    taught = replace(shot, taught=shot.colors)
    for seed in range(4):
        stream = SequenceStream([taught], CONFIG, (48, 80), np.random.default_rng(seed))
        stream.restart(5, 2, 3)
        for _ in range(2):
            sample, lesson = stream.next(), stream.lesson()
            assert torch.equal(sample.truth, lesson.frame)
            stream.keep(sample.truth)
        sample, lesson = stream.next(), stream.lesson()
        assert torch.equal(lesson.near[:, :3], sample.clips[1].truth[:, :3])
        assert lesson.far is None
        between = lesson.between
        middle = between.base + between.weight * carried(sample.truth, between.motion)
        counts = between.counts > 0
        assert counts.float().mean() > 0.5
        away = ((middle - between.truth).abs() * counts).sum() / (3 * counts.sum())
        unmoved = ((sample.truth - between.truth).abs() * counts).sum() / (3 * counts.sum())
        assert away < 0.5 * unmoved
        assert torch.equal(between.truth, lesson.middle)


def test_the_second_half_is_part_time_and_pulls_through_the_compensation(shot, master, tmp_path, monkeypatch):
    teacher = load_teacher(str(master))
    taught = replace(shot, taught=np.full_like(shot.colors, 220))
    plan = PaperStudentPlan(steps=16, critic_width=4, rate=2e-3)
    config, cpu = CONFIG.as_student(), torch.device("cpu")
    trainer = PaperStudentTrainer(tmp_path, config, plan, [taught], TABLE, cpu, teacher=teacher)
    assert "labels.stem.0.weight" in trainer.begun_with
    assert not any("blocks" in name and name.endswith("body.0.weight") for name in trainer.begun_with)
    gaps = []
    restart = SequenceStream.restart
    monkeypatch.setattr(
        SequenceStream, "restart", lambda self, n, given, gap=1: (gaps.append((n, gap)), restart(self, n, given, gap))
    )
    trainer.run(SilentContext())
    log = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert {"taught", "between", "taught_between", "taught_clip", "flow", "warp", "matching"} < set(log[0])
    assert not any(line["taught_between"] for line in log[:6])
    assert any(line["taught_between"] for line in log[8:])
    assert any(line["taught_clip"] for line in log)
    assert gaps[0][1] == 1
    assert gaps[-1][1] in paper_student.GAPS
    assert all(n - 2 >= paper_student.LEAST_MADE for n, gap in gaps if gap > 1)
    assert log[-1]["taught"] < log[0]["taught"]


def test_from_data_to_frames(street, master, tmp_path, render):
    out = tmp_path / "student"
    made = run_train_paper_student([street], out, teacher=str(master), steps=2, context=SilentContext())
    assert made["begun_with"] > 20
    model = out / "model"
    assert holds_paper_student(model / MODEL_FILE)
    assert not holds_paper_student(master / MODEL_FILE)
    with safetensors.safe_open(str(model / MODEL_FILE), "pt") as file:
        assert file.metadata()["teacher"] == master.name
    full = render(street, "full", frames="1001-1012", net=model, quality=Quality.TEACHER)
    assert full["key_share"] == 1.0
    fast = render(street, "fast", frames="1001-1012", net=model, quality=Quality.FAST)
    assert fast["frames"] == 12
    assert fast["key_share"] < 0.7
    chunk = render(street, "chunk", frames="1007-1009", net=model, quality=Quality.FAST)
    assert chunk["frames"] == 3
    for number in (1007, 1008, 1009):
        whole, part = (tmp_path / name / f"{number}.png" for name in ("fast", "chunk"))
        assert whole.read_bytes() == part.read_bytes()
    assert run_train_paper_student([street], out, teacher=str(master), steps=3, context=SilentContext(), resume=True)
    with pytest.raises(UsageError, match="no teacher as the paper has it"):
        run_train_paper_student([street], tmp_path / "b", teacher=str(model), steps=1, context=SilentContext())
    with pytest.raises(ModelMismatchError, match="other classes than the teacher"):
        run_train_paper_student(
            [street], tmp_path / "b", teacher=str(master), steps=1, context=SilentContext(), palette="cityscapes"
        )


def test_a_kill_costs_what_came_after_the_last_checkpoint(maps, master, tmp_path):
    out, street = tmp_path / "run", maps(tmp_path / "shot", range(1, 7), color=True)
    argv = [sys.executable, "-m", "mapreel.core.cli", "train", "student", "--paper", "--data", str(street)]
    argv += ["--teacher", str(master), "--out", str(out), "--json"]
    quick = "import sys; from mapreel.core.vid2vid import teacher_trainer, train_paper_student as t; "
    quick += (
        "plan = t.PaperStudentPlan; t.PaperStudentPlan = lambda **k: plan(checkpoint_every=2, critic_width=4, **k); "
    )
    quick += "from mapreel.core.cli import main; sys.argv[0] = 'mapreel'; main()"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    argv[1:3] = ["-c", quick]
    process = subprocess.Popen([*argv, "--steps", "9999"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 200
    while _lines(out) < 5 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    _, said = process.communicate()
    assert _lines(out) >= 5, said.decode()
    with safetensors.safe_open(str(out / CHECKPOINT_FILE), "pt") as file:
        kept = int(file.metadata()["step"])
    assert kept >= _lines(out) - 3
    ended = subprocess.run([*argv, "--steps", str(kept + 2), "--resume"], env=env, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(ended.stdout)["steps"] == kept + 2
    steps = [json.loads(line)["step"] for line in (out / LOG_FILE).read_text().splitlines()]
    assert steps == list(range(1, kept + 3))


def _lines(out):
    try:
        return (out / LOG_FILE).read_text().count("\n")
    except OSError:
        return 0
