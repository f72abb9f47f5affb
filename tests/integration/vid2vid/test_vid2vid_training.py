# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: it learns, it can be stopped and resumed exactly, what it exports renders, and its crops are consistent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from mapreel.core.contract.errors import (
    CancelledError,
    DamagedFileError,
    DamagedModelError,
    DiskFullError,
    EmptySequenceError,
    GapError,
    InputError,
    InternalError,
    MapreelError,
    MissingInputError,
    MixedSizesError,
    ModelMismatchError,
    OutputExistsError,
    UnknownLabelError,
)
from mapreel.core.contract.progress import SilentContext
from mapreel.core.contract.requests import Quality
from mapreel.core.media.images import read_color, write_exr, write_png
from mapreel.core.media.labels import instance_edges
from mapreel.core.media.warping import warp_picture
from mapreel.core.quality import LpipsSqueeze
from mapreel.core.vid2vid import adversary, samples, streams, trainer, training_data
from mapreel.core.vid2vid.adversary import Critic
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import check_shots, load_shot
from mapreel.core.vid2vid.discriminator import MultiScaleDiscriminator
from mapreel.core.vid2vid.evaluate import evaluate
from mapreel.core.vid2vid.inputs import ClassTable, tensor_to_picture
from mapreel.core.vid2vid.models import LOG_FILE
from mapreel.core.vid2vid.oasis import SegmentationDiscriminator
from mapreel.core.vid2vid.streams import CropStream
from mapreel.core.vid2vid.train_job import run_train
from mapreel.core.vid2vid.trainer import Trainer, TrainingPlan
from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE, read_state

NETWORKS = Path(__file__).parents[4] / "shared" / "data" / "networks"
LPIPS = NETWORKS / "lpips_squeeze.safetensors"
TABLE = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))
CONFIG = GeneratorConfig(classes=4, width=80, height=48, widths=(8, 16, 24), blocks=(1, 1, 1))
PLAN = TrainingPlan(steps=400, streams=2, crop_px=(32, 48), learning_rate=4e-3, checkpoint_every=1000)
CPU = torch.device("cpu")
needs_lpips = pytest.mark.skipif(not LPIPS.is_file(), reason="the LPIPS weights are not here")


def steady_rate(rate):
    """A learning rate without warming up, for trainings of a few dozen steps."""

    def at(step, steps):
        return rate

    return at


def small_pixel_critic(classes):
    return SegmentationDiscriminator(classes, width=4, levels=2)


def small_critic(channels_in, width=4):
    return MultiScaleDiscriminator(channels_in, 4)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(adversary, "MultiScaleDiscriminator", small_critic)


@pytest.fixture(scope="module")
def shot(street):
    return load_shot(street, TABLE)


def make_trainer(folder, shot, plan=PLAN, config=CONFIG, table=TABLE):
    return Trainer(folder, config, plan, [shot], table, CPU)


def streams_of(shot, count=2, seed=1):
    random = np.random.default_rng(seed)
    return [CropStream([shot], CONFIG, PLAN.crop_px, random) for _ in range(count)]


def state(trainer):
    """Every tensor of a trainer, by name."""
    found = {}
    for prefix, module in trainer._modules().items():
        found |= {f"{prefix}.{k}": v.clone() for k, v in module.state_dict().items()}
    for prefix, optimizer in trainer._optimizers().items():
        for index, values in optimizer.state_dict()["state"].items():
            found |= {f"{prefix}.{index}.{k}": v.clone() for k, v in values.items()}
    return found


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


# --- shots and crops --------------------------------------------------------------------------------------------


def test_a_shot_in_memory_is_what_lies_on_disk(shot, street, scene):
    assert len(shot) == 40
    assert shot.size_px == (48, 80)
    label, instance, motion, color = scene.frame(7)
    assert np.array_equal(np.array(TABLE.ids)[shot.classes[7]], label)
    assert np.array_equal(shot.instances[7], instance)
    assert np.array_equal(shot.motions[7].astype(np.float32), motion)
    assert np.array_equal(shot.colors[7], color)
    assert not shot.motions[0].any()
    assert shot.means[2, 25] == pytest.approx(
        np.mean([scene.frame(i)[3][scene.frame(i)[0] == 5].mean(axis=0) for i in range(40)], axis=0) / 255, abs=0.01
    )


