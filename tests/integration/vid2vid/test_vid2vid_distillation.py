# SPDX-License-Identifier: GPL-3.0-or-later
"""Students learn from a teacher: its frames are made once, with the shot's own colours, and pull where they should."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

from mapreel.core.contract.errors import CancelledError, MissingModelError, ModelMismatchError, UsageError
from mapreel.core.contract.progress import SilentContext
from mapreel.core.vid2vid import adversary, distillation, streams, train_job, trainer
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import load_shot
from mapreel.core.vid2vid.discriminator import MultiScaleDiscriminator
from mapreel.core.vid2vid.distillation import Teacher, teach
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import gather_looks
from mapreel.core.vid2vid.models import LOG_FILE, MODEL_FILE
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import CompositeGenerator
from mapreel.core.vid2vid.samples import draw_frame
from mapreel.core.vid2vid.teacher_model import save_teacher
from mapreel.core.vid2vid.train_job import run_train
from mapreel.core.vid2vid.trainer import Trainer, TrainingPlan

TABLE = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))
CONFIG = GeneratorConfig(classes=4, width=80, height=48, widths=(8, 16), blocks=(0, 0), trust=True)
CPU = torch.device("cpu")


def small_critic(channels_in, width=4):
    return MultiScaleDiscriminator(channels_in, 4)


def full_rate(step, steps):
    return 1.0


def small_config(*given):
    return CONFIG


def upside_down(self, shot, finished):
    return shot.colors[:, ::-1].copy()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(adversary, "MultiScaleDiscriminator", small_critic)
    monkeypatch.setattr(trainer, "_rate", full_rate)


@pytest.fixture(scope="module")
def shot(street):
    whole = load_shot(street, TABLE)
    fields = {name: getattr(whole, name)[:8] for name in ("colors", "classes", "instances", "motions")}
    return replace(whole, **fields)


@pytest.fixture
def taught_by(make_model):
    """A teacher from a tiny model with other settings."""
    return lambda table=TABLE, **changes: Teacher(str(make_model(table, **changes)), TABLE, CPU)


def test_a_teacher_makes_every_frame_on_the_one_before(shot, taught_by):
    frames = taught_by().frames(shot)
    assert frames.shape == shot.colors.shape
    assert frames.dtype == np.uint8
    alone = taught_by(previous=False).frames(shot)
    assert frames[3:].std() > 2
    assert (frames[0] != alone[0]).any()


def test_the_chain_starts_afresh_from_a_true_frame_at_anchors(shot, taught_by, monkeypatch):
    whole = taught_by().frames(shot)
    monkeypatch.setattr(distillation, "ANCHOR_EVERY", 4)
    cut = taught_by().frames(shot)
    assert np.array_equal(whole[:4], cut[:4])
    assert (whole[4] != cut[4]).any()


def test_stills_are_made_each_by_itself(shot, taught_by, make_model):
    still = replace(shot, motions=None)
    frames = taught_by().frames(still)
    generator = distillation.load_model(str(make_model())).generator
    assert np.array_equal(frames[5], draw_frame(generator, still, 5, CPU))


def test_a_teacher_may_count_its_classes_in_another_order(shot, taught_by):
    other = ClassTable((9, 3, 0, 5, 1), ("person", "dog", "sky", "car", "road"))
    teacher = taught_by(other)
    seen = teacher._as_seen(shot)
    assert np.array_equal(np.array(other.ids)[seen.classes], np.array(TABLE.ids)[shot.classes])
    assert np.array_equal(seen.means[0], shot.means[3])
    assert teacher.frames(shot).shape == shot.colors.shape


def test_a_teacher_that_does_not_know_a_class_is_refused(taught_by):
    with pytest.raises(ModelMismatchError, match="does not know the class 9"):
        taught_by(ClassTable((0, 1, 5), ("sky", "road", "car")))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "pose", "conditions": 6}, r"of the task pose, the training data of city; take a teacher"),
        ({"task": "face", "conditions": 15, "edges": False}, r"of the task face, the training data of city"),
    ],
)
def test_a_teacher_of_another_task_is_refused_in_a_sentence(street, make_model, tmp_path, monkeypatch, changes, said):
    monkeypatch.setattr(train_job, "generator_config", small_config)
    two = ClassTable((0, 1), ("background", "face"))
    teacher = str(make_model(two, **changes))
    with pytest.raises(ModelMismatchError, match=said):
        run_train([street], tmp_path / "student", steps=1, context=SilentContext(), teacher=teacher)


def test_a_teacher_of_other_drawings_is_refused_in_a_sentence(make_model):
    two = ClassTable((0, 1), ("background", "face"))
    teacher = make_model(two, task="face", conditions=15, edges=False, looks=False)
    student = replace(CONFIG, classes=2, task="face", conditions=2, edges=False, looks=False, trust=False)
    with pytest.raises(ModelMismatchError, match="reads drawings of 15 channels, the training data has 2; prepare"):
        Teacher(str(teacher), two, CPU, student)
    Teacher(str(teacher), two, CPU, replace(student, conditions=15))


def test_the_paper_s_teacher_is_given_its_first_frames(shot, tmp_path):
    torch.manual_seed(1)
    config = PaperConfig(width=80, height=48, classes=4, edges=True, previous=2, ngf=8)
    path = tmp_path / MODEL_FILE
    looks, network = gather_looks([(shot.means, shot.pixels)]), CompositeGenerator(config)
    save_teacher(path, name="wide", generator=network, table=TABLE, looks=looks, licence="", story={})
    frames = Teacher(str(tmp_path), TABLE, CPU).frames(shot)
    assert np.array_equal(frames[:2], shot.colors[:2])
    assert (frames[2:] != shot.colors[2:]).any()
    assert frames[2:].std() > 1


def test_a_teacher_s_frames_are_made_once(shot, taught_by, tmp_path, monkeypatch, listener):
    teacher, heard = taught_by(), listener()
    other = replace(shot, colors=shot.colors[::-1].copy())  # of the same size, and not to be taken for the first
    first = teach(teacher, [shot, other], tmp_path, heard)
    assert [p.done for p in heard.heard] == list(range(1, 17))
    kept = sorted((tmp_path / "taught").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert len(kept) == 2
    kept[1].write_bytes(kept[1].read_bytes()[:-50])
    heard = listener()
    again = teach(teacher, [shot, other], tmp_path, heard)
    assert [p.done for p in heard.heard] == list(range(9, 17))
    assert all(np.array_equal(a.taught, b.taught) for a, b in zip(first, again, strict=True))
    short = replace(shot, colors=shot.colors[:4], classes=shot.classes[:4])
    assert len(teach(teacher, [short], tmp_path, listener())[0].taught) == 4


def test_a_cancel_is_heard_while_the_teacher_works(shot, taught_by, tmp_path, listener):
    heard = listener(stop_after=11)
    with pytest.raises(CancelledError):
        teach(taught_by(), [shot, replace(shot, colors=shot.colors[::-1].copy())], tmp_path, heard)
    assert len(heard.heard) == 11
    assert len(list((tmp_path / "taught").iterdir())) == 1


def test_a_student_goes_where_its_teacher_is(shot, tmp_path, monkeypatch):
    """With nothing but the teacher's terms the frames go towards the teacher and away from the truth."""
    monkeypatch.setattr(streams, "GAPS", (2,))
    taught = replace(shot, taught=np.full_like(shot.colors, 220))
    others = {"l1": 0.0, "adversarial": 0.0, "matching": 0.0, "steady": 0.0, "between": 0.0, "grid": 0.0}
    plan = TrainingPlan(
        steps=20, streams=1, crop_px=(32, 48), learning_rate=4e-3, temporal=1e-6, temporal_matching=0.0, **others
    )
    made = Trainer(tmp_path, CONFIG, plan, [taught], TABLE, CPU)
    followed = [made._stream(np.random.default_rng(1))]
    terms = [made.train_step(followed) for _ in range(20)]
    assert terms[-1]["taught"] < 0.5 * terms[0]["taught"]
    assert {"taught", "taught_between", "taught_clip"} < set(terms[0])
    assert any(t["taught_between"] > 0 for t in terms)
    assert any(t["taught_clip"] > 0 for t in terms)


