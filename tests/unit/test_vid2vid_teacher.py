# SPDX-License-Identifier: GPL-3.0-or-later
"""Teachers: what their training reads, their losses, their files, and the frames they render."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import safetensors.torch
import torch

from mapreel.core.contract.errors import (
    CancelledError,
    DamagedModelError,
    InputError,
    ModelMismatchError,
    UsageError,
)
from mapreel.core.vid2vid.checkpoint import load_model, open_model
from mapreel.core.vid2vid.conditions import DrawnFrames
from mapreel.core.vid2vid.dataset import TrainingShot
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import gather_looks, instance_means
from mapreel.core.vid2vid.models import holds_teacher
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import CompositeGenerator
from mapreel.core.vid2vid.teacher_inputs import label_frame
from mapreel.core.vid2vid.teacher_losses import critic_squares, generator_squares, trusted_share, weighted_l1
from mapreel.core.vid2vid.teacher_model import load_teacher, save_teacher
from mapreel.core.vid2vid.teacher_streams import SequenceStream, joined
from mapreel.core.vid2vid.teacher_trainer import TeacherPlan, TeacherTrainer
from mapreel.core.vid2vid.train_teacher import run_train_teacher

H, W, FRAMES = 16, 32, 9
TABLE = ClassTable((0, 5), ("ground", "box"))
CONFIG = PaperConfig(classes=2, edges=True, width=W, height=H, ngf=4, foreground=(1,))


@pytest.fixture
def shot() -> TrainingShot:
    """A noisy ground that stands still and a box that goes two pixels to the right in every frame."""
    random = np.random.default_rng(3)
    ground = random.integers(0, 255, (H, W, 3), dtype=np.uint8)
    colors = np.stack([ground] * FRAMES)
    classes = np.zeros((FRAMES, H, W), np.uint8)
    motions = np.zeros((FRAMES, H, W, 2), np.float16)
    for index in range(FRAMES):
        box = (slice(4, 10), slice(2 + 2 * index, 10 + 2 * index))
        colors[(index, *box)] = np.linspace(0, 250, 8, dtype=np.uint8)[None, :, None]
        classes[(index, *box)] = 1
        motions[(index, *box, 0)] = -2
    instances = classes.astype(np.uint16)
    means, pixels = instance_means(colors, classes, instances, 2)
    return TrainingShot(colors, classes, instances, motions, means, pixels)


class Context:
    """Stops before a given step."""

    def __init__(self, stop_at: int = -1) -> None:
        self.stop_at, self.done = stop_at, 0

    def report(self, progress) -> None:
        self.done = progress.done

    def check(self) -> None:
        if self.done == self.stop_at:
            raise CancelledError("stopped", "go on")


# --- sequences ---------------------------------------------------------------------------------------------------


def _stream(shot, seed=0, crop=(H, W)):
    return SequenceStream([shot], CONFIG, crop, np.random.default_rng(seed))


def test_sequence_hands_on_what_was_made(shot):
    stream = _stream(shot)
    stream.restart(FRAMES, 2)
    first = stream.next()
    assert float(first.known) == 1
    assert torch.equal(first.previous[:, 3:], first.before)
    made = torch.full((1, 3, H, W), 0.25)
    stream.keep(made)
    second = stream.next()
    assert torch.equal(second.previous[:, 3:], made)
    assert torch.equal(second.previous[:, :3], first.before)
    assert torch.equal(second.labels[:, 3:6], first.labels[:, 6:])
    assert set(second.clips) == {1}
    assert torch.equal(second.clips[1].earlier[:, 3:], made)
    for _ in range(3):
        stream.keep(made)
    assert set(stream.next().clips) == {1, 3}


def test_sequence_from_nothing(shot):
    stream = _stream(shot)
    stream.restart(4, 0)
    sample = stream.next()
    assert float(sample.known) == 0
    assert not sample.previous.any()
    assert not sample.confidence.any()
    assert torch.equal(sample.labels[:, :3], sample.labels[:, 6:])  # there are no maps before the first ones


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("crop", [(H, W), (8, 16)])
def test_motion_leads_to_the_frame_before_also_when_mirrored(shot, seed, crop):
    """The box's colours move with it, so the true frame before, taken along the motion, is the true frame."""
    from mapreel.core.vid2vid.losses import carried

    stream = _stream(shot, seed, crop)
    stream.restart(FRAMES, 2)
    sample = stream.next()
    box = sample.labels[:, 7:8] * (sample.confidence > 0.9)
    box[..., :3] = box[..., -3:] = 0  # what was outside the window cannot be taken
    assert torch.allclose(carried(sample.before, sample.flow) * box, sample.truth * box, atol=1e-4)