def test_a_crop_is_followed_with_the_network_s_own_answer_as_memory(shot, monkeypatch):
    """Given true frames as answers, the compensated memory of the next sample is the true next frame."""
    monkeypatch.setattr(streams, "MIRRORED", 0.5)
    (stream,) = streams_of(shot, 1)
    seen = {True: 0, False: 0}
    gaps = set()
    for _ in range(150):
        sample = stream.next()
        assert sample.truth.shape == (1, 3, 32, 48)
        assert sample.inputs.labels.shape == (1, 5, 32, 48)
        valid = sample.valid.bool()
        if valid.any():
            seen[stream._mirrored] += 1
            gaps.add(stream._gap)
            error = (sample.warped - sample.truth).abs().mean(1, keepdim=True)
            assert error[valid].median() < 0.01
            assert valid.float().mean() > 0.5
            assert (sample.steady <= sample.valid).all()
            assert sample.steady[valid].median() > 0.9
        else:
            assert not sample.warped.any()
            assert not sample.steady.any()
        stream.keep(tensor_to_picture(sample.truth))
    assert min(seen.values()) > 15
    assert gaps == {1, 2, 3, 4}


def test_a_mirrored_sample_is_mirrored_in_everything(shot):
    (stream,) = streams_of(shot, 1)
    sample = stream.next()
    other = sample.mirrored()
    for a, b in (
        (sample.inputs.labels, other.inputs.labels),
        (sample.inputs.extras, other.inputs.extras),
        (sample.truth, other.truth),
        (sample.warped, other.warped),
        (sample.valid, other.valid),
        (sample.steady, other.steady),
    ):
        assert torch.equal(a.flip(-1), b)
    again = other.mirrored()
    assert torch.equal(again.truth, sample.truth)


def test_the_compensation_of_a_crop_is_that_of_rendering(shot):
    (stream,) = streams_of(shot, 1, seed=8)
    answer = np.random.default_rng(0).random((32, 48, 3), np.float32)
    for _ in range(60):
        stream.next()
        stream.keep(answer)
        if stream._memory is not None and stream._gap == 1 and not stream._mirrored:
            break
    sample = stream.next()
    window, index = stream._window, stream._index
    motion = shot.motions[index][window].astype(np.float32)
    assert np.array_equal(tensor_to_picture(sample.warped), warp_picture(answer, motion))


def test_instances_may_be_missing(own_street):
    for path in (own_street / "instance").iterdir():
        path.unlink()
    (own_street / "instance").rmdir()
    shot = load_shot(own_street, TABLE)
    assert np.array_equal(shot.instances, shot.classes)


def test_without_motion_a_stream_has_no_memory(own_street):
    for path in (own_street / "motion").iterdir():
        path.unlink()
    (own_street / "motion").rmdir()
    shot = load_shot(own_street, TABLE)
    assert shot.motions is None
    (stream,) = streams_of(shot, 1)
    for _ in range(5):
        sample = stream.next()
        assert not sample.valid.any()
        stream.keep(tensor_to_picture(sample.truth))


def test_the_first_frame_needs_no_motion(own_street):
    (own_street / "motion" / "1001.exr").unlink()
    assert load_shot(own_street, TABLE).motions.shape == (40, 48, 80, 2)


def spoil_nothing(folder):
    for path in (folder / "color").iterdir():
        path.unlink()


