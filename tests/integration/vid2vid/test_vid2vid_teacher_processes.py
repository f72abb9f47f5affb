# SPDX-License-Identifier: GPL-3.0-or-later
"""A teacher trained by two processes that torchrun starts: one network, as if one process had a batch of two."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import safetensors.torch
import torch

from mapreel.core.vid2vid.models import LOG_FILE
from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE

TRAIN = """
import hashlib, json, sys
from pathlib import Path
import torch
from mapreel.core.contract.progress import SilentContext
from mapreel.core.vid2vid import precision, teacher_trainer
from mapreel.core.vid2vid.dataset import load_shot
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.ranks import join_ranks
from mapreel.core.vid2vid.teacher_trainer import TeacherPlan, TeacherTrainer

torch.set_num_threads(1)
precision.has_fast_bfloat16 = lambda device: False  # rounding must not hide what else differs
table = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))
config = PaperConfig(classes=4, edges=True, width=80, height=48, ngf=4, foreground=(2, 3))
plan = TeacherPlan(steps=int(sys.argv[3]), sequences=int(sys.argv[5]), crop_px=(32, 32), critic_width=4)
shots, out = [load_shot(Path(sys.argv[1]), table)], Path(sys.argv[2])
with join_ranks() as (ranks, device):
    trainer = TeacherTrainer(out, config, plan, shots, table, device, None, ranks)
    if (out / teacher_trainer.CHECKPOINT_FILE).exists():
        trainer.resume()
    began = trainer.step
    trainer.run(SilentContext())
    weights = [*trainer.generator.parameters(), *trainer.averaged.parameters(), *trainer.critics.parameters()]
    digest = hashlib.sha256(b"".join(w.detach().numpy().tobytes() for w in weights)).hexdigest()
    told = {"world": ranks.world, "began": began, "weights": digest}
Path(sys.argv[4] + str(ranks.rank)).write_text(json.dumps(told))
"""
TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def train(tmp_path, street, out, steps, sequences, launcher=()):
    script = tmp_path / "train_it.py"
    script.write_text(TRAIN)
    argv = [sys.executable, *launcher, str(script), str(street), str(out), str(steps), str(tmp_path / "rank")]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*argv, str(sequences)], env=env, capture_output=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return [json.loads(path.read_text()) for path in sorted(tmp_path.glob("rank?"))]


def logged(out):
    return [json.loads(line) for line in (out / LOG_FILE).read_text().splitlines()]


def test_two_processes_are_a_batch_of_two(street, tmp_path):
    train(tmp_path, street, tmp_path / "alone", 1, 2)
    first, second = train(tmp_path, street, tmp_path / "both", 1, 1, TOGETHER)
    assert first["world"] == second["world"] == 2
    assert first["weights"] == second["weights"]
    assert [line["step"] for line in logged(tmp_path / "both")] == [1]
    alone, both = (safetensors.torch.load_file(tmp_path / name / CHECKPOINT_FILE) for name in ("alone", "both"))
    assert alone.keys() == both.keys()
    moments = [name for name in alone if name.startswith("adam.") and name.endswith("exp_avg")]
    assert moments
    for name in moments:  # half of the first gradient
        atol = 1e-3 * float(alone[name].abs().max()) + 1e-9
        assert torch.allclose(alone[name], both[name], rtol=1e-3, atol=atol), name
    first, second = train(tmp_path, street, tmp_path / "both", 4, 1, TOGETHER)
    assert first["began"] == second["began"] == 1
    assert first["weights"] == second["weights"]
    assert [line["step"] for line in logged(tmp_path / "both")] == [1, 2, 3, 4]
    assert not sorted((tmp_path / "both").glob("*.tmp*"))