def test_sequences_without_motion_maps_estimate_it(shot):
    still = dataclasses.replace(shot, motions=None)
    stream = _stream(still)
    stream.restart(FRAMES, 2)
    assert torch.isfinite(stream.next().flow).all()


def test_sequences_of_drawings(shot):
    """A face drawn by hand: the map of its lines and how far they are; motion is estimated on the lines."""
    drawings = np.zeros((FRAMES, H, W, 1), np.uint8)
    for index in range(FRAMES):
        drawings[index, 4:12, 4 + index] = 255
    drawn = dataclasses.replace(shot, motions=None, drawings=DrawnFrames(lambda index: drawings[index], 1))
    config = PaperConfig(task="face", classes=2, conditions=2, width=W, height=H, ngf=2)
    stream = SequenceStream([drawn], config, (H, W), np.random.default_rng(0))
    stream.restart(3, 2)
    sample = stream.next()
    assert sample.labels.shape == (1, 12, H, W)
    lines, far = sample.labels[0, 10], sample.labels[0, 11]
    assert set(lines.unique().tolist()) == {0.0, 1.0}
    assert not far[lines > 0].any()
    assert torch.isfinite(sample.flow).all()
    assert CompositeGenerator(config)(sample.labels, sample.previous).picture.shape == (1, 3, H, W)


def test_batch_keeps_its_clips(shot):
    streams = [_stream(shot, 1), _stream(shot, 2)]
    for stream in streams:
        stream.restart(FRAMES, 2)
    batch = joined([s.next() for s in streams], torch.device("cpu"))
    assert batch.labels.shape == (2, 9, H, W)
    assert batch.clips[1].truth.shape == (2, 9, H, W)
    assert set(batch.clips) == {1}


# --- losses ------------------------------------------------------------------------------------------------------


def test_least_squares():
    good, bad = [[torch.ones(1, 1, 2, 2)]], [[torch.zeros(1, 1, 2, 2)]]
    assert float(critic_squares(good, bad)) == 0
    assert float(critic_squares(bad, good)) == 1
    assert float(generator_squares(good)) == 0
    assert float(generator_squares(bad)) == 1


def test_distances_count_where_they_are_trusted():
    made, wanted = torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    weight = torch.zeros(1, 1, 4, 4)
    assert float(weighted_l1(made, wanted, weight)) == 0
    weight[..., :2] = 1
    assert float(weighted_l1(made, wanted, weight)) == pytest.approx(16 / 17)
    assert float(trusted_share(torch.full((1, 1, 4, 4), 0.5), weight)) == pytest.approx(4 / 9)


# --- training ----------------------------------------------------------------------------------------------------


def _trainer(folder, shot, steps=6, config=CONFIG):
    plan = TeacherPlan(steps=steps, critic_width=4, checkpoint_every=3)
    return TeacherTrainer(folder, config, plan, [shot], TABLE, torch.device("cpu"))


def test_training_logs_stops_and_goes_on(shot, tmp_path):
    stopped = _trainer(tmp_path, shot)
    with pytest.raises(CancelledError):
        stopped.run(Context(stop_at=2))
    resumed = _trainer(tmp_path, shot)
    resumed.resume()
    assert resumed.step == 2
    for a, b in zip(stopped.generator.parameters(), resumed.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    resumed.run(Context())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"adversarial", "matching", "flow", "warp", "mask", "critic", "seconds"} <= lines[-1].keys()
    assert all(math.isfinite(value) for value in lines[-1].values())
    assert [p.name for p in sorted((tmp_path / "samples").iterdir())] == ["step_0000003.png", "step_0000006.png"]