def spoil_numbers(folder):
    for path in (folder / "color").iterdir():
        path.rename(path.with_name(f"{int(path.stem) + 500}.png"))


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (lambda f: (f / "label").rename(f / "labels"), MissingInputError, "label"),
        (spoil_nothing, EmptySequenceError, "color"),
        (spoil_numbers, MissingInputError, "0 frames that are in both"),
        (lambda f: write_png(f / "color" / "1009.png", np.zeros((24, 40, 3), np.uint8)), MixedSizesError, "1009"),
        (lambda f: write_png(f / "label" / "1009.png", np.zeros((24, 40), np.uint8)), MixedSizesError, "1009"),
        (lambda f: write_png(f / "instance" / "1009.png", np.zeros((24, 40), np.uint8)), MixedSizesError, "1009"),
        (
            lambda f: write_exr(f / "motion" / "1009.exr", np.zeros((24, 40, 2)), channels=("X", "Y")),
            MixedSizesError,
            "1009",
        ),
        (
            lambda f: write_exr(f / "motion" / "1009.exr", np.full((48, 80, 2), np.nan), channels=("X", "Y")),
            DamagedFileError,
            "motion that is no number",
        ),
        (lambda f: (f / "instance" / "1009.png").unlink(), MissingInputError, "1009"),
        (lambda f: (f / "motion" / "1009.exr").unlink(), MissingInputError, "1009"),
        (lambda f: (f / "label" / "1009.png").unlink(), GapError, "frame 1009 is missing from"),
        (lambda f: [(f / "color" / f"{n}.png").unlink() for n in (1003, 1009)], GapError, "2 frames (1003,1009) are"),
        (
            lambda f: [(f / kind / "1009.png").unlink() for kind in ("color", "label")],
            GapError,
            "a gap after frame 1008",
        ),
        (lambda f: write_png(f / "label" / "1009.png", np.full((48, 80), 4, np.uint8)), UnknownLabelError, "1009"),
    ],
)
def test_a_training_shot_that_cannot_be_used(own_street, spoil, kind, said):
    spoil(own_street)
    with pytest.raises(kind) as caught:
        load_shot(own_street, TABLE)
    assert said in str(caught.value)


def test_more_classes_than_a_shot_in_memory_can_tell_apart(street):
    table = ClassTable(tuple(range(257)), tuple(f"class {i}" for i in range(257)))
    with pytest.raises(InputError, match="256 classes at most, not on 257"):
        load_shot(street, table)


def test_shots_must_have_the_size_of_the_model(shot):
    check_shots([shot], CONFIG)
    with pytest.raises(InputError, match="80x48 but the model is made for 88x48"):
        check_shots([shot], replace(CONFIG, width=88))
    with pytest.raises(InputError, match="smaller than the 64 pixels"):
        check_shots([shot], replace(CONFIG, widths=(4,) * 6, blocks=(0,) * 6))


def test_a_side_need_not_be_a_multiple_of_the_stride(shot):
    """1080 lines are none of 16."""
    config = replace(CONFIG, widths=(4, 4, 4, 4, 4), blocks=(0,) * 5)
    stream = CropStream([shot], config, (128, 256), np.random.default_rng(1))
    assert stream.next().truth.shape == (1, 3, 32, 64)


# --- learning ---------------------------------------------------------------------------------------------------


def test_a_short_training_learns_and_logs_every_term(shot, tmp_path, listener, monkeypatch):
    monkeypatch.setattr(trainer, "_rate", steady_rate(1.0))
    trainer_ = make_trainer(
        tmp_path / "run", shot, replace(PLAN, steps=60, learning_rate=2e-3, adversarial=0.05, matching=0.5)
    )
    heard = listener()
    trainer_.run(heard)
    lines = [json.loads(line) for line in (tmp_path / "run" / LOG_FILE).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 61))
    terms = {"critic", "total", "l1", "adversarial", "matching", "grid", "between", "steady"}
    assert all(set(line) == terms | {"step", "seconds"} for line in lines)
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    first, last = (np.mean([line["l1"] for line in part]) for part in (lines[:3], lines[-12:]))
    assert last < 0.75 * first
    parts = {k for k in terms if k not in ("critic", "total")}
    assert lines[50]["total"] == pytest.approx(sum(lines[50][k] for k in parts), abs=1e-3)
    assert [p.done for p in heard.heard] == list(range(1, 61))
    assert (tmp_path / "run" / CHECKPOINT_FILE).is_file()


@needs_lpips
def test_the_perceptual_term_joins_when_its_weights_are_given(shot, tmp_path):
    from mapreel.core.quality import lpips_squeeze

    made = Trainer(tmp_path, CONFIG, PLAN, [shot], TABLE, CPU, lpips_squeeze(LPIPS))
    terms = [made.train_step(streams_of(shot)) for _ in range(2)]
    assert all(t["perceptual"] > 0 for t in terms)


