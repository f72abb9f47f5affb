# SPDX-License-Identifier: GPL-3.0-or-later
"""Training in processes of its own: killed without warning, and several that average their gradients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import safetensors

from mapreel.core.vid2vid.models import LOG_FILE
from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE

START = """
import functools, hashlib, json, sys
from pathlib import Path
import torch
from mapreel.core.contract.errors import CancelledError
from mapreel.core.contract.progress import SilentContext
from mapreel.core.vid2vid import adversary
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import load_shot
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.ranks import join_ranks
from mapreel.core.vid2vid.trainer import Trainer, TrainingPlan

torch.set_num_threads(1)
whole = adversary.MultiScaleDiscriminator
adversary.MultiScaleDiscriminator = lambda channels, width=4: whole(channels, 4)
table = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))
config = GeneratorConfig(classes=4, width=80, height=48, widths=(8, 16), blocks=(0, 0), trust=True)
plan = TrainingPlan(steps=int(sys.argv[3]), streams=1, crop_px=(32, 32), checkpoint_every=2, temporal=1.0)
shots, out = [load_shot(Path(sys.argv[1]), table)], Path(sys.argv[2])
"""
KILLED = START + "Trainer(out, config, plan, shots, table, torch.device('cpu')).run(SilentContext())\n"
RESUMED = (
    START
    + """
trainer = Trainer(out, config, plan, shots, table, torch.device("cpu"))
trainer.resume()
trainer.run(SilentContext())
"""
)
TOGETHER = (
    START
    + """
class Stopped:
    steps = 0
    def report(self, progress):
        self.steps = progress.done
    def check(self):
        if ranks.rank == 1 and self.steps == 3:
            raise CancelledError("cancelled")

with join_ranks() as (ranks, device):
    layer = torch.nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.fill_(float(ranks.rank) + 7)
    ranks.share([layer])
    if ranks.rank == 1:
        layer.weight.grad = torch.full((2, 2), 4.0)
    ranks.average(layer.parameters())
    told = {"shared": layer.weight[0, 0].item(), "mean": layer.weight.grad[0, 0].item(), "world": ranks.world}
    told["bias"] = layer.bias.grad.tolist()
    with ranks.first_goes_first():
        told["found"] = (out / "first").exists()
        if ranks.first:
            out.mkdir()
            (out / "first").touch()
    trainer = Trainer(out, config, plan, shots, table, device, None, ranks)
    drawn = []
    inner = trainer.train_step
    def noted(streams):
        drawn.append([streams[0]._index, streams[0]._window[1].start])
        return inner(streams)
    trainer.train_step = noted
    try:
        trainer.run(Stopped())
    except CancelledError:
        told["cancelled"] = trainer.step
    told["crops"] = drawn
    weights = [*trainer.generator.parameters(), *trainer.averaged.parameters(), *trainer.critics.parameters()]
    told["weights"] = hashlib.sha256(b"".join(w.detach().numpy().tobytes() for w in weights)).hexdigest()
Path(sys.argv[4] + str(ranks.rank)).write_text(json.dumps(told))
"""
)


def start(code, tmp_path, street, out, steps, *more, launcher=()):
    script = tmp_path / "train_it.py"
    script.write_text(code)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, *launcher, str(script), str(street), str(out), str(steps), *more]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process):
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said.decode()


def log_lines(out):
    try:
        return (out / LOG_FILE).read_text().splitlines()
    except OSError:
        return []


def checkpoint_step(out):
    with safetensors.safe_open(str(out / CHECKPOINT_FILE), "pt") as file:
        return int(file.metadata()["step"])


def test_a_kill_loses_at_most_what_came_after_the_last_checkpoint(street, tmp_path):
    out = tmp_path / "run"
    process = start(KILLED, tmp_path, street, out, 100000)
    waited_until = time.monotonic() + 200
    while len(log_lines(out)) < 7 and time.monotonic() < waited_until and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    said, _ = process.communicate()
    done = len([line for line in log_lines(out) if line.endswith("}")])
    assert done >= 7, said.decode()
    kept = checkpoint_step(out)
    assert done - 2 <= kept <= done
    finish(start(RESUMED, tmp_path, street, out, kept + 3))
    assert [json.loads(line)["step"] for line in log_lines(out)] == list(range(1, kept + 4))
    assert checkpoint_step(out) == kept + 3


def test_several_processes_train_one_network(street, tmp_path):
    out = tmp_path / "run"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    finish(start(TOGETHER, tmp_path, street, out, 50, str(tmp_path / "rank"), launcher=launcher))
    first, second = (json.loads((tmp_path / f"rank{rank}").read_text()) for rank in (0, 1))
    assert first["world"] == second["world"] == 2
    assert first["shared"] == second["shared"] == 7
    assert first["mean"] == second["mean"] == 2
    assert first["bias"] == second["bias"] == [0, 0]
    assert (first["found"], second["found"]) == (False, True)
    assert first["cancelled"] == second["cancelled"] == 3
    assert first["crops"] != second["crops"]
    assert first["weights"] == second["weights"]
    assert [json.loads(line)["step"] for line in log_lines(out)] == [1, 2, 3]
    assert checkpoint_step(out) == 3