def test_training_refuses_another_network(shot, tmp_path):
    _trainer(tmp_path, shot, steps=1).run(Context())
    with pytest.raises(ModelMismatchError, match="another network"):
        _trainer(tmp_path, shot, config=dataclasses.replace(CONFIG, ngf=6)).resume()
    (tmp_path / "checkpoint.safetensors").write_bytes(b"nothing")
    with pytest.raises(DamagedModelError, match="cannot be read"):
        _trainer(tmp_path, shot).resume()


def test_training_refuses_sizes(shot, tmp_path):
    with pytest.raises(InputError, match="32x16"):
        _trainer(tmp_path, shot, config=dataclasses.replace(CONFIG, width=64))
    plan = TeacherPlan(steps=1, crop_px=(8, 8))
    with pytest.raises(InputError, match="8x8"):
        TeacherTrainer(tmp_path, CONFIG, plan, [shot], TABLE, torch.device("cpu"))


def test_training_refuses_what_it_cannot_use(tmp_path):
    with pytest.raises(InputError, match="no training data"):
        run_train_teacher([], tmp_path, steps=1, context=Context())


def test_training_learns_the_motion(shot, tmp_path):
    plan = TeacherPlan(steps=12, rate=1e-2, critic_width=2)
    TeacherTrainer(tmp_path, CONFIG, plan, [shot], TABLE, torch.device("cpu")).run(Context())
    flow = [json.loads(line)["flow"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean(flow[-3:]) < 0.8 * max(flow[:3])


# --- files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(shot, tmp_path):
    path = tmp_path / "teacher" / "model.safetensors"
    path.parent.mkdir()
    torch.manual_seed(1)
    looks = gather_looks([(shot.means, shot.pixels)])
    save_teacher(
        path,
        name="old hand",
        generator=CompositeGenerator(CONFIG),
        table=TABLE,
        looks=looks,
        licence="CC0-1.0",
        story={},
    )
    return path


def test_teacher_comes_back(model):
    loaded = load_teacher(str(model.parent))
    assert (loaded.name, loaded.licence, loaded.config, loaded.table.ids) == ("old hand", "CC0-1.0", CONFIG, (0, 5))
    assert holds_teacher(model) is True
    assert open_model(str(model)).is_teacher
    assert not any(p.is_meta for p in loaded.generator.parameters())


def test_teacher_is_no_other_model(model):
    with pytest.raises(ModelMismatchError, match="holds a teacher"):
        load_model(str(model))
    with pytest.raises(UsageError, match="no teacher network"):
        load_teacher("street")
    assert holds_teacher(model.parent / "none") is None


def test_teacher_is_loaded_strictly(model, tmp_path):
    data = model.read_bytes()
    tensors, header = safetensors.torch.load(data), open_model(str(model)).header
    for wrong in (
        {k: v for k, v in tensors.items() if k != "net.flow_head.bias"},
        {**tensors, "net.more": torch.zeros(1)},
        {**tensors, "net.flow_head.bias": torch.full((2,), math.nan).half()},
    ):
        model.write_bytes(safetensors.torch.save(wrong, metadata=header))
        with pytest.raises(DamagedModelError):
            load_teacher(str(model))
    model.write_bytes(safetensors.torch.save(tensors, metadata={**header, "architecture": "transformer"}))
    with pytest.raises(DamagedModelError, match="transformer"):
        load_teacher(str(model))


def test_label_frame_is_one_hot_with_edges():
    classes = np.array([[0, 0, 1], [0, 0, 1]], np.intp)
    frame = label_frame(CONFIG, classes, np.array([[1, 1, 2], [1, 1, 2]], np.uint16))
    assert frame.shape == (3, 2, 3)
    assert np.array_equal(frame[:2].argmax(axis=0), classes)
    assert np.array_equal(frame[2], [[0, 1, 1], [0, 1, 1]])
    assert not label_frame(CONFIG, classes, None)[2].any()