def test_the_average_follows_slowly(shot, tmp_path):
    made = make_trainer(tmp_path, shot)
    start = {k: v.clone() for k, v in made.averaged.state_dict().items()}
    for _ in range(3):
        made.train_step(streams_of(shot))
    moved = {k: (v - start[k]).abs().sum() for k, v in made.averaged.state_dict().items()}
    ahead = {k: (v - start[k]).abs().sum() for k, v in made.generator.state_dict().items()}
    assert 0 < sum(moved.values()) < sum(ahead.values())
    assert not any(p.requires_grad for p in made.averaged.parameters())


# --- stopping and resuming --------------------------------------------------------------------------------------


def test_a_resume_continues_with_the_very_same_state(shot, tmp_path):
    made = make_trainer(tmp_path, shot)
    for _ in range(3):
        made.train_step(streams_of(shot))
    made.save()
    resumed = make_trainer(tmp_path, shot)
    resumed.resume()
    assert resumed.step == 3
    assert len([k for k in state(made) if k.startswith("adam.")]) > 0
    assert len([k for k in state(made) if k.startswith("critic_adam.")]) > 0
    assert_same(state(made), state(resumed))
    a, b = (t.train_step(streams_of(shot, seed=9)) for t in (made, resumed))
    assert a == b
    assert_same(state(made), state(resumed))


def test_without_a_checkpoint_there_is_nothing_to_resume(street, tmp_path):
    with pytest.raises(MissingInputError, match=r"there is no training in .*nowhere to go on with"):
        run_train([street], tmp_path / "nowhere", steps=1, context=SilentContext(), resume=True)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "other",
    [ClassTable((0, 1, 5, 8), TABLE.names), ClassTable(TABLE.ids, ("sky", "road", "car", "tree"))],
    ids=["ids", "names"],
)
def test_a_checkpoint_of_other_classes_is_refused(shot, tmp_path, other):
    make_trainer(tmp_path, shot).save()
    with pytest.raises(ModelMismatchError, match="other ids or names"):
        make_trainer(tmp_path, shot, table=other).resume()


def test_an_older_checkpoint_that_names_no_classes_is_gone_on_with(shot, tmp_path):
    made = make_trainer(tmp_path, shot)
    made.train_step(streams_of(shot))
    made.save()
    path = tmp_path / CHECKPOINT_FILE
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert json.loads(header.pop("classes")) == TABLE.listed()
    path.write_bytes(safetensors.torch.save(safetensors.torch.load(data), metadata=header))
    resumed = make_trainer(tmp_path, shot)
    resumed.resume()
    assert_same(state(made), state(resumed))