def test_a_training_with_a_teacher_from_start_to_model(street, tmp_path, make_model, monkeypatch):
    monkeypatch.setattr(train_job, "generator_config", small_config)
    monkeypatch.setattr(distillation.Teacher, "frames", upside_down)
    teacher, out = str(make_model()), tmp_path / "student"
    run_train([street], out, steps=2, context=SilentContext(), teacher=teacher)
    lines = [json.loads(line) for line in (out / LOG_FILE).read_text().splitlines()]
    assert {"temporal", "temporal_matching", "taught", "taught_between", "taught_clip"} < set(lines[0])
    with safetensors.safe_open(str(out / "model" / MODEL_FILE), "pt") as file:
        assert file.metadata()["teacher"] == Path(teacher).name  # and not where it lies
    with pytest.raises(ModelMismatchError, match=r"other critics \(patch and temporal instead of patch\)"):
        run_train([street], out, steps=3, context=SilentContext(), resume=True)
    assert run_train([street], out, steps=3, context=SilentContext(), teacher=teacher, resume=True)["steps"] == 3
    other = str(make_model(trust=True))
    with pytest.raises(ModelMismatchError, match="was trained with another teacher; give the same --teacher"):
        run_train([street], out, steps=4, context=SilentContext(), teacher=other, resume=True)


def test_a_critic_or_a_teacher_that_is_not_there(street, tmp_path):
    with pytest.raises(UsageError, match="no critic called best; choose from patch, oasis"):
        run_train([street], tmp_path / "a", steps=1, context=SilentContext(), critic="best")
    with pytest.raises(MissingModelError, match="no model called nowhere"):
        run_train([street], tmp_path / "a", steps=1, context=SilentContext(), teacher="nowhere")
    assert not (tmp_path / "a").exists()


def test_a_slim_training_makes_a_slim_network(street, tmp_path, monkeypatch):
    made = []

    class SeenError(Exception):
        """The trainer was asked for; nothing has to be trained."""

    def trainer_for(_, config, *__):
        made.append(config)
        raise SeenError

    monkeypatch.setattr(train_job, "Trainer", trainer_for)
    for slim in (False, True):
        with pytest.raises(SeenError):
            run_train([street], tmp_path / "out", steps=1, context=SilentContext(), slim=slim)
    assert made[1] == made[0].slim() != made[0]
