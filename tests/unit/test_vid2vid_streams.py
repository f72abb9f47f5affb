# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of crops: hints and how far to believe them, frames before, in-betweens, a teacher's frames, mirrored too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mapreel.core.media.warping import warp_picture
from mapreel.core.vid2vid import streams
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import TrainingShot
from mapreel.core.vid2vid.inputs import tensor_to_picture
from mapreel.core.vid2vid.looks import instance_means
from mapreel.core.vid2vid.losses import carried, in_between
from mapreel.core.vid2vid.streams import Between, CropStream, History, Taught, changed

H, W, T = 32, 48, 14
CONFIG = GeneratorConfig(classes=2, width=W, height=H, widths=(4, 4), blocks=(0, 0), trust=True)


def make_shot(speed=1, frames=T, motion=True):
    """A pattern that moves to the right by `speed` pixels a frame, in two classes of three instances each."""
    rows = np.broadcast_to(np.arange(H)[:, None], (H, W))
    bands = rows * 6 // H
    colors = []
    for t in range(frames):
        columns = np.arange(W)[None, :] - speed * t
        tone = 30 * bands + 20 * np.sin(columns * 0.4) + 40
        colors.append(np.stack([tone, 200 - tone * 0.7, tone * 0.3 + 60], axis=-1))
    colors = np.clip(np.rint(colors), 0, 255).astype(np.uint8)
    classes = np.broadcast_to((bands // 3).astype(np.uint8), (frames, H, W)).copy()
    instances = np.broadcast_to(bands.astype(np.uint16), (frames, H, W)).copy()
    motions = np.zeros((frames, H, W, 2), np.float16)
    motions[..., 0] = -speed
    means, pixels = instance_means(colors, classes, instances, 2)
    return TrainingShot(colors, classes, instances, motions if motion else None, means, pixels)


@pytest.fixture(scope="module")
def shot():
    return make_shot()


@pytest.fixture
def told(monkeypatch):
    """Streams that are told a share of the truth: `told(known, least_known)`."""

    def set_shares(known, least_known=0.0, mirrored=0.0, from_truth=0.0, gaps=(1,)):
        monkeypatch.setattr(streams, "KNOWN", known)
        monkeypatch.setattr(streams, "LEAST_KNOWN", least_known)
        monkeypatch.setattr(streams, "MIRRORED", mirrored)
        monkeypatch.setattr(streams, "FROM_TRUTH", from_truth)
        monkeypatch.setattr(streams, "GAPS", gaps)

    return set_shares


def stream_of(shots, seed=1, **options):
    given = shots if isinstance(shots, list) else [shots]
    return CropStream(given, CONFIG, (H, W), np.random.default_rng(seed), **options)


def hints_of(sample):
    return tensor_to_picture(sample.inputs.extras[:, :3]) * 0.5 + 0.5


def trust_of(sample):
    return sample.inputs.extras[:, -1] * 0.5 + 0.5


def follow(stream, count):
    """Samples of a stream that gets true frames as its own answers, `count` of them after its memory is filled."""
    found = []
    while len(found) < count:
        sample = stream.next()
        if sample.valid.any():
            found.append(sample)
        stream.keep(tensor_to_picture(sample.truth))
    return found


# --- hints ------------------------------------------------------------------------------------------------------


def test_full_trust_tells_the_true_colours(shot, told):
    told(known=1.0)
    sample = stream_of(shot).next()
    assert (trust_of(sample) == 1).all()
    assert hints_of(sample) == pytest.approx(shot.means[shot.classes[0], shot.instances[0]], abs=1e-6)


def test_no_trust_tells_colours_of_the_class_that_need_not_be_those_of_the_instance(shot, told):
    told(known=0.0)
    others = 0
    for seed in range(8):
        sample = stream_of(shot, seed).next()
        assert (trust_of(sample) == 0).all()
        for instance in range(6):
            hint = hints_of(sample)[shot.instances[0] == instance][0]
            kind = instance // 3
            distances = [np.abs(hint - shot.means[kind, i]).max() for i in range(3 * kind, 3 * kind + 3)]
            assert min(distances) < 1e-6
            others += int(np.argmin(distances)) != instance % 3
    assert 20 < others < 44  # of 48; two thirds are expected


def test_some_trust_mixes_both(shot, told):
    told(known=0.0, least_known=0.6)
    for seed in range(6):
        stream = stream_of(shot, seed)
        sample = stream.next()
        trust = float(trust_of(sample)[0, 0, 0])
        assert 0 < trust < 0.6
        assert (trust_of(sample) == trust_of(sample)[0, 0, 0]).all()
        own = shot.means[0, 0]
        drawn = (hints_of(sample)[0, 0] - trust * own) / (1 - trust)
        assert min(np.abs(drawn - shot.means[0, i]).max() for i in range(3)) < 1e-5


def test_hints_stay_through_a_stream(shot, told):
    told(known=0.0)
    stream = stream_of(shot, seed=5, longest=8)
    seen, hints = 0, None
    while seen < 4:
        sample = stream.next()
        fresh = not sample.valid.any()
        assert fresh or torch.equal(sample.inputs.extras[:, :3], hints)
        hints, seen = sample.inputs.extras[:, :3], seen + int(not fresh)
        stream.keep(tensor_to_picture(sample.truth))


# --- memory -----------------------------------------------------------------------------------------------------


def test_a_memory_may_begin_with_a_true_frame(shot, told):
    told(known=1.0, from_truth=1.0, gaps=(2,))
    stream = stream_of(shot, seed=3)
    assert stream._before == stream._index - 2
    sample = stream.next()
    valid = sample.valid.bool().expand_as(sample.truth)
    assert valid.float().mean() > 0.9
    assert (sample.warped - sample.truth)[valid].abs().max() < 0.02


def test_the_frames_before_are_compensated_to_this_one(shot, told):
    told(known=1.0)
    stream = stream_of(shot, history=True, longest=10)
    with_history = 0
    for sample in follow(stream, 12):
        history = sample.history
        counts = history.valid.bool().expand_as(sample.truth)
        before = sample.valid.bool().expand_as(sample.truth)
        assert (history.true_before - sample.truth)[before].abs().max() < 0.02
        if counts.any():
            with_history += 1
            assert counts.float().mean() > 0.9
            assert (history.true_earlier - sample.truth)[counts].abs().max() < 0.02
            assert torch.equal(history.true_earlier[counts], history.earlier[counts])
        assert not history.earlier[~counts].any()
    assert 3 < with_history < 12  # the second frame of a stream has one frame before it


def test_without_being_asked_a_stream_keeps_no_history(shot):
    assert stream_of(shot).next().history is None


def test_streams_grow_as_they_are_told(shot, told):
    told(known=1.0)
    for longest in (1, 4, 9):
        stream = stream_of(make_shot(frames=60), longest=longest)
        runs, run = [], 0
        for _ in range(90):
            sample = stream.next()
            if sample.valid.any():
                run += 1
            else:
                runs.append(run + 1)
                run = 0
            stream.keep(tensor_to_picture(sample.truth))
        assert max(runs) == longest


def test_a_still_comes_as_often_as_a_frame_of_a_moving_shot(told):
    told(known=1.0)
    moving, still = make_shot(frames=40), make_shot(frames=40, motion=False)
    stream = stream_of([moving, still], longest=7)
    stills = 0
    for _ in range(500):
        stills += stream._shot is still
        sample = stream.next()
        stream.keep(tensor_to_picture(sample.truth))
    assert 0.4 < stills / 500 < 0.62


# --- in-betweens ------------------------------------------------------------------------------------------------


def made_between(sample, output):
    return sample.between.base + sample.between.weight * carried(output, sample.between.motion)


@pytest.mark.parametrize("mirrored", [0.0, 1.0])
@pytest.mark.parametrize("gap", [2, 3, 4])
def test_true_frames_make_a_true_in_between(shot, told, gap, mirrored):
    told(known=1.0, gaps=(gap,), mirrored=mirrored)
    for sample in follow(stream_of(shot, longest=5), 4):
        counts = sample.between.counts
        assert counts.mean() > 0.95
        assert in_between(made_between(sample, sample.truth), sample.between.truth, counts) < 0.006
        assert (sample.between.truth - sample.truth).abs().mean() > 0.02  # another frame than this one


def test_a_wrong_frame_is_told_by_its_in_between_and_gets_gradient(shot, told):
    told(known=1.0, gaps=(2,))
    (sample,) = follow(stream_of(shot), 1)
    grey = torch.zeros_like(sample.truth).requires_grad_()
    term = in_between(made_between(sample, grey), sample.between.truth, sample.between.counts)
    term.backward()
    assert term > 0.05
    assert (grey.grad != 0).float().mean() > 0.8
    assert (grey.grad.sign() == (grey - sample.truth).sign()).float()[grey.grad != 0].mean() > 0.9


def test_neighbours_have_no_in_between(shot, told):
    told(known=1.0, gaps=(1,))
    for sample in follow(stream_of(shot), 2):
        assert not sample.between.counts.any()
        assert in_between(made_between(sample, sample.truth), sample.between.truth, sample.between.counts) == 0


def test_a_mirrored_in_between_is_consistent(shot, told):
    told(known=1.0, gaps=(3,))
    (sample,) = follow(stream_of(shot), 1)
    other = sample.mirrored()
    assert torch.equal(other.between.motion[:, 0], -sample.between.motion[:, 0].flip(-1))
    assert torch.equal(other.between.motion[:, 1], sample.between.motion[:, 1].flip(-1))
    a, b = made_between(sample, sample.truth), made_between(other, other.truth)
    assert torch.allclose(a.flip(-1), b, atol=1e-5)


def test_no_in_between_counts_nothing():
    none = Between.none(8, 12)
    assert in_between(torch.ones(1, 3, 8, 12), none.truth, none.counts) == 0


# --- a teacher's frames -----------------------------------------------------------------------------------------


def test_a_teacher_s_frames_come_crop_by_crop(shot, told):
    told(known=1.0, gaps=(2,), mirrored=0.5)
    taught = replace(shot, taught=255 - shot.colors)  # a teacher that answers the negative
    for sample in follow(stream_of(taught, history=True, longest=8), 10):
        assert torch.allclose(sample.taught.frame, -sample.truth, atol=1e-6)
        assert torch.allclose(sample.taught.middle, -sample.between.truth, atol=1e-6)
        assert torch.allclose(sample.taught.before, -sample.history.true_before, atol=1e-5)
        assert torch.allclose(sample.taught.earlier, -sample.history.true_earlier, atol=1e-5)


def test_records_within_records_are_changed_tensor_by_tensor(shot):
    sample = stream_of(replace(shot, taught=shot.colors), history=True).next()
    both = changed([sample, sample], torch.cat)
    assert both.truth.shape == (2, 3, H, W)
    assert both.inputs.labels.shape == (2, 3, H, W)
    assert isinstance(both.history, History)
    assert isinstance(both.taught, Taught)
    assert both.history.valid.shape == (2, 1, H, W)
    plain = changed([replace(sample, history=None, taught=None)], torch.cat)
    assert plain.history is None
    assert plain.taught is None


def test_the_compensation_takes_whole_pixels_as_they_are(shot):
    frame = shot.colors[3].astype(np.float32)
    moved = warp_picture(frame, shot.motions[4].astype(np.float32))
    assert np.abs(moved - shot.colors[4])[:, 1:].max() <= 1.0