def test_a_cancel_leaves_a_checkpoint_to_go_on_from(shot, tmp_path, listener):
    plan = replace(PLAN, steps=6)
    made = make_trainer(tmp_path, shot, plan)
    with pytest.raises(CancelledError):
        made.run(listener(stop_after=4))
    resumed = make_trainer(tmp_path, shot, plan)
    resumed.resume()
    assert resumed.step == 4
    assert_same(state(made), state(resumed))
    resumed.run(listener())
    steps = [json.loads(line)["step"] for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_training_that_goes_astray_keeps_its_last_checkpoint(shot, tmp_path, monkeypatch, listener):
    made = make_trainer(tmp_path, shot, replace(PLAN, steps=5, checkpoint_every=2))
    sound = made.train_step
    monkeypatch.setattr(made, "train_step", lambda s: {**sound(s), **({"l1": float("nan")} if made.step == 3 else {})})
    with pytest.raises(InternalError, match="step 3: l1 is no number"):
        made.run(listener())
    resumed = make_trainer(tmp_path, shot)
    resumed.resume()
    assert resumed.step == 2


def test_checkpoints_are_written_on_the_way(shot, tmp_path, monkeypatch, listener):
    made = make_trainer(tmp_path, shot, replace(PLAN, steps=5, checkpoint_every=2))
    saved = []
    monkeypatch.setattr(Trainer, "save", lambda self: saved.append(self.step))
    made.run(listener())
    assert saved == [2, 4, 5]


def test_a_checkpoint_of_another_shape_is_refused(shot, tmp_path):
    make_trainer(tmp_path, shot).save()
    other = make_trainer(tmp_path, shot, config=replace(CONFIG, widths=(8, 16, 32)))
    before = state(other)
    with pytest.raises(ModelMismatchError, match="another shape"):
        other.resume()
    assert_same(before, state(other))


@pytest.mark.parametrize("how", ["cut", "random", "no header", "no step", "bad step", "missing", "nan"])
def test_a_damaged_checkpoint_is_told(shot, tmp_path, how):
    made = make_trainer(tmp_path, shot)
    made.save()
    path = tmp_path / CHECKPOINT_FILE
    data = path.read_bytes()
    tensors = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    if how == "missing":
        del tensors["critic.critics.0.verdict.bias"]
    if how == "nan":
        tensors["averaged.stem.bias"][0] = float("nan")
    header = {"no header": None, "no step": {"config": header["config"]}, "bad step": {**header, "step": "x"}}.get(
        how, header
    )
    spoilt = {"cut": data[:-100], "random": bytes(range(256)) * 9}
    path.write_bytes(spoilt[how] if how in spoilt else safetensors.torch.save(tensors, metadata=header))
    with pytest.raises(DamagedModelError) as caught:
        make_trainer(tmp_path, shot).resume()
    assert str(path) in str(caught.value)


def test_a_log_that_cannot_be_written_is_one_of_our_errors(shot, tmp_path, listener, monkeypatch):
    class Full:
        def __truediv__(self, name):
            return tmp_path / name if name != LOG_FILE else Path("/dev/full")

        def mkdir(self, **_):
            pass

    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    made = make_trainer(tmp_path, shot)
    made.folder = Full()
    with pytest.raises(DiskFullError):
        made.run(listener(stop_after=3))
    assert (tmp_path / CHECKPOINT_FILE).is_file()


def test_a_device_without_enough_memory_is_told_and_nothing_is_lost(shot, tmp_path, monkeypatch, listener):
    made = make_trainer(tmp_path, shot, replace(PLAN, steps=5, checkpoint_every=2))
    sound = made.train_step

    def full_at_three(streams):
        if made.step == 3:
            raise torch.OutOfMemoryError("out of memory")
        return sound(streams)

    monkeypatch.setattr(made, "train_step", full_at_three)
    with pytest.raises(MapreelError, match="not enough memory to train this network; close other programs"):
        made.run(listener())
    resumed = make_trainer(tmp_path, shot, replace(PLAN, steps=4))
    resumed.resume()
    assert resumed.step == 2
    with (tmp_path / LOG_FILE).open("a") as log:
        log.write('{"step": 4, "l')  # as a kill leaves it
    resumed.run(listener())
    steps = [json.loads(line)["step"] for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {"temporal": 1.0}, "patch instead of patch and temporal"),
        ({"critic": Critic.OASIS}, {}, "oasis instead of patch"),
    ],
)
def test_a_checkpoint_of_other_critics_is_refused(shot, tmp_path, before, now, said):
    make_trainer(tmp_path, shot, replace(PLAN, **before)).save()
    with pytest.raises(ModelMismatchError, match=f"was trained with other critics .{said}.*--critic and --teacher"):
        make_trainer(tmp_path, shot, replace(PLAN, **now)).resume()


SOME, OTHER = (LpipsSqueeze().requires_grad_(False) for _ in range(2))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {"perceptual": SOME}, "without a perceptual network; give the same --perceptual"),
        ({"perceptual": SOME}, {}, "with a perceptual network; give the same --perceptual"),
        ({"perceptual": SOME}, {"perceptual": OTHER}, "with another perceptual network; give the same --perceptual"),
        ({"teacher_sha256": "aa"}, {"teacher_sha256": "bb"}, "with another teacher; give the same --teacher"),
        ({"teacher_sha256": "aa"}, {}, "with a teacher; give the same --teacher"),
        ({}, {"teacher_sha256": "bb"}, "without a teacher; give the same --teacher"),
    ],
)
def test_a_checkpoint_of_other_teachers_is_refused(shot, tmp_path, before, now, said):
    def made(given):
        return Trainer(tmp_path, CONFIG, PLAN, [shot], TABLE, CPU, **given)

    made(before).save()
    made(before).resume()
    with pytest.raises(ModelMismatchError, match=f"was trained {said}"):
        made(now).resume()


def test_a_checkpoint_from_before_it_named_its_teachers_is_gone_on_with(shot, tmp_path):
    made = make_trainer(tmp_path, shot)
    made.save()
    path = tmp_path / CHECKPOINT_FILE
    header, tensors = read_state(path)
    assert json.loads(header.pop("perceptual")) is json.loads(header.pop("teacher")) is None
    path.write_bytes(safetensors.torch.save(tensors, metadata=header))
    Trainer(tmp_path, CONFIG, PLAN, [shot], TABLE, CPU, SOME).resume()


@pytest.mark.parametrize("changes", [{"temporal": 0.7}, {"critic": Critic.OASIS}])
def test_other_critics_train_and_go_on_exactly(shot, tmp_path, changes, monkeypatch):
    monkeypatch.setattr(adversary, "SegmentationDiscriminator", small_pixel_critic)
    plan = replace(PLAN, **changes)
    made = make_trainer(tmp_path, shot, plan)
    random = np.random.default_rng(4)
    followed = [made._stream(random) for _ in range(2)]
    terms = [made.train_step(followed) for _ in range(6)]
    assert all(np.isfinite(list(t.values())).all() for t in terms)
    assert ("matching" in terms[0]) == (plan.critic is Critic.PATCH)
    assert any(t.get("temporal_matching", 0) > 0 for t in terms) == (plan.temporal > 0)
    made.save()
    resumed = make_trainer(tmp_path, shot, plan)
    resumed.resume()
    assert_same(state(made), state(resumed))


def test_streams_grow_over_the_training():
    plan = TrainingPlan(steps=100, lengths=(6, 12, 24, 28))
    assert [plan.longest(step) for step in (0, 24, 25, 49, 50, 74, 75, 99, 100)] == [6, 6, 12, 12, 24, 24, 28, 28, 28]


# --- sample sheets ----------------------------------------------------------------------------------------------


def test_a_sample_sheet_shows_maps_truth_and_result(shot, tmp_path):
    made = make_trainer(tmp_path, shot)
    path = samples.write_samples(tmp_path, 7, made.averaged, [shot], CPU)
    assert path == tmp_path / "samples" / "step_0000007.png"
    sheet = read_color(path)
    assert sheet.shape == (3 * 48 + 2 * 4, 3 * 80 + 2 * 4, 3)
    for row, index in enumerate((6, 20, 33)):
        cells = [sheet[52 * row : 52 * row + 48, 84 * column : 84 * column + 80] for column in range(3)]
        assert np.array_equal(cells[1], shot.colors[index])
        assert np.array_equal(cells[2], samples.draw_frame(made.averaged, shot, index, CPU))
        painted = {tuple(np.median(cells[0][shot.classes[index] == kind], axis=0)) for kind in range(4)}
        assert len(painted) == 4
        assert not cells[0][instance_edges(shot.instances[index])].any()


def test_only_the_latest_sheets_stay(shot, tmp_path):
    generator = make_trainer(tmp_path, shot).averaged
    for step in (250, 500, 9750, 10000, 10250, 10500, 10750):
        samples.write_samples(tmp_path, step, generator, [shot], CPU)
    kept = sorted(p.name for p in (tmp_path / "samples").iterdir())
    assert kept == [f"step_{n:07d}.png" for n in (9750, 10000, 10250, 10500, 10750)]


def test_a_large_picture_is_scaled_down_for_its_sheet(shot, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "WIDEST_PX", 40)
    sheet = read_color(samples.write_samples(tmp_path, 1, make_trainer(tmp_path, shot).averaged, [shot, shot], CPU))
    assert sheet.shape == (3 * 24 + 2 * 4, 3 * 40 + 2 * 4, 3)


# --- the whole job ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(street, tmp_path_factory):
    """A training as a user starts it, with a tiny network."""
    out = tmp_path_factory.mktemp("trained") / "my street"
    with pytest.MonkeyPatch.context() as patch:
        small = {"widths": (8, 16, 24), "blocks": (1, 1, 1)}
        patch.setattr(training_data, "GeneratorConfig", lambda **known: GeneratorConfig(**known, **small))
        patch.setattr(trainer, "_rate", steady_rate(8.0))
        patch.setattr(adversary, "MultiScaleDiscriminator", small_critic)
        torch.set_num_threads(1)
        result = run_train([street], out, steps=40, context=SilentContext(), licence="CC0-1.0", story={"by": "a test"})
        with pytest.raises(OutputExistsError):
            run_train([street], out, steps=40, context=SilentContext())
        again = run_train([street], out, steps=42, context=SilentContext(), resume=True, licence="CC0-1.0")
    return out, result, again


def test_a_training_gives_a_model_that_renders(trained, street, render, tmp_path):
    out, result, again = trained
    assert result["steps"] == 40
    assert again["steps"] == 42
    assert result["classes"] == [0, 1, 5, 9]
    assert result["size"] == [80, 48]
    assert result["model"] == str(out / "model" / "model.safetensors")
    model = load_model(str(out / "model"))
    assert (model.name, model.licence) == ("my street", "CC0-1.0")
    assert model.table.ids == (0, 1, 5, 9)
    assert model.looks.counts.tolist() == [1, 1, 1, 1]
    render(street, "take", net=out / "model", frames="1001-1006")
    made = np.stack([read_color(tmp_path / "take" / f"{n}.png") for n in range(1001, 1007)]).astype(float)
    truth = np.stack([read_color(street / "color" / f"{n}.png") for n in range(1001, 1007)]).astype(float)
    grey = np.abs(truth - truth.mean()).mean()
    assert np.abs(made - truth).mean() < 0.85 * grey


@needs_lpips
@pytest.mark.parametrize("quality_", [Quality.FULL, Quality.FAST])
def test_a_model_is_measured_against_the_truth(trained, maps, tmp_path, quality_):
    shot = maps(tmp_path / "shot", range(1, 9), color=True)
    figures = evaluate(str(trained[0] / "model"), shot, LPIPS, quality_)
    assert figures.frames == 8
    assert 0 < figures.lpips < 1
    assert 0 < figures.lpips_paint < 1
    assert figures.ratio == figures.lpips / figures.lpips_paint
    assert figures.flicker_truth < 4  # the drawn street moves exactly as its motion says
    assert figures.key_share == 1.0 if quality_ is Quality.FULL else figures.key_share < 1.0


@needs_lpips
def test_the_truth_has_no_distance_to_itself(trained, maps, tmp_path, monkeypatch):
    from mapreel.core.vid2vid import evaluate as evaluate_module

    shot = maps(tmp_path / "shot", range(1, 4), color=True)
    real = evaluate_module.render_shot

    def truth(*given):
        opened, frames = real(*given)
        return opened, (replace(f, pixels=read_color(shot / "color" / f"{f.number:04d}.png")) for f in frames)

    monkeypatch.setattr(evaluate_module, "render_shot", truth)
    figures = evaluate(str(trained[0] / "model"), shot, LPIPS)
    assert figures.lpips == pytest.approx(0, abs=1e-6)
    assert figures.flicker == figures.flicker_truth


def test_every_checkpoint_has_its_sheet(trained):
    assert sorted(p.name for p in (trained[0] / "samples").iterdir()) == ["step_0000040.png", "step_0000042.png"]


def test_two_frames_are_enough_and_one_is_not(maps, tmp_path, listener, monkeypatch):
    small = {"widths": (8, 16), "blocks": (0, 0)}
    monkeypatch.setattr(training_data, "GeneratorConfig", lambda **known: GeneratorConfig(**known, **small))
    two = maps(tmp_path / "two", (1, 2), color=True)
    assert run_train([two], tmp_path / "out", steps=3, context=listener())["steps"] == 3
    one = maps(tmp_path / "one", (1,), color=True)
    with pytest.raises(MissingInputError, match="has 1 frames that are in both color and label; give at least two"):
        run_train([one], tmp_path / "none", steps=3, context=listener())
    assert not (tmp_path / "none").exists()


def test_data_must_be_given(tmp_path, listener):
    for palette in (None, "street"):
        with pytest.raises(InputError, match="no training data"):
            run_train([], tmp_path / "out", steps=1, context=listener(), palette=palette)
    assert not (tmp_path / "out").exists()


def test_a_label_outside_the_palette_is_told(street, tmp_path, listener):
    palette = tmp_path / "two.json"
    classes = [{"id": i, "name": n, "color": [0, 0, 0]} for i, n in ((0, "sky"), (1, "road"), (5, "car"))]
    palette.write_text(json.dumps({"format": "mapreel-palette", "version": 1, "name": "two", "classes": classes}))
    with pytest.raises(UnknownLabelError, match="9 "):
        run_train([street], tmp_path / "out", steps=1, context=listener(), palette=str(palette))
